package projections

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/oubli-store/oubli/eventstore"
)

const acme eventstore.TenantID = "acme"

// world is a vault and a stream in one, small enough to be taken apart between any two steps of a runner.
type world struct {
	eventstore.Keys
	vault   eventstore.VaultID
	control [32]byte
	persons map[eventstore.PersonID]*human
	order   []eventstore.PersonID
	log     []*entry
	// outbox holds linked events that the vault still owes to the stream.
	outbox    []eventstore.PersonEvent
	committed uint64
	changed   chan struct{}
	// ahead is how many messages a replay opens before it yields them; between is called between two of them.
	ahead   int
	between func()
	zone    *time.Location
	consent bool
	k       int
	now     time.Time
	// floor is what retention has begun with.
	floor eventstore.KeyMonth
	// books has releases and a ledger; nil: no period is closed. rules are settings beside k and zone.
	books *books
	rules Settings
}

type human struct {
	id           eventstore.PersonID
	secret       [32]byte
	set          *linkedSet
	months       map[eventstore.KeyMonth]bool
	fenced, gone bool
	held         bool
	first        uint64
}

type linkedSet struct {
	secret  [32]byte
	members []*human
}

type entry struct {
	sequence uint64
	event    *eventstore.Recorded
	change   *eventstore.PersonEvent
	removed  bool
}

func newWorld() *world {
	w := &world{persons: map[eventstore.PersonID]*human{}, changed: make(chan struct{}), ahead: 1, zone: time.UTC, k: 3,
		now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	_, _ = rand.Read(w.vault[:])
	w.control = random()
	return w
}

func random() (k [32]byte) {
	_, _ = rand.Read(k[:])
	return k
}

func prf(key [32]byte, parts ...[]byte) (m eventstore.Mark) {
	h := hmac.New(sha256.New, key[:])
	for _, p := range parts {
		h.Write(binary.AppendUvarint(nil, uint64(len(p))))
		h.Write(p)
	}
	copy(m[:], h.Sum(nil))
	return m
}

func (w *world) settings(eventstore.TenantID) Settings {
	s := w.rules
	s.K, s.Zone, s.Consent = w.k, w.zone, w.consent
	return s
}

func (w *world) config() Config {
	c := Config{Dir: "projections", Keys: w, Settings: w.settings, Now: func() time.Time { return w.now }}
	if w.books != nil {
		c.Records, c.Ledger, c.Random = w.books, w.books, w.books.random
	}
	return c
}

func (w *world) open(t testing.TB, fs vfs.FS) *Projections {
	t.Helper()
	p, err := open(w.config(), w, fs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) mint() eventstore.PersonID {
	id, err := eventstore.NewPersonID(nil)
	if err != nil {
		panic(err)
	}
	h := &human{id: id, secret: random(), months: map[eventstore.KeyMonth]bool{}}
	h.set = &linkedSet{secret: random(), members: []*human{h}}
	w.persons[id] = h
	w.order = append(w.order, id)
	return id
}

func (w *world) put(e *entry) uint64 {
	e.sequence = uint64(len(w.log)) + 1
	w.log = append(w.log, e)
	return e.sequence
}

// say appends an event.
func (w *world) say(person eventstore.PersonID, e eventstore.Event) uint64 {
	id, err := eventstore.NewEventID(w.now, nil)
	if err != nil {
		panic(err)
	}
	if e.Time.IsZero() {
		e.Time = w.now
	}
	if eventstore.KeyMonthOf(e.Time, w.now) < w.floor {
		return 0 // the vault lets nothing in
	}
	w.persons[person].months[eventstore.KeyMonthOf(e.Time, w.now)] = true
	return w.put(&entry{event: &eventstore.Recorded{ID: id, Person: person, Received: w.now, Event: e}})
}

func (w *world) announce(e eventstore.PersonEvent) uint64 { return w.put(&entry{change: &e}) }

func (w *world) flush() {
	for _, e := range w.outbox {
		w.announce(e)
	}
	w.outbox = nil
}

// commit lets readers see everything.
func (w *world) commit() {
	w.committed = uint64(len(w.log))
	close(w.changed)
	w.changed = make(chan struct{})
}

func (s *linkedSet) mark(p eventstore.Period) eventstore.Mark {
	return prf(s.secret, []byte("period"), periodBytes(p))
}

func (s *linkedSet) ids() (out []eventstore.PersonID) {
	for _, h := range s.members {
		out = append(out, h.id)
	}
	return out
}

func (s *linkedSet) marks(to *linkedSet) (out []eventstore.PeriodMark) {
	months := map[eventstore.KeyMonth]bool{}
	for _, h := range s.members {
		maps.Copy(months, h.months)
	}
	for _, p := range eventstore.PeriodsOf(slices.Sorted(maps.Keys(months))) {
		m := eventstore.PeriodMark{Period: p, Mark: s.mark(p)}
		if to != nil {
			m.To = to.mark(p)
		}
		out = append(out, m)
	}
	return out
}

// link absorbs b's set into a's; the stream learns of it when the outbox is flushed.
func (w *world) link(a, b eventstore.PersonID) {
	into, from := w.persons[a].set, w.persons[b].set
	if into == from {
		return
	}
	w.outbox = append(w.outbox, eventstore.PersonEvent{
		Kind: eventstore.PersonLinked, Persons: append(into.ids(), from.ids()...), Marks: from.marks(into),
	})
	for _, h := range from.members {
		h.set = into
	}
	into.members = append(into.members, from.members...)
}

func (w *world) tell(kind eventstore.PersonEventKind, person eventstore.PersonID) {
	w.flush()
	s := w.persons[person].set
	e := eventstore.PersonEvent{Kind: kind, Persons: s.ids()}
	if kind == eventstore.PersonRestricted || kind == eventstore.PersonObjected || kind == eventstore.PersonAnalyticsRefused {
		e.Marks = s.marks(nil)
	}
	w.announce(e)
}

func (w *world) fence(person eventstore.PersonID, on bool) {
	for _, h := range w.persons[person].set.members {
		h.fenced = on
	}
}

// erase is the machine's order: fence, person event, shred.
func (w *world) erase(person eventstore.PersonID) uint64 {
	w.fence(person, true)
	w.flush()
	s := w.persons[person].set
	sequence := w.announce(eventstore.PersonEvent{Kind: eventstore.PersonErased, Persons: s.ids(), Marks: s.marks(nil)})
	for _, h := range s.members {
		h.gone, h.fenced, h.secret = true, false, random()
	}
	s.secret = random()
	return sequence
}

// reseal gives a set new secrets and keeps those of its events that keep says.
func (w *world) reseal(person eventstore.PersonID, keep func() bool) {
	w.flush()
	s := w.persons[person].set
	first := uint64(len(w.log)) + 1
	var copies []*eventstore.Recorded
	for _, e := range w.log {
		if e.event != nil && slices.Contains(s.ids(), e.event.Person) && e.sequence >= w.persons[e.event.Person].first && !e.removed && w.kept(e.event) && monthOf(e.event) >= w.floor && keep() {
			copies = append(copies, e.event)
		}
	}
	w.announce(eventstore.PersonEvent{Kind: eventstore.PersonResealed, Persons: s.ids(), Marks: s.marks(nil), First: first})
	s.secret = random()
	for _, h := range s.members {
		h.secret, h.first = random(), first
	}
	for _, c := range copies {
		again := *c
		again.Copy = true
		w.put(&entry{event: &again})
	}
}

// remove takes the messages of erased and re-sealed persons out of the stream, up to a position that projections have passed, with the person
// events of erased persons.
func (w *world) remove(passed uint64) {
	gone := func(ids []eventstore.PersonID) bool {
		return slices.ContainsFunc(ids, func(id eventstore.PersonID) bool { return w.persons[id].gone })
	}
	for _, e := range w.log {
		switch {
		case e.sequence > passed || e.removed:
		case e.event != nil:
			h := w.persons[e.event.Person]
			e.removed = h.gone || e.sequence < h.first || !w.kept(e.event)
		case e.change != nil:
			e.removed = gone(e.change.Persons)
		}
	}
}

func monthOf(r *eventstore.Recorded) eventstore.KeyMonth {
	return eventstore.KeyMonthOf(r.Event.Time, r.Received)
}

// kept says whether the person has the data key of an event.
func (w *world) kept(r *eventstore.Recorded) bool { return w.persons[r.Person].months[monthOf(r)] }

// expire announces that a month is over; the keys go with destroy, later.
func (w *world) expire(before eventstore.KeyMonth) {
	w.floor = max(w.floor, before)
	w.flush()
	w.announce(eventstore.PersonEvent{Kind: eventstore.PersonExpired, Before: w.floor})
}

// destroy destroys the keys of everybody not on hold.
func (w *world) destroy() {
	for _, h := range w.persons {
		maps.DeleteFunc(h.months, func(m eventstore.KeyMonth, _ bool) bool { return m < w.floor && !h.held })
	}
}

func (w *world) usable(person eventstore.PersonID) (*human, error) {
	h := w.persons[person]
	switch {
	case h == nil:
		return nil, eventstore.ErrNotFound
	case h.gone:
		return nil, eventstore.ErrErased
	case h.fenced:
		return nil, eventstore.ErrFenced
	}
	return h, nil
}

func (w *world) Vault() eventstore.VaultID { return w.vault }

func (w *world) PeriodMark(_ context.Context, _ eventstore.TenantID, person eventstore.PersonID, period eventstore.Period) (eventstore.Mark, error) {
	h, err := w.usable(person)
	if err != nil {
		return eventstore.Mark{}, err
	}
	return h.set.mark(period), nil
}

func (w *world) SealControl(_ context.Context, _ eventstore.TenantID, plain, associated []byte) ([]byte, error) {
	k, err := newKeyring(w.control[:])
	return k.aead.Seal(nil, nil, plain, associated), err
}

func (w *world) OpenControl(_ context.Context, _ eventstore.TenantID, sealed, associated []byte) ([]byte, error) {
	k, err := newKeyring(w.control[:])
	if err != nil {
		return nil, err
	}
	plain, err := k.aead.Open(nil, nil, sealed, associated)
	if err != nil {
		return nil, eventstore.ErrDamaged
	}
	return plain, nil
}

type worldGate struct {
	eventstore.Gate
	w *world
	h *human
}

func (w *world) Gate(_ context.Context, _ eventstore.TenantID, person eventstore.PersonID) (eventstore.Gate, error) {
	h, err := w.usable(person)
	if err != nil {
		return nil, err
	}
	return worldGate{w: w, h: h}, nil
}

func (g worldGate) Person() eventstore.PersonID { return g.h.id }
func (g worldGate) State() eventstore.State     { return eventstore.State{Known: true, First: g.h.first} }
func (g worldGate) Release()                    {}
func (g worldGate) Mark(label eventstore.MarkLabel, parts ...[]byte) (eventstore.Mark, error) {
	if _, err := g.w.usable(g.h.id); err != nil {
		return eventstore.Mark{}, err
	}
	return prf(g.h.secret, append([][]byte{[]byte(label)}, parts...)...), nil
}

func (w *world) item(e *entry) eventstore.Item {
	item := eventstore.Item{Sequence: e.sequence, Change: e.change}
	if e.event == nil {
		return item
	}
	h, err := w.usable(e.event.Person)
	if err == nil && e.sequence < h.first {
		err = eventstore.ErrErased
	}
	if err == nil && !w.kept(e.event) {
		err = eventstore.ErrExpired
	}
	if item.Skipped = err; err == nil {
		r := *e.event
		r.Sequence = e.sequence
		item.Event = &r
	}
	return item
}

func (w *world) Replay(_ context.Context, _ eventstore.TenantID, after uint64) iter.Seq2[eventstore.Item, error] {
	return func(yield func(eventstore.Item, error) bool) {
		end := w.committed
		for next := after + 1; next <= end; {
			var opened []eventstore.Item
			for range w.ahead {
				if next <= end {
					if e := w.log[next-1]; !e.removed {
						opened = append(opened, w.item(e))
					}
					next++
				}
			}
			for _, item := range opened {
				if w.between != nil {
					w.between()
				}
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

func (w *world) Committed(context.Context, eventstore.TenantID) (uint64, error) {
	return w.committed, nil
}

func (w *world) Await(ctx context.Context, _ eventstore.TenantID, after uint64) (uint64, error) {
	for w.committed <= after {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-w.changed:
		}
	}
	return w.committed, nil
}

// runner keeps what Run keeps, to be driven step by step.
type runner struct {
	p     *Projections
	t     *tenant
	cache *cache
}

func newRunner(t testing.TB, p *Projections) *runner {
	t.Helper()
	tenant, err := p.tenant(context.Background(), acme)
	if err != nil {
		t.Fatal(err)
	}
	return &runner{p: p, t: tenant, cache: newCache()}
}

func (r *runner) round() error { return r.p.round(context.Background(), r.t, r.cache) }

// catchUp counts everything that there is.
func (w *world) catchUp(t testing.TB, r *runner) {
	t.Helper()
	w.flush()
	w.commit()
	if err := r.round(); err != nil {
		t.Fatal(err)
	}
	if got := r.p.Passed(acme); got != w.committed {
		t.Fatalf("position %d of %d", got, w.committed)
	}
}

func exact(t testing.TB, p *Projections) map[string][]ExactCell {
	t.Helper()
	out := map[string][]ExactCell{}
	for _, m := range p.models {
		cells, err := Exact(p, acme, m.Name)
		if err != nil {
			t.Fatal(err)
		}
		out[m.Name] = cells
	}
	return out
}

func closing(t testing.TB, p *Projections) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}
