package logtest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
)

// Opener makes a log in a place of its own. reopen closes the log given before and opens the same place again; it is nil for a log
// that does not outlive its process.
//
// If l has a method Stray, as [Fake.Stray], the suite also has it open with messages that a crash left without a journal entry.
type Opener func(t *testing.T) (l Log, reopen func(t *testing.T) Log)

const tenantA, tenantB = eventstore.TenantID("alpha"), eventstore.TenantID("beta")

var vault = eventstore.VaultID{1, 2, 3}

// Run holds a log to the contract.
func Run(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"AppendAndRead", appendAndRead},
		{"Order", order},
		{"Duplicates", duplicates},
		{"Expected", expected},
		{"ExpectedRace", expectedRace},
		{"Replay", replay},
		{"Await", await},
		{"Remove", remove},
		{"RemoveControl", removeControl},
		{"RemoveBelow", removeBelow},
		{"RemoveRefused", removeRefused},
		{"Traces", traces},
		{"Expire", expire},
		{"ExpireAll", expireAll},
		{"Tenants", tenants},
		{"Open", openRules},
		{"Context", contexts},
		{"Records", recordRules},
		{"Reopen", reopening},
		{"Strays", strays},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, reopen := open(t)
			s := &suite{l, reopen}
			s.open(t, tenantA)
			c.test(t, s)
		})
	}
}

type suite struct {
	Log
	reopen func(t *testing.T) Log
}

func (s *suite) open(t *testing.T, tenant eventstore.TenantID) {
	t.Helper()
	if err := s.Open(t.Context(), tenant, vault, true, accept); err != nil {
		t.Fatalf("Open: %v", err)
	}
}

func accept(context.Context, eventstore.Stored) (eventstore.Row, error) { return row{}, nil }

func newPerson(t *testing.T) eventstore.PersonID {
	t.Helper()
	p, err := eventstore.NewPersonID(nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newMessage(t *testing.T, p eventstore.PersonID, text string) eventstore.Message {
	t.Helper()
	id, err := eventstore.NewEventID(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return eventstore.Message{Person: p, Envelope: envelope.Envelope{Event: id, Month: 682, Ciphertext: []byte(text)}}
}

func (s *suite) append(t *testing.T, tenant eventstore.TenantID, m eventstore.Message) eventstore.Appended {
	t.Helper()
	a, err := s.try(t.Context(), tenant, m)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return a
}

func (s *suite) try(ctx context.Context, tenant eventstore.TenantID, m eventstore.Message) (eventstore.Appended, error) {
	k, err := s.Submit(ctx, tenant, m)
	if err != nil {
		return eventstore.Appended{}, err
	}
	return k.Wait(ctx)
}

func collect[T any](t *testing.T, seq iter.Seq2[T, error]) (out []T) {
	t.Helper()
	for x, err := range seq {
		if err != nil {
			t.Fatalf("reading: %v", err)
		}
		out = append(out, x)
	}
	return out
}

func texts(stored []eventstore.Stored) (out []string) {
	for _, s := range stored {
		out = append(out, string(s.Envelope.Ciphertext))
	}
	return out
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got %v, want %v", what, err, target)
	}
}

func same[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func appendAndRead(t *testing.T, s *suite) {
	alice, bob := newPerson(t), newPerson(t)
	m := newMessage(t, alice, "one")
	first := s.append(t, tenantA, m)
	m.Envelope.Ciphertext[0] = 'X' // the log keeps its own copy once it has answered
	s.append(t, tenantA, newMessage(t, bob, "other"))
	third := s.append(t, tenantA, newMessage(t, alice, "two"))
	if first.Duplicate || first.Sequence == 0 || third.Sequence <= first.Sequence {
		t.Errorf("appended at %v and %v", first, third)
	}

	got := collect(t, s.Read(t.Context(), tenantA, alice, 0))
	same(t, "Read", texts(got), []string{"one", "two"})
	if g := got[0]; g.Person != alice || g.Sequence != first.Sequence || g.Envelope.Event != m.Envelope.Event || g.Envelope.Month != m.Envelope.Month {
		t.Errorf("Read gave %+v", g)
	}
	if age := time.Since(got[0].At); age < -time.Minute || age > time.Hour {
		t.Errorf("At is %v old", age)
	}
	same(t, "Read after", texts(collect(t, s.Read(t.Context(), tenantA, alice, first.Sequence))), []string{"two"})
	same(t, "Read of nobody", texts(collect(t, s.Read(t.Context(), tenantA, newPerson(t), 0))), nil)

	g, err := s.Get(t.Context(), tenantA, third.Sequence)
	if err != nil || string(g.Envelope.Ciphertext) != "two" || g.Person != alice || g.Sequence != third.Sequence {
		t.Errorf("Get: %+v, %v", g, err)
	}
	_, err = s.Get(t.Context(), tenantA, third.Sequence+100)
	want(t, "Get of nothing", err, eventstore.ErrNotFound)
	if n, err := s.Count(t.Context(), tenantA, alice); n != 2 || err != nil {
		t.Errorf("Count: %d, %v", n, err)
	}
	for range s.Read(t.Context(), tenantA, alice, 0) { // a reader may stop early
		break
	}
}

func order(t *testing.T, s *suite) {
	const persons, each = 8, 60
	var wg sync.WaitGroup
	ids := make([]eventstore.PersonID, persons)
	for i := range ids {
		ids[i] = newPerson(t)
		wg.Go(func() {
			var tickets []eventstore.Ticket
			for n := range each {
				m := newMessage(t, ids[i], string(rune('0'+n)))
				k, err := s.Submit(t.Context(), tenantA, m)
				if err != nil {
					t.Errorf("Submit: %v", err)
					return
				}
				tickets = append(tickets, k)
			}
			var last uint64
			for _, k := range tickets {
				a, err := k.Wait(t.Context())
				if err != nil || a.Sequence <= last {
					t.Errorf("Wait: %v after %d, %v", a, last, err)
				}
				last = a.Sequence
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		got := collect(t, s.Read(t.Context(), tenantA, id, 0))
		if len(got) != each {
			t.Fatalf("read %d of %d", len(got), each)
		}
		for n, g := range got {
			if string(g.Envelope.Ciphertext) != string(rune('0'+n)) {
				t.Fatalf("message %d is %q", n, g.Envelope.Ciphertext)
			}
		}
	}
}

func duplicates(t *testing.T, s *suite) {
	alice := newPerson(t)
	m := newMessage(t, alice, "one")
	m.Row = [24]byte{1, 2, 3}
	first := s.append(t, tenantA, m)
	s.append(t, tenantA, newMessage(t, alice, "two"))

	none := uint64(0)
	again := newMessage(t, alice, "whatever it says")
	again.Row, again.Expected = m.Row, &none // what was expected then no longer holds: the row answers first
	if a := s.append(t, tenantA, again); !a.Duplicate || a.Sequence != first.Sequence {
		t.Errorf("the second time: %+v, want a duplicate at %d", a, first.Sequence)
	}
	same(t, "Read", texts(collect(t, s.Read(t.Context(), tenantA, alice, 0))), []string{"one", "two"})

	other := newMessage(t, alice, "three")
	other.Row = [24]byte{1, 2, 3, 4}
	if a := s.append(t, tenantA, other); a.Duplicate {
		t.Error("another row is no duplicate")
	}

	// The same row from many callers at once is stored once.
	m = newMessage(t, alice, "raced")
	m.Row = [24]byte{9}
	var wg sync.WaitGroup
	results := make([]eventstore.Appended, 16)
	for i := range results {
		wg.Go(func() {
			var err error
			if results[i], err = s.try(t.Context(), tenantA, m); err != nil {
				t.Errorf("append: %v", err)
			}
		})
	}
	wg.Wait()
	fresh := 0
	for _, r := range results {
		if !r.Duplicate {
			fresh++
		}
		if r.Sequence != results[0].Sequence {
			t.Errorf("sequences %d and %d under one row", r.Sequence, results[0].Sequence)
		}
	}
	if fresh != 1 {
		t.Errorf("%d callers were told that theirs is the first", fresh)
	}
}

func expected(t *testing.T, s *suite) {
	alice, bob := newPerson(t), newPerson(t)
	none := uint64(0)
	m := newMessage(t, alice, "one")
	m.Expected = &none
	first := s.append(t, tenantA, m)
	s.append(t, tenantA, newMessage(t, bob, "other"))

	m = newMessage(t, alice, "refused")
	m.Expected = &none
	_, err := s.try(t.Context(), tenantA, m)
	want(t, "a stale expectation", err, eventstore.ErrConflict)

	m = newMessage(t, alice, "two")
	m.Expected = &first.Sequence
	s.append(t, tenantA, m)
	same(t, "Read", texts(collect(t, s.Read(t.Context(), tenantA, alice, 0))), []string{"one", "two"})
}

func expectedRace(t *testing.T, s *suite) {
	alice := newPerson(t)
	none := uint64(0)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 16 {
		wg.Go(func() {
			m := newMessage(t, alice, "mine")
			m.Expected = &none
			_, err := s.try(t.Context(), tenantA, m)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else {
				want(t, "a loser", err, eventstore.ErrConflict)
			}
		})
	}
	wg.Wait()
	if n := len(collect(t, s.Read(t.Context(), tenantA, alice, 0))); won != 1 || n != 1 {
		t.Errorf("%d won, %d are stored", won, n)
	}
}

func replay(t *testing.T, s *suite) {
	alice := newPerson(t)
	first := s.append(t, tenantA, newMessage(t, alice, "one"))
	control := newMessage(t, eventstore.PersonID{}, "control")
	control.Envelope.Month = envelope.ControlMonth
	control.Journalled = true
	at := s.append(t, tenantA, control)
	last := s.append(t, tenantA, newMessage(t, newPerson(t), "two"))

	// What was journalled may reach the stream later; its sequence is known at once and stands between its neighbours.
	if at.Sequence <= first.Sequence || last.Sequence <= at.Sequence {
		t.Errorf("sequences %d, %d, %d", first.Sequence, at.Sequence, last.Sequence)
	}
	committed, err := s.Committed(t.Context(), tenantA)
	if err != nil || committed != last.Sequence {
		t.Errorf("Committed: %d, %v, want %d", committed, err, last.Sequence)
	}
	got := collect(t, s.Replay(t.Context(), tenantA, 0))
	same(t, "Replay", texts(got), []string{"one", "control", "two"})
	if c := got[1]; !c.Person.IsZero() || c.Envelope.Month != envelope.ControlMonth || c.Sequence != at.Sequence {
		t.Errorf("the control message reads as %+v", c)
	}
	same(t, "Replay after", texts(collect(t, s.Replay(t.Context(), tenantA, first.Sequence))), []string{"control", "two"})
	same(t, "Replay after the end", texts(collect(t, s.Replay(t.Context(), tenantA, committed))), nil)

	// A replay ends where the log stood when it was called.
	seq := s.Replay(t.Context(), tenantA, 0)
	n := 0
	for _, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n > 3 {
			t.Fatal("a replay followed what came later")
		}
		s.append(t, tenantA, newMessage(t, alice, "later"))
	}
}

func await(t *testing.T, s *suite) {
	alice := newPerson(t)
	first := s.append(t, tenantA, newMessage(t, alice, "one"))
	if n, err := s.Await(t.Context(), tenantA, first.Sequence-1); n != first.Sequence || err != nil {
		t.Errorf("Await of the past: %d, %v", n, err)
	}
	type answer struct {
		n   uint64
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		n, err := s.Await(t.Context(), tenantA, first.Sequence)
		answers <- answer{n, err}
	}()
	select {
	case a := <-answers:
		t.Fatalf("Await answered early: %+v", a)
	default:
	}
	second := s.append(t, tenantA, newMessage(t, alice, "two"))
	if a := <-answers; a.n != second.Sequence || a.err != nil {
		t.Errorf("Await: %+v, want %d", a, second.Sequence)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := s.Await(ctx, tenantA, second.Sequence)
	want(t, "Await until ctx ends", err, context.DeadlineExceeded)
}

func contexts(t *testing.T, s *suite) {
	alice := newPerson(t)
	s.append(t, tenantA, newMessage(t, alice, "one"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k, err := s.Submit(ctx, tenantA, newMessage(t, alice, "two"))
	if err == nil {
		_, err = k.Wait(ctx) // either it was ready, or it is not certain
		if err != nil {
			want(t, "Wait under an ended ctx", err, eventstore.ErrUncertain)
		}
	}
	for _, read := range []iter.Seq2[eventstore.Stored, error]{s.Read(ctx, tenantA, alice, 0), s.Replay(ctx, tenantA, 0)} {
		var last error
		for _, err := range read {
			last = err
		}
		if last == nil {
			t.Error("a read under an ended ctx came to an end without an error")
		}
	}
}
