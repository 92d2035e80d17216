package logtest

import (
	"fmt"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
)

func ofMonth(t *testing.T, p eventstore.PersonID, month uint16, text string, n byte) eventstore.Message {
	m := newMessage(t, p, text)
	m.Envelope.Month = month
	m.Row = row{3, 8: n}
	return m
}

// expire: what is old goes with its rows, wherever it stands; what is spared, new or a control message stays with its own.
func expire(t *testing.T, s *suite) {
	alice, held := newPerson(t), newPerson(t)
	var kept, gone []eventstore.Message
	var at []uint64
	put := func(m eventstore.Message, stays bool) {
		a := s.append(t, tenantA, m)
		if stays {
			kept, at = append(kept, m), append(at, a.Sequence)
		} else {
			gone = append(gone, m)
		}
	}
	for n := range byte(6) { // the head of the stream
		put(ofMonth(t, alice, 680+uint16(n%2), fmt.Sprint("head ", n), n), false)
	}
	control := newMessage(t, eventstore.PersonID{}, "control")
	control.Envelope.Month = envelope.ControlMonth
	put(control, true)
	for n := byte(10); n < 30; n++ {
		put(ofMonth(t, alice, 680+uint16(n%4), fmt.Sprint("alice ", n), n), n%4 >= 2)
		put(ofMonth(t, held, 680+uint16(n%4), fmt.Sprint("held ", n), n+100), true)
	}
	put(ofMonth(t, alice, 681, "the stream's last", 200), false)
	spared := func(p eventstore.PersonID) bool { return p == held }

	check := func() {
		t.Helper()
		var left []string
		for _, m := range kept {
			left = append(left, string(m.Envelope.Ciphertext))
		}
		same(t, "Replay", texts(collect(t, s.Replay(t.Context(), tenantA, 0))), left)
		if n, err := s.Count(t.Context(), tenantA, alice); n != 10 || err != nil {
			t.Errorf("Count: %d, %v", n, err)
		}
		if n := len(collect(t, s.Read(t.Context(), tenantA, alice, 0))); n != 10 {
			t.Errorf("Read of alice: %d", n)
		}
		for i, m := range kept[1:] {
			if a := s.append(t, tenantA, m); !a.Duplicate || a.Sequence != at[i+1] {
				t.Fatalf("the row of %s: %+v, want a duplicate at %d", m.Envelope.Ciphertext, a, at[i+1])
			}
		}
		_, err := s.Get(t.Context(), tenantA, 1)
		want(t, "Get of an expired message", err, eventstore.ErrNotFound)
	}
	for round := range 2 {
		var done, todo uint64 = 0, 1
		if err := s.Log.Expire(t.Context(), tenantA, 682, spared, func(d, l uint64) { done, todo = d, l }); err != nil {
			t.Fatalf("Expire: %v", err)
		}
		if first := round == 0; first && done != uint64(len(gone)) || !first && done != 0 || first && todo != 0 {
			t.Errorf("progress ended at %d done, %d left; %d were old", done, todo, len(gone))
		}
		check()
		if s.reopen != nil {
			s.Log = s.reopen(t)
			s.open(t, tenantA)
			check()
		}
	}
	if err := s.Log.Expire(t.Context(), tenantA, 682, nil, nil); err != nil { // the hold is over
		t.Fatalf("Expire: %v", err)
	}
	if n, err := s.Count(t.Context(), tenantA, held); n != 10 || err != nil {
		t.Errorf("Count after the hold: %d, %v", n, err)
	}
	last := at[len(at)-1]
	for _, m := range gone {
		if a := s.append(t, tenantA, m); a.Duplicate || a.Sequence <= last {
			t.Fatalf("the row of %s outlived it: %+v", m.Envelope.Ciphertext, a)
		}
	}
	want(t, "the month of control messages", s.Log.Expire(t.Context(), tenantA, eventstore.KeyMonth(envelope.ControlMonth), nil, nil), eventstore.ErrInvalid)
}

// expireAll: a stream that holds nothing any more goes on where it was.
func expireAll(t *testing.T, s *suite) {
	alice := newPerson(t)
	last := uint64(0)
	for range 2 {
		for n := range byte(20) {
			a := s.append(t, tenantA, ofMonth(t, alice, 600, "old", n))
			if a.Duplicate || a.Sequence <= last {
				t.Fatalf("appended as %+v behind %d", a, last)
			}
			last = a.Sequence
		}
		if err := s.Log.Expire(t.Context(), tenantA, 601, nil, nil); err != nil {
			t.Fatalf("Expire: %v", err)
		}
		same(t, "Replay", texts(collect(t, s.Replay(t.Context(), tenantA, 0))), nil)
		if n, err := s.Committed(t.Context(), tenantA); n != last || err != nil {
			t.Errorf("Committed: %d, %v, want %d", n, err, last)
		}
		if s.reopen != nil {
			s.Log = s.reopen(t)
			s.open(t, tenantA)
		}
	}
	none := uint64(0)
	m := ofMonth(t, alice, 700, "new", 1)
	m.Expected = &none
	s.append(t, tenantA, m)
	same(t, "Replay", texts(collect(t, s.Replay(t.Context(), tenantA, 0))), []string{"new"})
}
