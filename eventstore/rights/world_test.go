package rights

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/logtest"
)

const tenant = eventstore.DefaultTenant

var (
	dpo     = Actor{Token: "dpotoken", Role: eventstore.RoleDPO}
	support = Actor{Token: "supporttoken", Role: eventstore.RoleSupport}
	asked   = Request{Reason: eventstore.ReasonPersonRequest, Note: "she wrote twice", Ticket: "T-17"}

	errInjected = errors.New("injected")
	errCrashed  = errors.New("the process is dead")
)

// mode says how the k-th write goes wrong.
type mode struct {
	stored, crash bool
}

// faults makes the k-th write of a world go wrong, and notes every effect in its order.
type faults struct {
	mu    sync.Mutex
	armed bool
	at, n int
	mode
	dead  bool
	trace []string
}

// write runs a write, or makes it fail. ledger asks for the errors that the ledger's contract knows.
func (f *faults) write(name string, ledger bool, do func() error) error {
	f.mu.Lock()
	if f.dead {
		f.mu.Unlock()
		return errCrashed
	}
	f.n++
	hit := f.armed && f.n == f.at
	if hit && f.crash {
		f.dead = true
	}
	f.mu.Unlock()
	if !hit || f.stored {
		if err := do(); err != nil {
			return err
		}
		f.mu.Lock()
		f.trace = append(f.trace, name)
		f.mu.Unlock()
	}
	switch {
	case !hit:
		return nil
	case ledger && f.stored:
		return eventstore.ErrUncertain
	case ledger:
		return eventstore.ErrUnavailable
	}
	return errInjected
}

// read fails when the process is dead.
func (f *faults) read() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return errCrashed
	}
	return nil
}

type faultyKeys struct {
	eventstore.Keys
	f *faults
}

func (k faultyKeys) Fence(ctx context.Context, t eventstore.TenantID, p []eventstore.PersonID) (m []eventstore.Member, err error) {
	failed := k.f.write("fence", false, func() error { m, err = k.Keys.Fence(ctx, t, p); return err })
	if failed != nil {
		return nil, failed
	}
	return m, nil
}

func (k faultyKeys) Shred(ctx context.Context, t eventstore.TenantID, p []eventstore.PersonID, o eventstore.ShredOptions) error {
	return k.f.write("shred", false, func() error { return k.Keys.Shred(ctx, t, p, o) })
}

func (k faultyKeys) Change(ctx context.Context, t eventstore.TenantID, p eventstore.PersonID, kind eventstore.PersonEventKind, update func(eventstore.State) eventstore.State) (set []eventstore.PersonRecord, err error) {
	failed := k.f.write("change", false, func() error { set, err = k.Keys.Change(ctx, t, p, kind, update); return err })
	if failed != nil {
		return nil, failed
	}
	return set, nil
}

func (k faultyKeys) Expire(ctx context.Context, t eventstore.TenantID, m eventstore.KeyMonth, progress func(uint64, uint64)) (e eventstore.Expiry, err error) {
	failed := k.f.write("expire keys", false, func() error { e, err = k.Keys.Expire(ctx, t, m, progress); return err })
	if failed != nil {
		return eventstore.Expiry{}, failed
	}
	return e, nil
}

func (k faultyKeys) Unfence(ctx context.Context, t eventstore.TenantID, p []eventstore.PersonID) error {
	return k.f.write("unfence", false, func() error { return k.Keys.Unfence(ctx, t, p) })
}

func (k faultyKeys) Linked(ctx context.Context, t eventstore.TenantID, p eventstore.PersonID) ([]eventstore.PersonRecord, error) {
	if err := k.f.read(); err != nil {
		return nil, err
	}
	return k.Keys.Linked(ctx, t, p)
}

func (k faultyKeys) Successor(ctx context.Context, t eventstore.TenantID, p eventstore.PersonID) (g eventstore.Gate, err error) {
	failed := k.f.write("successor", false, func() error { g, err = k.Keys.Successor(ctx, t, p); return err })
	if failed != nil {
		return nil, failed
	}
	return g, nil
}

func (k faultyKeys) Supersede(ctx context.Context, t eventstore.TenantID, all []eventstore.Succession) error {
	return k.f.write("supersede", false, func() error { return k.Keys.Supersede(ctx, t, all) })
}

type faultyMeta struct {
	eventstore.Meta
	f *faults
}

func (m faultyMeta) Put(ctx context.Context, t eventstore.TenantID, table eventstore.MetaTable, key string, v []byte) error {
	return m.f.write("put", false, func() error { return m.Meta.Put(ctx, t, table, key, v) })
}

func (m faultyMeta) Delete(ctx context.Context, t eventstore.TenantID, table eventstore.MetaTable, key string) error {
	return m.f.write("delete", false, func() error { return m.Meta.Delete(ctx, t, table, key) })
}

func (m faultyMeta) Get(ctx context.Context, t eventstore.TenantID, table eventstore.MetaTable, key string) ([]byte, error) {
	if err := m.f.read(); err != nil {
		return nil, err
	}
	return m.Meta.Get(ctx, t, table, key)
}

type faultyLog struct {
	eventstore.Log
	f *faults
}

func (l faultyLog) Submit(ctx context.Context, t eventstore.TenantID, m eventstore.Message) (ticket eventstore.Ticket, err error) {
	failed := l.f.write("submit", false, func() error { ticket, err = l.Log.Submit(ctx, t, m); return err })
	if failed != nil {
		return nil, failed
	}
	return ticket, nil
}

func (l faultyLog) Remove(ctx context.Context, t eventstore.TenantID, r eventstore.Removal, progress func(uint64, uint64)) error {
	return l.f.write("remove", false, func() error { return l.Log.Remove(ctx, t, r, progress) })
}

func (l faultyLog) Expire(ctx context.Context, t eventstore.TenantID, m eventstore.KeyMonth, spared func(eventstore.PersonID) bool, progress func(uint64, uint64)) error {
	return l.f.write("expire messages", false, func() error { return l.Log.Expire(ctx, t, m, spared, progress) })
}

// book of the ledger: entries in memory.
type entries struct {
	f    *faults
	mu   sync.Mutex
	all  []eventstore.Entry
	fail error
}

func (l *entries) Record(_ context.Context, _ eventstore.TenantID, e eventstore.Entry) (n uint64, err error) {
	if l.fail != nil {
		return 0, l.fail
	}
	err = l.f.write("ledger "+string(e.Act), true, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		e.References = slices.Clone(e.References)
		l.all = append(l.all, e)
		n = uint64(len(l.all))
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (l *entries) of(act eventstore.Act) (out []eventstore.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.all {
		if e.Act == act {
			out = append(out, e)
		}
	}
	return out
}

// notary certifies as the ledger does, without signatures: a file is the list of its statements, and none takes back what the one before says.
type notary struct{}

func (notary) Certify(_ context.Context, _ eventstore.TenantID, s eventstore.Statement, entries []uint64, earlier []byte) ([]byte, error) {
	var all []eventstore.Statement
	if earlier != nil && json.Unmarshal(earlier, &all) != nil {
		return nil, eventstore.ErrDamaged
	}
	if len(s.Stages) < 3 || len(entries) != 1 || entries[0] == 0 {
		return nil, eventstore.ErrInvalid
	}
	if n := len(all); n > 0 && (len(s.Stages) < len(all[n-1].Stages) || !slices.Equal(s.Stages[:len(all[n-1].Stages)], all[n-1].Stages) || s.Erasure != all[n-1].Erasure) {
		return nil, eventstore.ErrInvalid
	}
	return json.Marshal(append(all, s))
}

// certified reads what the certificate of an erasure says, issue by issue.
func (w *world) certified(s *Service, id string) (all []eventstore.Statement) {
	w.t.Helper()
	file, err := s.Certificate(context.Background(), tenant, id)
	w.must(err)
	w.must(json.Unmarshal(file, &all))
	return all
}

// stream is what [eventstore.Store] does, over the same contracts, in its simplest form.
type stream struct {
	keys eventstore.Keys
	log  eventstore.Log
	f    *faults
}

func (s *stream) Announce(ctx context.Context, t eventstore.TenantID, e eventstore.PersonEvent) (n uint64, err error) {
	if err := s.SendOwed(ctx, t); err != nil {
		return 0, err
	}
	return s.announce(ctx, t, "announce", e)
}

func (s *stream) announce(ctx context.Context, t eventstore.TenantID, name string, e eventstore.PersonEvent) (n uint64, err error) {
	b, err := json.Marshal(e)
	if err != nil {
		return 0, err
	}
	err = s.f.write(name, false, func() error {
		ticket, err := s.log.Submit(ctx, t, eventstore.Message{Envelope: envelope.Envelope{Month: envelope.ControlMonth, Ciphertext: b}, Journalled: true})
		if err != nil {
			return err
		}
		at, err := ticket.Wait(ctx)
		n = at.Sequence
		return err
	})
	return n, err
}

func (s *stream) SendOwed(ctx context.Context, t eventstore.TenantID) error {
	owed, err := s.keys.Outbox(ctx, t)
	if err != nil {
		return err
	}
	for _, o := range owed {
		if _, err := s.announce(ctx, t, "owed", o.Event); err != nil {
			return err
		}
		if err := s.f.write("sent", false, func() error { return s.keys.Sent(ctx, t, o.ID) }); err != nil {
			return err
		}
	}
	return nil
}

// told lists the kinds of the person events on the stream that name a person, each once where it repeats the one before.
func (w *world) told(person eventstore.PersonID) (out []eventstore.PersonEventKind) {
	for m, err := range w.log.Replay(context.Background(), tenant, 0) {
		w.must(err)
		var e eventstore.PersonEvent
		if !m.Person.IsZero() || json.Unmarshal(m.Envelope.Ciphertext, &e) != nil || !slices.Contains(e.Persons, person) {
			continue
		}
		if len(out) == 0 || out[len(out)-1] != e.Kind {
			out = append(out, e.Kind)
		}
	}
	return out
}

func (s *stream) Changes(ctx context.Context, t eventstore.TenantID, persons []eventstore.PersonID) (out []uint64, err error) {
	for m, err := range s.log.Replay(ctx, t, 0) {
		if err != nil {
			return nil, err
		}
		var e eventstore.PersonEvent
		if m.Person.IsZero() && json.Unmarshal(m.Envelope.Ciphertext, &e) == nil && slices.ContainsFunc(e.Persons, func(p eventstore.PersonID) bool { return slices.Contains(persons, p) }) {
			out = append(out, m.Sequence)
		}
	}
	return out, nil
}

func (s *stream) Count(ctx context.Context, t eventstore.TenantID, r eventstore.PersonRecord) (uint64, error) {
	return s.log.Count(ctx, t, r.Person)
}

func (s *stream) Reseal(context.Context, eventstore.TenantID, eventstore.Resealing) (eventstore.Resealed, error) {
	return eventstore.Resealed{}, errors.New("the erasure of a part is tested with the real store")
}

func (s *stream) Read(ctx context.Context, t eventstore.TenantID, person eventstore.PersonID, o eventstore.ReadOptions) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		all, err := s.read(ctx, t, person)
		for _, e := range all {
			if e.Sequence > o.After && !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(eventstore.Recorded{}, err)
		}
	}
}

func (s *stream) read(ctx context.Context, t eventstore.TenantID, person eventstore.PersonID) (out []eventstore.Recorded, err error) {
	set, err := s.keys.Linked(ctx, t, person)
	if err != nil {
		return nil, err
	}
	for _, r := range set {
		gate, err := s.keys.Gate(ctx, t, r.Person)
		if err != nil {
			return nil, err
		}
		defer gate.Release()
		for m, err := range s.log.Read(ctx, t, r.Person, 0) {
			if err != nil {
				return nil, err
			}
			b, err := gate.Open(ctx, eventstore.KeyMonth(m.Envelope.Month), m.Envelope.Ciphertext, nil)
			if err != nil {
				return nil, err
			}
			e := eventstore.Recorded{ID: m.Envelope.Event, Person: r.Person, Sequence: m.Sequence, Received: eventstore.EventID(m.Envelope.Event).Received()}
			if err := json.Unmarshal(b, &e.Event); err != nil {
				return nil, err
			}
			if e.Event.Time.IsZero() {
				e.Event.Time = e.Received
			}
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b eventstore.Recorded) int { return int(a.Sequence) - int(b.Sequence) })
	return out, nil
}

// world is a vault, a log and a ledger that outlive services.
type world struct {
	t      testing.TB
	keys   *keystest.Fake
	log    *logtest.Fake
	ledger *entries
	f      *faults
	mu     sync.Mutex
	clock  time.Time
	passed uint64
	// a and b are linked, c stands apart.
	a, b, c eventstore.PersonID
}

func newWorld(t testing.TB) *world {
	t.Helper()
	f := &faults{}
	w := &world{t: t, keys: keystest.New(), log: logtest.New(), f: f, ledger: &entries{f: f}, clock: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	w.keys.Patience, w.keys.Now = 50*time.Millisecond, w.now
	ctx := context.Background()
	w.must(w.keys.CreateTenant(ctx, tenant))
	w.must(w.log.Open(ctx, tenant, w.keys.Vault(), true, nil))
	for i := range 3 {
		w.a = w.append("email:alice@example.com", fmt.Sprint("hello ", i))
		w.b = w.append("web:visitor-77", "from the web")
		w.c = w.append("email:carol@example.com", "somebody else")
	}
	w.must(w.keys.Link(ctx, tenant, w.a, w.b))
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(time.Millisecond)
	return w.clock
}

func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func identity(handle string) eventstore.Identity {
	ns, id, _ := bytes.Cut([]byte(handle), []byte(":"))
	return eventstore.Identity{Namespace: string(ns), ID: string(id)}
}

// try stores one event, as the store does.
func (w *world) try(handle, text string) (eventstore.PersonID, error) {
	ctx, now := context.Background(), w.now()
	in, err := w.keys.Enter(ctx, tenant, eventstore.Arrival{Identity: identity(handle), Time: now, Received: now}, func(eventstore.State) error { return nil })
	if err != nil {
		return eventstore.PersonID{}, err
	}
	defer in.Gate.Release()
	body, err := json.Marshal(eventstore.Event{Text: text, Channel: "web", Type: eventstore.TypeDisclosure, Disclosure: &eventstore.Disclosure{Recipient: "nlu"}})
	if err != nil {
		return eventstore.PersonID{}, err
	}
	month := eventstore.KeyMonthOf(now, now)
	sealed, err := in.Gate.Seal(ctx, month, body, nil)
	if err != nil {
		return eventstore.PersonID{}, err
	}
	id, err := eventstore.NewEventID(now, nil)
	if err != nil {
		return eventstore.PersonID{}, err
	}
	ticket, err := w.log.Submit(ctx, tenant, eventstore.Message{Person: in.Gate.Person(), Envelope: envelope.Envelope{Event: id, Month: uint16(month), Ciphertext: sealed}})
	if err != nil {
		return eventstore.PersonID{}, err
	}
	_, err = ticket.Wait(ctx)
	return in.Gate.Person(), err
}

func (w *world) append(handle, text string) eventstore.PersonID {
	w.t.Helper()
	p, err := w.try(handle, text)
	w.must(err)
	return p
}

// service starts a process over the world.
func (w *world) service() *Service {
	keys := faultyKeys{w.keys, w.f}
	s := New(Config{
		Keys: keys, Meta: faultyMeta{w.keys, w.f}, Log: faultyLog{w.log, w.f}, Ledger: w.ledger, Certifier: notary{}, Now: w.now, Poll: time.Millisecond,
		Passed: func(eventstore.TenantID) uint64 { w.mu.Lock(); defer w.mu.Unlock(); return w.passed },
	})
	s.store = &stream{w.keys, w.log, w.f}
	return s
}

// catchUp lets projections pass everything.
func (w *world) catchUp() {
	n, err := w.log.Committed(context.Background(), tenant)
	w.must(err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed = n
}

// finish lets every erasure complete.
func (w *world) finish(s *Service) {
	w.catchUp()
	for range 2 { // the sweep; the second one and the search
		w.later(time.Minute)
		s.pass(context.Background())
	}
}

// audit checks everything that holds after the erasure id of a and b is completed, and at any time of c.
func (w *world) audit(s *Service, id string) {
	w.t.Helper()
	ctx := context.Background()
	all, err := s.Erasures(ctx, tenant)
	w.must(err)
	if len(all) != 1 || all[0].ID != id {
		w.t.Fatalf("there are the erasures %+v, want only %s", all, id)
	}
	e := all[0]
	var before time.Time
	for _, stage := range []Stage{Requested, Fenced, Shredded, Projected, Removed, Completed} {
		at, ok := e.Stages[stage]
		if !ok || at.Before(before) {
			w.t.Errorf("stage %s is reached at %v, after %v", stage, at, before)
		}
		before = at
	}
	issues := w.certified(s, id)
	last := issues[len(issues)-1]
	if len(issues) > 3 || len(last.Stages) != 6 || !last.Stages[5].At.Equal(e.Stages[Completed]) || len(last.Persons) != len(e.Persons) {
		w.t.Errorf("%d issues of the certificate, the last says %+v", len(issues), last)
	}
	var refs [][]eventstore.LedgerReference
	for _, entry := range w.ledger.of(eventstore.ActErased) {
		refs = append(refs, entry.References)
	}
	if len(refs) == 0 || len(refs[len(refs)-1]) != len(e.Persons) {
		w.t.Errorf("the ledger names %d references", len(refs))
	}
	for _, p := range []eventstore.PersonID{w.a, w.b} {
		if !slices.Contains(e.Persons, p) {
			w.t.Errorf("a member of the set is not in the erasure")
		}
		if _, err := w.keys.Gate(ctx, tenant, p); !errors.Is(err, eventstore.ErrErased) {
			w.t.Errorf("the vault says %v of an erased person", err)
		}
		if n, err := w.log.Count(ctx, tenant, p); err != nil || n != 0 {
			w.t.Errorf("%d messages are left (%v)", n, err)
		}
		if to, err := w.keys.Get(ctx, tenant, eventstore.TableErased, p.String()); err != nil || string(to) != id {
			w.t.Errorf("an erased person leads to %q, %v", to, err)
		}
		if again, err := s.Erase(ctx, tenant, dpo, p, asked); err != nil || again.ID != id {
			w.t.Errorf("asked again: %v, %v", again.ID, err)
		}
	}
	if left, err := s.store.Changes(ctx, tenant, e.Persons); err != nil || len(left) != 0 {
		w.t.Errorf("person events %v are left (%v)", left, err)
	}
	w.untouched(w.c, 3)
	w.order()
}

// untouched checks that a person can be read as ever.
func (w *world) untouched(p eventstore.PersonID, events int) {
	w.t.Helper()
	if all, err := (&stream{w.keys, w.log, w.f}).read(context.Background(), tenant, p); err != nil || len(all) != events {
		w.t.Errorf("%d events can be read (%v), want %d", len(all), err, events)
	}
}

// order checks that nothing has an effect before the ledger knows, and that projections are told before the keys go.
func (w *world) order() {
	w.t.Helper()
	const entered = "ledger " + string(eventstore.ActErased)
	first := func(name string) int { return slices.Index(w.f.trace, name) }
	for _, pair := range [][2]string{{"put", entered}, {entered, "fence"}, {"fence", "announce"}, {"announce", "shred"}, {"shred", "remove"}} {
		if x, y := first(pair[0]), first(pair[1]); x < 0 && y >= 0 || y >= 0 && x > y {
			w.t.Errorf("%s comes before %s in %v", pair[1], pair[0], w.f.trace)
		}
	}
}

// transcript reads a transcript to its end and says how many events opened.
func transcript(ctx context.Context, s *Service, actor Actor, person eventstore.PersonID) (n int, err error) {
	t, err := s.Transcript(ctx, tenant, actor, person, eventstore.ReadOptions{})
	if err != nil {
		return 0, err
	}
	for _, err := range t.Events {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
