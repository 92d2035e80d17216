package rights

import (
	"context"
	"errors"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
)

// Decision is what somebody decides about a request.
type Decision string

// The decisions.
const (
	DecideVerify   Decision = "verify"   // the person is who they say
	DecideExecute  Decision = "execute"  // do what is asked for
	DecideApprove  Decision = "approve"  // what somebody else asked for
	DecideAnswer   Decision = "answer"   // the person was told
	DecideRefuse   Decision = "refuse"   // with a code of [Refusals]
	DecideWithdraw Decision = "withdraw" // the person does not want it any more
)

var (
	errDecision   = eventstore.Refuse(eventstore.KindInvalid, "decision", "a decision is one of verify, execute, approve, answer, refuse, withdraw")
	errRefusal    = eventstore.Refuse(eventstore.KindInvalid, "reason", "a refusal gives one of not-identified, unfounded, excessive, legal-obligation, legal-claims, public-interest, other")
	errClosed     = eventstore.Refuse(eventstore.KindConflict, "", "the request is closed")
	errNotNow     = eventstore.Refuse(eventstore.KindConflict, "decision", "the request does not wait for this; look at what it waits for")
	errUnverified = eventstore.Refuse(eventstore.KindConflict, "decision", "the person's identity is not verified yet: verify it first")
	errNobody     = eventstore.Refuse(eventstore.KindNotFound, "identity", "the store knows nobody by the handle of this request; answer it with that, or refuse it")
	errExport     = eventstore.Refuse(eventstore.KindConflict, "decision", "export the person's data: that executes the request")
	errBusy       = eventstore.Refuse(eventstore.KindUnavailable, "", "the request is being carried out; look at it again in a moment")
	errSameEyes   = eventstore.Refuse(eventstore.KindForbidden, "", "somebody else has to approve: another token, with another owner than the one who asked")
)

// Decide decides about a request and returns it as it is then. Its ledger entry comes first. An execution that a legal hold stops, or that another person has
// to approve, waits ([PersonRequest.Waiting]) and is no error. ErrInvalid; ErrNotFound; ErrConflict for what the request does not wait for; ErrForbidden for
// who approves what they asked for themselves.
func (s *Service) Decide(ctx context.Context, tenant eventstore.TenantID, actor Actor, id string, d Decision, reason eventstore.Reason) (PersonRequest, error) {
	if (d == DecideRefuse) != (reason != "") || reason != "" && !slices.Contains(Refusals, reason) {
		return PersonRequest{}, errRefusal
	}
	p, err := s.requestsOf(ctx, tenant)
	if err != nil {
		return PersonRequest{}, err
	}
	r, err := s.decide(ctx, tenant, p, actor, id, d, reason)
	p.lock.release()
	if err != nil || r.Waiting != WaitWork {
		return s.shown(r), err
	}
	if err := s.carryOut(ctx, tenant, id); err != nil {
		return PersonRequest{}, err
	}
	return s.Request(ctx, tenant, id)
}

// decide makes the entry and the row of a decision. p.lock is held.
func (s *Service) decide(ctx context.Context, tenant eventstore.TenantID, p *registerPage, actor Actor, id string, d Decision, reason eventstore.Reason) (requestRow, error) {
	was, ok := p.rows[id]
	switch {
	case !ok:
		return was, eventstore.ErrNotFound
	case !was.Open():
		return was, errClosed
	case p.busy[id]:
		return was, errBusy
	}
	r := was.copied()
	act, err := s.step(ctx, tenant, &r, actor, d)
	if err != nil {
		return was, err
	}
	if r.Refusal = reason; d == DecideRefuse || d == DecideWithdraw {
		r.Identity, r.Order = nil, nil
	}
	n, err := s.enterRequest(ctx, tenant, actor, act, &r, reason)
	if err != nil {
		return was, err
	}
	if d == DecideExecute && r.Waiting == WaitAnswer {
		r.Entry = n
	}
	return r, s.keep(ctx, tenant, p, r)
}

// step changes a row as a decision says, and names its act.
func (s *Service) step(ctx context.Context, tenant eventstore.TenantID, r *requestRow, actor Actor, d Decision) (act eventstore.Act, err error) {
	now := s.now()
	switch d {
	case DecideVerify:
		if r.reached(RequestVerified) {
			return "", errNotNow
		}
		if err := s.whose(ctx, tenant, r); err != nil && err != errNobody {
			return "", err
		}
		r.Stages[RequestVerified] = now
		act = ActRequestVerified
	case DecideExecute:
		return s.stepExecute(ctx, tenant, r, actor)
	case DecideApprove:
		if r.Waiting != WaitApproval {
			return "", errNotNow
		}
		if err := s.otherEyes(ctx, tenant, r.Actor, actor); err != nil {
			return "", err
		}
		r.Stages[RequestApproved], r.Waiting = now, WaitWork
		return ActRequestApproved, nil
	case DecideAnswer:
		// What is nobody's, or cannot be executed here, is answered as well.
		if r.Waiting == WaitHold || r.Waiting == WaitApproval || r.Waiting == WaitWork || !r.reached(RequestExecuted) && !r.Person.IsZero() {
			return "", errNotNow
		}
		r.Stages[RequestAnswered] = now
		act = ActRequestAnswered
	case DecideRefuse:
		r.Stages[RequestRefused] = now
		act = ActRequestRefused
	case DecideWithdraw:
		r.Stages[RequestWithdrawn] = now
		act = ActRequestWithdrawn
	default:
		return "", errDecision
	}
	r.Waiting = r.waits()
	return act, nil
}

func (s *Service) stepExecute(ctx context.Context, tenant eventstore.TenantID, r *requestRow, actor Actor) (eventstore.Act, error) {
	switch {
	case !r.reached(RequestVerified):
		return "", errUnverified
	case r.Waiting != WaitExecution:
		return "", errNotNow
	}
	if err := s.whose(ctx, tenant, r); err != nil {
		return "", err
	}
	switch r.Kind {
	case RequestAccess, RequestPortability:
		return "", errExport
	case RequestRectification: // what bots send corrects it; here it is noted
		r.Stages[RequestExecuted], r.Waiting = s.now(), WaitAnswer
	case RequestErasure:
		r.Actor, r.Waiting = actor, WaitWork
		if s.fourEyes(tenant) {
			r.Waiting = WaitApproval
			return ActRequestWaits, nil
		}
	default:
		r.Actor, r.Waiting = actor, WaitWork
	}
	return ActRequestExecuted, nil
}

// whose puts the person in the place of the handle, once the store knows one. errNobody.
func (s *Service) whose(ctx context.Context, tenant eventstore.TenantID, r *requestRow) error {
	if !r.Person.IsZero() {
		return nil
	}
	if r.Identity == nil {
		return errNobody
	}
	person, err := s.c.Keys.Resolve(ctx, tenant, *r.Identity)
	if gone(err) {
		return errNobody
	}
	if err != nil {
		return err
	}
	r.Person, r.Identity = person, nil
	return nil
}

func (s *Service) fourEyes(tenant eventstore.TenantID) bool {
	return s.c.FourEyes != nil && s.c.FourEyes(tenant)
}

// otherEyes says whether b is somebody else than a. Two tokens without owners may be one person's.
func (s *Service) otherEyes(ctx context.Context, tenant eventstore.TenantID, a, b Actor) error {
	if a.Token == b.Token || s.c.Owner == nil {
		return errSameEyes
	}
	var owners [2]string
	for i, actor := range []Actor{a, b} {
		owner, err := s.c.Owner(ctx, tenant, actor.Token)
		if err != nil && !errors.Is(err, eventstore.ErrNotFound) {
			return err
		}
		owners[i] = owner
	}
	if owners[0] == "" || owners[1] == "" || owners[0] == owners[1] {
		return errSameEyes
	}
	return nil
}
