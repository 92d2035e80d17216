package keyvault

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// succession is a person whose record is superseded.
type succession struct {
	eventstore.Succession
	old, next *record
}

// Supersede implements [eventstore.Keys].
func (v *Vault) Supersede(ctx context.Context, tenant eventstore.TenantID, all []eventstore.Succession) error {
	t, err := v.tenant(tenant)
	if err != nil {
		return err
	}
	leave, err := t.enterToRekey()
	if err != nil {
		return err
	}
	defer leave()
	todo, err := t.toSupersede(all)
	defer func() {
		for _, s := range todo {
			s.old.wipe()
			s.next.wipe()
		}
	}()
	if err != nil || len(todo) == 0 {
		return err
	}
	return t.supersede(context.WithoutCancel(ctx), todo)
}

// toSupersede finds what is left to do: whole linked sets of fenced persons who have a successor. ErrConflict.
func (t *tenant) toSupersede(all []eventstore.Succession) (map[eventstore.PersonID]succession, error) {
	todo := map[eventstore.PersonID]succession{}
	for _, s := range all {
		old, err := t.anyRecord(s.Person)
		switch {
		case errors.Is(err, eventstore.ErrErased):
			continue
		case errors.Is(err, eventstore.ErrNotFound):
			return todo, eventstore.ErrConflict
		case err != nil:
			return todo, err
		case old.reference != s.Reference:
			old.wipe()
			continue // superseded already
		}
		next, err := t.stagedRecord(t.own.outbox, s.Person)
		if err != nil {
			return todo, err
		}
		if next == nil || !t.fences.has(s.Person) || s.First <= old.first {
			return todo, eventstore.ErrConflict
		}
		todo[s.Person] = succession{s, old, next}
	}
	for _, s := range todo {
		for _, id := range s.old.others {
			if _, ok := todo[id]; !ok {
				return todo, eventstore.ErrConflict
			}
		}
	}
	return todo, nil
}

// supersede puts successors in the places of their persons; mu is held alone.
func (t *tenant) supersede(ctx context.Context, todo map[eventstore.PersonID]succession) error {
	b := t.v.batch()
	defer b.Close()
	edits := tree.Edits{Records: map[tree.PersonID][]byte{}, Handles: map[string]*tree.PersonID{}}
	own, marks, err := t.refusalsForParts(b, todo)
	if err != nil {
		return err
	}
	ids := slices.SortedFunc(maps.Keys(todo), eventstore.PersonID.Compare)
	for _, id := range ids {
		r := todo[id].record(t.own.floor)
		edits.Records[id] = r.encode()
		defer clear(edits.Records[id])
		if err := b.Delete(t.row(rowFence, id[:])); err != nil {
			return err
		}
	}
	if err := t.rekey(ctx, b, edits, own, ids...); err != nil {
		return err
	}
	t.refused.add(marks)
	t.aside.remove(eventstore.ErrFenced, among(todo))
	for _, id := range ids {
		t.v.gates.remove(gateKey{t.index, id}, eventstore.ErrFenced)
	}
	t.fences.remove(ids)
	return nil
}

// record is the person's record from now on: what was known of them, under what was staged. A month that retention took meanwhile goes. It
// shares the secrets of next.
func (s succession) record(floor eventstore.KeyMonth) *record {
	r := *s.old
	r.own, r.set, r.reference, r.first = s.next.own, s.next.set, s.next.reference, s.First
	r.months = slices.Clone(s.next.months)
	if r.drop(floor) > 0 || s.old.reaches(floor) {
		r.flags |= flagExpired
	}
	return &r
}
