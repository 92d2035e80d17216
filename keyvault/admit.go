package keyvault

import (
	"bytes"
	"context"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
)

// longRefusal is the row of a longer refusal that is not over.
type longRefusal struct {
	row       []byte
	reference eventstore.LedgerReference
	// unnamed: its row was written before references were kept.
	unnamed bool
}

// Refused implements [eventstore.Keys].
func (v *Vault) Refused(_ context.Context, tenant eventstore.TenantID, ids []eventstore.Identity, references []eventstore.LedgerReference) (r eventstore.Refusals, err error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return r, err
	}
	if err := t.enterShared(); err != nil {
		return r, err
	}
	defer t.mu.RUnlock()
	found, err := t.longRefusals(ids, references)
	for _, f := range found {
		if !f.unnamed {
			r.References = append(r.References, f.reference)
		}
	}
	slices.SortFunc(r.References, func(a, b eventstore.LedgerReference) int { return bytes.Compare(a[:], b[:]) })
	r.References, r.Handles = slices.Compact(r.References), len(found)
	return r, err
}

// Admit implements [eventstore.Keys].
func (v *Vault) Admit(_ context.Context, tenant eventstore.TenantID, ids []eventstore.Identity, references []eventstore.LedgerReference) (int, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return 0, err
	}
	if err := t.enterAlone(); err != nil { // so that no erasure of the handle comes between
		return 0, err
	}
	defer t.mu.Unlock()
	found, err := t.longRefusals(ids, references)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	b := v.batch()
	defer b.Close()
	for _, f := range found {
		if err := b.Delete(f.row); err != nil {
			return 0, err
		}
	}
	return len(found), v.commit(b, pebble.Sync)
}

// longRefusals finds the longer refusals of handles, and with them, or by a reference, those that came with the same erasure; mu is held.
func (t *tenant) longRefusals(ids []eventstore.Identity, references []eventstore.LedgerReference) (found []longRefusal, err error) {
	asked := map[string]bool{} // rows
	named := map[eventstore.LedgerReference]bool{}
	for _, r := range references {
		named[r] = true
	}
	for n, key := range t.own.refusals {
		if !n.longer() {
			continue
		}
		for _, id := range ids {
			row := t.refusalRow(n, refusalMark(key, handleOf(id)))
			value, err := rows{t.v.db}.Get(row)
			if err != nil {
				return nil, err
			}
			f, holds, err := t.longRefusal(row, value)
			if err != nil {
				return nil, err
			}
			if !holds {
				continue
			}
			if asked[string(row)] = true; !f.unnamed {
				named[f.reference] = true
			}
		}
	}
	if len(named) == 0 && len(asked) == 0 {
		return nil, nil
	}
	for n := range t.own.refusals {
		if !n.longer() {
			continue
		}
		err := rows{t.v.db}.Scan(t.termRows(n), func(row, value []byte) error {
			f, holds, err := t.longRefusal(row, value)
			if err == nil && holds && (asked[string(row)] || !f.unnamed && named[f.reference]) {
				found = append(found, f)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// longRefusal reads a row of a longer term; holds says that there is one and that it is not over.
func (t *tenant) longRefusal(row, value []byte) (f longRefusal, holds bool, err error) {
	if value == nil {
		return f, false, nil
	}
	until, err := decodeRefusal(value)
	if err != nil {
		return f, false, err
	}
	f = longRefusal{row: bytes.Clone(row), unnamed: len(value) == 8}
	if !f.unnamed {
		f.reference = eventstore.LedgerReference(value[8:])
	}
	return f, t.v.c.Now().Before(until), nil
}
