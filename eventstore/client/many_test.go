package client_test

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/client"
	"github.com/oubli-store/oubli/keyvault/secret"
)

func lines(n int) iter.Seq[eventstore.Event] {
	return func(yield func(eventstore.Event) bool) {
		for i := range n {
			if !yield(says(i)) {
				return
			}
		}
	}
}

func TestAppendManySurvivesFaults(t *testing.T) {
	for name, faults := range map[string][]fault{
		"none":                 nil,
		"dropped before":       {{before: true}, {}, {before: true}},
		"dropped in between":   {{after: 3}, {after: 1}, {after: 2}},
		"half an answer line":  {{after: 3, half: true}, {after: 1, half: true}},
		"asked to wait":        {{status: 503, wait: "0"}, {after: 2}, {status: 429}},
		"lines put off":        {{busy: 2}, {busy: 3}, {busy: 1}, {after: 2, busy: 2}},
		"not one line settled": {{busy: 1}, {busy: 1}, {busy: 1}},
	} {
		t.Run(name, func(t *testing.T) { tryMany(t, 23, faults) })
	}
}

// TestAppendManySurvivesAnyFaults draws faults at random: nothing may be stored twice, nothing lost, every answer must be the event's own.
func TestAppendManySurvivesAnyFaults(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			var faults []fault
			for range r.IntN(12) {
				faults = append(faults, fault{before: r.IntN(4) == 0, after: r.IntN(9), half: r.IntN(2) == 0, busy: r.IntN(5)})
			}
			tryMany(t, 1+r.IntN(40), faults)
		})
	}
}

func tryMany(t *testing.T, n int, faults []fault) {
	m := newMemory(t, faults...)
	next := 0
	c := m.client(t, func(c *client.Config) { c.BatchEvents = 7 })
	for r, err := range c.AppendMany(t.Context(), lines(n)) {
		if err != nil {
			t.Fatalf("event %d: %v", r.Index, err)
		}
		if r.Index != next {
			t.Fatalf("result %d came where %d was due", r.Index, next)
		}
		if got := m.order[r.Receipt.Sequence-1]; got != says(r.Index).Text {
			t.Fatalf("event %d was given the receipt of %q", r.Index, got)
		}
		next++
	}
	if next != n || len(m.order) != n {
		t.Errorf("%d events: %d results, %d stored", n, next, len(m.order))
	}
}

func TestAppendManyResendsOnlyWhatIsUnanswered(t *testing.T) {
	m := newMemory(t, fault{after: 5})
	for _, err := range m.client(t).AppendMany(t.Context(), lines(9)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	again := 0
	for _, s := range m.stored {
		again += s.times - 1
	}
	if again != 1 { // the fifth was stored, and its answer lost
		t.Errorf("%d events were sent again that were stored, want 1", again)
	}
}

func TestAppendManyGoesOnAfterARefusedEvent(t *testing.T) {
	m := newMemory(t)
	events := func(yield func(eventstore.Event) bool) {
		for e := range lines(6) {
			switch e.Text {
			case "line 1":
				e.Text = "refused"
			case "line 3":
				e.Data = []byte("{")
			}
			if !yield(e) {
				return
			}
		}
	}
	var failed []int
	for r, err := range m.client(t, func(c *client.Config) { c.BatchEvents = 2 }).AppendMany(t.Context(), events) {
		if err != nil {
			failed = append(failed, r.Index)
			want := map[int]error{1: eventstore.ErrConsent, 3: eventstore.ErrInvalid}[r.Index]
			wantIs(t, err, want)
		}
	}
	if fmt.Sprint(failed) != "[1 3]" || len(m.order) != 4 {
		t.Errorf("failed %v, stored %d", failed, len(m.order))
	}
}

func TestAppendManyStops(t *testing.T) {
	m := newMemory(t)
	drawn := 0
	events := func(yield func(eventstore.Event) bool) {
		for e := range lines(1000) {
			drawn++
			if !yield(e) {
				return
			}
		}
	}
	bad := m.client(t, func(c *client.Config) { c.Token, c.BatchEvents = secret.New([]byte("bad")), 3 })
	n := 0
	for r, err := range bad.AppendMany(t.Context(), events) {
		wantIs(t, err, client.ErrStopped, eventstore.ErrUnauthenticated)
		if r.Index != n {
			t.Errorf("index %d, want %d", r.Index, n)
		}
		n++
	}
	if n != 3 || drawn > 4 {
		t.Errorf("%d results, %d events drawn; want one batch", n, drawn)
	}
	drawn = 0
	for range m.client(t, func(c *client.Config) { c.BatchEvents = 3 }).AppendMany(t.Context(), events) {
		break
	}
	if drawn > 4 || len(m.order) != 3 {
		t.Errorf("%d drawn and %d stored after the caller stopped", drawn, len(m.order))
	}
}

func TestAppendManyBoundsBatchesByBytes(t *testing.T) {
	m := newMemory(t)
	for _, err := range m.client(t, func(c *client.Config) { c.BatchBytes = 400 }).AppendMany(t.Context(), lines(10)) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if m.requests < 4 {
		t.Errorf("%d requests for 10 events of about 130 bytes", m.requests)
	}
}

func TestAppendManyGivesUpInTime(t *testing.T) {
	var faults []fault
	for range 1000 {
		faults = append(faults, fault{busy: 1})
	}
	m := newMemory(t, faults...)
	start := time.Now()
	for _, err := range m.client(t, func(c *client.Config) { c.Patience = 50 * time.Millisecond }).AppendMany(t.Context(), lines(2)) {
		wantIs(t, err, client.ErrStopped, eventstore.ErrUnavailable)
		if errors.Is(err, eventstore.ErrUncertain) {
			t.Error("every line was answered, yet the error says uncertain")
		}
	}
	if time.Since(start) > time.Second {
		t.Error("it took too long")
	}
}

func TestAppendManyDoesNotBelieveALineWithoutItsEnd(t *testing.T) {
	m := newMemory(t, fault{after: 2, bare: true})
	for r, err := range m.client(t).AppendMany(t.Context(), lines(2)) {
		if err != nil || r.Receipt.Duplicate != (r.Index == 1) {
			t.Errorf("event %d: %+v, error %v", r.Index, r.Receipt, err)
		}
	}
	if m.requests != 2 || len(m.order) != 2 {
		t.Errorf("%d requests, %d stored", m.requests, len(m.order))
	}
}
