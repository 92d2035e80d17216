package rights

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

var (
	asker    = Actor{Token: "askertoken", Role: eventstore.RoleSupport}
	approver = Actor{Token: "approvertoken", Role: eventstore.RoleSupport}
	botActor = Actor{Token: "bottoken", Role: eventstore.RoleBot}
)

func (w *world) file(s *Service, actor Actor, f Filing) PersonRequest {
	w.t.Helper()
	r, err := s.File(context.Background(), tenant, actor, f)
	w.must(err)
	return r
}

func (w *world) request(s *Service, id string) PersonRequest {
	w.t.Helper()
	r, err := s.Request(context.Background(), tenant, id)
	w.must(err)
	return r
}

func TestRegister(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	alice := identity("email:alice@example.com")
	r := w.file(s, botActor, Filing{Kind: RequestErasure, Identity: &alice, Verified: true})
	if r.Waiting != WaitVerification || r.Person != w.a || r.Identity != nil || r.FiledBy != eventstore.RoleBot {
		t.Errorf("what a bot files: %+v", r)
	}
	if again := w.file(s, botActor, Filing{Kind: RequestErasure, Person: w.b}); again.ID != r.ID {
		t.Error("the same request of another member of the set is a second one")
	}
	decide := func(d Decision, reason eventstore.Reason) (PersonRequest, error) {
		return s.Decide(ctx, tenant, support, r.ID, d, reason)
	}
	if _, err := decide(DecideExecute, ""); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("executing what is not verified: %v", err)
	}
	w.untouched(w.a, 6)
	if _, err := decide(DecideAnswer, ""); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("answering what is not executed: %v", err)
	}
	if _, err := decide(DecideRefuse, "because"); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("a refusal in words: %v", err)
	}
	got, err := decide(DecideVerify, "")
	w.must(err)
	if got.Waiting != WaitExecution {
		t.Errorf("verified: %+v", got)
	}
	got, err = decide(DecideExecute, "")
	w.must(err)
	e, err := s.Erasure(ctx, tenant, got.Erasure)
	w.must(err)
	if n := w.ledger.all[got.Entry-1]; got.Waiting != WaitAnswer || n.Act != eventstore.ActErased || e.Stages[Shredded].IsZero() {
		t.Errorf("executed: %+v, the entry says %+v", got, n)
	}
	got, err = decide(DecideAnswer, "")
	w.must(err)
	if got.Open() || got.Waiting != "" {
		t.Errorf("answered: %+v", got)
	}
	if _, err := decide(DecideWithdraw, ""); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("deciding about what is closed: %v", err)
	}
	for _, act := range []eventstore.Act{ActRequestReceived, ActRequestVerified, ActRequestExecuted, ActRequestAnswered} {
		if all := w.ledger.of(act); len(all) != 1 || all[0].Basis != "erasure" || string(all[0].Subject) != string(RequestSubject(r.ID)) {
			t.Errorf("%s: the ledger says %+v", act, all)
		}
	}
	w.finish(s)
	w.audit(s, got.Erasure)
}

// TestRequestKinds: a restriction and an objection are carried out, a copy is by the export, and what concerns nobody is answered or refused.
func TestRequestKinds(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	for kind, holds := range map[RequestKind]func(eventstore.State) bool{
		RequestRestriction: func(st eventstore.State) bool { return st.Restricted },
		RequestObjection:   func(st eventstore.State) bool { return st.Objected },
	} {
		r := w.file(s, support, Filing{Kind: kind, Person: w.c, Verified: true})
		got, err := s.Decide(ctx, tenant, support, r.ID, DecideExecute, "")
		w.must(err)
		if got.Waiting != WaitAnswer || got.Entry != 0 && w.ledger.all[got.Entry-1].Basis != string(kind) || !holds(w.stateOf(w.c)) {
			t.Errorf("%s: %+v", kind, got)
		}
	}
	r := w.file(s, support, Filing{Kind: RequestAccess, Person: w.a, Verified: true})
	if _, err := s.Decide(ctx, tenant, support, r.ID, DecideExecute, ""); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("a copy without an export: %v", err)
	}
	if _, err := s.Export(ctx, tenant, support, w.b); err != nil {
		t.Fatal(err)
	}
	if got := w.request(s, r.ID); got.Waiting != WaitAnswer || w.ledger.all[got.Entry-1].Act != eventstore.ActExported {
		t.Errorf("the export did not execute it: %+v", got)
	}
	stranger := identity("email:stranger@example.com")
	r = w.file(s, botActor, Filing{Kind: RequestAccess, Identity: &stranger})
	if r.Identity == nil || !r.Person.IsZero() {
		t.Errorf("a stranger's: %+v", r)
	}
	_, err := s.Decide(ctx, tenant, support, r.ID, DecideVerify, "")
	w.must(err)
	got, err := s.Decide(ctx, tenant, support, r.ID, DecideRefuse, "not-identified")
	w.must(err)
	if got.Identity != nil || got.Refusal != "not-identified" || got.Open() {
		t.Errorf("refused: %+v", got)
	}
	for _, bad := range []Filing{{Kind: "forget", Person: w.a}, {Kind: RequestAccess}, {Kind: RequestAccess, Person: w.a, Order: &asked}, {Kind: RequestErasure, Person: w.a, Order: &Request{}}} {
		if _, err := s.File(ctx, tenant, support, bad); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestDueDates: the tenant's promise and the month of the law, whatever month it is; handles and words expire.
func TestDueDates(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	within := 3 * 24 * time.Hour
	s.c.AnswerWithin = func(eventstore.TenantID) time.Duration { return within }
	stranger := identity("email:stranger@example.com")
	first := w.file(s, botActor, Filing{Kind: RequestAccess, Identity: &stranger})
	within = 31 * 24 * time.Hour
	second := w.file(s, support, Filing{Kind: RequestErasure, Person: w.c, Order: &asked})
	if !first.Due.Equal(first.Received.Add(3*24*time.Hour)) || !second.Due.Equal(second.Latest) {
		t.Errorf("due at %v and %v", first.Due, second.Due)
	}
	w.later(4 * 24 * time.Hour)
	all, err := s.Requests(ctx, tenant)
	w.must(err)
	n, err := s.CountRequests(ctx, tenant)
	w.must(err)
	if len(all) != 2 || all[0].ID != first.ID || !all[0].Overdue || all[1].Overdue || n.Open != 2 || n.Overdue != 1 {
		t.Errorf("%+v; %+v", all, n)
	}
	w.later(400 * 24 * time.Hour)
	s.sweep(ctx)
	if s := w.service(); w.request(s, first.ID).Identity != nil || s.register.tenants[tenant].rows[second.ID].Order.Note != "" {
		t.Error("a handle and a note did not expire")
	}
	for from, to := range map[string]string{"2026-01-31": "2026-02-28", "2024-01-30": "2024-02-29", "2026-11-30": "2026-12-30", "2026-12-31": "2027-01-31"} {
		at, _ := time.Parse(time.DateOnly, from)
		if got := monthAfter(at).Format(time.DateOnly); got != to {
			t.Errorf("a month after %s is %s", from, got)
		}
	}
}

// Every write of a request for erasure goes wrong, from filing to execution, as in TestEveryWriteFails. What was acknowledged stands, an effect has its entries
// before it, and asking again ends in one erasure that the request names.
func TestEveryWriteOfARequestFails(t *testing.T) {
	for _, m := range []mode{{false, false}, {true, false}, {false, true}, {true, true}} {
		t.Run(fmt.Sprintf("stored=%v,crash=%v", m.stored, m.crash), func(t *testing.T) {
			k := 1
			for oneFaultyRequest(t, k, m) {
				k++
			}
			if k < 10 {
				t.Errorf("only %d writes were seen", k-1)
			}
		})
	}
}

func oneFaultyRequest(t *testing.T, k int, m mode) (struck bool) {
	w := newWorld(t)
	s, ctx := w.service(), context.Background()
	w.f.armed, w.f.at, w.f.n, w.f.mode = true, k, 0, m
	f := Filing{Kind: RequestErasure, Person: w.a, Verified: true, Order: &asked}
	r, err := s.File(ctx, tenant, support, f)
	filed := err == nil
	var done PersonRequest
	if filed {
		done, err = s.Decide(ctx, tenant, support, r.ID, DecideExecute, "")
	}
	acknowledged := err == nil
	struck = w.f.n >= k
	w.f.armed, w.f.dead = false, false
	if m.crash {
		s = w.service()
		w.must(s.Resume(ctx, tenant))
	}
	s.pass(ctx)
	again := w.file(s, support, f)
	all, err := s.Requests(ctx, tenant)
	w.must(err)
	if filed && all[0].ID != r.ID && all[len(all)-1].ID != r.ID {
		t.Fatalf("write %d: an acknowledged request is gone", k)
	}
	if filed {
		again = w.request(s, r.ID)
	}
	if acknowledged && again.Erasure != done.Erasure {
		t.Errorf("write %d: executed, and then %+v", k, again)
	}
	if again.Waiting == WaitExecution {
		again, err = s.Decide(ctx, tenant, support, again.ID, DecideExecute, "")
		w.must(err)
	}
	if again.Waiting != WaitAnswer || again.Erasure == "" {
		t.Fatalf("write %d: %+v", k, again)
	}
	w.finish(s)
	w.audit(s, again.Erasure)
	return struck && !t.Failed()
}

// TestHoldAndResume: an erasure that a hold stops waits in the register and goes on when the hold ends, in this process or the next, whatever write fails; it is
// never carried out while the hold lasts, nor after it was withdrawn.
func TestHoldAndResume(t *testing.T) {
	for _, m := range []mode{{false, false}, {true, false}, {false, true}, {true, true}} {
		t.Run(fmt.Sprintf("stored=%v,crash=%v", m.stored, m.crash), func(t *testing.T) {
			for k := 1; oneHeldErasure(t, k, m); k++ {
			}
		})
	}
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	w.hold(w.b, true)
	if _, err := s.EraseOrWait(ctx, tenant, support, w.a, asked); !errors.Is(err, eventstore.ErrHold) {
		t.Fatal(err)
	}
	all, err := s.Requests(ctx, tenant)
	w.must(err)
	if len(all) != 1 || all[0].Waiting != WaitHold {
		t.Fatalf("%+v", all)
	}
	_, err = s.Decide(ctx, tenant, support, all[0].ID, DecideWithdraw, "")
	w.must(err)
	w.hold(w.b, false)
	s.pass(ctx)
	w.service().pass(ctx)
	w.untouched(w.a, 6)
}

func oneHeldErasure(t *testing.T, k int, m mode) (struck bool) {
	w := newWorld(t)
	s, ctx := w.service(), context.Background()
	_, err := s.Set(ctx, tenant, dpo, w.b, Hold, eventstore.ReasonCourtOrder)
	w.must(err)
	w.f.armed, w.f.at, w.f.n, w.f.mode = true, k, 0, m
	_, err = s.EraseOrWait(ctx, tenant, support, w.a, asked)
	if err == nil {
		t.Fatalf("write %d: erased in spite of a hold", k)
	}
	waits := errors.Is(err, eventstore.ErrHold)
	s.pass(ctx)
	var ended error
	if waits {
		_, ended = s.Set(ctx, tenant, dpo, w.a, Unhold, "")
		s.pass(ctx)
	}
	struck = w.f.n >= k
	w.f.armed, w.f.dead = false, false
	if m.crash {
		s = w.service()
		w.must(s.Resume(ctx, tenant))
	}
	s.pass(ctx)
	if !waits { // nothing was acknowledged: it is asked for again
		w.untouched(w.a, 6)
		if _, err := s.EraseOrWait(ctx, tenant, support, w.a, asked); !errors.Is(err, eventstore.ErrHold) {
			t.Fatalf("write %d: asked again: %v", k, err)
		}
	}
	if !waits || ended != nil {
		_, err := s.Set(ctx, tenant, dpo, w.a, Unhold, "")
		if err != nil && !errors.Is(err, eventstore.ErrErased) && !errors.Is(err, eventstore.ErrFenced) {
			t.Fatalf("write %d: %v", k, err)
		}
	}
	s.pass(ctx)
	all, err := s.Requests(ctx, tenant)
	w.must(err)
	if len(all) != 1 || all[0].Waiting != WaitAnswer || all[0].Erasure == "" {
		t.Fatalf("write %d: the register says %+v", k, all)
	}
	w.finish(s)
	w.audit(s, all[0].Erasure)
	if by := w.ledger.of(eventstore.ActErased)[0]; by.Token != support.Token {
		t.Errorf("write %d: it was carried out in the name of %s", k, by.Token)
	}
	return struck && !t.Failed()
}

// TestFourEyes: nothing is erased before somebody else approves; the same token, the same owner, and who has no owner are not somebody else.
func TestFourEyes(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	owners := map[eventstore.TokenID]string{asker.Token: "a", approver.Token: "b", support.Token: "a"}
	eyes := func(s *Service) *Service {
		s.c.FourEyes = func(eventstore.TenantID) bool { return true }
		s.c.Owner = func(_ context.Context, _ eventstore.TenantID, id eventstore.TokenID) (string, error) {
			return owners[id], nil
		}
		return s
	}
	eyes(s)
	for range 2 {
		if _, err := s.EraseOrWait(ctx, tenant, asker, w.b, asked); !errors.Is(err, eventstore.ErrHold) {
			t.Fatal(err)
		}
	}
	s = eyes(w.service())
	s.pass(ctx)
	w.untouched(w.a, 6)
	all, err := s.Requests(ctx, tenant)
	w.must(err)
	if len(all) != 1 || all[0].Waiting != WaitApproval {
		t.Fatalf("%+v", all)
	}
	for _, who := range []Actor{asker, support, dpo} {
		if _, err := s.Decide(ctx, tenant, who, all[0].ID, DecideApprove, ""); !errors.Is(err, eventstore.ErrForbidden) {
			t.Errorf("%s approves: %v", who.Token, err)
		}
	}
	w.untouched(w.a, 6)
	got, err := s.Decide(ctx, tenant, approver, all[0].ID, DecideApprove, "")
	w.must(err)
	if got.Waiting != WaitAnswer || w.ledger.of(eventstore.ActErased)[0].Token != asker.Token || w.ledger.of(ActRequestApproved)[0].Token != approver.Token {
		t.Errorf("approved: %+v", got)
	}
	w.finish(s)
	if e, err := s.EraseOrWait(ctx, tenant, asker, w.a, asked); err != nil || e.ID != got.Erasure {
		t.Errorf("asked again: %v, %v", e.ID, err)
	}
}
