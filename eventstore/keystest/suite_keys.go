package keystest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

const month = eventstore.KeyMonth(682)

func gates(t *testing.T, s *suite) {
	ctx := t.Context()
	p, _ := s.enter(t, web("v"))
	q, _ := s.enter(t, web("w"))
	g, h := s.gate(t, p), s.gate(t, q)
	if g.Person() != p {
		t.Errorf("a gate of %v, want %v", g.Person(), p)
	}
	sealed, err := g.Seal(ctx, month, []byte("plain"), []byte("bound"))
	s.must(t, err)
	got, err := g.Open(ctx, month, sealed, []byte("bound"))
	if string(got) != "plain" || err != nil {
		t.Errorf("Open: %q, %v", got, err)
	}
	got, err = s.gate(t, p).Open(ctx, month, sealed, []byte("bound"))
	if string(got) != "plain" || err != nil {
		t.Errorf("Open through another gate: %q, %v", got, err)
	}
	_, err = g.Seal(ctx, month+1, []byte("next"), nil)
	s.must(t, err)
	_, err = h.Seal(ctx, month, []byte("other"), nil)
	s.must(t, err)

	flipped := append([]byte{}, sealed...)
	flipped[len(flipped)/2] ^= 1
	for what, open := range map[string]func() ([]byte, error){
		"other associated data": func() ([]byte, error) { return g.Open(ctx, month, sealed, []byte("Bound")) },
		"a flipped bit":         func() ([]byte, error) { return g.Open(ctx, month, flipped, []byte("bound")) },
		"a cut ciphertext":      func() ([]byte, error) { return g.Open(ctx, month, sealed[:len(sealed)-1], []byte("bound")) },
		"no ciphertext":         func() ([]byte, error) { return g.Open(ctx, month, nil, []byte("bound")) },
		"another month":         func() ([]byte, error) { return g.Open(ctx, month+1, sealed, []byte("bound")) },
		"a month never used":    func() ([]byte, error) { return g.Open(ctx, month+2, sealed, []byte("bound")) },
		"another person":        func() ([]byte, error) { return h.Open(ctx, month, sealed, []byte("bound")) },
	} {
		_, err := open()
		want(t, "Open with "+what, err, eventstore.ErrDamaged)
	}
	same(t, "months", s.record(t, p).Months, []eventstore.KeyMonth{month, month + 1})
	g.Release()
	g.Release()
}

func marks(t *testing.T, s *suite) {
	p, _ := s.enter(t, web("v"))
	q, _ := s.enter(t, web("w"))
	seen := map[eventstore.Mark]string{}
	for name, of := range map[string]eventstore.PersonID{"p": p, "q": q} {
		for _, label := range []eventstore.MarkLabel{eventstore.MarkIdempotency, eventstore.MarkRow, eventstore.MarkConversation, eventstore.MarkPseudonym} {
			for _, part := range []string{"", "x", "y"} {
				m, err := s.gate(t, of).Mark(label, []byte("bot"), []byte{0}, []byte(part))
				s.must(t, err)
				what := name + " " + string(label) + " " + part
				if other, ok := seen[m]; ok || m == (eventstore.Mark{}) {
					t.Errorf("%s has the mark of %q", what, other)
				}
				seen[m] = what
				again, err := s.gate(t, of).Mark(label, []byte("bot"), []byte{0}, []byte(part))
				if again != m || err != nil {
					t.Errorf("%s has two marks, %v", what, err)
				}
			}
		}
	}
}

func also(t *testing.T, s *suite) {
	ctx := t.Context()
	// A new handle is added.
	alice, e := s.enter(t, email("alice@example.com"), web("v1"))
	if e.Linked || e.Ambiguous {
		t.Errorf("a new handle: %+v", e)
	}
	if got, err := s.Resolve(ctx, tenantA, web("v1")); got != alice || err != nil {
		t.Errorf("Resolve of the added handle: %v, %v", got, err)
	}
	same(t, "outbox after an addition", s.outboxKinds(t), nil)

	// A visitor who spoke before logs in: the two are linked, and no events move.
	visitor, _ := s.enter(t, web("v2"))
	g := s.gate(t, visitor)
	_, err := g.Seal(ctx, month, []byte("x"), nil)
	s.must(t, err)
	g.Release()
	p, e := s.enter(t, email("alice@example.com"), web("v2"))
	if p != alice || !e.Linked || e.Ambiguous || e.Minted {
		t.Errorf("a visitor who logs in: %v, %+v", p, e)
	}
	for _, of := range []eventstore.PersonID{alice, visitor} {
		same(t, "linked set", s.linked(t, of), ascending(alice, visitor))
	}
	if got, err := s.Resolve(ctx, tenantA, web("v2")); got != visitor || err != nil {
		t.Errorf("Resolve of a linked handle: %v, %v", got, err)
	}

	// Again: nothing new.
	_, e = s.enter(t, email("alice@example.com"), web("v2"), email("alice@example.com"), web("v1"))
	if e.Linked || e.Ambiguous || e.Minted {
		t.Errorf("the same again: %+v", e)
	}
	same(t, "outbox", s.outboxKinds(t), []eventstore.PersonEventKind{eventstore.PersonLinked})

	owed, err := s.Outbox(ctx, tenantA)
	s.must(t, err)
	for range 2 {
		s.must(t, s.Sent(ctx, tenantA, owed[0].ID))
	}
	same(t, "outbox once sent", s.outboxKinds(t), nil)
}

func (s *suite) outboxKinds(t *testing.T) (out []eventstore.PersonEventKind) {
	t.Helper()
	owed, err := s.Outbox(t.Context(), tenantA)
	s.must(t, err)
	for _, o := range owed {
		out = append(out, o.Event.Kind)
	}
	return out
}

func ambiguous(t *testing.T, s *suite) {
	alice, bob, carol := email("alice@example.com"), email("bob@example.com"), email("carol@example.com")
	phone := eventstore.Identity{Namespace: "phone", ID: "+33612345678"}
	for i, c := range []struct {
		name string
		// before are events that came earlier, as identity and also.
		before   [][]eventstore.Identity
		identity eventstore.Identity
		also     eventstore.Identity
		want     bool
	}{
		{"two strangers", nil, alice, web("v"), false},
		{"two new strong handles", nil, alice, phone, false},
		{"a visitor who logs in", [][]eventstore.Identity{{web("v")}}, alice, web("v"), false},
		{"a second device", [][]eventstore.Identity{{alice, web("v")}, {web("w")}}, alice, web("w"), false},
		{"a shared computer", [][]eventstore.Identity{{alice, web("v")}}, bob, web("v"), true},
		{"a shared computer, both known", [][]eventstore.Identity{{alice, web("v")}, {bob, web("w")}}, bob, web("v"), true},
		{"a shared computer, the other way", [][]eventstore.Identity{{alice, web("v")}}, web("v"), bob, true},
		{"a shared computer without a login", [][]eventstore.Identity{{alice, web("v")}}, web("w"), web("v"), false},
		{"a phone of one's own", [][]eventstore.Identity{{alice, web("v")}}, alice, phone, false},
		{"a phone of somebody else", [][]eventstore.Identity{{bob, phone}}, alice, phone, true},
		{"a phone that nobody else has", [][]eventstore.Identity{{phone, web("v")}, {alice, web("w")}}, alice, phone, false},
		{"a third address", [][]eventstore.Identity{{alice, phone}}, alice, carol, true},
		{"two strong persons", [][]eventstore.Identity{{alice, phone}, {bob, carol}}, alice, bob, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tenant := eventstore.TenantID(fmt.Sprint("case-", i))
			s.must(t, s.CreateTenant(t.Context(), tenant))
			enter := func(ids ...eventstore.Identity) *eventstore.Entered {
				t.Helper()
				e, err := s.Enter(t.Context(), tenant, arrival(ids[0], ids[1:]...), accept)
				if err != nil {
					t.Fatal(err)
				}
				e.Gate.Release()
				return e
			}
			for _, b := range c.before {
				enter(b...)
			}
			e := enter(c.identity, c.also)
			if e.Ambiguous != c.want {
				t.Fatalf("ambiguous: %v, want %v", e.Ambiguous, c.want)
			}
			records, err := s.Linked(t.Context(), tenant, e.Gate.Person())
			if err != nil {
				t.Fatal(err)
			}
			holds, listed := false, false
			for _, r := range records {
				for _, h := range r.Identities {
					holds = holds || h == c.also
				}
				for _, h := range r.Ambiguous {
					listed = listed || h == c.also
				}
			}
			if holds == c.want || listed != c.want {
				t.Errorf("the handle is in the set: %v, listed as ambiguous: %v", holds, listed)
			}
			if again := enter(c.identity, c.also); again.Ambiguous != c.want || again.Linked || again.Minted {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

func linking(t *testing.T, s *suite) {
	ctx := t.Context()
	alice, _ := s.enter(t, email("alice@example.com"))
	bob, _ := s.enter(t, email("bob@example.com"), web("v"))
	_, e := s.enter(t, email("alice@example.com"), web("v"))
	if !e.Ambiguous {
		t.Fatal("not ambiguous")
	}
	same(t, "ambiguous", s.record(t, alice).Ambiguous, []eventstore.Identity{web("v")})
	erased, _ := s.enter(t, email("erin@example.com"), web("e"))
	frank, _ := s.enter(t, email("frank@example.com"), web("e"))
	s.erase(t, erased)
	same(t, "ambiguous, its owner erased", s.record(t, frank).Ambiguous, []eventstore.Identity{web("e")}) // Frank's own events say so, too
	s.must(t, s.Link(ctx, tenantA, alice, bob))                                                           // support knows better
	same(t, "linked set", s.linked(t, bob), ascending(alice, bob))
	want(t, "Link again", s.Link(ctx, tenantA, bob, alice), eventstore.ErrConflict)
	want(t, "Link with nobody", s.Link(ctx, tenantA, alice, eventstore.PersonID{1}), eventstore.ErrNotFound)
	same(t, "outbox", s.outboxKinds(t), []eventstore.PersonEventKind{eventstore.PersonLinked})

	carol, _ := s.enter(t, web("c"))
	dave, _ := s.enter(t, web("d"), web("c"))
	s.must(t, s.Link(ctx, tenantA, carol, alice))
	same(t, "linked sets", s.linked(t, dave), ascending(alice, bob, carol, dave))

	// Concurrent links from both sides end in one set.
	p, _ := s.enter(t, web("p"))
	q, _ := s.enter(t, web("q"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			a, b := web("p"), web("q")
			if i%2 == 0 {
				a, b = b, a
			}
			e, err := s.Enter(ctx, tenantA, arrival(a, b), accept)
			if err != nil {
				t.Errorf("Enter: %v", err)
				return
			}
			e.Gate.Release()
		})
	}
	wg.Wait()
	same(t, "the raced set", s.linked(t, p), ascending(p, q))
}

func states(t *testing.T, s *suite) {
	ctx := t.Context()
	p, _ := s.enter(t, web("v"))
	s.must(t, s.SetState(ctx, tenantA, p, func(st eventstore.State) eventstore.State {
		if !st.Known || st.Restricted {
			t.Errorf("the state before: %+v", st)
		}
		st.Restricted, st.Objected, st.First = true, true, 7
		st.Consents = map[string]bool{"storage": true, "analytics": false}
		return st
	}))
	check := func(what string, st eventstore.State) {
		t.Helper()
		if !st.Known || !st.Restricted || !st.Objected || st.Hold || st.First != 7 || len(st.Consents) != 2 || !st.Consents["storage"] || st.Consents["analytics"] {
			t.Errorf("%s: %+v", what, st)
		}
	}
	check("Linked", s.record(t, p).State)
	g := s.gate(t, p)
	check("Gate", g.State())
	g.State().Consents["storage"] = false
	check("Gate after its answer was changed", g.State())
	_, err := s.Enter(ctx, tenantA, arrival(web("v")), func(st eventstore.State) error {
		check("Enter", st)
		return eventstore.ErrWithheld
	})
	want(t, "Enter of a restricted person", err, eventstore.ErrWithheld)
	want(t, "SetState of nobody", s.SetState(ctx, tenantA, eventstore.PersonID{1}, func(st eventstore.State) eventstore.State { return st }), eventstore.ErrNotFound)
}
