package keyvault

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// opened is one person's record, held open. There is never more than one for a person that gates can be got of, so that a fence finds
// every holder. Lock order: the shard's mutex and use are never held together by a caller that waits.
type opened struct {
	t      *tenant
	person eventstore.PersonID
	role   role

	// Under the shard's mutex; what is set aside has holders alone, under the mutex of aside.
	holders    int
	fenced     bool
	idle       chan struct{} // closed when the last holder leaves, if a fence waits
	prev, next *opened

	// unsynced, of a person who was just minted, is closed when the record is durable or the vault has stopped. Nobody is given a gate before.
	unsynced chan struct{}

	use  sync.RWMutex
	rec  *record
	keys map[eventstore.KeyMonth]tink.AEAD
	dead error
	// row is the mark that all idempotency rows of the person begin with, once somebody asked.
	row atomic.Pointer[eventstore.Mark]
}

// kill ends every use of o; when it returns none is under way.
func (o *opened) kill(why error) {
	o.use.Lock()
	defer o.use.Unlock()
	if o.dead == nil {
		o.rec.wipe()
		o.keys = nil
		o.row.Store(nil)
	}
	o.dead = why
}

// settle lets those go on who wait for a minted person.
func (o *opened) settle() { close(o.unsynced) }

// update gives o a changed record; the lock on its leaf is held.
func (o *opened) update(r *record) {
	o.use.Lock()
	defer o.use.Unlock()
	if o.dead == nil {
		o.rec = r
		o.row.Store(nil)
	}
}

// expire takes the data keys of the months below out of o; when it returns, nobody uses one.
func (o *opened) expire(floor eventstore.KeyMonth) {
	o.use.Lock()
	defer o.use.Unlock()
	if o.dead != nil {
		return
	}
	o.rec.drop(floor)
	maps.DeleteFunc(o.keys, func(m eventstore.KeyMonth, _ tink.AEAD) bool { return m < floor })
}

// gate implements [eventstore.Gate].
type gate struct {
	o        *opened
	released atomic.Bool
}

var _ eventstore.Gate = (*gate)(nil)

var errReleased = eventstore.Refuse(eventstore.KindUnavailable, "", "the gate was released")

func (g *gate) Person() eventstore.PersonID { return g.o.person }

func (g *gate) State() eventstore.State {
	g.o.use.RLock()
	defer g.o.use.RUnlock()
	return g.o.rec.state()
}

// alive answers why the gate cannot be used; use is held.
func (g *gate) alive() error {
	if g.o.dead != nil {
		return g.o.dead
	}
	if g.released.Load() {
		return errReleased
	}
	return nil
}

// with runs f with the key of a month, or says that there is none.
func (g *gate) with(m eventstore.KeyMonth, f func(tink.AEAD) ([]byte, error)) (out []byte, found bool, err error) {
	o := g.o
	o.use.RLock()
	if err := g.alive(); err != nil {
		o.use.RUnlock()
		return nil, false, err
	}
	if a := o.keys[m]; a != nil {
		defer o.use.RUnlock()
		out, err = f(a)
		return out, true, err
	}
	o.use.RUnlock()
	o.use.Lock()
	defer o.use.Unlock()
	if err := g.alive(); err != nil {
		return nil, false, err
	}
	key, ok := o.rec.key(m)
	if !ok {
		return nil, false, nil
	}
	a, err := subtle.NewAESGCM(key.Reveal())
	if err != nil {
		return nil, true, err
	}
	if o.keys == nil {
		o.keys = map[eventstore.KeyMonth]tink.AEAD{}
	}
	o.keys[m] = a
	out, err = f(a)
	return out, true, err
}

func (g *gate) Seal(ctx context.Context, m eventstore.KeyMonth, plaintext, associated []byte) ([]byte, error) {
	if g.o.role == leaving {
		return nil, eventstore.ErrFenced
	}
	if m < g.o.t.floor() {
		return nil, eventstore.ErrExpired
	}
	seal := func(a tink.AEAD) ([]byte, error) { return a.Encrypt(plaintext, associated) }
	out, found, err := g.with(m, seal)
	if err != nil || found {
		return out, err
	}
	if g.o.role == staged {
		err = g.o.t.addStagedMonth(g, m)
	} else {
		err = g.o.t.addMonth(ctx, g, m)
	}
	if err != nil {
		return nil, err
	}
	out, found, err = g.with(m, seal)
	if err == nil && !found {
		err = errKeyGone
	}
	return out, err
}

// errKeyGone: a key that was just made is not there.
var errKeyGone = fmt.Errorf("vault: a data key is missing: %w", eventstore.ErrDamaged)

func (g *gate) Open(_ context.Context, m eventstore.KeyMonth, ciphertext, associated []byte) ([]byte, error) {
	out, found, err := g.with(m, func(a tink.AEAD) ([]byte, error) {
		plain, err := a.Decrypt(ciphertext, associated)
		if err != nil {
			return nil, fmt.Errorf("an event does not open: %w", eventstore.ErrDamaged)
		}
		return plain, nil
	})
	if err == nil && !found {
		return nil, g.o.t.noKey(m)
	}
	return out, err
}

func (g *gate) Mark(label eventstore.MarkLabel, parts ...[]byte) (eventstore.Mark, error) {
	g.o.use.RLock()
	defer g.o.use.RUnlock()
	if err := g.alive(); err != nil {
		return eventstore.Mark{}, err
	}
	if label != eventstore.MarkRow || len(parts) > 0 {
		return mark(g.o.rec.own, label, parts...), nil
	}
	if m := g.o.row.Load(); m != nil {
		return *m, nil
	}
	m := mark(g.o.rec.own, label)
	g.o.row.Store(&m)
	return m, nil
}

func (g *gate) Release() {
	if !g.released.CompareAndSwap(false, true) {
		return
	}
	if g.o.role == present {
		g.o.t.v.gates.release(g.o)
	} else {
		g.o.t.aside.release(g.o)
	}
}

// noKey says why a person has no key of a month.
func (t *tenant) noKey(m eventstore.KeyMonth) error {
	if err := t.enterShared(); err != nil {
		return err
	}
	defer t.mu.RUnlock()
	if m < t.own.floor {
		return eventstore.ErrExpired
	}
	return fmt.Errorf("an event of a month for which the person has no key: %w", eventstore.ErrDamaged)
}

// addMonth gives a person a data key for a month, durably.
func (t *tenant) addMonth(_ context.Context, g *gate, m eventstore.KeyMonth) error {
	// A gate that was got before a fence may end its work behind it.
	return t.changeRecord(g.o.person, t.anyRecord, func(r *record) error {
		if m < t.own.floor {
			return eventstore.ErrExpired
		}
		g.o.use.RLock()
		defer g.o.use.RUnlock()
		if err := g.alive(); err != nil {
			return err
		}
		if _, ok := r.key(m); ok {
			return errUnchanged
		}
		key, err := secret.Random(t.v.entropy, keySize)
		if err == nil {
			r.addMonth(m, key)
		}
		return err
	})
}

// changeRecord changes one record under its leaf's lock, durably. Nothing is written when change returns an error; errUnchanged counts as none.
func (t *tenant) changeRecord(id eventstore.PersonID, read func(eventstore.PersonID) (*record, error), change func(*record) error) error {
	if err := t.enterShared(); err != nil {
		return err
	}
	defer t.mu.RUnlock()
	defer t.lockLeaves([]eventstore.PersonID{id})()
	r, err := read(id)
	if err != nil {
		return err
	}
	if err := change(r); err != nil {
		if err == errUnchanged {
			return nil
		}
		return err
	}
	b := t.v.batch()
	defer b.Close()
	if _, err := t.tree.PutRecord(b, id, r.encode(), false); err != nil {
		return fromTree(err)
	}
	if err := t.v.commit(b, pebble.Sync); err != nil {
		return err
	}
	t.v.gates.update(t, id, r)
	return nil
}
