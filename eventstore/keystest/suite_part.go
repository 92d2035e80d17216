package keystest

import (
	"errors"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

func (s *suite) fence(t *testing.T, p eventstore.PersonID) []eventstore.Member {
	t.Helper()
	members, err := s.Fence(t.Context(), tenantA, []eventstore.PersonID{p})
	s.must(t, err)
	return members
}

// successor takes a successor's gate.
func (s *suite) successor(t *testing.T, p eventstore.PersonID) eventstore.Gate {
	t.Helper()
	g, err := s.Successor(t.Context(), tenantA, p)
	s.must(t, err)
	t.Cleanup(g.Release)
	return g
}

func successions(members []eventstore.Member, first uint64, r eventstore.Refused) (out []eventstore.Succession) {
	for _, m := range members {
		out = append(out, eventstore.Succession{Person: m.Person, Reference: m.Reference, First: first, Refused: r})
	}
	return out
}

// parts is the whole way of the erasure of a part.
func parts(t *testing.T, s *suite) {
	ctx := t.Context()
	alice, _ := s.enter(t, email("alice@example.com"))
	visitor, _ := s.enter(t, web("v"))
	s.enter(t, email("alice@example.com"), web("v"))
	other, _ := s.enter(t, web("other"))
	for call, open := range map[string]func(eventstore.PersonID) error{
		"FencedGate": func(p eventstore.PersonID) error { _, err := s.FencedGate(ctx, tenantA, p); return err },
		"Successor":  func(p eventstore.PersonID) error { _, err := s.Successor(ctx, tenantA, p); return err },
	} {
		want(t, call+" without a fence", open(alice), eventstore.ErrConflict)
		want(t, call+" of nobody", open(eventstore.PersonID{1}), eventstore.ErrNotFound)
	}
	s.must(t, s.SetState(ctx, tenantA, alice, func(st eventstore.State) eventstore.State {
		st.Objected, st.Consents = true, map[string]bool{"storage": true}
		return st
	}))
	sealed := s.seal(t, alice)
	before := s.record(t, alice)
	periods := someDays(2)
	oldMarks := s.periodMarks(t, alice, periods)
	members := s.fence(t, visitor)

	old, err := s.FencedGate(ctx, tenantA, alice)
	s.must(t, err)
	if plain, err := old.Open(ctx, month, sealed, nil); string(plain) != "plain" || err != nil {
		t.Fatalf("a fenced gate opens %q, %v", plain, err)
	}
	oldRow, err := old.Mark(eventstore.MarkRow)
	s.must(t, err)
	_, err = old.Seal(ctx, month, []byte("x"), nil)
	want(t, "a fenced gate seals", err, eventstore.ErrFenced)

	next := s.successor(t, alice)
	copied, err := next.Seal(ctx, month, []byte("plain"), nil)
	s.must(t, err)
	if _, err := next.Open(ctx, month, sealed, nil); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("the successor opens what the old keys sealed: %v", err)
	}
	row, err := next.Mark(eventstore.MarkRow)
	s.must(t, err)
	if row == oldRow {
		t.Error("the successor has the old secret")
	}
	if next.Person() != alice || !next.State().Known {
		t.Errorf("the successor is %v, %+v", next.Person(), next.State())
	}
	next.Release()
	again := s.successor(t, alice)
	if plain, err := again.Open(ctx, month, copied, nil); string(plain) != "plain" || err != nil {
		t.Errorf("the successor again: %q, %v", plain, err)
	}
	if r, err := again.Mark(eventstore.MarkRow); r != row || err != nil {
		t.Errorf("the successor again marks %x, %v, want %x", r, err, row)
	}
	_, err = s.Gate(ctx, tenantA, alice)
	want(t, "Gate while a successor is prepared", err, eventstore.ErrFenced)

	all := successions(members, 5, eventstore.Refused{})
	want(t, "Supersede of half a set", s.Supersede(ctx, tenantA, all[:1]), eventstore.ErrConflict)
	want(t, "Supersede of a person who is not fenced", s.Supersede(ctx, tenantA, append(all[:2:2],
		eventstore.Succession{Person: other, Reference: s.record(t, other).Reference, First: 5})), eventstore.ErrConflict)
	s.must(t, s.Supersede(ctx, tenantA, all))
	s.must(t, s.Supersede(ctx, tenantA, all)) // repeated

	for _, g := range []eventstore.Gate{old, again} {
		if _, err := g.Open(ctx, month, copied, nil); err == nil {
			t.Error("a gate of the erasure opens after it")
		}
	}
	old.Release()
	after := s.record(t, alice)
	if after.Reference == before.Reference || after.State.First != 5 || !after.State.Objected || !after.State.Consents["storage"] || after.State.Restricted {
		t.Errorf("the record afterwards: %+v", after)
	}
	same(t, "handles", after.Identities, before.Identities)
	same(t, "months", after.Months, []eventstore.KeyMonth{month})
	same(t, "the linked set", s.linked(t, visitor), ascending(alice, visitor))
	g := s.gate(t, alice)
	if plain, err := g.Open(ctx, month, copied, nil); string(plain) != "plain" || err != nil {
		t.Errorf("a copy: %q, %v", plain, err)
	}
	if _, err := g.Open(ctx, month, sealed, nil); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("what the old keys sealed opens: %v", err)
	}
	if r, err := g.Mark(eventstore.MarkRow); r != row || err != nil {
		t.Errorf("the row mark is %x, %v, want the successor's %x", r, err, row)
	}
	marks := s.periodMarks(t, alice, periods)
	same(t, "the set's marks", s.periodMarks(t, visitor, periods), marks)
	for i := range marks {
		if marks[i] == oldMarks[i] {
			t.Error("a period mark is the old one")
		}
	}
	if id, err := s.Resolve(ctx, tenantA, web("v")); id != visitor || err != nil {
		t.Errorf("a handle afterwards: %v, %v", id, err)
	}
	if e, err := s.Enter(ctx, tenantA, arrival(web("v")), accept); err != nil || e.Minted {
		t.Errorf("an event afterwards: %+v, %v", e, err)
	} else {
		e.Gate.Release()
	}
}

// partsEnd: a fence that is lifted takes the successor with it, and so does a whole erasure.
func partsEnd(t *testing.T, s *suite) {
	ctx := t.Context()
	p, _ := s.enter(t, email("alice@example.com"))
	members := s.fence(t, p)
	g := s.successor(t, p)
	copied, err := g.Seal(ctx, month, []byte("plain"), nil)
	s.must(t, err)
	s.must(t, s.Unfence(ctx, tenantA, []eventstore.PersonID{p}))
	if _, err := g.Open(ctx, month, copied, nil); err == nil {
		t.Error("a successor opens after its fence is lifted")
	}
	want(t, "Supersede after Unfence", s.Supersede(ctx, tenantA, successions(members, 3, eventstore.Refused{})), eventstore.ErrConflict)
	members = s.fence(t, p)
	want(t, "Supersede without a successor", s.Supersede(ctx, tenantA, successions(members, 3, eventstore.Refused{})), eventstore.ErrConflict)
	g = s.successor(t, p)
	if _, err := g.Open(ctx, month, copied, nil); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("a second successor opens what the first one sealed: %v", err)
	}
	old, err := s.FencedGate(ctx, tenantA, p)
	s.must(t, err)
	s.erase(t, p)
	for _, g := range []eventstore.Gate{g, old} {
		if _, err := g.Mark(eventstore.MarkRow); err == nil {
			t.Error("a gate of the erasure of a part lives on after the erasure of all")
		}
		g.Release()
	}
	_, err = s.Successor(ctx, tenantA, p)
	want(t, "Successor of an erased person", err, eventstore.ErrErased)
	_, err = s.FencedGate(ctx, tenantA, p)
	want(t, "FencedGate of an erased person", err, eventstore.ErrErased)
	s.must(t, s.Supersede(ctx, tenantA, successions(members, 3, eventstore.Refused{})))
}

// partRefusal: for a day what was erased of a person is refused, and only that.
func partRefusal(t *testing.T, s *suite) {
	ctx, now := t.Context(), time.Now()
	a, b := email("alice@example.com"), email("bob@example.com")
	alice, _ := s.enter(t, a)
	bob, _ := s.enter(t, b)
	s.enter(t, b, web("b"))
	erase := func(p eventstore.PersonID, r eventstore.Refused) {
		t.Helper()
		members := s.fence(t, p)
		s.successor(t, p).Release()
		s.must(t, s.Supersede(ctx, tenantA, successions(members, 3, r)))
	}
	erase(alice, eventstore.Refused{Before: now.Add(-time.Hour)})
	erase(bob, eventstore.Refused{Before: now, Bot: "shop", Conversation: "c1"})
	for _, c := range []struct {
		what         string
		id           eventstore.Identity
		bot          eventstore.BotID
		conversation eventstore.ConversationID
		age          time.Duration
		refused      bool
	}{
		{"older than the day", a, "shop", "c1", 2 * time.Hour, true},
		{"older than the day, any conversation", a, "x", "y", 2 * time.Hour, true},
		{"younger than the day", a, "shop", "c1", time.Minute, false},
		{"of the conversation", b, "shop", "c1", time.Minute, true},
		{"of the conversation, another handle", web("b"), "shop", "c1", time.Minute, true},
		{"of the conversation, later", b, "shop", "c1", -time.Minute, false},
		{"of another conversation", b, "shop", "c2", time.Minute, false},
		{"of another bot's", b, "mail", "c1", time.Minute, false},
		{"a stranger's of that name", web("stranger"), "shop", "c1", time.Minute, false},
	} {
		in := eventstore.Arrival{Identity: c.id, Bot: c.bot, Conversation: c.conversation, Time: now.Add(-c.age), Received: now}
		e, err := s.Enter(ctx, tenantA, in, accept)
		if err == nil {
			e.Gate.Release()
		}
		if c.refused != errors.Is(err, eventstore.ErrErased) || !c.refused && err != nil {
			t.Errorf("an event %s: %v, refused should be %v", c.what, err, c.refused)
		}
	}
}
