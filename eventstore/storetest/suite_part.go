package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
)

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// part is the erasure of a part of one linked set.
type part struct {
	members []eventstore.Member
	first   uint64
}

func (p part) persons() (out []eventstore.PersonID) {
	for _, m := range p.members {
		out = append(out, m.Person)
	}
	return out
}

// fencePart fences and announces.
func (s *Suite) fencePart(ctx context.Context, t fataler, p eventstore.PersonID) (out part) {
	t.Helper()
	var err error
	if out.members, err = s.Keys.Fence(ctx, Tenant, []eventstore.PersonID{p}); err != nil {
		t.Fatalf("Fence: %v", err)
	}
	at, err := s.Announce(ctx, Tenant, eventstore.PersonEvent{Kind: eventstore.PersonResealed, Persons: out.persons()})
	if err != nil {
		t.Fatalf("Announce: %v", err)
	}
	out.first = at + 1
	return out
}

// supersede is the acknowledgement.
func (s *Suite) supersede(ctx context.Context, t fataler, p part, r eventstore.Refused) {
	t.Helper()
	var all []eventstore.Succession
	for _, m := range p.members {
		all = append(all, eventstore.Succession{Person: m.Person, Reference: m.Reference, First: p.first, Refused: r})
	}
	if err := s.Keys.Supersede(ctx, Tenant, all); err != nil {
		t.Fatalf("Supersede: %v", err)
	}
}

// removePart takes the old messages and rows out.
func (s *Suite) removePart(ctx context.Context, t fataler, p part) {
	t.Helper()
	r := eventstore.Removal{Persons: p.persons(), Below: p.first}
	for _, m := range p.members {
		r.Prefixes = append(r.Prefixes, m.RowPrefix)
	}
	if err := s.Log.Remove(ctx, Tenant, r, nil); err != nil {
		t.Fatalf("Remove: %v", err)
	}
}

func (s *Suite) all(ctx context.Context, t fataler, p eventstore.PersonID) (out []eventstore.Recorded) {
	t.Helper()
	for r, err := range s.Read(ctx, Tenant, p, eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		out = append(out, r)
	}
	return out
}

// sameEvents compares all but where they stand.
func sameEvents(t fataler, what string, got, want []eventstore.Recorded) {
	t.Helper()
	plain := func(in []eventstore.Recorded) []eventstore.Recorded {
		in = slices.Clone(in)
		for i := range in {
			in[i].Sequence, in[i].Copy = 0, false
		}
		return in
	}
	if got, want := plain(got), plain(want); len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: %d events, want %d:\n%v\n%v", what, len(got), len(want), got, want)
	}
}

// resealed erases one of three conversations of a linked set: the rest reads as before.
func resealed(t *testing.T, s *Suite) {
	ctx := t.Context()
	say := func(visitor, conversation, key, text string) eventstore.Receipt {
		e := Message(visitor, text)
		e.Conversation, e.Key = eventstore.ConversationID(conversation), key
		return s.MustAppend(t, e)
	}
	first := say("v", "c1", "k1", "un")
	say("v", "c2", "k2", "secret un")
	say("w", "c1", "k1", "deux")
	link := Message("v", "trois")
	link.Also = []eventstore.Identity{web("w")}
	s.MustAppend(t, link)
	say("w", "c2", "", "secret deux")
	last := say("w", "c3", "k3", "quatre")
	other := say("x", "c2", "k2", "other")
	before := s.all(ctx, t, first.Person)
	kept := slices.DeleteFunc(slices.Clone(before), func(r eventstore.Recorded) bool { return r.Event.Conversation == "c2" })

	p := s.fencePart(ctx, t, first.Person)
	keep := func(r *eventstore.Recorded) bool { return r.Event.Conversation != "c2" }
	for range 2 {
		got, err := s.Reseal(ctx, Tenant, eventstore.Resealing{Persons: p.persons(), First: p.first, Keep: keep})
		if err != nil || got != (eventstore.Resealed{Kept: 4, Gone: 2}) {
			t.Fatalf("Reseal: %+v, %v", got, err)
		}
	}
	if _, err := s.Texts(t, first.Person); !errors.Is(err, eventstore.ErrFenced) {
		t.Errorf("a read before the acknowledgement: %v", err)
	}
	s.supersede(ctx, t, p, eventstore.Refused{Before: time.Now().Add(time.Second), Bot: caller.Bot, Conversation: "c2"})

	check := func(when string) {
		t.Helper()
		got := s.all(ctx, t, last.Person)
		sameEvents(t, when, got, kept)
		for _, r := range got {
			if !r.Copy {
				t.Errorf("%s: an event is not marked as a copy", when)
			}
		}
		records, err := s.Keys.Linked(ctx, Tenant, first.Person)
		if err != nil {
			t.Fatal(err)
		}
		var n uint64
		for _, r := range records {
			k, err := s.Count(ctx, Tenant, r)
			if err != nil {
				t.Fatal(err)
			}
			n += k
		}
		if n != uint64(len(kept)) {
			t.Errorf("%s: %d events are counted, want %d", when, n, len(kept))
		}
		opened := 0
		for _, item := range s.Items(t, 0) {
			if item.Event != nil && (item.Event.Person == first.Person || item.Event.Person == last.Person) {
				opened++
			}
		}
		if opened != len(kept) {
			t.Errorf("%s: a replay opens %d events, want %d", when, opened, len(kept))
		}
		for _, again := range []struct {
			visitor, conversation, key, text string
			want                             eventstore.EventID
		}{{"v", "c1", "k1", "un", first.ID}, {"w", "c3", "k3", "quatre", last.ID}} {
			if r := say(again.visitor, again.conversation, again.key, again.text); !r.Duplicate || r.ID != again.want {
				t.Errorf("%s: an event that stays, again: %+v", when, r)
			}
		}
		e := Message("v", "un autre")
		e.Key = "k1"
		_, err = s.Append(ctx, caller, e)
		want(t, "another body under the key of a copy", err, eventstore.ErrConflict)
		e = Message("v", "secret un")
		e.Conversation, e.Key, e.Time = "c2", "k2", time.Now().Add(-time.Minute)
		_, err = s.Append(ctx, caller, e)
		want(t, "an erased event, again", err, eventstore.ErrErased)
	}
	check("superseded")
	s.removePart(ctx, t, p)
	check("removed")
	s.reads(t, other.Person, "other")

	// What comes behind the copies goes on from there.
	got := s.all(ctx, t, last.Person)
	at := got[len(got)-1].Sequence
	e := Message("w", "cinq")
	e.ExpectedSequence = &at
	s.MustAppend(t, e)
	s.reads(t, first.Person, "un", "deux", "trois", "quatre", "cinq")
	s.Erase(t, first.Person)
	if _, err := s.Texts(t, last.Person); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("a read after the whole erasure: %v", err)
	}
}

// resealedWhileRead: a read that an erasure of a part overtakes does not end as if it were complete, nor yields an event twice.
func resealedWhileRead(t *testing.T, s *Suite) {
	ctx := t.Context()
	var person eventstore.PersonID
	for i := range 3 {
		person = s.MustAppend(t, Message("v", fmt.Sprint(i))).Person
	}
	seen := map[eventstore.EventID]bool{}
	var end error
	for r, err := range s.Read(ctx, Tenant, person, eventstore.ReadOptions{}) {
		if end = err; err != nil {
			break
		}
		if seen[r.ID] {
			t.Error("an event is read twice")
		}
		if seen[r.ID] = true; len(seen) > 1 {
			continue
		}
		p := s.fencePart(ctx, t, person)
		if _, err := s.Reseal(ctx, Tenant, eventstore.Resealing{Persons: p.persons(), First: p.first, Keep: func(*eventstore.Recorded) bool { return true }}); err != nil {
			t.Fatal(err)
		}
		s.supersede(ctx, t, p, eventstore.Refused{})
	}
	if !errors.Is(end, eventstore.ErrFenced) {
		t.Errorf("the read ended with %v after %d events", end, len(seen))
	}
}

// resealedExpired: retention and the erasure of a part do not stand in each other's way.
func resealedExpired(t *testing.T, s *Suite) {
	ctx := t.Context()
	now := eventstore.KeyMonthOf(time.Now(), time.Now())
	say := func(text string, at time.Time) eventstore.PersonID {
		e := Message("v", text)
		e.Time = at
		return s.MustAppend(t, e).Person
	}
	person := say("old", (now - 4).Start())
	say("older", (now - 2).Start())
	say("new", time.Now())
	keep := func(r *eventstore.Recorded) bool { return r.Event.Text != "new" }
	expire := func(before eventstore.KeyMonth) {
		t.Helper()
		if _, err := s.Keys.Expire(ctx, Tenant, before, nil); err != nil {
			t.Fatalf("Expire: %v", err)
		}
	}
	hold := func(on bool) {
		t.Helper()
		if err := s.Keys.SetState(ctx, Tenant, person, func(st eventstore.State) eventstore.State { st.Hold = on; return st }); err != nil {
			t.Fatal(err)
		}
	}
	// A hold has kept the oldest month, for which nobody can seal any more.
	hold(true)
	expire(now - 3)
	hold(false)
	p := s.fencePart(ctx, t, person)
	job := eventstore.Resealing{Persons: p.persons(), First: p.first, Keep: keep}
	if got, err := s.Reseal(ctx, Tenant, job); err != nil || got != (eventstore.Resealed{Kept: 1, Gone: 1}) {
		t.Fatalf("Reseal: %+v, %v", got, err)
	}
	// Retention goes on while the copies are there.
	expire(now - 1)
	if got, err := s.Reseal(ctx, Tenant, job); err != nil || got != (eventstore.Resealed{Gone: 1}) {
		t.Fatalf("Reseal after a month has expired: %+v, %v", got, err)
	}
	s.supersede(ctx, t, p, eventstore.Refused{})
	s.reads(t, person)
	say("after", time.Now())
	s.reads(t, person, "after")
}

// partModel erases parts of random conversations, interrupted and not, and holds what is left to a plain list.
func partModel(t *testing.T, s *Suite) {
	round := 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		handle := map[string]string{"a": fmt.Sprintf("part-%d-a", round), "b": fmt.Sprintf("part-%d-b", round)}
		visitor := func(label string) string { return rapid.SampledFrom([]string{"a", "b"}).Draw(r, label) }
		alive := map[string]eventstore.PersonID{}
		said := map[string][]eventstore.Recorded{} // by human: "a" and "b", or "a" alone once they are linked
		linked := false
		human := func(v string) string {
			if linked {
				return "a"
			}
			return v
		}
		check := func(v string) {
			if p, ok := alive[v]; ok {
				sameEvents(r, "the events", s.all(t.Context(), r, p), said[human(v)])
			}
		}
		for n := range rapid.IntRange(2, 14).Draw(r, "steps") {
			v := visitor("visitor")
			op := rapid.SampledFrom([]string{"say", "say", "say", "say", "link", "conversation", "before", "retry", "erase"}).Draw(r, "op")
			p, there := alive[v]
			switch {
			case op == "say" || op == "link" && (linked || len(alive) < 2):
				e := Message(handle[v], fmt.Sprint(n))
				e.Conversation = eventstore.ConversationID(rapid.SampledFrom([]string{"c1", "c2"}).Draw(r, "conversation"))
				e.Time = time.Now().Add(-time.Duration(rapid.IntRange(0, 3).Draw(r, "days")) * 24 * time.Hour).UTC()
				if rapid.Bool().Draw(r, "keyed") {
					e.Key = fmt.Sprint("k", n)
				}
				receipt, err := s.Append(t.Context(), caller, e)
				if errors.Is(err, eventstore.ErrErased) {
					continue // older than what was erased: refused, as a retry would be
				}
				if err != nil {
					r.Fatalf("Append: %v", err)
				}
				alive[v] = receipt.Person
				e.Bot = caller.Bot
				said[human(v)] = append(said[human(v)], eventstore.Recorded{ID: receipt.ID, Person: receipt.Person, Received: receipt.ID.Received(), Event: e})
			case op == "link":
				if err := s.Keys.Link(t.Context(), Tenant, alive["a"], alive["b"]); err != nil {
					r.Fatalf("Link: %v", err)
				}
				linked = true
				both := append(said["a"], said["b"]...)
				where := map[eventstore.EventID]int{}
				for i, rec := range s.all(t.Context(), r, p) {
					where[rec.ID] = i
				}
				slices.SortFunc(both, func(x, y eventstore.Recorded) int { return where[x.ID] - where[y.ID] })
				said = map[string][]eventstore.Recorded{"a": both}
			case !there:
			case op == "retry":
				for _, rec := range said[human(v)] {
					if rec.Event.Key == "" || rec.Person != p {
						continue
					}
					id := web(handle[v])
					rec.Event.Identity = &id
					again, err := s.Append(t.Context(), caller, rec.Event)
					if errors.Is(err, eventstore.ErrErased) {
						continue // a part was erased that it is younger than, but not its twin of another handle
					}
					if err != nil || !again.Duplicate || again.ID != rec.ID {
						r.Fatalf("an event again: %+v, %v", again, err)
					}
				}
			case op == "erase":
				s.Erase(t, p)
				delete(said, human(v))
				for w := range handle {
					if human(w) == human(v) {
						delete(alive, w)
						handle[w] += "+" // the old ones are refused for a day
					}
				}
				linked = false
			default:
				scope := eventstore.Scope{Bot: caller.Bot, Conversation: eventstore.ConversationID(rapid.SampledFrom([]string{"c1", "c2"}).Draw(r, "erased"))}
				refused := eventstore.Refused{Before: time.Now(), Bot: scope.Bot, Conversation: scope.Conversation}
				var cutoff time.Time
				if op == "before" {
					cutoff = time.Now().Add(-time.Duration(rapid.IntRange(0, 3).Draw(r, "ago"))*24*time.Hour - 12*time.Hour)
					scope, refused = eventstore.Scope{Before: "2026-01-01"}, eventstore.Refused{Before: cutoff}
				}
				s.erasePart(t, r, p, func(e *eventstore.Recorded) bool { return !scope.Takes(&e.Event, cutoff) }, refused)
				said[human(v)] = slices.DeleteFunc(said[human(v)], func(e eventstore.Recorded) bool { return scope.Takes(&e.Event, cutoff) })
			}
			check(v)
		}
		check("a")
		check("b")
	})
}

// erasePart erases a part, with copying cut off some times before.
func (s *Suite) erasePart(t *testing.T, r *rapid.T, person eventstore.PersonID, keep func(*eventstore.Recorded) bool, refused eventstore.Refused) {
	p := s.fencePart(t.Context(), r, person)
	job := eventstore.Resealing{Persons: p.persons(), First: p.first}
	for _, cut := range rapid.SliceOfN(rapid.IntRange(0, 6), 0, 2).Draw(r, "cut off") {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		job.Keep = func(e *eventstore.Recorded) bool {
			if n++; n > cut {
				cancel()
			}
			return keep(e)
		}
		_, _ = s.Reseal(ctx, Tenant, job)
		cancel()
	}
	job.Keep = keep
	if _, err := s.Reseal(t.Context(), Tenant, job); err != nil {
		r.Fatalf("Reseal: %v", err)
	}
	s.supersede(t.Context(), r, p, refused)
	if rapid.Bool().Draw(r, "removed") {
		s.removePart(t.Context(), r, p)
	}
}
