package rights

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// partWorld is a world whose store is the real one: a and b are linked and talked in the conversations c1, c2 and c3; c talked in c2.
type partWorld struct {
	*world
	store *eventstore.Store // not faulty
}

var (
	secretTalk = eventstore.Scope{Conversation: "c2", Bot: "shop"}
	askedPart  = Request{Reason: eventstore.ReasonPersonRequest, Note: "only that one", Ticket: "T-18", Scope: secretTalk}
)

func newPartWorld(t testing.TB) *partWorld {
	w := &partWorld{world: newWorld(t)}
	ctx := context.Background()
	w.must(w.log.EraseTenant(ctx, tenant))
	w.must(w.log.Open(ctx, tenant, w.keys.Vault(), true, nil))
	w.store = eventstore.New(eventstore.Config{Keys: w.keys, Log: w.log, Door: open{}, Now: w.now})
	w.must(w.store.Open(ctx, tenant, false))
	for i := range 2 {
		for _, c := range []eventstore.ConversationID{"c1", "c2", "c3"} {
			w.a = w.say("email:alice@example.com", c, string(c)+fmt.Sprint(i)).Person
		}
		w.b = w.say("web:visitor-77", "c2", fmt.Sprint("b", i)).Person
		w.c = w.say("email:carol@example.com", "c2", fmt.Sprint("c", i)).Person
	}
	return w
}

func talk(handle string, c eventstore.ConversationID, key string) eventstore.Event {
	id := identity(handle)
	return eventstore.Event{Identity: &id, Key: key, Conversation: c, Type: eventstore.TypeMessage, Author: eventstore.AuthorUser, Bot: "shop", Channel: "web", Text: "text of " + key}
}

func (w *partWorld) say(handle string, c eventstore.ConversationID, key string) eventstore.Receipt {
	w.t.Helper()
	r, err := w.store.Append(context.Background(), eventstore.Caller{Tenant: tenant, Bot: "shop"}, talk(handle, c, key))
	w.must(err)
	return r
}

// process starts a process over the world, with a store whose writes can go wrong.
func (w *partWorld) process() *Service {
	s := w.service()
	s.store = eventstore.New(eventstore.Config{Keys: faultyKeys{w.keys, w.f}, Log: faultyLog{w.log, w.f}, Door: open{}, Now: w.now})
	return s
}

func (w *partWorld) all(p eventstore.PersonID) (out []eventstore.Recorded) {
	w.t.Helper()
	for r, err := range w.store.Read(context.Background(), tenant, p, eventstore.ReadOptions{}) {
		if err != nil {
			w.t.Fatalf("reading: %v", err)
		}
		r.Sequence, r.Copy = 0, false
		out = append(out, r)
	}
	return out
}

// rest is what a scope leaves of events.
func rest(all []eventstore.Recorded, scope eventstore.Scope) []eventstore.Recorded {
	cutoff, _ := scope.Cutoff(time.UTC)
	return slices.DeleteFunc(slices.Clone(all), func(e eventstore.Recorded) bool { return scope.Takes(&e.Event, cutoff) })
}

// audit holds everything together after the erasure of a part is completed.
func (w *partWorld) auditPart(s *Service, id string, kept []eventstore.Recorded) {
	w.t.Helper()
	ctx := context.Background()
	all, err := s.Erasures(ctx, tenant)
	w.must(err)
	if len(all) != 1 || all[0].ID != id {
		w.t.Fatalf("there are the erasures %+v, want only %s", all, id)
	}
	e := all[0]
	if len(e.Stages) != 6 || e.Scope != secretTalk || e.LeftMessages != 0 || e.KeptEvents != uint64(len(kept)) || e.ErasedEvents != 4 {
		w.t.Errorf("the erasure is %+v", e)
	}
	if got := w.all(w.b); !reflect.DeepEqual(got, kept) {
		w.t.Errorf("%d events are left, want %d", len(got), len(kept))
	}
	if got := w.all(w.c); len(got) != 2 {
		w.t.Errorf("somebody else has %d events", len(got))
	}
	for _, p := range []eventstore.PersonID{w.a, w.b} {
		n, err := w.log.Count(ctx, tenant, p)
		w.must(err)
		if own := len(slices.DeleteFunc(slices.Clone(kept), func(r eventstore.Recorded) bool { return r.Person != p })); n != uint64(own) {
			w.t.Errorf("the stream has %d messages of a person, want %d", n, own)
		}
	}
	for _, r := range kept { // every copy has its row, and exactly one
		again := w.say(r.Event.Identity.Namespace+":"+r.Event.Identity.ID, r.Event.Conversation, r.Event.Key)
		if !again.Duplicate || again.ID != r.ID {
			w.t.Errorf("an event that stays, again: %+v", again)
		}
	}
	old := talk("web:visitor-77", "c2", "b0")
	old.Time = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	if _, err := w.store.Append(ctx, eventstore.Caller{Tenant: tenant, Bot: "shop"}, old); !errors.Is(err, eventstore.ErrErased) {
		w.t.Errorf("an erased event, again: %v", err)
	}
	if again, err := s.Erase(ctx, tenant, dpo, w.a, askedPart); err != nil || again.ID != id {
		w.t.Errorf("asked again: %v, %v", again.ID, err)
	}
	entries := w.ledger.of(eventstore.ActErased)
	if len(entries) == 0 || entries[0].Scope != eventstore.ScopeCodeConversation || len(entries[len(entries)-1].References) != 2 {
		w.t.Errorf("the ledger says %+v", entries)
	}
	at := -1
	for _, step := range []string{"ledger person-erased", "fence", "successor", "submit", "supersede", "remove"} {
		next := slices.Index(w.f.trace, step)
		if step == "submit" { // the last one
			next = len(w.f.trace) - 1 - slices.Index(reversed(w.f.trace), step)
		}
		if next < at {
			w.t.Errorf("%s comes too early in %v", step, w.f.trace)
		}
		at = next
	}
}

func reversed(in []string) []string {
	out := slices.Clone(in)
	slices.Reverse(out)
	return out
}

// identities of the kept events, for saying them again: the store does not keep whose handle it was.
func (w *partWorld) kept() []eventstore.Recorded {
	out := rest(w.all(w.a), secretTalk)
	return out
}

func TestErasePart(t *testing.T) {
	w := newPartWorld(t)
	s, ctx := w.process(), t.Context()
	kept := w.kept()
	p, err := s.Preview(ctx, tenant, dpo, w.a, secretTalk)
	if err != nil || p.Events != 4 || len(p.Handles) != 0 || p.Scope != secretTalk {
		t.Errorf("preview: %+v, %v", p, err)
	}
	e, err := s.Erase(ctx, tenant, dpo, w.b, askedPart)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Stages) != 3 || e.ErasedEvents != 4 || e.KeptEvents != uint64(len(kept)) || len(e.Persons) != 2 {
		t.Errorf("the answer is %+v", e)
	}
	if shown, err := s.Show(ctx, tenant, dpo, w.a); err != nil || shown.Events != uint64(len(kept)) || shown.State != StateActive {
		t.Errorf("shown: %+v, %v", shown, err)
	}
	w.finish(s)
	w.auditPart(s, e.ID, kept)
	w.auditPart(w.process(), e.ID, kept)

	for what, scope := range map[string]eventstore.Scope{
		"another conversation": {Conversation: "c9", Bot: "shop"}, "another bot": {Conversation: "c1", Bot: "mail"}, "a day": {Before: "2026-01-01"},
	} {
		r := askedPart
		r.Scope = scope
		if _, err := s.Erase(ctx, tenant, dpo, w.a, r); !errors.Is(err, eventstore.ErrNotFound) {
			t.Errorf("erasing %s: %v", what, err)
		}
		if _, err := s.Preview(ctx, tenant, dpo, w.a, scope); !errors.Is(err, eventstore.ErrNotFound) {
			t.Errorf("preview of %s: %v", what, err)
		}
	}
	// New words in the same conversation can be erased again, and then everything.
	w.later(time.Minute)
	w.say("web:visitor-77", "c2", "b7")
	second, err := s.Erase(ctx, tenant, dpo, w.a, askedPart)
	if err != nil || second.ID == e.ID || second.ErasedEvents != 1 {
		t.Fatalf("a second erasure of the part: %+v, %v", second, err)
	}
	whole, err := s.Erase(ctx, tenant, dpo, w.a, asked)
	if err != nil || whole.ID == second.ID || !whole.Scope.All() {
		t.Fatalf("then everything: %+v, %v", whole, err)
	}
	w.finish(s)
	w.finish(s)
	all, err := s.Erasures(ctx, tenant)
	w.must(err)
	for _, e := range all {
		if len(e.Stages) != 6 {
			t.Errorf("not completed: %+v", e)
		}
	}
	for _, p := range []eventstore.PersonID{w.a, w.b} {
		if n, err := w.log.Count(ctx, tenant, p); n != 0 || err != nil {
			t.Errorf("%d messages are left, %v", n, err)
		}
	}
}

// TestEraseBefore: a day is one of the tenant's time zone.
func TestEraseBefore(t *testing.T) {
	w := newPartWorld(t)
	zone := time.FixedZone("east", 3*3600)
	s := w.process()
	s.c.Zone = func(eventstore.TenantID) *time.Location { return zone }
	said := func(key string, at time.Time) {
		e := talk("email:alice@example.com", "c1", key)
		e.Time = at
		_, err := w.store.Append(t.Context(), eventstore.Caller{Tenant: tenant, Bot: "shop"}, e)
		w.must(err)
	}
	said("in", time.Date(2026, 11, 19, 20, 59, 59, 0, time.UTC))
	said("out", time.Date(2026, 11, 19, 21, 0, 0, 0, time.UTC))
	before := w.all(w.a)
	r := askedPart
	r.Scope = eventstore.Scope{Before: "2026-11-20"}
	e, err := s.Erase(t.Context(), tenant, dpo, w.a, r)
	if err != nil || e.ErasedEvents != 1 || e.Scope != r.Scope {
		t.Fatalf("%+v, %v", e, err)
	}
	want := slices.DeleteFunc(before, func(r eventstore.Recorded) bool { return r.Event.Key == "in" })
	if got := w.all(w.a); !reflect.DeepEqual(got, want) {
		t.Errorf("%d events are left, want %d", len(got), len(want))
	}
	old := talk("email:alice@example.com", "c8", "older")
	old.Time = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	if _, err := w.store.Append(t.Context(), eventstore.Caller{Tenant: tenant, Bot: "shop"}, old); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("what is older than the day comes back: %v", err)
	}
}

// TestEveryWriteOfAPartFails: whatever write goes wrong, the erasure of a part completes once, and what stays reads as before.
func TestEveryWriteOfAPartFails(t *testing.T) {
	for _, m := range []mode{{false, false}, {true, false}, {false, true}, {true, true}} {
		t.Run(fmt.Sprintf("stored=%v,crash=%v", m.stored, m.crash), func(t *testing.T) {
			k := 1
			for partFault(t, k, m) {
				k++
			}
			if k < 20 {
				t.Errorf("only %d writes were seen", k-1)
			}
		})
	}
}

func partFault(t *testing.T, k int, m mode) bool {
	w := newPartWorld(t)
	ctx := context.Background()
	s := w.process()
	before, kept := w.all(w.a), w.kept()
	w.f.armed, w.f.at, w.f.n, w.f.mode = true, k, 0, m
	e, err := s.Erase(ctx, tenant, dpo, w.a, askedPart)
	if err == nil {
		w.finish(s)
	} else if errors.Is(err, eventstore.ErrErased) || errors.Is(err, eventstore.ErrNotFound) || errors.Is(err, eventstore.ErrDamaged) {
		t.Fatalf("write %d: a fault is reported as %v", k, err)
	}
	struck := w.f.n >= k
	w.f.armed, w.f.dead = false, false
	if m.crash {
		s = w.process()
		if err := s.Resume(ctx, tenant); err != nil {
			t.Fatalf("write %d: Resume: %v", k, err)
		}
	}
	if rows, _, err := s.rows(ctx, tenant); err != nil || len(rows) == 0 { // it was never recorded: nothing may have happened
		if got := w.all(w.a); !reflect.DeepEqual(got, before) {
			t.Errorf("write %d: nothing was recorded and %d of %d events are left", k, len(got), len(before))
		}
	}
	again, err := s.Erase(ctx, tenant, dpo, w.b, askedPart)
	if err != nil {
		t.Fatalf("write %d: asked again: %v", k, err)
	}
	if e.ID != "" && e.ID != again.ID {
		t.Errorf("write %d: one part, two erasures", k)
	}
	w.finish(s)
	w.finish(s)
	w.auditPart(s, again.ID, kept)
	if t.Failed() {
		t.Fatalf("with write %d going wrong (%+v)", k, m)
	}
	return struck
}

// TestPartThatFailsBecomesAll: when what stays cannot be stored again, everything can still be erased, under the same id.
func TestPartThatFailsBecomesAll(t *testing.T) {
	w := newPartWorld(t)
	s, ctx := w.process(), t.Context()
	last := uint64(0) // behind the first event of the part, so that it is met while copying
	for r, err := range w.store.Read(ctx, tenant, w.a, eventstore.ReadOptions{}) {
		w.must(err)
		if r.Event.Conversation != "c2" {
			last = r.Sequence
		}
	}
	w.log.Damage(tenant, last)
	first, err := s.Erase(ctx, tenant, dpo, w.a, askedPart)
	if !errors.Is(err, eventstore.ErrDamaged) {
		t.Fatalf("over a damaged event: %+v, %v", first, err)
	}
	e, err := s.Erase(ctx, tenant, support, w.b, asked)
	if err != nil || !e.Scope.All() {
		t.Fatalf("everything: %+v, %v", e, err)
	}
	w.finish(s)
	w.audit2(s, e.ID)
	w.audit2(w.process(), e.ID)
	if n := len(w.ledger.of(eventstore.ActErased)); n != 2 {
		t.Errorf("%d entries, want one for the part and one for everything", n)
	}
}

// audit2 is audit for a world whose third person has two events.
func (w *partWorld) audit2(s *Service, id string) {
	w.t.Helper()
	all, err := s.Erasures(context.Background(), tenant)
	w.must(err)
	if len(all) != 1 || all[0].ID != id || len(all[0].Stages) != 6 {
		w.t.Fatalf("the erasures are %+v", all)
	}
	for _, p := range []eventstore.PersonID{w.a, w.b} {
		if _, err := w.keys.Gate(context.Background(), tenant, p); !errors.Is(err, eventstore.ErrErased) {
			w.t.Errorf("the vault says %v of an erased person", err)
		}
		if n, err := w.log.Count(context.Background(), tenant, p); n != 0 || err != nil {
			w.t.Errorf("%d messages are left, %v", n, err)
		}
	}
	if got := w.all(w.c); len(got) != 2 {
		w.t.Errorf("somebody else has %d events", len(got))
	}
}

// TestPartOnHold: a legal hold stops it, and nothing has happened.
func TestPartOnHold(t *testing.T) {
	w := newPartWorld(t)
	s := w.process()
	before := w.all(w.a)
	w.hold(w.a, true)
	if _, err := s.Erase(t.Context(), tenant, dpo, w.a, askedPart); !errors.Is(err, eventstore.ErrHold) {
		t.Fatalf("on hold: %v", err)
	}
	if got := w.all(w.a); !reflect.DeepEqual(got, before) {
		t.Error("something is gone")
	}
	w.hold(w.a, false)
	if _, err := s.Erase(t.Context(), tenant, dpo, w.a, askedPart); err != nil {
		t.Errorf("after the hold: %v", err)
	}
}

// TestNameOfAConversationExpires: the register forgets what the erased conversation was called.
func TestNameOfAConversationExpires(t *testing.T) {
	w := newPartWorld(t)
	s, ctx := w.process(), t.Context()
	e, err := s.Erase(ctx, tenant, dpo, w.a, askedPart)
	w.must(err)
	w.finish(s)
	s.sweep(ctx)
	if got, err := s.Erasure(ctx, tenant, e.ID); err != nil || got.Scope != secretTalk {
		t.Errorf("%+v, %v", got, err)
	}
	w.later(366 * 24 * time.Hour)
	s.sweep(ctx)
	if got, err := s.Erasure(ctx, tenant, e.ID); err != nil || got.Scope.Conversation == "c2" || got.Scope.Code() != eventstore.ScopeCodeConversation || len(got.Stages) != 6 {
		t.Errorf("a year later: %+v, %v", got, err)
	}
}

// TestErasuresTogether: several parts of one linked set and everything are asked for at the same moment, by either member, while others append. Each part is
// one erasure; in the end everything is gone, and everybody got an answer that is true.
func TestErasuresTogether(t *testing.T) {
	w := newPartWorld(t)
	s, ctx := w.process(), t.Context()
	scopes := []eventstore.Scope{secretTalk, {Conversation: "c1", Bot: "shop"}, {Before: "2026-11-21"}, secretTalk}
	old := talk("email:alice@example.com", "c5", "old")
	old.Time = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	if _, err := w.store.Append(ctx, eventstore.Caller{Tenant: tenant, Bot: "shop"}, old); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		e   Erasure
		err error
	}
	answers := make([]answer, len(scopes))
	var parts, others sync.WaitGroup
	stop := make(chan struct{})
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_, err := w.store.Append(ctx, eventstore.Caller{Tenant: tenant, Bot: "shop"}, talk("web:visitor-77", "c4", fmt.Sprint("x", i)))
			if err != nil && !errors.Is(err, eventstore.ErrFenced) && !errors.Is(err, eventstore.ErrErased) && !errors.Is(err, eventstore.ErrUncertain) {
				t.Errorf("an append beside: %v", err)
				return
			}
		}
	})
	for i, scope := range scopes {
		person := []eventstore.PersonID{w.a, w.b}[i%2]
		parts.Go(func() {
			r := askedPart
			r.Scope = scope
			for {
				answers[i].e, answers[i].err = s.Erase(ctx, tenant, dpo, person, r)
				if !errors.Is(answers[i].err, eventstore.ErrFenced) {
					return
				}
			}
		})
	}
	parts.Wait()
	for i, a := range answers {
		if a.err != nil || a.e.Scope != scopes[i] || a.e.Stages[Shredded].IsZero() {
			t.Errorf("part %d: %+v, %v", i, a.e, a.err)
		}
	}
	if answers[0].e.ID != answers[3].e.ID {
		t.Error("one part has two erasures")
	}
	var whole Erasure
	var err error
	parts.Go(func() { whole, err = s.Erase(ctx, tenant, dpo, w.b, asked) })
	parts.Wait()
	close(stop)
	others.Wait()
	if err != nil || !whole.Scope.All() {
		t.Fatalf("everything: %+v, %v", whole, err)
	}
	for range 3 {
		w.finish(s)
	}
	all, err := s.Erasures(ctx, tenant)
	w.must(err)
	if len(all) != 4 {
		t.Errorf("%d erasures, want 4", len(all))
	}
	for _, e := range all {
		if len(e.Stages) != 6 {
			t.Errorf("not completed: %+v", e)
		}
	}
	for _, p := range []eventstore.PersonID{w.a, w.b} {
		if n, err := w.log.Count(ctx, tenant, p); n != 0 || err != nil {
			t.Errorf("%d messages are left, %v", n, err)
		}
	}
}

// TestFenceLiftedByAPart: an erasure of everything, whose fence one of a part has lifted because the two began before their persons were linked, fences again.
func TestFenceLiftedByAPart(t *testing.T) {
	w := newPartWorld(t)
	s, ctx := w.process(), t.Context()
	s.c.Keys = liftingKeys{s.c.Keys, w, new(bool)}
	e, err := s.Erase(ctx, tenant, dpo, w.a, asked)
	if err != nil || !e.Scope.All() {
		t.Fatalf("%+v, %v", e, err)
	}
	w.finish(s)
	w.audit2(s, e.ID)
}

// liftingKeys supersedes the set just before it is shredded for the first time.
type liftingKeys struct {
	eventstore.Keys
	w    *partWorld
	done *bool
}

func (k liftingKeys) Shred(ctx context.Context, t eventstore.TenantID, p []eventstore.PersonID, o eventstore.ShredOptions) error {
	if !*k.done {
		*k.done = true
		members, err := k.Keys.Fence(ctx, t, p)
		k.w.must(err)
		var all []eventstore.Succession
		for _, m := range members {
			g, err := k.Keys.Successor(ctx, t, m.Person)
			k.w.must(err)
			g.Release()
			all = append(all, eventstore.Succession{Person: m.Person, Reference: m.Reference, First: 1000})
		}
		k.w.must(k.Keys.Supersede(ctx, t, all))
	}
	return k.Keys.Shred(ctx, t, p, o)
}
