package keyvault

import (
	"context"
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// aside holds the records that the erasure of a part works with, opened: those of fenced persons, and their successors'. They are not in the
// cache of gates, where no fenced person is got. An opened record is dropped with its last gate. What is put in is put in under the tenant's mu, and
// taken out under mu held alone, so that none outlives what ends it.
type aside struct {
	mu   sync.Mutex
	open map[asideKey]*opened
	// staging is held while a staged row is read and written. It comes before mu.
	staging sync.Mutex
}

type asideKey struct {
	person eventstore.PersonID
	role   role
}

// role says whose record an opened one is.
type role byte

const (
	// present: that of a person whom gates can be got of.
	present role = iota
	// leaving: that of a fenced person; it seals nothing.
	leaving
	// staged: that of a successor.
	staged
)

// gate takes a gate of a person; read is asked for the record if nobody holds it.
func (a *aside) gate(t *tenant, k asideKey, read func() (*record, error)) (*gate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := a.open[k]
	if o == nil {
		r, err := read()
		if err != nil {
			return nil, err
		}
		o = &opened{t: t, person: k.person, role: k.role, rec: r}
		if a.open == nil {
			a.open = map[asideKey]*opened{}
		}
		a.open[k] = o
	}
	o.holders++
	return &gate{o: o}, nil
}

func (a *aside) release(o *opened) {
	a.mu.Lock()
	o.holders--
	k := asideKey{o.person, o.role}
	last := o.holders == 0 && a.open[k] == o
	if last {
		delete(a.open, k)
	}
	a.mu.Unlock()
	if last {
		o.kill(errReleased)
	}
}

// update gives a staged record that is open its changed form.
func (a *aside) update(k asideKey, r *record) {
	a.mu.Lock()
	o := a.open[k]
	a.mu.Unlock()
	if o != nil {
		o.update(r)
	}
}

// expire takes the data keys of the months below out of a fenced person's record and of every successor.
func (a *aside) expire(floor eventstore.KeyMonth, match func(eventstore.PersonID) bool) {
	a.mu.Lock()
	var open []*opened
	for k, o := range a.open {
		if k.role == staged || match(k.person) {
			open = append(open, o)
		}
	}
	a.mu.Unlock()
	for _, o := range open {
		o.expire(floor)
	}
}

// remove ends the gates of those that match.
func (a *aside) remove(why error, match func(eventstore.PersonID) bool) {
	a.mu.Lock()
	var gone []*opened
	for k, o := range a.open {
		if match(k.person) {
			gone = append(gone, o)
			delete(a.open, k)
		}
	}
	a.mu.Unlock()
	for _, o := range gone {
		o.kill(why)
	}
}

func among[T any](m map[eventstore.PersonID]T) func(eventstore.PersonID) bool {
	return func(id eventstore.PersonID) bool { _, ok := m[id]; return ok }
}

// FencedGate implements [eventstore.Keys].
func (v *Vault) FencedGate(_ context.Context, name eventstore.TenantID, person eventstore.PersonID) (eventstore.Gate, error) {
	return v.gateAside(name, asideKey{person, leaving}, func(t *tenant) (*record, error) { return t.anyRecord(person) })
}

// Successor implements [eventstore.Keys].
func (v *Vault) Successor(_ context.Context, name eventstore.TenantID, person eventstore.PersonID) (eventstore.Gate, error) {
	return v.gateAside(name, asideKey{person, staged}, func(t *tenant) (*record, error) {
		r, err := t.stagedRecord(t.own.outbox, person)
		if err != nil || r != nil {
			return r, err
		}
		if err := t.stage(person); err != nil {
			return nil, err
		}
		return t.stagedRecord(t.own.outbox, person)
	})
}

// gateAside takes a gate of a fenced person.
func (v *Vault) gateAside(name eventstore.TenantID, k asideKey, read func(*tenant) (*record, error)) (eventstore.Gate, error) {
	t, err := v.tenant(name)
	if err != nil {
		return nil, err
	}
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	if !t.fences.has(k.person) {
		r, err := t.anyRecord(k.person)
		if err != nil {
			return nil, err
		}
		r.wipe()
		return nil, eventstore.ErrConflict
	}
	t.aside.staging.Lock()
	defer t.aside.staging.Unlock()
	g, err := t.aside.gate(t, k, func() (*record, error) { return read(t) })
	if err != nil {
		return nil, err
	}
	return g, nil
}

// stage writes the successors of a fenced person's whole linked set, synced; mu is held shared, and staging.
func (t *tenant) stage(person eventstore.PersonID) error {
	set, err := t.set(person, t.anyRecord)
	if err != nil {
		return err
	}
	common, err := secret.Random(t.v.entropy, keySize)
	if err != nil {
		return err
	}
	defer common.Wipe()
	b := t.v.batch()
	defer b.Close()
	for id, old := range set {
		old.wipe()
		r, err := t.v.newRecord(t.v.c.Now())
		if err != nil {
			return err
		}
		copy(r.set.Reveal(), common.Reveal())
		err = t.putStaged(b, t.own.outbox, id, r)
		r.wipe()
		if err != nil {
			return err
		}
	}
	return t.v.commit(b, pebble.Sync)
}

// A staged row holds a successor's secrets, ledger reference and months, in the form of a record; the rest is the person's when it supersedes.

func (t *tenant) putStaged(b batch, key secret.Bytes, id eventstore.PersonID, r *record) error {
	row := t.row(rowStaged, id[:])
	plain := r.encode()
	defer clear(plain)
	sealed, err := t.v.sealRow(key, row, plain)
	if err != nil {
		return err
	}
	return b.Set(row, sealed)
}

// stagedRecord reads a successor, nil if there is none; mu is held.
func (t *tenant) stagedRecord(key secret.Bytes, id eventstore.PersonID) (*record, error) {
	row := t.row(rowStaged, id[:])
	sealed, err := rows{t.v.db}.Get(row)
	if err != nil || sealed == nil {
		return nil, err
	}
	return t.openStaged(key, row, sealed)
}

func (t *tenant) openStaged(key secret.Bytes, row, sealed []byte) (*record, error) {
	plain, err := t.v.openRow(key, row, sealed, "a successor")
	if err != nil {
		return nil, err
	}
	return decodeRecord(plain)
}

// addStagedMonth gives a successor a data key for a month, durably.
func (t *tenant) addStagedMonth(g *gate, m eventstore.KeyMonth) error {
	if err := t.enterShared(); err != nil {
		return err
	}
	defer t.mu.RUnlock()
	if m < t.own.floor {
		return eventstore.ErrExpired
	}
	t.aside.staging.Lock()
	defer t.aside.staging.Unlock()
	r, err := t.stagedRecord(t.own.outbox, g.o.person)
	switch {
	case err != nil:
		return err
	case r == nil:
		return errors.Join(eventstore.ErrFenced, errKeyGone)
	}
	if _, ok := r.key(m); ok {
		t.aside.update(asideKey{g.o.person, staged}, r)
		return nil
	}
	key, err := secret.Random(t.v.entropy, keySize)
	if err != nil {
		return err
	}
	r.addMonth(m, key)
	b := t.v.batch()
	defer b.Close()
	if err := t.putStaged(b, t.own.outbox, g.o.person, r); err != nil {
		return err
	}
	if err := t.v.commit(b, pebble.Sync); err != nil {
		return err
	}
	t.aside.update(asideKey{g.o.person, staged}, r)
	return nil
}

// resealStaged seals the successors anew under another key, without data keys of months that retention has reached, and takes out those of the persons that
// a re-keying takes out or supersedes.
func (t *tenant) resealStaged(b batch, next *tenantKeys, out []eventstore.PersonID) error {
	gone := map[eventstore.PersonID]struct{}{}
	for _, id := range out {
		gone[id] = struct{}{}
	}
	prefix := t.row(rowStaged)
	return rows{t.v.db}.Scan(prefix, func(row, sealed []byte) error {
		id := eventstore.PersonID(row[len(prefix):])
		if _, ok := gone[id]; ok {
			return b.Delete(row)
		}
		r, err := t.openStaged(t.own.outbox, row, sealed)
		if err != nil {
			return err
		}
		defer r.wipe()
		r.drop(next.floor)
		return t.putStaged(b, next.outbox, id, r)
	})
}
