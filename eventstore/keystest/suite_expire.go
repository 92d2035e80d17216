package keystest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// sealIn seals a text for a person in a month.
func (s *suite) sealIn(t *testing.T, p eventstore.PersonID, m eventstore.KeyMonth) []byte {
	t.Helper()
	g := s.gate(t, p)
	defer g.Release()
	sealed, err := g.Seal(t.Context(), m, []byte(m.String()), nil)
	s.must(t, err)
	return sealed
}

// opensIn is the answer of the gate about a text of sealIn.
func (s *suite) opensIn(t *testing.T, p eventstore.PersonID, m eventstore.KeyMonth, sealed []byte) error {
	t.Helper()
	g := s.gate(t, p)
	defer g.Release()
	plain, err := g.Open(t.Context(), m, sealed, nil)
	if err == nil && string(plain) != m.String() {
		t.Errorf("month %v opens as %q", m, plain)
	}
	return err
}

func (s *suite) expire(t *testing.T, before eventstore.KeyMonth) eventstore.Expiry {
	t.Helper()
	e, err := s.Expire(t.Context(), tenantA, before, nil)
	s.must(t, err)
	got, err := s.Expired(t.Context(), tenantA)
	s.must(t, err)
	if got != e.Before {
		t.Errorf("Expired says %v, Expire %v", got, e.Before)
	}
	return e
}

// at is an event of a web visitor in the middle of a month.
func at(m eventstore.KeyMonth, id string) eventstore.Arrival {
	mid := m.Start().AddDate(0, 0, 14)
	return eventstore.Arrival{Identity: web(id), Time: mid, Received: mid}
}

func expiring(t *testing.T, s *suite) {
	ctx := t.Context()
	alice, _ := s.enter(t, email("alice@example.com"))
	s.enter(t, email("alice@example.com"), web("v"))
	bob, _ := s.enter(t, web("b"))
	months := []eventstore.KeyMonth{month - 30, month - 26, month - 25, month}
	texts := map[eventstore.KeyMonth][]byte{}
	for _, m := range months {
		texts[m] = s.sealIn(t, alice, m)
	}
	s.sealIn(t, bob, month)
	if m, err := s.Expired(ctx, tenantA); m != 0 || err != nil {
		t.Errorf("Expired before anything was: %v, %v", m, err)
	}
	var last, total uint64
	e, err := s.Expire(ctx, tenantA, month-25, func(done, all uint64) {
		if done < last || done > all {
			t.Errorf("progress: %d after %d of %d", done, last, all)
		}
		last, total = done, all
	})
	s.must(t, err)
	if e.Before != month-25 || e.Keys != 2 || len(e.Spared) != 0 || last != total || total != 2 {
		t.Errorf("Expire: %+v, progress %d of %d", e, last, total)
	}
	for _, m := range months {
		err := s.opensIn(t, alice, m, texts[m])
		if m < month-25 {
			want(t, "an event of an expired month", err, eventstore.ErrExpired)
		} else if err != nil {
			t.Errorf("month %v: %v", m, err)
		}
	}
	same(t, "months", s.record(t, alice).Months, months[2:])
	if of, not := s.record(t, alice).Expired, s.record(t, bob).Expired; of != month-25 || not != 0 {
		t.Errorf("retention took something of Alice before %v, of Bob before %v", of, not)
	}
	s.must(t, s.SetState(ctx, tenantA, alice, func(st eventstore.State) eventstore.State { st.Objected = true; return st }))
	if of := s.record(t, alice).Expired; of != month-25 {
		t.Errorf("after a change of her state retention took something of Alice before %v", of)
	}
	want(t, "an event of a month without a key", s.opensIn(t, alice, month-1, texts[month]), eventstore.ErrDamaged)

	// No new key, and no stranger.
	g := s.gate(t, bob)
	_, err = g.Seal(ctx, month-26, nil, nil)
	want(t, "sealing for an expired month", err, eventstore.ErrExpired)
	_, err = g.Seal(ctx, month-25, nil, nil)
	s.must(t, err)
	g.Release()
	_, err = s.Enter(ctx, tenantA, at(month-26, "late"), accept)
	want(t, "a stranger in an expired month", err, eventstore.ErrExpired)
	_, err = s.Resolve(ctx, tenantA, web("late"))
	want(t, "whoever was too late", err, eventstore.ErrNotFound)

	// Months never come back.
	if e := s.expire(t, month-30); e.Before != month-25 || e.Keys != 0 {
		t.Errorf("Expire with an earlier month: %+v", e)
	}
	now := time.Now()
	_, err = s.Expire(ctx, tenantA, eventstore.KeyMonthOf(now, now)+1, nil)
	want(t, "a month that is not over", err, eventstore.ErrInvalid)
	_, err = s.Expire(ctx, "gamma", month-25, nil)
	want(t, "an unknown tenant", err, eventstore.ErrNotFound)
	s.erase(t, alice)
	if e := s.expire(t, month); e.Keys != 1 {
		t.Errorf("Expire of what Bob has left: %+v", e)
	}
}

func expireHeld(t *testing.T, s *suite) {
	ctx := t.Context()
	held, _ := s.enter(t, email("h@example.com"))
	linked, _ := s.enter(t, web("h"))
	other, _ := s.enter(t, web("o"))
	s.must(t, s.Link(ctx, tenantA, held, linked))
	s.must(t, s.SetState(ctx, tenantA, held, func(st eventstore.State) eventstore.State { st.Hold = true; return st }))
	ofHeld, ofLinked, ofOther := s.sealIn(t, held, month-30), s.sealIn(t, linked, month-30), s.sealIn(t, other, month-30)
	for range 2 {
		e := s.expire(t, month-24)
		same(t, "spared", e.Spared, ascending(held, linked))
		s.must(t, s.opensIn(t, held, month-30, ofHeld))
		s.must(t, s.opensIn(t, linked, month-30, ofLinked))
		want(t, "somebody else's event", s.opensIn(t, other, month-30, ofOther), eventstore.ErrExpired)
		if m := s.record(t, held).Expired; m != 0 {
			t.Errorf("retention took something of somebody on hold, before %v", m)
		}
	}
	g := s.gate(t, held)
	_, err := g.Seal(ctx, month-30, nil, nil)
	want(t, "sealing for somebody on hold", err, eventstore.ErrExpired)
	g.Release()
	s.must(t, s.SetState(ctx, tenantA, held, func(st eventstore.State) eventstore.State { st.Hold = false; return st }))
	s.must(t, s.opensIn(t, held, month-30, ofHeld))
	if e := s.expire(t, month-24); len(e.Spared) != 0 || e.Keys != 2 {
		t.Errorf("after the hold: %+v", e)
	}
	want(t, "an event after the hold", s.opensIn(t, held, month-30, ofHeld), eventstore.ErrExpired)
	if m := s.record(t, held).Expired; m != month-24 {
		t.Errorf("after the hold retention took something before %v", m)
	}
	want(t, "a linked person's event after the hold", s.opensIn(t, linked, month-30, ofLinked), eventstore.ErrExpired)

	// Who has lost months already and is on hold at the next run: what is left of them begins where the earlier run ended.
	g = s.gate(t, held)
	_, err = g.Seal(ctx, month-20, nil, nil)
	s.must(t, err)
	g.Release()
	s.must(t, s.SetState(ctx, tenantA, held, func(st eventstore.State) eventstore.State { st.Hold = true; return st }))
	s.expire(t, month-10)
	if m := s.record(t, held).Expired; m != month-20 {
		t.Errorf("on hold at a later run: retention took something before %v", m)
	}
}

// expireGate: a gate that is held all the while opens nothing of the month once Expire has returned.
func expireGate(t *testing.T, s *suite) {
	ctx := t.Context()
	p, _ := s.enter(t, web("v"))
	old, recent := s.sealIn(t, p, month-30), s.sealIn(t, p, month)
	g := s.gate(t, p)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := g.Open(ctx, month, recent, nil); err != nil {
					t.Errorf("a later month: %v", err)
				}
				_, _ = g.Open(ctx, month-30, old, nil)
			}
		})
	}
	s.expire(t, month-24)
	for range 100 {
		_, err := g.Open(ctx, month-30, old, nil)
		want(t, "a gate from before", err, eventstore.ErrExpired)
	}
	close(stop)
	wg.Wait()
}

// expireFenced: a fence changes nothing, and a successor loses what its person loses.
func expireFenced(t *testing.T, s *suite) {
	ctx := t.Context()
	p, _ := s.enter(t, web("v"))
	old, recent := s.sealIn(t, p, month-30), s.sealIn(t, p, month)
	members, err := s.Fence(ctx, tenantA, []eventstore.PersonID{p})
	s.must(t, err)
	leaving, err := s.FencedGate(ctx, tenantA, p)
	s.must(t, err)
	defer leaving.Release()
	next, err := s.Successor(ctx, tenantA, p)
	s.must(t, err)
	defer next.Release()
	copied := map[eventstore.KeyMonth][]byte{}
	for _, m := range []eventstore.KeyMonth{month - 30, month} {
		copied[m], err = next.Seal(ctx, m, []byte("copy"), nil)
		s.must(t, err)
	}
	s.expire(t, month-24)
	_, err = leaving.Open(ctx, month-30, old, nil)
	want(t, "a fenced person's event", err, eventstore.ErrExpired)
	_, err = leaving.Open(ctx, month, recent, nil)
	s.must(t, err)
	_, err = next.Open(ctx, month-30, copied[month-30], nil)
	want(t, "a copy", err, eventstore.ErrExpired)
	_, err = next.Seal(ctx, month-30, nil, nil)
	want(t, "sealing a copy", err, eventstore.ErrExpired)
	s.must(t, s.Supersede(ctx, tenantA, []eventstore.Succession{{Person: p, Reference: members[0].Reference, First: 10}}))
	same(t, "months of who was superseded", s.record(t, p).Months, []eventstore.KeyMonth{month})
	if m := s.record(t, p).Expired; m != month-24 {
		t.Errorf("retention took something of who was superseded before %v", m)
	}
	g := s.gate(t, p)
	_, err = g.Open(ctx, month, copied[month], nil)
	s.must(t, err)
	_, err = g.Open(ctx, month-30, copied[month-30], nil)
	want(t, "a copy of somebody superseded", err, eventstore.ErrExpired)
}

func keyless(t *testing.T, s *suite) {
	ctx := t.Context()
	in := func(m eventstore.KeyMonth, id string) eventstore.PersonID {
		e, err := s.Enter(ctx, tenantA, at(m, id), accept)
		s.must(t, err)
		defer e.Gate.Release()
		_, err = e.Gate.Seal(ctx, m, []byte("x"), nil)
		s.must(t, err)
		return e.Gate.Person()
	}
	list := func() (out []eventstore.PersonID) {
		s.must(t, s.Keyless(ctx, tenantA, func(id eventstore.PersonID) error { out = append(out, id); return nil }))
		return ascending(out...)
	}
	gone, back := in(month-30, "gone"), in(month-30, "back")
	one, two, held, fenced := in(month-30, "one"), in(month-30, "two"), in(month-30, "held"), in(month-30, "fenced")
	mixed, kept := in(month-30, "mixed"), in(month-2, "kept")
	s.must(t, s.Link(ctx, tenantA, one, two))
	s.must(t, s.Link(ctx, tenantA, mixed, kept))
	s.sealIn(t, back, month-1)
	s.must(t, s.SetState(ctx, tenantA, held, func(st eventstore.State) eventstore.State { st.Hold = true; return st }))
	same(t, "keyless before anything expired", list(), nil)
	s.expire(t, month-24)
	_, err := s.Fence(ctx, tenantA, []eventstore.PersonID{fenced})
	s.must(t, err)
	same(t, "keyless", list(), ascending(gone, ascending(one, two)[0]))
	stop := fmt.Errorf("enough")
	want(t, "an error of visit", s.Keyless(ctx, tenantA, func(eventstore.PersonID) error { return stop }), stop)

	// They can be erased while they are listed.
	s.must(t, s.Keyless(ctx, tenantA, func(id eventstore.PersonID) error { s.erase(t, id); return nil }))
	same(t, "keyless once they are erased", list(), nil)
	for _, id := range slices.Concat([]eventstore.PersonID{back, held, mixed, kept}) {
		_, err := s.Linked(ctx, tenantA, id)
		s.must(t, err)
	}
}
