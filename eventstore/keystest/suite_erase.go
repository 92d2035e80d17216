package keystest

import (
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

func someDays(n int) (out []eventstore.Period) {
	day := eventstore.PeriodOf(eventstore.Day, month.Start(), time.UTC)
	for range n {
		out = append(out, day)
		day = day.Next()
	}
	return append(out, eventstore.PeriodOf(eventstore.Week, month.Start(), time.UTC), eventstore.PeriodOf(eventstore.Month, month.Start(), time.UTC))
}

func (s *suite) seal(t *testing.T, p eventstore.PersonID) []byte {
	t.Helper()
	g := s.gate(t, p)
	defer g.Release()
	sealed, err := g.Seal(t.Context(), month, []byte("plain"), nil)
	s.must(t, err)
	return sealed
}

func (s *suite) periodMarks(t *testing.T, p eventstore.PersonID, periods []eventstore.Period) (out []eventstore.Mark) {
	t.Helper()
	for _, period := range periods {
		m, err := s.PeriodMark(t.Context(), tenantA, p, period)
		s.must(t, err)
		out = append(out, m)
	}
	return out
}

// erase takes a person's linked set out.
func (s *suite) erase(t *testing.T, p eventstore.PersonID) []eventstore.Member {
	t.Helper()
	members, err := s.Fence(t.Context(), tenantA, []eventstore.PersonID{p})
	s.must(t, err)
	s.must(t, s.Shred(t.Context(), tenantA, persons(members), eventstore.ShredOptions{}))
	return members
}

func persons(members []eventstore.Member) (out []eventstore.PersonID) {
	for _, m := range members {
		out = append(out, m.Person)
	}
	return out
}

func periodMarks(t *testing.T, s *suite) {
	alice, _ := s.enter(t, email("alice@example.com"))
	visitor, _ := s.enter(t, web("v"))
	s.seal(t, alice)
	s.seal(t, visitor)
	periods := someDays(3)
	ofAlice, ofVisitor := s.periodMarks(t, alice, periods), s.periodMarks(t, visitor, periods)
	seen := map[eventstore.Mark]bool{}
	for _, m := range append(append([]eventstore.Mark{}, ofAlice...), ofVisitor...) {
		if seen[m] {
			t.Error("two periods or two persons have one mark")
		}
		seen[m] = true
	}
	same(t, "the marks again", s.periodMarks(t, alice, periods), ofAlice)

	// A linked set has one mark, and the outbox moves the one that was given up.
	s.enter(t, email("alice@example.com"), web("v"))
	now := s.periodMarks(t, alice, periods)
	same(t, "the visitor's marks", s.periodMarks(t, visitor, periods), now)
	owed, err := s.Outbox(t.Context(), tenantA)
	s.must(t, err)
	if len(owed) != 1 || owed[0].Event.Kind != eventstore.PersonLinked || owed[0].ID == (eventstore.EventID{}) {
		t.Fatalf("outbox: %+v", owed)
	}
	same(t, "the persons of the event", ascending(owed[0].Event.Persons...), ascending(alice, visitor))
	moves := map[eventstore.Mark]eventstore.Mark{}
	for _, m := range owed[0].Event.Marks {
		moves[m.Mark] = m.To
	}
	for i := range periods {
		for _, old := range []eventstore.Mark{ofAlice[i], ofVisitor[i]} {
			if old != now[i] && moves[old] != now[i] {
				t.Errorf("the mark of %v does not move to the set's", periods[i])
			}
		}
		if ofAlice[i] != now[i] && ofVisitor[i] != now[i] && len(moves) == 0 {
			t.Error("nothing moves")
		}
	}
}

func fencing(t *testing.T, s *suite) {
	ctx := t.Context()
	alice, _ := s.enter(t, email("alice@example.com"))
	visitor, _ := s.enter(t, web("v"))
	s.enter(t, email("alice@example.com"), web("v"))
	other, _ := s.enter(t, web("other"))
	sealed := s.seal(t, alice)
	periods := someDays(2)
	before := s.periodMarks(t, visitor, periods)
	g := s.gate(t, alice)
	row, err := g.Mark(eventstore.MarkRow)
	s.must(t, err)
	g.Release()
	reference := s.record(t, alice).Reference

	_, err = s.FencedPeriodMarks(ctx, tenantA, other, periods)
	if err == nil {
		t.Error("FencedPeriodMarks answered for a person who is not fenced")
	}
	members, err := s.Fence(ctx, tenantA, []eventstore.PersonID{visitor})
	s.must(t, err)
	same(t, "members", ascending(persons(members)...), ascending(alice, visitor))
	for _, m := range members {
		if m.Person != alice {
			continue
		}
		if m.RowPrefix != [8]byte(row[:8]) || m.Reference != reference {
			t.Errorf("member: %+v, want row prefix %x", m, row[:8])
		}
		same(t, "months", m.Months, []eventstore.KeyMonth{month})
	}
	again, err := s.Fence(ctx, tenantA, []eventstore.PersonID{alice, visitor})
	s.must(t, err)
	same(t, "members of a second fence", ascending(persons(again)...), ascending(alice, visitor))

	for what, call := range map[string]func() error{
		"Gate":       func() error { _, err := s.Gate(ctx, tenantA, alice); return err },
		"Linked":     func() error { _, err := s.Linked(ctx, tenantA, alice); return err },
		"Resolve":    func() error { _, err := s.Resolve(ctx, tenantA, web("v")); return err },
		"PeriodMark": func() error { _, err := s.PeriodMark(ctx, tenantA, alice, periods[0]); return err },
		"Link":       func() error { return s.Link(ctx, tenantA, other, alice) },
		"SetState": func() error {
			return s.SetState(ctx, tenantA, alice, func(st eventstore.State) eventstore.State { return st })
		},
		"Enter":      func() error { _, err := s.Enter(ctx, tenantA, arrival(web("v")), accept); return err },
		"Enter also": func() error { _, err := s.Enter(ctx, tenantA, arrival(web("new"), web("v")), accept); return err },
	} {
		err := call()
		want(t, what+" of a fenced person", err, eventstore.ErrFenced)
		if errors.Is(err, eventstore.ErrErased) {
			t.Errorf("%s of a fenced person says erased", what)
		}
	}
	marks, err := s.FencedPeriodMarks(ctx, tenantA, alice, periods)
	s.must(t, err)
	same(t, "FencedPeriodMarks", marks, before)
	s.gate(t, other).Release()

	s.must(t, s.Unfence(ctx, tenantA, persons(members)))
	g = s.gate(t, alice)
	if got, err := g.Open(ctx, month, sealed, nil); string(got) != "plain" || err != nil {
		t.Errorf("Open after Unfence: %q, %v", got, err)
	}
	g.Release()
	want(t, "Shred without a fence", s.Shred(ctx, tenantA, []eventstore.PersonID{alice}, eventstore.ShredOptions{}), eventstore.ErrConflict)
	_, err = s.Fence(ctx, tenantA, []eventstore.PersonID{{1}})
	want(t, "Fence of nobody", err, eventstore.ErrNotFound)
}

func fenceWaits(t *testing.T, s *suite) {
	p, _ := s.enter(t, web("v"))
	g := s.gate(t, p)
	fenced := make(chan error, 1)
	go func() {
		_, err := s.Fence(t.Context(), tenantA, []eventstore.PersonID{p})
		fenced <- err
	}()
	for { // until the fence is up
		h, err := s.Gate(t.Context(), tenantA, p)
		if err != nil {
			want(t, "Gate while a fence waits", err, eventstore.ErrFenced)
			break
		}
		h.Release()
		runtime.Gosched()
	}
	select {
	case err := <-fenced:
		t.Fatalf("Fence did not wait for a gate: %v", err)
	default:
	}
	if _, err := g.Seal(t.Context(), month, []byte("in flight"), nil); err != nil {
		t.Errorf("what is in flight may end: %v", err)
	}
	g.Release()
	s.must(t, <-fenced)
}

func deadGate(t *testing.T, s *suite) {
	if testing.Short() {
		t.Skip("it takes 2 s")
	}
	p, _ := s.enter(t, web("v"))
	sealed := s.seal(t, p)
	g := s.gate(t, p)
	start := time.Now()
	members, err := s.Fence(t.Context(), tenantA, []eventstore.PersonID{p})
	s.must(t, err)
	if d := time.Since(start); d < 1500*time.Millisecond || d > 10*time.Second {
		t.Errorf("Fence waited %v for a gate that is held", d)
	}
	dead := func(what string) {
		t.Helper()
		_, err := g.Seal(t.Context(), month, []byte("x"), nil)
		_, err2 := g.Open(t.Context(), month, sealed, nil)
		_, err3 := g.Mark(eventstore.MarkRow)
		for _, err := range []error{err, err2, err3} {
			if !errors.Is(err, eventstore.ErrFenced) && !errors.Is(err, eventstore.ErrErased) {
				t.Errorf("a dead gate %s: %v", what, err)
			}
		}
	}
	dead("behind a fence")
	s.must(t, s.Shred(t.Context(), tenantA, persons(members), eventstore.ShredOptions{}))
	dead("after the erasure")
}

func hold(t *testing.T, s *suite) {
	ctx := t.Context()
	set := func(p eventstore.PersonID, on bool) {
		s.must(t, s.SetState(ctx, tenantA, p, func(st eventstore.State) eventstore.State { st.Hold = on; return st }))
	}
	alice, _ := s.enter(t, email("alice@example.com"))
	visitor, _ := s.enter(t, web("v"), email("alice@example.com"))
	free, _ := s.enter(t, web("free"))
	set(visitor, true)
	_, err := s.Fence(ctx, tenantA, []eventstore.PersonID{free, alice})
	want(t, "Fence of a linked set on hold", err, eventstore.ErrHold)
	for _, p := range []eventstore.PersonID{alice, visitor, free} {
		s.gate(t, p).Release() // nothing is fenced
	}
	set(visitor, false)
	s.erase(t, alice)
}

func shredding(t *testing.T, s *suite) {
	ctx := t.Context()
	p, _ := s.enter(t, email("alice@example.com"), web("v"))
	other, _ := s.enter(t, web("other"))
	kept := s.seal(t, other)
	s.seal(t, p)
	g := s.gate(t, p)
	g.Release()
	s.erase(t, p)

	for what, call := range map[string]func() error{
		"Gate":       func() error { _, err := s.Gate(ctx, tenantA, p); return err },
		"Linked":     func() error { _, err := s.Linked(ctx, tenantA, p); return err },
		"PeriodMark": func() error { _, err := s.PeriodMark(ctx, tenantA, p, someDays(1)[0]); return err },
		"Link":       func() error { return s.Link(ctx, tenantA, other, p) },
		"SetState": func() error {
			return s.SetState(ctx, tenantA, p, func(st eventstore.State) eventstore.State { return st })
		},
	} {
		want(t, what+" of an erased person", call(), eventstore.ErrErased)
	}
	if _, err := g.Seal(ctx, month, nil, nil); err == nil {
		t.Error("an old gate seals for an erased person")
	}
	for _, h := range []eventstore.Identity{email("alice@example.com"), web("v")} {
		_, err := s.Resolve(ctx, tenantA, h)
		want(t, "Resolve of an erased handle", err, eventstore.ErrNotFound)
	}
	marks, err := s.FencedPeriodMarks(ctx, tenantA, p, someDays(2))
	if marks != nil || err != nil {
		t.Errorf("FencedPeriodMarks of an erased person: %v, %v", marks, err)
	}
	members, err := s.Fence(ctx, tenantA, []eventstore.PersonID{p})
	if len(members) != 0 || err != nil {
		t.Errorf("Fence of an erased person: %v, %v", members, err)
	}
	s.must(t, s.Shred(ctx, tenantA, []eventstore.PersonID{p}, eventstore.ShredOptions{}))
	s.must(t, s.Unfence(ctx, tenantA, []eventstore.PersonID{p}))

	g = s.gate(t, other)
	if got, err := g.Open(ctx, month, kept, nil); string(got) != "plain" || err != nil {
		t.Errorf("a survivor: %q, %v", got, err)
	}
	if got, err := s.Resolve(ctx, tenantA, web("other")); got != other || err != nil {
		t.Errorf("a survivor's handle: %v, %v", got, err)
	}
}

func shredLinked(t *testing.T, s *suite) {
	alice, _ := s.enter(t, email("alice@example.com"))
	visitor, _ := s.enter(t, web("v"))
	s.enter(t, email("alice@example.com"), web("v"))
	bystander, _ := s.enter(t, web("bystander"))
	gone, _ := s.enter(t, web("gone"))
	s.erase(t, gone)
	members, err := s.Fence(t.Context(), tenantA, []eventstore.PersonID{gone, visitor})
	s.must(t, err)
	same(t, "members", ascending(persons(members)...), ascending(alice, visitor))
	s.must(t, s.Shred(t.Context(), tenantA, append(persons(members), gone), eventstore.ShredOptions{}))
	for _, p := range []eventstore.PersonID{alice, visitor} {
		_, err := s.Gate(t.Context(), tenantA, p)
		want(t, "Gate of a member", err, eventstore.ErrErased)
	}
	same(t, "a bystander", s.linked(t, bystander), []eventstore.PersonID{bystander})
	want(t, "Shred of a bystander", s.Shred(t.Context(), tenantA, []eventstore.PersonID{bystander}, eventstore.ShredOptions{}), eventstore.ErrConflict)
}

func refusal(t *testing.T, s *suite) {
	ctx := t.Context()
	p, _ := s.enter(t, email("alice@example.com"), web("v"))
	s.erase(t, p)
	for _, h := range []eventstore.Identity{email("alice@example.com"), web("v")} {
		a := arrival(h)
		a.Time = a.Time.Add(-time.Hour)
		_, err := s.Enter(ctx, tenantA, a, accept)
		want(t, "an event older than the erasure", err, eventstore.ErrErased)
	}
	a := arrival(email("alice@example.com"))
	a.Time, a.Received = a.Time.Add(time.Second), a.Received.Add(time.Second)
	e, err := s.Enter(ctx, tenantA, a, accept)
	s.must(t, err)
	e.Gate.Release()
	if q := e.Gate.Person(); q == p || !e.Minted {
		t.Error("a handle that was erased leads to the old person")
	}
	if _, err := s.Resolve(ctx, tenantA, web("v")); !errors.Is(err, eventstore.ErrNotFound) {
		t.Errorf("the other handle of the erased person: %v", err)
	}
}

// liftedByReference: the reference of an erasure, one of those that its fence named, lifts what refuses its whole linked set, and nothing else.
func liftedByReference(t *testing.T, s *suite, enter func(eventstore.Identity, ...eventstore.Identity) error) {
	ctx := t.Context()
	carol, dave, erin := email("carol@example.com"), web("dave"), email("erin@example.com")
	c, _ := s.enter(t, carol)
	d, _ := s.enter(t, dave)
	e, _ := s.enter(t, erin)
	s.must(t, s.Link(ctx, tenantA, c, d))
	var of [2][]eventstore.Member
	for i, p := range []eventstore.PersonID{d, e} {
		var err error
		of[i], err = s.Fence(ctx, tenantA, []eventstore.PersonID{p})
		s.must(t, err)
	}
	s.must(t, s.Shred(ctx, tenantA, append(persons(of[0]), persons(of[1])...), eventstore.ShredOptions{RefuseUntil: time.Now().Add(100 * 24 * time.Hour)}))
	r, err := s.Refused(ctx, tenantA, []eventstore.Identity{dave, dave}, nil)
	s.must(t, err)
	if r.Handles != 2 || len(r.References) != 1 || !slices.ContainsFunc(of[0], func(m eventstore.Member) bool { return m.Reference == r.References[0] }) {
		t.Errorf("a linked set of two is refused: %d handles, %d references", r.Handles, len(r.References))
	}
	for _, lift := range []int{2, 0} {
		if again, err := s.Refused(ctx, tenantA, nil, r.References); again.Handles != lift || err != nil {
			t.Errorf("Refused by a reference: %d, %v, want %d", again.Handles, err, lift)
		}
		if n, err := s.Admit(ctx, tenantA, nil, r.References); n != lift || err != nil {
			t.Errorf("Admit by a reference: %d, %v, want %d", n, err, lift)
		}
	}
	s.must(t, enter(carol))
	s.must(t, enter(dave))
	want(t, "a handle of another erasure", enter(erin), eventstore.ErrErased)
}

func longerRefusal(t *testing.T, s *suite) {
	ctx := t.Context()
	alice, bob := email("alice@example.com"), email("bob@example.com")
	until := eventstore.ShredOptions{RefuseUntil: time.Now().Add(365 * 24 * time.Hour)}
	shred := func(o eventstore.ShredOptions, p eventstore.PersonID) {
		t.Helper()
		members, err := s.Fence(ctx, tenantA, []eventstore.PersonID{p})
		s.must(t, err)
		s.must(t, s.Shred(ctx, tenantA, persons(members), o))
	}
	enter := func(id eventstore.Identity, also ...eventstore.Identity) error {
		a := arrival(id, also...)
		a.Time, a.Received = a.Time.Add(time.Minute), a.Received.Add(time.Minute)
		e, err := s.Enter(ctx, tenantA, a, accept)
		if err == nil {
			e.Gate.Release()
		}
		return err
	}
	p, _ := s.enter(t, alice, web("v"))
	q, _ := s.enter(t, bob)
	shred(until, p)
	shred(eventstore.ShredOptions{RefuseUntil: time.Now().Add(-time.Hour)}, q)
	shred(until, q) // erased already: it asks for nothing
	s.must(t, enter(bob))
	n, err := s.Count(ctx, tenantA)
	s.must(t, err)
	want(t, "an event of now, of a handle refused for longer", enter(alice), eventstore.ErrErased)
	want(t, "its other handle", enter(web("v")), eventstore.ErrErased)
	want(t, "a stranger who names it", enter(web("new"), web("v")), eventstore.ErrErased)
	want(t, "a person who names it", enter(bob, alice), eventstore.ErrErased)
	if m, err := s.Count(ctx, tenantA); m != n || err != nil {
		t.Errorf("%d persons, want %d: %v", m, n, err)
	}
	for _, lift := range []struct {
		ids  []eventstore.Identity
		want int
	}{{nil, 0}, {[]eventstore.Identity{bob, web("nobody")}, 0}, {[]eventstore.Identity{web("v"), bob}, 2}, {[]eventstore.Identity{web("v")}, 0}} {
		r, err := s.Refused(ctx, tenantA, lift.ids, nil)
		if r.Handles != lift.want || len(r.References) != min(lift.want, 1) || err != nil {
			t.Errorf("Refused of %d handles: %d by %d erasures, %v, want %d", len(lift.ids), r.Handles, len(r.References), err, lift.want)
		}
		if n, err := s.Admit(ctx, tenantA, lift.ids, nil); n != lift.want || err != nil {
			t.Errorf("Admit of %d handles: %d, %v, want %d", len(lift.ids), n, err, lift.want)
		}
	}
	s.must(t, enter(web("v")))
	s.must(t, enter(alice)) // a person comes back with all their handles
	liftedByReference(t, s, enter)
	for _, p := range []eventstore.Identity{web("v"), bob} { // without an option there is none
		id, err := s.Resolve(ctx, tenantA, p)
		s.must(t, err)
		s.erase(t, id)
		s.must(t, enter(p))
	}
}
