package keyvault

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/oubli-store/oubli/eventstore"
)

var errUnchanged = errors.New("unchanged")

// handleOf is the form of a canonical identity in a page. A namespace has no colon.
func handleOf(id eventstore.Identity) string { return id.Namespace + ":" + id.ID }

// stripe is the lock of an item: the first bits of its hash. They do not depend on how deep its bucket stands, so a lock stays the right one when
// buckets move, and a bucket near the root has many.
func stripe(hash uint64) int { return int(hash >> (64 - stripeBits)) }

// lockPages locks handles, ascending; mu is held shared, so that no bucket moves.
func (t *tenant) lockPages(hs []string) (unlock func()) {
	at := make([]int, len(hs))
	for i, h := range hs {
		at[i] = stripe(t.tree.PageHash(h))
	}
	return lockStripes(&t.pages, at)
}

// lockLeaves is lockPages for the records of persons.
func (t *tenant) lockLeaves(ids []eventstore.PersonID) (unlock func()) {
	at := make([]int, len(ids))
	for i, id := range ids {
		at[i] = stripe(t.tree.LeafHash(id))
	}
	return lockStripes(&t.leaves, at)
}

func lockStripes(all *[stripes]sync.Mutex, at []int) func() {
	slices.Sort(at)
	at = slices.Compact(at)
	for _, i := range at {
		all[i].Lock()
	}
	return func() {
		for _, i := range at {
			all[i].Unlock()
		}
	}
}

// record reads a person's record, nil if there is none; mu is held.
func (t *tenant) record(id eventstore.PersonID) (*record, error) {
	b, err := t.tree.Record(id)
	if err != nil || b == nil {
		return nil, fromTree(err)
	}
	return decodeRecord(b)
}

// mustRecord reads the record of a person whom gates can be got of: ErrFenced, ErrErased, ErrNotFound; mu is held.
func (t *tenant) mustRecord(id eventstore.PersonID) (*record, error) {
	if t.fences.has(id) {
		return nil, eventstore.ErrFenced
	}
	r, err := t.record(id)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, t.missing(id)
	}
	return r, nil
}

// missing says why a person has no record.
func (t *tenant) missing(id eventstore.PersonID) error {
	erased, err := t.erased(id)
	if err != nil {
		return err
	}
	if erased {
		return eventstore.ErrErased
	}
	if !t.restored.IsZero() {
		return errLost
	}
	return eventstore.ErrNotFound
}

func (t *tenant) erased(id eventstore.PersonID) (bool, error) {
	b, err := rows{t.v.db}.Get(t.row(rowTombstone, id[:]))
	return b != nil, err
}

// set reads the records of a person's whole linked set, that person included; mu is held.
func (t *tenant) set(id eventstore.PersonID, read func(eventstore.PersonID) (*record, error)) (map[eventstore.PersonID]*record, error) {
	out := map[eventstore.PersonID]*record{}
	for todo := []eventstore.PersonID{id}; len(todo) > 0; todo = todo[1:] {
		if out[todo[0]] != nil {
			continue
		}
		r, err := read(todo[0])
		if err != nil {
			return nil, err
		}
		out[todo[0]] = r
		todo = append(todo, r.others...)
	}
	return out, nil
}

// resolveLocked finds whom a handle names; mu is held shared, and the page locked.
func (t *tenant) resolveLocked(handle string) (eventstore.PersonID, bool, error) {
	if id, ok := t.handles.get(handle); ok {
		return id, true, nil
	}
	raw, found, err := t.tree.Handle(handle)
	if err != nil || !found {
		return eventstore.PersonID{}, false, fromTree(err)
	}
	id := eventstore.PersonID(raw)
	t.handles.put(handle, id)
	return id, true, nil
}

// acquire gets a person's gate.
func (t *tenant) acquire(id eventstore.PersonID) (*gate, error) {
	if err := t.v.ready(); err != nil {
		return nil, err
	}
	if g, err := t.v.gates.get(gateKey{t.index, id}); err != nil {
		return nil, err
	} else if g != nil {
		return t.settled(g)
	}
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	defer t.lockLeaves([]eventstore.PersonID{id})()
	r, err := t.mustRecord(id)
	if err != nil {
		return nil, err
	}
	return t.v.gates.put(t, id, r), nil
}

// settled waits until the person of a gate is durable.
func (t *tenant) settled(g *gate) (*gate, error) {
	if g.o.unsynced == nil {
		return g, nil
	}
	<-g.o.unsynced
	if err := t.v.ready(); err != nil {
		g.Release()
		return nil, err
	}
	return g, nil
}

// Gate implements [eventstore.Keys].
func (v *Vault) Gate(_ context.Context, id eventstore.TenantID, person eventstore.PersonID) (eventstore.Gate, error) {
	t, err := v.tenant(id)
	if err != nil {
		return nil, err
	}
	g, err := t.acquire(person)
	if err != nil {
		return nil, err
	}
	return g, nil
}

// Resolve implements [eventstore.Keys].
func (v *Vault) Resolve(ctx context.Context, tenant eventstore.TenantID, id eventstore.Identity) (found eventstore.PersonID, err error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return found, err
	}
	err = t.waiting(ctx, func() error {
		if err := t.enterShared(); err != nil {
			return err
		}
		defer t.mu.RUnlock()
		person, s, err := t.lookup(handleOf(id))
		switch {
		case err != nil:
			return err
		case s != nil:
			return eventstore.ErrNotFound
		case t.fences.has(person):
			return eventstore.ErrFenced
		}
		found = person
		return nil
	})
	return found, err
}

// Linked implements [eventstore.Keys].
func (v *Vault) Linked(_ context.Context, id eventstore.TenantID, person eventstore.PersonID) ([]eventstore.PersonRecord, error) {
	t, err := v.tenant(id)
	if err != nil {
		return nil, err
	}
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	set, err := t.set(person, t.mustRecord)
	if err != nil {
		return nil, err
	}
	var out []eventstore.PersonRecord
	for id, r := range set {
		out = append(out, r.person(id, t.own.floor))
		r.wipe()
	}
	slices.SortFunc(out, func(a, b eventstore.PersonRecord) int { return a.Person.Compare(b.Person) })
	return out, nil
}

// SetState implements [eventstore.Keys].
func (v *Vault) SetState(_ context.Context, id eventstore.TenantID, person eventstore.PersonID, update func(eventstore.State) eventstore.State) error {
	t, err := v.tenant(id)
	if err != nil {
		return err
	}
	return t.changeRecord(person, t.mustRecord, func(r *record) error {
		r.setState(update(r.state()))
		return nil
	})
}

// PeriodMark implements [eventstore.Keys].
func (v *Vault) PeriodMark(_ context.Context, id eventstore.TenantID, person eventstore.PersonID, p eventstore.Period) (m eventstore.Mark, err error) {
	t, err := v.tenant(id)
	if err != nil {
		return m, err
	}
	g, err := t.acquire(person)
	if err != nil {
		return m, err
	}
	defer g.Release()
	g.o.use.RLock()
	defer g.o.use.RUnlock()
	if err := g.alive(); err != nil {
		return m, err
	}
	return periodMark(g.o.rec.set, p), nil
}
