package streams

import (
	"context"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// TestConsumer: a consumer gives what direct gets give, over requests that end by their count and by their bytes, over gaps, and where it begins and ends in the middle.
func TestConsumer(t *testing.T) {
	r := newRoom(t, func(c *Config) { c.RemoveRate = 10_000 })
	r.openTenant()
	var tickets []eventstore.Ticket
	gone := newPerson(t)
	for i := range consumeFrom + 500 {
		p, size := newPerson(t), 40
		switch {
		case i%100 == 50:
			p = gone
		case i >= 2000 && i < 2060: // more than one request's bytes
			size = 100 << 10
		}
		ticket, err := r.s.Submit(t.Context(), tenant, newMessage(t, p, size))
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	var last uint64
	for _, ticket := range tickets {
		at, err := ticket.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last = at.Sequence
	}
	if err := r.s.Remove(t.Context(), tenant, eventstore.Removal{Persons: []eventstore.PersonID{gone}}, nil); err != nil {
		t.Fatal(err)
	}
	w, err := r.s.writer(convSpec(tenant))
	if err != nil {
		t.Fatal(err)
	}
	for _, span := range [][2]uint64{{1, last}, {1990, 2070}, {50, last - 60}, {51, 51}} {
		var want []message
		if err := w.remote.each(t.Context(), everything, span[0], span[1], func(m message) bool { want = append(want, m); return true }); err != nil {
			t.Fatal(err)
		}
		got := 0
		seen, _ := w.remote.consume(t.Context(), span[0], span[1], func(m message) bool {
			if got < len(want) {
				if x := want[got]; x.sequence != m.sequence || x.subject != m.subject || !x.at.Equal(m.at) || string(x.data) != string(m.data) {
					t.Errorf("sequence %d where %d is", m.sequence, x.sequence)
				}
			}
			got++
			return !t.Failed()
		})
		if got != len(want) || got > 0 && seen != want[got-1].sequence {
			t.Errorf("%v: %d messages up to %d, not %d", span, got, seen, len(want))
		}
	}
	if n := len(r.replay(0)); n != len(tickets)-45 {
		t.Errorf("a replay gives %d of %d", n, len(tickets)-45)
	}
	left := 0
	if _, ended := w.remote.consume(t.Context(), 1, last, func(message) bool { left++; return left < 1500 }); !ended || left != 1500 {
		t.Errorf("left after %d messages", left)
	}
	ended, cancel := context.WithCancel(t.Context())
	if _, ended := w.remote.consume(ended, 1, last, func(m message) bool { cancel(); return true }); ended {
		t.Error("a consumer goes on when its context has ended")
	}
}
