package keystest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// changing: a change of state is the whole set's, and its person event is owed with it.
func changing(t *testing.T, s *suite) {
	ctx := t.Context()
	alice, _ := s.enter(t, email("alice@example.com"))
	visitor, _ := s.enter(t, web("v"))
	other, _ := s.enter(t, web("other"))
	g := s.gate(t, visitor)
	_, err := g.Seal(ctx, month, []byte("x"), nil)
	s.must(t, err)
	g.Release()
	s.enter(t, email("alice@example.com"), web("v"))
	s.drain(t)

	restrict := func(st eventstore.State) eventstore.State { st.Restricted = true; return st }
	for range 2 { // again: the same set, and nothing more is owed
		set, err := s.Change(ctx, tenantA, visitor, eventstore.PersonRestricted, restrict)
		s.must(t, err)
		var ids []eventstore.PersonID
		for _, r := range set {
			if ids = append(ids, r.Person); !r.State.Restricted || !r.State.Known || r.Reference != s.record(t, r.Person).Reference {
				t.Errorf("the set that Change returns: %+v", r)
			}
		}
		same(t, "the set that Change returns", ids, ascending(alice, visitor))
	}
	for _, p := range []eventstore.PersonID{alice, visitor} {
		if !s.record(t, p).State.Restricted || !s.gate(t, p).State().Restricted {
			t.Error("a member of the set is not restricted")
		}
	}
	if s.record(t, other).State.Restricted {
		t.Error("somebody else is restricted")
	}
	owed, err := s.Outbox(ctx, tenantA)
	s.must(t, err)
	if len(owed) != 1 || owed[0].Event.Kind != eventstore.PersonRestricted {
		t.Fatalf("owed: %+v", owed)
	}
	same(t, "the owed event's persons", owed[0].Event.Persons, ascending(alice, visitor))
	periods := eventstore.PeriodsOf([]eventstore.KeyMonth{month})
	for i, p := range periods {
		m, err := s.PeriodMark(ctx, tenantA, alice, p)
		s.must(t, err)
		if !slices.Contains(owed[0].Event.Marks, eventstore.PeriodMark{Period: p, Mark: m}) || len(owed[0].Event.Marks) != len(periods) {
			t.Fatalf("the mark of period %d is not among the %d", i, len(owed[0].Event.Marks))
		}
	}
	s.drain(t)

	_, err = s.Change(ctx, tenantA, alice, "", func(st eventstore.State) eventstore.State {
		st.Hold, st.Consents = true, map[string]bool{"storage": false}
		return st
	})
	s.must(t, err)
	if st := s.record(t, visitor).State; !st.Hold || !st.Restricted || len(st.Consents) != 1 {
		t.Errorf("a second change: %+v", st)
	}
	same(t, "owed by a change that tells nobody", s.outboxKinds(t), nil)

	_, err = s.Change(ctx, tenantA, eventstore.PersonID{1}, "", restrict)
	want(t, "Change of nobody", err, eventstore.ErrNotFound)
	_, err = s.Fence(ctx, tenantA, []eventstore.PersonID{other})
	s.must(t, err)
	_, err = s.Change(ctx, tenantA, other, "", restrict)
	want(t, "Change of a fenced person", err, eventstore.ErrFenced)
	s.must(t, s.Shred(ctx, tenantA, []eventstore.PersonID{other}, eventstore.ShredOptions{}))
	_, err = s.Change(ctx, tenantA, other, "", restrict)
	want(t, "Change of an erased person", err, eventstore.ErrErased)
}

// drain sends what is owed.
func (s *suite) drain(t *testing.T) {
	t.Helper()
	owed, err := s.Outbox(t.Context(), tenantA)
	s.must(t, err)
	for _, o := range owed {
		s.must(t, s.Sent(t.Context(), tenantA, o.ID))
	}
}

// joining: who becomes one human has one state, and an event that would link into a state that admit refuses changes nothing.
func joining(t *testing.T, s *suite) {
	ctx := t.Context()
	change := func(p eventstore.PersonID, update func(*eventstore.State)) {
		t.Helper()
		_, err := s.Change(ctx, tenantA, p, "", func(st eventstore.State) eventstore.State { update(&st); return st })
		s.must(t, err)
	}
	alice, _ := s.enter(t, email("alice@example.com"))
	visitor, _ := s.enter(t, web("v"))
	change(alice, func(st *eventstore.State) {
		st.Restricted, st.Hold, st.First = true, true, 7
		st.Consents = map[string]bool{"storage": true, "analytics": true}
	})
	change(visitor, func(st *eventstore.State) {
		st.Objected, st.Consents = true, map[string]bool{"storage": false, "research": true}
	})

	asked := 0
	refuse := func(st eventstore.State) error {
		if asked++; st.Restricted {
			return eventstore.ErrWithheld
		}
		return nil
	}
	for _, also := range []eventstore.Identity{web("v"), web("stranger")} {
		_, err := s.Enter(ctx, tenantA, arrival(also, email("alice@example.com")), refuse)
		want(t, "an event that links to a restricted person", err, eventstore.ErrWithheld)
	}
	if asked != 4 {
		t.Errorf("admit was asked %d times, want twice for each event", asked)
	}
	same(t, "linked by a refused event", s.linked(t, alice), []eventstore.PersonID{alice})
	_, err := s.Resolve(ctx, tenantA, web("stranger"))
	want(t, "a stranger of a refused event", err, eventstore.ErrNotFound)
	same(t, "owed by a refused event", s.outboxKinds(t), nil)

	s.must(t, s.Link(ctx, tenantA, alice, visitor))
	for _, p := range []eventstore.PersonID{alice, visitor} {
		st := s.record(t, p).State
		wantFirst := uint64(0)
		if p == alice {
			wantFirst = 7
		}
		if !st.Restricted || !st.Objected || !st.Hold || st.First != wantFirst || len(st.Consents) != 3 || st.Consents["storage"] || !st.Consents["analytics"] || !st.Consents["research"] {
			t.Errorf("the joined state: %+v", st)
		}
	}
	same(t, "owed by the link", s.outboxKinds(t), []eventstore.PersonEventKind{
		eventstore.PersonLinked, eventstore.PersonRestricted, eventstore.PersonObjected, eventstore.PersonAnalyticsGranted})
	owed, err := s.Outbox(ctx, tenantA)
	s.must(t, err)
	for _, o := range owed {
		same(t, "persons of "+string(o.Event.Kind), o.Event.Persons, ascending(alice, visitor))
	}
}

func holders(t *testing.T, s *suite) {
	ctx := t.Context()
	refs := map[eventstore.LedgerReference]eventstore.PersonID{}
	var last eventstore.PersonID
	for i := range 200 {
		e, err := s.Enter(ctx, tenantA, arrival(web(fmt.Sprint("visitor-", i))), accept)
		s.must(t, err)
		e.Gate.Release()
		last = e.Gate.Person()
		refs[s.record(t, last).Reference] = last
	}
	gone, _ := s.enter(t, web("gone"))
	s.erase(t, gone)
	_, err := s.Fence(ctx, tenantA, []eventstore.PersonID{last})
	s.must(t, err)
	seen := map[eventstore.LedgerReference]eventstore.PersonID{}
	s.must(t, s.Holders(ctx, tenantA, func(r eventstore.LedgerReference, p eventstore.PersonID) error { seen[r] = p; return nil }))
	if len(seen) != len(refs) {
		t.Errorf("%d holders, want %d", len(seen), len(refs))
	}
	for r, p := range refs {
		if seen[r] != p {
			t.Fatalf("the holder of a reference is %v, want %v", seen[r], p)
		}
	}
	enough := errors.New("enough")
	n := 0
	err = s.Holders(ctx, tenantA, func(eventstore.LedgerReference, eventstore.PersonID) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("stopped after %d with %v", n, err)
	}
}
