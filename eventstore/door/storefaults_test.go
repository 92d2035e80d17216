package door_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/logtest"
	"github.com/oubli-store/oubli/eventstore/storetest"
)

var caller = eventstore.Caller{Tenant: storetest.Tenant, Bot: "shop-fr"}

func start(t *testing.T) (*storetest.Suite, *keystest.Fake, *logtest.Fake) {
	goleak.VerifyNone(t)
	t.Cleanup(func() { goleak.VerifyNone(t) })
	keys, log := keystest.New(), logtest.New()
	return storetest.Open(t, storetest.Parts{Keys: keys, Log: log, Door: door.New(door.Rules{})}), keys, log
}

// never fails the test if err is, or could be taken for, one of the others.
func never(t *testing.T, what string, err error, others ...error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
	}
	for _, o := range others {
		if errors.Is(err, o) {
			t.Errorf("%s: %v is reported as %v", what, err, o)
		}
	}
}

func replayed(s *storetest.Suite, ctx context.Context) (items []eventstore.Item, err error) {
	for item, err := range s.Replay(ctx, storetest.Tenant, 0) {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

func TestOutageIsNoErasure(t *testing.T) {
	s, keys, log := start(t)
	p := s.MustAppend(t, storetest.Message("v", "un")).Person
	outage := errors.New("no connection")
	for name, set := range map[string]func(error){"vault": keys.Fail, "log": log.FailReads} {
		set(outage)
		_, err := s.Texts(t, p)
		never(t, "Read without the "+name, err, eventstore.ErrErased, eventstore.ErrNotFound, eventstore.ErrKeyLost)
		_, err = replayed(s, t.Context())
		never(t, "Replay without the "+name, err, eventstore.ErrErased, eventstore.ErrNotFound, eventstore.ErrKeyLost)
		if !errors.Is(err, outage) {
			t.Errorf("Replay: %v", err)
		}
		set(nil)
	}
	keys.Fail(outage)
	_, err := s.Append(t.Context(), caller, storetest.Message("v", "x"))
	never(t, "Append without the vault", err, eventstore.ErrErased, eventstore.ErrNotFound)
	keys.Fail(nil)

	// And the reverse: with the log gone, an erased person is still erased.
	s.Erase(t, p)
	log.FailReads(outage)
	if _, err := s.Texts(t, p); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("Read of an erased person without the log: %v", err)
	}
	log.FailReads(nil)
	if got, err := s.Texts(t, p); !errors.Is(err, eventstore.ErrErased) || got != nil {
		t.Errorf("Read of an erased person: %v", err)
	}
}

func TestDamageIsNoErasure(t *testing.T) {
	s, _, log := start(t)
	first := s.MustAppend(t, storetest.Message("v", "un"))
	second := s.MustAppend(t, storetest.Message("v", "deux"))
	log.Damage(storetest.Tenant, second.Sequence)
	got, err := s.Texts(t, first.Person)
	never(t, "Read", err, eventstore.ErrErased, eventstore.ErrKeyLost)
	if !slices.Equal(got, []string{"un"}) || !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("Read: %q, %v", got, err)
	}
	items, err := replayed(s, t.Context())
	if len(items) != 1 || !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("Replay: %d items, %v", len(items), err)
	}
}

// TestMovedDoesNotOpen gives one person another's message, and somebody unknown a message of their own, as who writes to the stream could.
func TestMovedDoesNotOpen(t *testing.T) {
	s, _, log := start(t)
	alice := s.MustAppend(t, storetest.Message("alice", "secret"))
	bob := s.MustAppend(t, storetest.Message("bob", "un"))
	m, err := log.Get(t.Context(), storetest.Tenant, alice.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	log.Stray(storetest.Tenant, eventstore.Message{Person: bob.Person, Envelope: m.Envelope})
	if err := s.Store.Open(t.Context(), storetest.Tenant, false); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("Open with a moved event: %v", err)
	}
	other := m.Envelope
	other.Event[15] ^= 1
	s2, _, log2 := start(t)
	log2.Stray(storetest.Tenant, eventstore.Message{Person: alice.Person, Envelope: other})
	if err := s2.Store.Open(t.Context(), storetest.Tenant, false); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("Open with an event of nobody: %v", err)
	}
}

// TestOpenAfterCrash: what the stream has and the journal does not is kept if it is this vault's.
func TestOpenAfterCrash(t *testing.T) {
	s, keys, log := start(t)
	r := s.MustAppend(t, storetest.Message("v", "un"))
	gone := s.MustAppend(t, storetest.Message("w", "erased"))
	var stored []eventstore.Stored
	for m, err := range log.Replay(t.Context(), storetest.Tenant, 0) {
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, m)
	}
	for _, m := range stored {
		log.Stray(storetest.Tenant, eventstore.Message{Person: m.Person, Envelope: m.Envelope})
	}
	s.Erase(t, gone.Person)
	keys.Fail(eventstore.ErrUnavailable)
	if err := s.Store.Open(t.Context(), storetest.Tenant, false); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("Open without the vault: %v", err)
	}
	keys.Fail(nil)
	if err := s.Store.Open(t.Context(), storetest.Tenant, false); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Texts(t, r.Person); err != nil || len(got) != 2 {
		t.Errorf("Read: %q, %v", got, err)
	}
}

func TestKeyLostAndExpired(t *testing.T) {
	s, keys, _ := start(t)
	old := storetest.Message("v", "janvier")
	old.Time = time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC)
	old.Key = "k"
	s.MustAppend(t, old)
	p := s.MustAppend(t, storetest.Message("v", "now")).Person
	lost := s.MustAppend(t, storetest.Message("w", "lost")).Person
	if _, err := keys.Expire(t.Context(), storetest.Tenant, eventstore.KeyMonthOf(old.Time, time.Now())+1, nil); err != nil {
		t.Fatal(err)
	}
	keys.Forget(storetest.Tenant, lost)

	if got, err := s.Texts(t, p); err != nil || !slices.Equal(got, []string{"now"}) {
		t.Errorf("Read of what retention left: %q, %v", got, err)
	}
	_, err := s.Texts(t, lost)
	never(t, "Read of a lost person", err, eventstore.ErrErased, eventstore.ErrNotFound)
	if !errors.Is(err, eventstore.ErrKeyLost) {
		t.Errorf("Read of a lost person: %v", err)
	}
	items, err := replayed(s, t.Context())
	if err != nil || len(items) != 3 || items[0].Skipped != eventstore.ErrExpired || items[1].Event == nil || items[2].Skipped != eventstore.ErrKeyLost {
		t.Errorf("Replay: %+v, %v", items, err)
	}
	if _, err := s.Append(t.Context(), caller, old); !errors.Is(err, eventstore.ErrExpired) {
		t.Errorf("a retry of an expired event: %v", err)
	}
}

func TestFirst(t *testing.T) {
	s, keys, _ := start(t)
	s.MustAppend(t, storetest.Message("v", "old copy"))
	r := s.MustAppend(t, storetest.Message("v", "un"))
	err := keys.SetState(t.Context(), storetest.Tenant, r.Person, func(st eventstore.State) eventstore.State { st.First = r.Sequence; return st })
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Texts(t, r.Person); err != nil || !slices.Equal(got, []string{"un"}) {
		t.Errorf("Read: %q, %v", got, err)
	}
	items, err := replayed(s, t.Context())
	if err != nil || !errors.Is(items[0].Skipped, eventstore.ErrErased) || items[1].Event == nil {
		t.Errorf("Replay: %+v, %v", items, err)
	}
}

func TestUncertainIsSettledByARetry(t *testing.T) {
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprint("stored ", stored), func(t *testing.T) {
			s, _, log := start(t)
			e := storetest.Message("v", "un")
			e.Key = "k"
			log.FailNext(eventstore.ErrUncertain, stored)
			if _, err := s.Append(t.Context(), caller, e); !errors.Is(err, eventstore.ErrUncertain) {
				t.Fatalf("Append: %v", err)
			}
			r := s.MustAppend(t, e)
			if r.Duplicate != stored {
				t.Errorf("the retry is a duplicate: %v", r.Duplicate)
			}
			if got, err := s.Texts(t, r.Person); err != nil || len(got) != 1 {
				t.Errorf("Read: %q, %v", got, err)
			}
		})
	}
}

// TestOutageOfTheStream: appends are uncertain after 2 s and hold no gate any longer, erasures and their events go on.
func TestOutageOfTheStream(t *testing.T) {
	s, keys, log := start(t)
	p := s.MustAppend(t, storetest.Message("v", "un")).Person
	log.Outage(true)
	begun := time.Now()
	pending, err := s.Submit(t.Context(), caller, storetest.Message("v", "deux"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := pending.Wait(ctx); !errors.Is(err, eventstore.ErrUncertain) {
		t.Errorf("Wait until ctx ends: %v", err)
	}
	if _, err := keys.Fence(t.Context(), storetest.Tenant, []eventstore.PersonID{p}); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begun); d > 3*time.Second {
		t.Errorf("the fence waited %v", d)
	}
	if _, err := pending.Wait(t.Context()); !errors.Is(err, eventstore.ErrUncertain) {
		t.Errorf("Wait: %v", err)
	}
	if n, err := s.Announce(t.Context(), storetest.Tenant, eventstore.PersonEvent{Kind: eventstore.PersonErased, Persons: []eventstore.PersonID{p}}); err != nil || n != 3 {
		t.Errorf("Announce in an outage: %d, %v", n, err)
	}
	if err := keys.Shred(t.Context(), storetest.Tenant, []eventstore.PersonID{p}, eventstore.ShredOptions{}); err != nil {
		t.Error(err)
	}
	log.Outage(false)
	if items, err := replayed(s, t.Context()); err != nil || len(items) != 3 || items[2].Change == nil {
		t.Errorf("Replay: %+v, %v", items, err)
	}
}

// TestOwedSurvivesAnOutage: what a link owes is sent later, and before what comes later.
func TestOwedSurvivesAnOutage(t *testing.T) {
	s, keys, log := start(t)
	a := s.MustAppend(t, storetest.Message("a", "x")).Person
	b := s.MustAppend(t, storetest.Message("b", "x")).Person
	if err := keys.Link(t.Context(), storetest.Tenant, a, b); err != nil {
		t.Fatal(err)
	}
	log.FailNext(eventstore.ErrUnavailable, false)
	if err := s.Store.Open(t.Context(), storetest.Tenant, false); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("Open while it cannot be sent: %v", err)
	}
	if _, err := s.Announce(t.Context(), storetest.Tenant, eventstore.PersonEvent{Kind: eventstore.PersonErased}); err != nil {
		t.Fatal(err)
	}
	var kinds []eventstore.PersonEventKind
	items, err := replayed(s, t.Context())
	for _, item := range items {
		if item.Change != nil {
			kinds = append(kinds, item.Change.Kind)
		}
	}
	if err != nil || !slices.Equal(kinds, []eventstore.PersonEventKind{eventstore.PersonLinked, eventstore.PersonErased}) {
		t.Errorf("person events: %v, %v", kinds, err)
	}
}

func TestReplayEndsWithItsContext(t *testing.T) {
	s, _, _ := start(t)
	for i := range 300 {
		s.MustAppend(t, storetest.Message("v", fmt.Sprint(i)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range s.Replay(ctx, storetest.Tenant, 0) {
		if last = err; err != nil {
			break
		}
		if n++; n == 5 {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("after %d items: %v", n, last)
	}
}

func BenchmarkStore(b *testing.B) {
	keys, log := keystest.New(), logtest.New()
	store := eventstore.New(eventstore.Config{Keys: keys, Log: log, Door: door.New(door.Rules{})})
	ctx := b.Context()
	if err := errors.Join(keys.CreateTenant(ctx, storetest.Tenant), store.Open(ctx, storetest.Tenant, true)); err != nil {
		b.Fatal(err)
	}
	e := storetest.Message("v", "Bonjour, où est ma commande A17 ?")
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := store.Append(ctx, caller, e); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("replay", func(b *testing.B) {
		for range 10_000 {
			if _, err := store.Append(ctx, caller, e); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			for _, err := range store.Replay(ctx, storetest.Tenant, 0) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
	})
}
