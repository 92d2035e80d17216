package logtest

import (
	"context"
	"fmt"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
)

func remove(t *testing.T, s *suite) {
	alice, bob := newPerson(t), newPerson(t)
	prefix := [8]byte{7, 7, 7}
	var of []uint64
	var rowOf = func(n byte) (r row) {
		copy(r[:], prefix[:])
		r[8] = n
		return r
	}
	for n := range byte(5) {
		m := newMessage(t, alice, fmt.Sprint("alice ", n))
		m.Row = rowOf(n)
		of = append(of, s.append(t, tenantA, m).Sequence)
	}
	kept := newMessage(t, bob, "bob")
	kept.Row = row{8}
	at := s.append(t, tenantA, kept)
	last := newMessage(t, alice, "the stream's last")
	s.append(t, tenantA, last)

	var done, left uint64 = 0, 1
	err := s.Remove(t.Context(), tenantA, eventstore.Removal{Persons: []eventstore.PersonID{alice}, Prefixes: [][8]byte{prefix}},
		func(d, l uint64) { done, left = d, l })
	if err != nil {
		t.Fatalf("Remove: %v", err)
	}
	if done != 6 || left != 0 {
		t.Errorf("progress ended at %d done, %d left", done, left)
	}
	same(t, "Read of the removed", texts(collect(t, s.Read(t.Context(), tenantA, alice, 0))), nil)
	same(t, "Read of the other", texts(collect(t, s.Read(t.Context(), tenantA, bob, 0))), []string{"bob"})
	same(t, "Replay", texts(collect(t, s.Replay(t.Context(), tenantA, 0))), []string{"bob"})
	for _, n := range of {
		_, err := s.Get(t.Context(), tenantA, n)
		want(t, "Get of a removed message", err, eventstore.ErrNotFound)
	}
	if n, err := s.Count(t.Context(), tenantA, alice); n != 0 || err != nil {
		t.Errorf("Count: %d, %v", n, err)
	}
	if err := s.Remove(t.Context(), tenantA, eventstore.Removal{Persons: []eventstore.PersonID{alice, newPerson(t)}, Prefixes: [][8]byte{prefix}}, nil); err != nil {
		t.Errorf("Remove again: %v", err)
	}
	if a := s.append(t, tenantA, kept); !a.Duplicate || a.Sequence != at.Sequence {
		t.Errorf("another person's row is gone: %+v", a)
	}

	// The rows are gone, and sequences go on from where they were.
	m := newMessage(t, bob, "later")
	m.Row = rowOf(0)
	if a := s.append(t, tenantA, m); a.Duplicate || a.Sequence <= at.Sequence+1 {
		t.Errorf("after the removal: %+v, want a fresh sequence above %d", a, at.Sequence+1)
	}
}

func removeControl(t *testing.T, s *suite) {
	control := func(text string) uint64 {
		m := newMessage(t, eventstore.PersonID{}, text)
		m.Envelope.Month = envelope.ControlMonth
		return s.append(t, tenantA, m).Sequence
	}
	first := control("one")
	control("two")
	alice := newPerson(t)
	s.append(t, tenantA, newMessage(t, alice, "alice"))
	if err := s.Remove(t.Context(), tenantA, eventstore.Removal{Control: []uint64{first}}, nil); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	same(t, "Replay", texts(collect(t, s.Replay(t.Context(), tenantA, 0))), []string{"two", "alice"})
	if err := s.Remove(t.Context(), tenantA, eventstore.Removal{Control: []uint64{first}}, nil); err != nil {
		t.Errorf("Remove again: %v", err)
	}
}

// removeBelow: a partial erasure removes what stands below the copies, and no more.
func removeBelow(t *testing.T, s *suite) {
	alice, bob := newPerson(t), newPerson(t)
	var of []uint64
	for n := range 6 {
		of = append(of, s.append(t, tenantA, newMessage(t, alice, fmt.Sprint("alice ", n))).Sequence)
		s.append(t, tenantA, newMessage(t, bob, fmt.Sprint("bob ", n)))
	}
	for _, below := range []uint64{of[4], of[4], 1} { // again, and with nothing to do
		r := eventstore.Removal{Persons: []eventstore.PersonID{alice}, Below: below}
		if err := s.Remove(t.Context(), tenantA, r, nil); err != nil {
			t.Fatalf("Remove: %v", err)
		}
		same(t, "Read", texts(collect(t, s.Read(t.Context(), tenantA, alice, 0))), []string{"alice 4", "alice 5"})
		if n := len(collect(t, s.Read(t.Context(), tenantA, bob, 0))); n != 6 {
			t.Errorf("the other has %d messages", n)
		}
		if n, err := s.Count(t.Context(), tenantA, alice); n != 2 || err != nil {
			t.Errorf("Count: %d, %v", n, err)
		}
	}
}

// removeRefused: what is named wrongly is refused before anything goes.
func removeRefused(t *testing.T, s *suite) {
	alice := newPerson(t)
	at := s.append(t, tenantA, newMessage(t, alice, "alice")).Sequence
	for _, r := range []eventstore.Removal{
		{Persons: []eventstore.PersonID{alice, {}}},
		{Persons: []eventstore.PersonID{alice}, Control: []uint64{at}},
	} {
		want(t, "Remove", s.Remove(t.Context(), tenantA, r, nil), eventstore.ErrInvalid)
		same(t, "Read", texts(collect(t, s.Read(t.Context(), tenantA, alice, 0))), []string{"alice"})
	}
}

// traces: what is stored is found; what was removed is not, once the journal is trimmed; the messages behind a partial removal do not count.
func traces(t *testing.T, s *suite) {
	alice, bob := newPerson(t), newPerson(t)
	s.append(t, tenantA, newMessage(t, alice, "alice"))
	s.append(t, tenantA, newMessage(t, bob, "bob"))
	below := s.append(t, tenantA, newMessage(t, bob, "bob's copy")).Sequence
	of := []eventstore.Removed{{Person: alice}, {Person: bob, Below: below}, {Person: newPerson(t)}}
	found, err := s.Log.Traces(t.Context(), tenantA, of)
	if err != nil || !found.Found(alice) || !found.Found(bob) || found.Found(of[2].Person) || len(found.Journal)+len(found.Files) != 2 {
		t.Fatalf("before the removal: %+v, %v", found, err)
	}
	for _, r := range []eventstore.Removal{{Persons: []eventstore.PersonID{alice}}, {Persons: []eventstore.PersonID{bob}, Below: below}} {
		if err := s.Remove(t.Context(), tenantA, r, nil); err != nil {
			t.Fatalf("Remove: %v", err)
		}
	}
	if trimmed, can := s.Log.(interface {
		AwaitTrim(context.Context, eventstore.TenantID) error
	}); can {
		if err := trimmed.AwaitTrim(t.Context(), tenantA); err != nil {
			t.Fatal(err)
		}
	}
	found, err = s.Log.Traces(t.Context(), tenantA, of)
	if err != nil || len(found.Journal)+len(found.Files) != 0 {
		t.Errorf("after the removal: %+v, %v", found, err)
	}
	if found, err = s.Log.Traces(t.Context(), tenantA, []eventstore.Removed{{Person: bob}}); err != nil || found.Searched && !found.Found(bob) {
		t.Errorf("what stays: %+v, %v", found, err)
	}
}
