// Package logtest holds what tests of the log's users and of the log itself share: [Fake], a log in memory, and [Run], the
// conformance suite that the fake and the real log pass alike.
//
// The fake keeps every promise of [eventstore.Log] and [eventstore.Records] except durability. Its own extras bring about what a
// log meets in the world: an outage of the stream ([Fake.Outage]), a write that fails or that fails and is stored all the same
// ([Fake.FailNext]), reads that fail ([Fake.FailReads]), damage ([Fake.Damage]), an event that a crash left without a journal entry ([Fake.Stray]).
//
// Where the contract says little, the suite holds to this: a row that is there already answers before Expected is looked at, so that a
// retry settles what was uncertain.
package logtest

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Log is what the real log and the fake are.
type Log interface {
	eventstore.Log
	eventstore.Records
}

// Fake is a log in memory. Make one with [New].
type Fake struct {
	mu       sync.Mutex
	tenants  map[eventstore.TenantID]*tenant
	records  map[recordKey]*records
	outage   bool
	readErr  error
	writeErr *failure
	traces   eventstore.Traces
	// changed is closed and renewed when a committed sequence moves.
	changed chan struct{}
}

type failure struct {
	err    error
	stored bool
}

type row = [8 + eventstore.MarkSize]byte

type tenant struct {
	vault    eventstore.VaultID
	open     bool
	messages []*message // at index sequence-1; nil once removed
	rows     map[row]placed
	// committed is how many messages readers may see.
	committed uint64
	waiting   []*ticket
}

// placed is where the message of a row stands, and its key month.
type placed struct {
	sequence uint64
	month    uint16
}

type message struct {
	eventstore.Stored
	stray bool
}

var _ Log = (*Fake)(nil)

// New makes an empty log without tenants.
func New() *Fake {
	return &Fake{
		tenants: map[eventstore.TenantID]*tenant{},
		records: map[recordKey]*records{},
		traces:  eventstore.Traces{Searched: true},
		changed: make(chan struct{}),
	}
}

// Outage begins or ends an outage of the stream. Meanwhile messages are journalled and wait; only those with Journalled are answered.
func (f *Fake) Outage(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outage = on
	if on {
		return
	}
	for _, t := range f.tenants {
		f.commit(t)
	}
}

// FailNext makes the next message fail with err; stored says whether it is stored all the same.
func (f *Fake) FailNext(err error, stored bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writeErr = &failure{err, stored}
}

// FailReads makes every read fail with err until it is called with nil.
func (f *Fake) FailReads(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readErr = err
}

// Leave makes traces of removed messages be found, until it is called again.
func (f *Fake) Leave(t eventstore.Traces) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.traces = t
}

// Damage flips a bit of a stored ciphertext.
func (f *Fake) Damage(tenant eventstore.TenantID, sequence uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.tenants[tenant].messages[sequence-1]
	m.Envelope.Ciphertext = bytes.Clone(m.Envelope.Ciphertext)
	m.Envelope.Ciphertext[len(m.Envelope.Ciphertext)/2] ^= 1
}

// Stray stores a message without a journal entry, as a crash does: without its row. The next Open asks for it, and for the row.
func (f *Fake) Stray(tenant eventstore.TenantID, m eventstore.Message) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tenants[tenant]
	m.Row = row{}
	s := f.store(t, m)
	s.stray = true
	t.open = false
	return s.Sequence
}

// Open implements [eventstore.Log].
func (f *Fake) Open(ctx context.Context, id eventstore.TenantID, vault eventstore.VaultID, create bool, opens func(context.Context, eventstore.Stored) (eventstore.Row, error)) error {
	f.mu.Lock()
	t := f.tenants[id]
	switch {
	case t == nil && !create:
		f.mu.Unlock()
		return eventstore.ErrDamaged
	case t == nil:
		t = &tenant{vault: vault, rows: map[row]placed{}}
		f.tenants[id] = t
	case t.vault != vault:
		f.mu.Unlock()
		return eventstore.ErrDamaged
	}
	var strays []*message
	for _, m := range t.messages {
		if m != nil && m.stray {
			strays = append(strays, m)
		}
	}
	f.mu.Unlock()

	given := make([]row, len(strays))
	for i, m := range strays { // unlocked: opens may read
		var err error
		if given[i], err = opens(ctx, m.Stored); err != nil {
			return err
		}
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	for i, m := range strays {
		m.stray = false
		if _, there := t.rows[given[i]]; !there && given[i] != (row{}) {
			t.rows[given[i]] = placed{m.Sequence, m.Envelope.Month}
		}
	}
	t.open = true
	f.commit(t)
	return nil
}

// tenant finds one that is open. The lock is held.
func (f *Fake) tenant(id eventstore.TenantID) (*tenant, error) {
	t := f.tenants[id]
	if t == nil || !t.open {
		return nil, eventstore.ErrNotFound
	}
	return t, nil
}

// Submit implements [eventstore.Log].
func (f *Fake) Submit(ctx context.Context, id eventstore.TenantID, m eventstore.Message) (eventstore.Ticket, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.tenant(id)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, eventstore.ErrUnavailable.Because(err)
	}
	k := &ticket{done: make(chan struct{})}
	fail := f.writeErr
	f.writeErr = nil
	if fail != nil && !fail.stored {
		k.answer(eventstore.Appended{}, fail.err)
		return k, nil
	}
	if m.Row != (row{}) {
		if at, ok := t.rows[m.Row]; ok {
			k.answer(eventstore.Appended{Sequence: at.sequence, Duplicate: true}, nil)
			return k, nil
		}
	}
	if m.Expected != nil && t.last(m.Person) != *m.Expected {
		k.answer(eventstore.Appended{}, eventstore.ErrConflict)
		return k, nil
	}
	k.at = eventstore.Appended{Sequence: f.store(t, m).Sequence}
	if fail != nil {
		k.answer(eventstore.Appended{}, fail.err)
	}
	if m.Journalled {
		k.answer(k.at, nil)
	}
	t.waiting = append(t.waiting, k)
	if !f.outage {
		f.commit(t)
	}
	return k, nil
}

// last is the last sequence of a person. The lock is held.
func (t *tenant) last(p eventstore.PersonID) uint64 {
	for i := len(t.messages) - 1; i >= 0; i-- {
		if m := t.messages[i]; m != nil && m.Person == p {
			return m.Sequence
		}
	}
	return 0
}

// store gives a message its sequence. The lock is held.
func (f *Fake) store(t *tenant, m eventstore.Message) *message {
	m.Envelope.Ciphertext = bytes.Clone(m.Envelope.Ciphertext)
	s := &message{Stored: eventstore.Stored{
		Sequence: uint64(len(t.messages)) + 1,
		Person:   m.Person,
		Envelope: m.Envelope,
		At:       time.Now(),
	}}
	t.messages = append(t.messages, s)
	if m.Row != (row{}) {
		t.rows[m.Row] = placed{s.Sequence, m.Envelope.Month}
	}
	return s
}

// commit lets readers see everything and answers who waits. The lock is held.
func (f *Fake) commit(t *tenant) {
	t.committed = uint64(len(t.messages))
	for _, k := range t.waiting {
		k.answer(k.at, nil)
	}
	t.waiting = nil
	close(f.changed)
	f.changed = make(chan struct{})
}

// ticket implements [eventstore.Ticket].
type ticket struct {
	once sync.Once
	done chan struct{}
	at   eventstore.Appended
	err  error
}

func (k *ticket) answer(at eventstore.Appended, err error) {
	k.once.Do(func() {
		k.at, k.err = at, err
		close(k.done)
	})
}

func (k *ticket) Done() <-chan struct{} { return k.done }

func (k *ticket) Wait(ctx context.Context) (eventstore.Appended, error) {
	select {
	case <-k.done:
		return k.at, k.err
	default:
	}
	select {
	case <-k.done:
		return k.at, k.err
	case <-ctx.Done():
		return eventstore.Appended{}, eventstore.ErrUncertain.Because(ctx.Err())
	}
}
