package keyvault

import (
	"context"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// Keyless implements [eventstore.Keys].
func (v *Vault) Keyless(ctx context.Context, tenant eventstore.TenantID, visit func(eventstore.PersonID) error) error {
	t, err := v.tenant(tenant)
	if err != nil {
		return err
	}
	if err := t.live(); err != nil {
		return err
	}
	walk := t.tree.Walk(0, false)
	for {
		if _, done := walk.Next(); done {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		found, err := t.keylessIn(walk)
		if err != nil {
			return err
		}
		for _, id := range found {
			if err := visit(id); err != nil {
				return err
			}
		}
	}
}

// keylessIn finds those who stand for their sets in the next leaf.
func (t *tenant) keylessIn(walk *tree.Walk) (out []eventstore.PersonID, err error) {
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	_, err = walk.Pass(func(id tree.PersonID, plain []byte) (bool, error) {
		r, err := decodeRecord(plain)
		if err != nil {
			return false, err
		}
		defer r.wipe()
		keyless, err := t.keyless(eventstore.PersonID(id), r)
		if keyless {
			out = append(out, eventstore.PersonID(id))
		}
		return false, err
	})
	return out, fromTree(err)
}

// keyless says that a person is the first of a linked set of which nothing but records is left; mu is held.
func (t *tenant) keyless(id eventstore.PersonID, r *record) (bool, error) {
	if !t.bare(id, r) {
		return false, nil
	}
	for _, other := range r.others {
		if other.Compare(id) < 0 {
			return false, nil
		}
		o, err := t.record(other)
		if err != nil || o == nil {
			return false, err
		}
		bare := t.bare(other, o)
		o.wipe()
		if !bare {
			return false, nil
		}
	}
	return true, nil
}

// bare says that a person was created before the months that have expired ended, has no data key and nothing that keeps the record.
func (t *tenant) bare(id eventstore.PersonID, r *record) bool {
	return len(r.months) == 0 && r.flags&flagHold == 0 && r.created < t.own.expired.Start().UnixMilli() && !t.fences.has(id)
}
