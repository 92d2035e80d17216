package keyvault

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// gatePatience is how long a fence waits for gates that are held.
const gatePatience = 2 * time.Second

// fences holds who is fenced.
type fences struct {
	mu      sync.RWMutex
	persons map[eventstore.PersonID]struct{}
	changed chan struct{}
}

func (f *fences) has(id eventstore.PersonID) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, ok := f.persons[id]
	return ok
}

// watch gives a channel that is closed when the next fence falls.
func (f *fences) watch() <-chan struct{} {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.changed
}

func (f *fences) add(ids []eventstore.PersonID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		f.persons[id] = struct{}{}
	}
}

func (f *fences) remove(ids []eventstore.PersonID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		delete(f.persons, id)
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// Fence implements [eventstore.Keys].
func (v *Vault) Fence(ctx context.Context, tenant eventstore.TenantID, persons []eventstore.PersonID) ([]eventstore.Member, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	ids, err := t.raise(persons)
	if err != nil {
		return nil, err
	}
	if err := t.writeFences(ids); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(gatePatience)
	for _, id := range ids {
		if err := v.gates.drain(ctx, gateKey{t.index, id}, deadline); err != nil {
			return nil, err
		}
	}
	return t.fencedMembers(ids)
}

// raise fixes the linked sets, in memory, while nobody writes.
func (t *tenant) raise(persons []eventstore.PersonID) (ids []eventstore.PersonID, err error) {
	if err := t.enterAlone(); err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	set, err := t.sets(persons)
	if err != nil {
		return nil, err
	}
	for id, r := range set {
		if r.flags&flagHold != 0 {
			return nil, eventstore.ErrHold
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, eventstore.PersonID.Compare)
	t.fences.add(ids)
	for _, id := range ids {
		t.v.gates.fence(gateKey{t.index, id})
	}
	return ids, nil
}

// sets reads the linked sets of persons, fenced or not, leaving erased ones out; mu is held.
func (t *tenant) sets(persons []eventstore.PersonID) (map[eventstore.PersonID]*record, error) {
	ahead, err := t.readAhead(persons)
	if err != nil {
		return nil, err
	}
	read := func(id eventstore.PersonID) (*record, error) {
		if r := ahead[id]; r != nil {
			return r, nil
		}
		return t.anyRecord(id)
	}
	out := map[eventstore.PersonID]*record{}
	for _, id := range persons {
		if out[id] != nil {
			continue
		}
		set, err := t.set(id, read)
		if errors.Is(err, eventstore.ErrErased) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for id, r := range set {
			out[id] = r
		}
	}
	return out, nil
}

// readAhead reads the records of many persons in the order in which they stand.
func (t *tenant) readAhead(persons []eventstore.PersonID) (map[eventstore.PersonID]*record, error) {
	if len(persons) < 16 {
		return nil, nil
	}
	ids := make([]tree.PersonID, len(persons))
	for i, id := range persons {
		ids[i] = tree.PersonID(id)
	}
	ahead := make(map[eventstore.PersonID]*record, len(persons))
	err := t.tree.RecordsOf(ids, func(id tree.PersonID, plain []byte) (err error) {
		ahead[eventstore.PersonID(id)], err = decodeRecord(plain)
		return err
	})
	return ahead, fromTree(err)
}

// anyRecord reads a record, fenced or not.
func (t *tenant) anyRecord(id eventstore.PersonID) (*record, error) {
	r, err := t.record(id)
	if err == nil && r == nil {
		err = t.missing(id)
	}
	return r, err
}

func (t *tenant) writeFences(ids []eventstore.PersonID) error {
	if len(ids) == 0 {
		return nil
	}
	if err := t.enterShared(); err != nil {
		return err
	}
	defer t.mu.RUnlock()
	b := t.v.batch()
	defer b.Close()
	for _, id := range ids {
		if !t.fences.has(id) {
			continue // lifted or shredded meanwhile
		}
		if err := b.Set(t.row(rowFence, id[:]), nil); err != nil {
			return err
		}
	}
	return t.v.commit(b, pebble.Sync)
}

// fencedMembers tells what an erasure must remember; a person who was erased meanwhile is left out.
func (t *tenant) fencedMembers(ids []eventstore.PersonID) (out []eventstore.Member, err error) {
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	for _, id := range ids {
		r, err := t.anyRecord(id)
		if errors.Is(err, eventstore.ErrErased) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m := eventstore.Member{Person: id, Reference: r.reference, Months: r.keyMonths()}
		row := mark(r.own, eventstore.MarkRow)
		copy(m.RowPrefix[:], row[:])
		out = append(out, m)
		r.wipe()
	}
	return out, nil
}

// FencedPeriodMarks implements [eventstore.Keys]. ErrConflict if the person is neither fenced nor erased.
func (v *Vault) FencedPeriodMarks(_ context.Context, tenant eventstore.TenantID, person eventstore.PersonID, periods []eventstore.Period) ([]eventstore.Mark, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	r, err := t.anyRecord(person)
	if errors.Is(err, eventstore.ErrErased) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.wipe()
	if !t.fences.has(person) {
		return nil, eventstore.ErrConflict
	}
	out := make([]eventstore.Mark, 0, len(periods))
	for _, p := range periods {
		out = append(out, periodMark(r.set, p))
	}
	return out, nil
}

// Unfence implements [eventstore.Keys]. It lifts the fence of the whole linked set.
func (v *Vault) Unfence(_ context.Context, tenant eventstore.TenantID, persons []eventstore.PersonID) error {
	t, err := v.tenant(tenant)
	if err != nil {
		return err
	}
	if err := t.enterAlone(); err != nil {
		return err
	}
	defer t.mu.Unlock()
	set, err := t.sets(slices.DeleteFunc(slices.Clone(persons), func(id eventstore.PersonID) bool { return !t.fences.has(id) }))
	if err != nil {
		return err
	}
	b := v.batch()
	defer b.Close()
	var ids []eventstore.PersonID
	for id := range set {
		ids = append(ids, id)
		if err := errors.Join(b.Delete(t.row(rowFence, id[:])), b.Delete(t.row(rowStaged, id[:]))); err != nil {
			return err
		}
	}
	if err := v.commit(b, pebble.Sync); err != nil {
		return err
	}
	t.aside.remove(eventstore.ErrFenced, among(set))
	for _, id := range ids {
		v.gates.remove(gateKey{t.index, id}, eventstore.ErrFenced)
	}
	t.fences.remove(ids)
	return nil
}
