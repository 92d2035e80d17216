package rights

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

func TestErase(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	e, err := s.Erase(ctx, tenant, support, w.b, asked)
	if err != nil {
		t.Fatal(err)
	}
	if e.Person != w.b || len(e.Persons) != 2 || e.Scope != eventstore.ScopeAll || len(e.Stages) != 3 {
		t.Errorf("the answer is %+v", e)
	}
	if w.append("email:alice@example.com", "I am back") == w.a {
		t.Error("the handle leads to the erased person")
	}
	entry := w.ledger.of(eventstore.ActErased)[0]
	if entry.Token != support.Token || entry.Role != support.Role || len(entry.References) != 2 || entry.Reason != asked.Reason || len(entry.Subject) != 32 {
		t.Errorf("the ledger says %+v", entry)
	}
	// Projections have not passed it: nothing is removed.
	w.later(time.Minute)
	s.pass(ctx)
	if got, _ := s.Erasure(ctx, tenant, e.ID); len(got.Stages) != 3 {
		t.Errorf("before projections passed: %v", got.Stages)
	}
	w.finish(s)
	w.audit(s, e.ID)
	w.audit(w.service(), e.ID)
	if got, _ := s.Erasure(ctx, tenant, e.ID); got.RemovedMessages < 6 || got.LeftMessages != 0 {
		t.Errorf("removed %d, left %d", got.RemovedMessages, got.LeftMessages)
	}
	if len(s.book.tenants[tenant].pending()) != 0 {
		t.Error("a completed erasure is still pending")
	}
}

// Every write goes wrong, once failed and once failed but stored, with and without the process dying.
func TestEveryWriteFails(t *testing.T) {
	for _, m := range []mode{{false, false}, {true, false}, {false, true}, {true, true}} {
		t.Run(fmt.Sprintf("stored=%v,crash=%v", m.stored, m.crash), func(t *testing.T) {
			k := 1
			for ; ; k++ {
				if !oneFault(t, k, m) {
					break
				}
			}
			if k < 12 {
				t.Errorf("only %d writes were seen", k-1)
			}
		})
	}
}

// oneFault erases with the k-th write going wrong and says whether there was a k-th.
func oneFault(t *testing.T, k int, m mode) bool {
	w := newWorld(t)
	ctx := context.Background()
	s := w.service()
	w.f.armed, w.f.at, w.f.n, w.f.mode = true, k, 0, m
	e, err := s.Erase(ctx, tenant, dpo, w.a, asked)
	if err == nil {
		w.finish(s) // the fault may strike here
	} else if errors.Is(err, eventstore.ErrErased) || errors.Is(err, eventstore.ErrNotFound) {
		t.Fatalf("write %d: a fault is reported as %v", k, err)
	}
	struck := w.f.n >= k
	w.f.armed, w.f.dead = false, false
	if m.crash {
		s = w.service()
		if err := s.Resume(ctx, tenant); err != nil {
			t.Fatalf("write %d: Resume: %v", k, err)
		}
		rows, _, err := s.rows(ctx, tenant)
		w.must(err)
		for _, r := range rows {
			if !r.reached(Shredded) {
				t.Errorf("write %d: after Resume an erasure is not shredded", k)
			}
		}
		if len(rows) == 0 { // it was never recorded: nothing may have happened
			w.untouched(w.a, 6)
		}
	} else if err != nil && len(w.ledger.of(eventstore.ActErased)) == 0 {
		// The ledger never knew: nothing has happened, and nothing will.
		w.finish(s)
		w.untouched(w.a, 6)
	}
	again, err := s.Erase(ctx, tenant, dpo, w.b, asked)
	if err != nil {
		t.Fatalf("write %d: asked again: %v", k, err)
	}
	if e.ID != "" && e.ID != again.ID {
		t.Errorf("write %d: one set, two erasures", k)
	}
	w.finish(s)
	w.finish(s)
	w.audit(s, again.ID)
	if t.Failed() {
		t.Fatalf("with write %d going wrong (%+v)", k, m)
	}
	return struck
}

func TestLedgerFailsNothingHappens(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	w.ledger.fail = eventstore.ErrUnavailable
	if _, err := s.Erase(ctx, tenant, dpo, w.a, asked); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"show":    func() error { _, err := s.Show(ctx, tenant, dpo, w.a); return err },
		"preview": func() error { _, err := s.Preview(ctx, tenant, dpo, w.a, eventstore.ScopeAll); return err },
		"lookup": func() error {
			_, err := s.Lookup(ctx, tenant, dpo, []eventstore.Identity{identity("web:visitor-77")})
			return err
		},
		"export":     func() error { d, err := s.Export(ctx, tenant, dpo, w.a); _ = d; return err },
		"write":      func() error { return s.ExportTo(ctx, failingWriter{t}, tenant, dpo, w.a) },
		"transcript": func() error { _, err := transcript(ctx, s, dpo, w.a); return err },
	} {
		if err := call(); !errors.Is(err, eventstore.ErrUnavailable) {
			t.Errorf("%s without a ledger: %v", name, err)
		}
	}
	w.ledger.fail = nil
	w.must(w.service().Resume(ctx, tenant))
	w.finish(s)
	w.untouched(w.a, 6)
	if rows, err := w.keys.List(ctx, tenant, eventstore.TableErasures); err != nil || len(rows) != 0 {
		t.Errorf("%d rows are left", len(rows))
	}
	if rows, err := w.keys.List(ctx, tenant, eventstore.TableErased); err != nil || len(rows) != 0 {
		t.Errorf("%d pointers are left", len(rows))
	}
}

type failingWriter struct{ t *testing.T }

func (f failingWriter) Write([]byte) (int, error) {
	f.t.Error("something was written")
	return 0, errInjected
}

func TestEraseRefusals(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	stranger, err := eventstore.NewPersonID(nil)
	w.must(err)
	if _, err := s.Erase(ctx, tenant, dpo, stranger, asked); !errors.Is(err, eventstore.ErrNotFound) {
		t.Errorf("a stranger: %v", err)
	}
	for name, r := range map[string]Request{
		"no reason":   {},
		"a reason":    {Reason: "because"},
		"a scope":     {Reason: asked.Reason, Scope: eventstore.Scope{Conversation: "c"}},
		"a long note": {Reason: asked.Reason, Note: strings.Repeat("n", maxNote+1)},
		"a ticket":    {Reason: asked.Reason, Ticket: "\xff"},
	} {
		if _, err := s.Erase(ctx, tenant, dpo, w.a, r); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.keys.Fail(eventstore.ErrUnavailable)
	if _, err := s.Erase(ctx, tenant, dpo, w.a, asked); !errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrErased) {
		t.Errorf("an outage of the vault: %v", err)
	}
	w.keys.Fail(nil)
	if len(w.ledger.all) != 0 {
		t.Errorf("refusals made %d ledger entries", len(w.ledger.all))
	}
	// Erased by other means than this machine.
	_, err = w.keys.Fence(ctx, tenant, []eventstore.PersonID{w.c})
	w.must(err)
	if _, err := s.Erase(ctx, tenant, dpo, w.c, asked); !errors.Is(err, eventstore.ErrFenced) {
		t.Errorf("fenced elsewhere: %v", err)
	}
	w.must(w.keys.Shred(ctx, tenant, []eventstore.PersonID{w.c}, eventstore.ShredOptions{}))
	if _, err := s.Erase(ctx, tenant, dpo, w.c, asked); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("erased elsewhere: %v", err)
	}
}

func (w *world) hold(p eventstore.PersonID, on bool) {
	w.t.Helper()
	w.must(w.keys.SetState(context.Background(), tenant, p, func(s eventstore.State) eventstore.State { s.Hold = on; return s }))
}

func TestHold(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	w.hold(w.b, true)
	if _, err := s.Erase(ctx, tenant, dpo, w.a, asked); !errors.Is(err, eventstore.ErrHold) {
		t.Fatal(err)
	}
	if len(w.ledger.all) != 0 || len(w.f.trace) != 0 {
		t.Errorf("a held person: %v", w.f.trace)
	}
	w.hold(w.b, false)
	// A hold that begins between the ledger's entry and the fence, with every write around it failing or the process dying.
	for k := 1; ; k++ {
		w := newWorld(t)
		s := w.service()
		s.c.Keys = holdingKeys{s.c.Keys, w}
		w.f.armed, w.f.at, w.f.mode = true, k, mode{stored: k%2 == 0, crash: true}
		_, err := s.Erase(ctx, tenant, dpo, w.a, asked)
		struck := w.f.dead
		if !struck && !errors.Is(err, eventstore.ErrHold) {
			t.Fatalf("write %d: %v", k, err)
		}
		w.hold(w.b, true)
		w.f.armed, w.f.dead = false, false
		s = w.service()
		w.must(s.Resume(ctx, tenant))
		if rows, err := w.keys.List(ctx, tenant, eventstore.TableErasures); err != nil || len(rows) > 1 {
			t.Errorf("write %d: %d rows are left", k, len(rows))
		}
		if len(w.ledger.of(eventstore.ActErased)) > 0 && len(w.ledger.of(ActErasureRefused)) == 0 {
			t.Errorf("write %d: the ledger is not told of the refusal", k)
		}
		w.untouched(w.a, 6)
		w.hold(w.b, false)
		e, err := s.Erase(ctx, tenant, dpo, w.b, asked)
		w.must(err)
		w.finish(s)
		w.audit(s, e.ID)
		if !struck {
			break
		}
	}
}

// holdingKeys lays a hold just before the fence.
type holdingKeys struct {
	eventstore.Keys
	w *world
}

func (h holdingKeys) Fence(ctx context.Context, t eventstore.TenantID, p []eventstore.PersonID) ([]eventstore.Member, error) {
	h.w.hold(h.w.b, true)
	return h.Keys.Fence(ctx, t, p)
}

// linkingKeys links another person just before the fence.
type linkingKeys struct {
	eventstore.Keys
	w    *world
	once *sync.Once
}

func (l linkingKeys) Fence(ctx context.Context, t eventstore.TenantID, p []eventstore.PersonID) ([]eventstore.Member, error) {
	l.once.Do(func() { l.w.must(l.w.keys.Link(ctx, t, l.w.a, l.w.b)) })
	return l.Keys.Fence(ctx, t, p)
}

// A person who is linked after the intent is erased too, and the ledger knows before the fence becomes a shredding.
func TestSetGrows(t *testing.T) {
	for k := 0; ; k++ {
		w := newWorld(t)
		w.b = w.append("web:visitor-99", "another browser")
		s, ctx := w.service(), t.Context()
		s.c.Keys = linkingKeys{s.c.Keys, w, &sync.Once{}}
		w.f.armed, w.f.at, w.f.mode = true, k, mode{stored: k%2 == 0}
		_, err := s.Erase(ctx, tenant, dpo, w.a, asked)
		struck := w.f.n >= k
		w.f.armed = false
		if err != nil && k == 0 {
			t.Fatal(err)
		}
		e, err := s.Erase(ctx, tenant, dpo, w.a, asked)
		w.must(err)
		w.finish(s)
		w.audit(s, e.ID)
		if len(e.Persons) != 3 || t.Failed() {
			t.Fatalf("write %d: %d persons", k, len(e.Persons))
		}
		if !struck {
			break
		}
	}
}

// Two erasures begin, then their persons are linked: both complete, and each person leads to their own, also after a restart.
func TestTwoErasuresLinked(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	w.f.armed, w.f.at, w.f.mode = true, 5, mode{stored: true} // the ledger's entry: note, intent and two pointers come before it
	if _, err := s.Erase(ctx, tenant, dpo, w.a, asked); err != eventstore.ErrUncertain {
		t.Fatal(err)
	}
	first := s.book.tenants[tenant].find(w.a).row.ID
	s.c.Keys = linkingKeys{s.c.Keys, w, &sync.Once{}}
	aside := w.b
	w.b = w.c
	second, err := s.Erase(ctx, tenant, dpo, w.c, asked)
	w.must(err)
	if second.ID == first || len(second.Persons) != 3 {
		t.Fatalf("the second erasure is %+v", second)
	}
	for _, s := range []*Service{s, w.service(), s} {
		w.must(s.Resume(ctx, tenant))
		for p, id := range map[eventstore.PersonID]string{w.a: first, aside: first, w.c: second.ID} {
			if e, err := s.Erase(ctx, tenant, dpo, p, asked); err != nil || e.ID != id {
				t.Errorf("a person leads to %s, %v, want %s", e.ID, err, id)
			}
			if _, err := w.keys.Gate(ctx, tenant, p); !errors.Is(err, eventstore.ErrErased) {
				t.Errorf("the vault says %v", err)
			}
		}
		w.finish(s)
	}
	// Without its pointer a person is found all the same.
	w.must(w.keys.Delete(ctx, tenant, eventstore.TableErased, w.c.String()))
	if e, err := w.service().Erase(ctx, tenant, dpo, w.c, asked); err != nil || e.ID != second.ID {
		t.Errorf("without a pointer: %s, %v", e.ID, err)
	}
}

func TestConcurrentErase(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	var wg sync.WaitGroup
	ids := make([]string, 16)
	for i := range ids {
		wg.Go(func() {
			e, err := s.Erase(ctx, tenant, dpo, []eventstore.PersonID{w.a, w.b}[i%2], asked)
			if err != nil {
				t.Error(err)
			}
			ids[i] = e.ID
		})
	}
	// Meanwhile others append and read: each answer is an event, a fence or an erasure, and never anything after the erasure.
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, err := w.try("web:visitor-77", "meanwhile"); err != nil && !errors.Is(err, eventstore.ErrFenced) && !errors.Is(err, eventstore.ErrErased) {
					t.Errorf("append: %v", err)
				}
			}
		})
		wg.Go(func() {
			over := false
			for range 20 {
				n, err := transcript(ctx, s, dpo, w.a)
				if n > 0 && over {
					t.Error("an event was read after the erasure")
				}
				if err != nil && !errors.Is(err, eventstore.ErrFenced) && !errors.Is(err, eventstore.ErrErased) {
					t.Errorf("read: %v", err)
				}
				over = over || errors.Is(err, eventstore.ErrErased)
			}
		})
	}
	wg.Wait()
	if slices.ContainsFunc(ids, func(id string) bool { return id != ids[0] }) {
		t.Errorf("one set, several erasures: %v", ids)
	}
	if n := len(w.ledger.of(eventstore.ActErased)); n != 1 {
		t.Errorf("%d ledger entries", n)
	}
	w.finish(s)
	w.audit(s, ids[0])
}

// Run completes erasures without being asked, those of an earlier process too, and ends with its context.
func TestRun(t *testing.T) {
	w := newWorld(t)
	first, err := w.service().Erase(t.Context(), tenant, dpo, w.c, asked)
	w.must(err)
	s := w.service()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	second, err := s.Erase(ctx, tenant, dpo, w.a, asked)
	w.must(err)
	w.catchUp()
	for _, id := range []string{first.ID, second.ID} {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			w.later(time.Minute)
			if e, err := s.Erasure(ctx, tenant, id); err != nil || time.Now().After(deadline) {
				t.Fatalf("%+v, %v", e, err)
			} else if _, ok := e.Stages[Completed]; ok {
				break
			}
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
	all, err := s.Erasures(t.Context(), tenant)
	if err != nil || len(all) != 2 || all[0].ID != second.ID {
		t.Errorf("Erasures = %+v, %v", all, err)
	}
}

func TestNotesExpire(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	e, err := s.Erase(ctx, tenant, dpo, w.a, asked)
	w.must(err)
	find := func() int {
		all, err := s.ByTicket(ctx, tenant, asked.Ticket)
		w.must(err)
		return len(all)
	}
	if find() != 1 {
		t.Error("the ticket leads nowhere")
	}
	if _, err := s.Erasure(ctx, tenant, e.ID+noteSuffix); !errors.Is(err, eventstore.ErrNotFound) {
		t.Errorf("a note answers as an erasure: %v", err)
	}
	s.sweep(ctx)
	w.later(s.c.NoteLife)
	if find() != 0 {
		t.Error("an expired ticket is found")
	}
	s.sweep(ctx)
	rows, err := w.keys.List(ctx, tenant, eventstore.TableErasures)
	w.must(err)
	for key := range rows {
		if key != e.ID {
			t.Error("an expired note is still there")
		}
	}
	if all, err := s.Erasures(ctx, tenant); err != nil || len(all) != 1 {
		t.Errorf("%d erasures, %v", len(all), err)
	}
}
