// Package storetest holds [eventstore.Store] to its promises over whatever it is made of: the fakes, or the real vault and log.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Parts is what a store is made of: an empty vault, an empty log, and a door with its zero rules.
type Parts struct {
	Keys eventstore.Keys
	Log  eventstore.Log
	Door eventstore.Door
	// Chunks and Meta are for attachments; the tests of these are left out without them.
	Chunks eventstore.Chunks
	Meta   eventstore.Meta
}

// Tenant is the tenant that the suite works in.
const Tenant = eventstore.TenantID("alpha")

var caller = eventstore.Caller{Tenant: Tenant, Bot: "shop-fr"}

// Run holds a store over parts to its promises. open is called once for each test.
func Run(t *testing.T, open func(t *testing.T) Parts) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *Suite)
	}{
		{"AppendAndRead", appendAndRead},
		{"ReadOptions", readOptions},
		{"Duplicates", duplicates},
		{"Expected", expected},
		{"Pipelined", pipelined},
		{"Linked", linked},
		{"Ambiguous", ambiguous},
		{"Consent", consent},
		{"Restricted", restricted},
		{"Replay", replay},
		{"Erased", erased},
		{"ErasedWhileRead", erasedWhileRead},
		{"RemovedWhileRead", removedWhileRead},
		{"FenceRace", fenceRace},
		{"Changes", changes},
		{"Crashed", crashed},
		{"Resealed", resealed},
		{"ResealedWhileRead", resealedWhileRead},
		{"ResealedExpired", resealedExpired},
		{"CrashedCopies", crashedCopies},
		{"Attachments", attachments},
		{"AttachmentRetry", attachmentRetry},
		{"AttachmentRefused", attachmentRefused},
		{"AttachmentCutOff", attachmentCutOff},
		{"AttachmentEveryWrite", attachmentEveryWrite},
		{"AttachmentErased", attachmentErased},
		{"AttachmentPart", attachmentPart},
		{"AttachmentDamaged", attachmentDamaged},
		{"Model", model},
		{"PartModel", partModel},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(t, Open(t, open(t)))
		})
	}
}

// Suite is a store with its parts, and helpers that fail the test.
type Suite struct {
	*eventstore.Store
	Parts
	ahead   atomic.Int64
	entries entries
	limits  eventstore.AttachmentLimits
}

// entries is a ledger in memory.
type entries struct {
	mu   sync.Mutex
	all  []eventstore.Entry
	fail error
}

// Record implements [eventstore.Ledger].
func (l *entries) Record(_ context.Context, _ eventstore.TenantID, e eventstore.Entry) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return 0, l.fail
	}
	l.all = append(l.all, e)
	return uint64(len(l.all)), nil
}

// acts are those of all entries, with their purposes and how many records they name.
func (l *entries) acts() (out []string) {
	for _, e := range l.all {
		out = append(out, fmt.Sprint(e.Act, " ", e.Purpose, " ", len(e.References)))
	}
	return out
}

// Pass lets time pass for the receive times of the store.
func (s *Suite) Pass(d time.Duration) { s.ahead.Add(int64(d)) }

// Open makes a store over parts with the tenant ready.
func Open(t *testing.T, p Parts) *Suite {
	t.Helper()
	if err := p.Keys.CreateTenant(t.Context(), Tenant); err != nil {
		t.Fatal(err)
	}
	s := &Suite{Parts: p}
	now := func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }
	s.Store = eventstore.New(eventstore.Config{Keys: p.Keys, Log: p.Log, Door: p.Door, Ledger: &s.entries, Now: now, Chunks: p.Chunks, Meta: p.Meta,
		Limits: func(eventstore.TenantID) eventstore.AttachmentLimits { return s.limits }})
	s.limits = eventstore.AttachmentLimits{Largest: eventstore.MaxAttachment, Total: 1 << 40}
	if err := s.Store.Open(t.Context(), Tenant, true); err != nil {
		t.Fatal(err)
	}
	if err := s.OpenAttachments(t.Context(), Tenant, true); err != nil {
		t.Fatal(err)
	}
	return s
}

// Message is an event with a text, of a visitor if one is named.
func Message(visitor, text string) eventstore.Event {
	e := eventstore.Event{Type: eventstore.TypeMessage, Conversation: "c1", Author: eventstore.AuthorUser, Text: text}
	if visitor != "" {
		id := web(visitor)
		e.Identity = &id
	}
	return e
}

func web(id string) eventstore.Identity   { return eventstore.Identity{Namespace: "web", ID: id} }
func email(id string) eventstore.Identity { return eventstore.Identity{Namespace: "email", ID: id} }

// MustAppend appends an event.
func (s *Suite) MustAppend(t *testing.T, e eventstore.Event) eventstore.Receipt {
	t.Helper()
	r, err := s.Append(t.Context(), caller, e)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return r
}

// Texts reads a person and gives the texts, and the error that ended it.
func (s *Suite) Texts(t *testing.T, p eventstore.PersonID) (out []string, err error) {
	t.Helper()
	return texts(s.Read(t.Context(), Tenant, p, eventstore.ReadOptions{}))
}

func texts(events iter.Seq2[eventstore.Recorded, error]) (out []string, err error) {
	for r, err := range events {
		if err != nil {
			return out, err
		}
		out = append(out, r.Event.Text)
	}
	return out, nil
}

func (s *Suite) reads(t *testing.T, p eventstore.PersonID, want ...string) {
	t.Helper()
	got, err := s.Texts(t, p)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("read %q, %v, want %q", got, err, want)
	}
}

// Items replays everything.
func (s *Suite) Items(t *testing.T, after uint64) (out []eventstore.Item) {
	t.Helper()
	for item, err := range s.Replay(t.Context(), Tenant, after) {
		if err != nil {
			t.Fatalf("Replay: %v", err)
		}
		out = append(out, item)
	}
	return out
}

// Erase erases a person's linked set and gives its members.
func (s *Suite) Erase(t *testing.T, p eventstore.PersonID) []eventstore.PersonID {
	t.Helper()
	members, err := s.Keys.Fence(t.Context(), Tenant, []eventstore.PersonID{p})
	if err != nil {
		t.Fatalf("Fence: %v", err)
	}
	var ids []eventstore.PersonID
	for _, m := range members {
		ids = append(ids, m.Person)
	}
	if err := s.Keys.Shred(t.Context(), Tenant, ids, eventstore.ShredOptions{}); err != nil {
		t.Fatalf("Shred: %v", err)
	}
	return ids
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got %v, want %v", what, err, target)
	}
}

func appendAndRead(t *testing.T, s *Suite) {
	before := time.Now().Add(-time.Millisecond)
	e := Message("v", "un")
	e.Time = time.Date(2026, 1, 31, 23, 59, 59, 5, time.UTC)
	e.Data = []byte(`{"a":[1,2]}`)
	first := s.MustAppend(t, e)
	other := s.MustAppend(t, Message("w", "other"))
	second := s.MustAppend(t, Message("v", "deux"))
	if first.Person == other.Person || first.Person != second.Person || second.Sequence <= first.Sequence || first.Duplicate || first.Link != "" {
		t.Errorf("receipts: %+v, %+v, %+v", first, other, second)
	}
	s.reads(t, first.Person, "un", "deux")
	for r, err := range s.Read(t.Context(), Tenant, first.Person, eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.ID == first.ID {
			if !r.Event.Time.Equal(e.Time) || r.Event.Bot != caller.Bot || *r.Event.Identity != web("v") || string(r.Event.Data) != string(e.Data) || r.Sequence != first.Sequence || r.Person != first.Person {
				t.Errorf("read back as %d, %v, %s", r.Sequence, r.Event.Time, r.Event.Data)
			}
		} else if r.Event.Time != r.Received || r.Received.Before(before) || r.Received.After(time.Now()) {
			t.Errorf("an event without a time has %v, received %v", r.Event.Time, r.Received)
		}
	}

	anonymous := s.MustAppend(t, Message("", "anonyme"))
	again := s.MustAppend(t, Message("", "encore"))
	if anonymous.Person != again.Person || anonymous.Person == first.Person {
		t.Error("an anonymous conversation is a person of its own")
	}
	s.reads(t, anonymous.Person, "anonyme", "encore")

	_, err := s.Texts(t, eventstore.PersonID{1})
	want(t, "Read of nobody", err, eventstore.ErrNotFound)
	_, err = s.Append(t.Context(), eventstore.Caller{Tenant: "unknown", Bot: "b"}, Message("v", "x"))
	want(t, "Append to an unknown tenant", err, eventstore.ErrNotFound)
	_, err = s.Append(t.Context(), caller, Message("v", ""))
	want(t, "Append of an invalid event", err, eventstore.ErrInvalid)
}

func readOptions(t *testing.T, s *Suite) {
	var receipts []eventstore.Receipt
	for i := range 6 {
		e := Message("v", fmt.Sprint(i))
		if i%2 == 1 {
			e.Conversation = "c2"
		}
		receipts = append(receipts, s.MustAppend(t, e))
	}
	e := Message("v", "other bot")
	if _, err := s.Append(t.Context(), eventstore.Caller{Tenant: Tenant, Bot: "other"}, e); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    eventstore.ReadOptions
		want []string
	}{
		{eventstore.ReadOptions{Conversation: "c2"}, []string{"1", "3", "5"}},
		{eventstore.ReadOptions{Conversation: "c2", Limit: 2}, []string{"1", "3"}},
		{eventstore.ReadOptions{Bot: "other"}, []string{"other bot"}},
		{eventstore.ReadOptions{After: receipts[3].Sequence, Bot: "shop-fr"}, []string{"4", "5"}},
		{eventstore.ReadOptions{Limit: 1}, []string{"0"}},
	} {
		got, err := texts(s.Read(t.Context(), Tenant, receipts[0].Person, c.o))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("Read: %q, %v, want %q", got, err, c.want)
		}
	}
}

func duplicates(t *testing.T, s *Suite) {
	e := Message("v", "une fois")
	e.Key = "k1"
	first := s.MustAppend(t, e)
	s.MustAppend(t, Message("v", "entre"))
	s.Pass(time.Second) // another receive time: an omitted time stays omitted
	again := s.MustAppend(t, e)
	if !again.Duplicate || again.ID != first.ID || again.Sequence != first.Sequence || again.Person != first.Person {
		t.Errorf("again: %+v, want a duplicate of %+v", again, first)
	}
	other := e
	other.Text = "deux fois"
	_, err := s.Append(t.Context(), caller, other)
	want(t, "another body under the same id", err, eventstore.ErrConflict)

	r, err := s.Append(t.Context(), eventstore.Caller{Tenant: Tenant, Bot: "other"}, e)
	if err != nil || r.Duplicate {
		t.Errorf("the same id from another bot: %+v, %v", r, err)
	}
	same := e
	id := web("w")
	same.Identity = &id
	if r := s.MustAppend(t, same); r.Duplicate {
		t.Error("the same id of another person is a duplicate")
	}
	s.reads(t, first.Person, "une fois", "entre", "une fois")
}

func expected(t *testing.T, s *Suite) {
	at := func(n uint64) *uint64 { return &n }
	e := Message("v", "un")
	e.ExpectedSequence = at(0)
	first := s.MustAppend(t, e)
	_, err := s.Append(t.Context(), caller, e)
	want(t, "a stale expectation", err, eventstore.ErrConflict)
	e = Message("v", "deux")
	e.Key, e.ExpectedSequence = "k", at(first.Sequence)
	second := s.MustAppend(t, e)
	if r := s.MustAppend(t, e); !r.Duplicate || r.Sequence != second.Sequence {
		t.Errorf("a retry: %+v", r)
	}
	s.reads(t, first.Person, "un", "deux")
}

func pipelined(t *testing.T, s *Suite) {
	const n = 300
	var pending []*eventstore.Pending
	var wanted []string
	for i := range n {
		p, err := s.Submit(t.Context(), caller, Message("v", fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
		wanted = append(wanted, fmt.Sprint(i))
	}
	var person eventstore.PersonID
	for _, p := range pending {
		r, err := p.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		person = r.Person
	}
	s.reads(t, person, wanted...)
}
