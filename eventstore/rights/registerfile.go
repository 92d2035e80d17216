package rights

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Filing is a request as it comes in. Person or Identity (canonical) says whose it is.
type Filing struct {
	Kind     RequestKind
	Person   eventstore.PersonID
	Identity *eventstore.Identity
	// Verified says that whoever files it has verified the person's identity. A bot never has.
	Verified bool
	// Order is what an erasure takes; nil for everything, at the person's request.
	Order *Request
}

// mostUnverified bounds what bots can file.
const mostUnverified = 10_000

var errTooManyRequests = eventstore.Refuse(eventstore.KindRate, "", "too many requests wait for their verification; support has to decide about some first")

// File enters a request into the register. Where the same person's request of the same kind (and scope) is still to be executed that one is returned. The
// register has the person's id in place of the handle as soon as the store knows one. ErrInvalid; ErrRate when too many unverified ones wait; ErrFenced.
func (s *Service) File(ctx context.Context, tenant eventstore.TenantID, actor Actor, f Filing) (PersonRequest, error) {
	if err := checkKind(f.Kind); err != nil {
		return PersonRequest{}, err
	}
	if f.Person.IsZero() == (f.Identity == nil) {
		return PersonRequest{}, eventstore.Refuse(eventstore.KindInvalid, "identity", "name the person by an identity or by a person id")
	}
	if f.Kind == RequestErasure {
		if f.Order == nil {
			f.Order = &Request{Reason: eventstore.ReasonPersonRequest}
		}
		if _, err := checkRequest(*f.Order); err != nil {
			return PersonRequest{}, err
		}
	} else if f.Order != nil {
		return PersonRequest{}, eventstore.Refuse(eventstore.KindInvalid, "scope", "only an erasure has a scope")
	}
	f.Verified = f.Verified && actor.Role != eventstore.RoleBot
	if f.Identity != nil {
		person, err := s.c.Keys.Resolve(ctx, tenant, *f.Identity)
		if err == nil {
			f.Person, f.Identity = person, nil
		} else if !gone(err) {
			return PersonRequest{}, err
		}
	}
	p, err := s.requestsOf(ctx, tenant)
	if err != nil {
		return PersonRequest{}, err
	}
	defer p.lock.release()
	r, found, err := s.same(ctx, tenant, p, f)
	if err != nil || found {
		return s.shown(r), err
	}
	r, err = s.newRequest(ctx, tenant, p, actor, f)
	if err != nil {
		return PersonRequest{}, err
	}
	return s.shown(r), nil
}

// same finds a request that is the same and still to be executed.
func (s *Service) same(ctx context.Context, tenant eventstore.TenantID, p *registerPage, f Filing) (requestRow, bool, error) {
	set := []eventstore.PersonID{f.Person}
	if !f.Person.IsZero() {
		records, err := s.c.Keys.Linked(ctx, tenant, f.Person)
		if err != nil && !gone(err) && !errors.Is(err, eventstore.ErrFenced) {
			return requestRow{}, false, err
		}
		set = append(set, persons(records)...)
	}
	unverified := 0
	for _, r := range p.rows {
		if !r.Open() || r.reached(RequestExecuted) {
			continue
		}
		if !r.reached(RequestVerified) {
			unverified++
		}
		who := f.Identity == nil && !r.Person.IsZero() && slices.Contains(set, r.Person) || f.Identity != nil && r.Identity != nil && *f.Identity == *r.Identity
		if who && r.Kind == f.Kind && (f.Order == nil || r.Order != nil && r.Order.Scope == f.Order.Scope) {
			return r, true, nil
		}
	}
	if !f.Verified && unverified >= mostUnverified {
		return requestRow{}, false, errTooManyRequests
	}
	return requestRow{}, false, nil
}

// newRequest enters a request: in the ledger, then in the register. p.lock is held.
func (s *Service) newRequest(ctx context.Context, tenant eventstore.TenantID, p *registerPage, actor Actor, f Filing) (requestRow, error) {
	id, err := eventstore.NewEventID(s.now(), s.entropy)
	if err != nil {
		return requestRow{}, err
	}
	now := s.now()
	r := requestRow{Actor: actor, Order: f.Order, Forget: now.Add(s.c.NoteLife), PersonRequest: PersonRequest{
		ID: id.String(), Kind: f.Kind, Person: f.Person, Identity: f.Identity, FiledBy: actor.Role, Received: now, Latest: monthAfter(now),
		Stages: map[RequestStage]time.Time{RequestReceived: now},
	}}
	r.Due = now.Add(s.promise(tenant))
	if r.Due.After(r.Latest) {
		r.Due = r.Latest
	}
	if f.Verified {
		r.Stages[RequestVerified] = now
	}
	r.Waiting = r.waits()
	if _, err := s.enterRequest(ctx, tenant, actor, ActRequestReceived, &r, ""); err != nil {
		return requestRow{}, err
	}
	return r, s.keep(ctx, tenant, p, r)
}

func (s *Service) promise(tenant eventstore.TenantID) time.Duration {
	if s.c.AnswerWithin == nil {
		return AnswerWithin
	}
	return s.c.AnswerWithin(tenant)
}

// forgetRequests takes out of the register what has expired: handles, and what was said in words.
func (s *Service) forgetRequests(ctx context.Context, tenant eventstore.TenantID) error {
	p, err := s.requestsOf(ctx, tenant)
	if err != nil {
		return err
	}
	defer p.lock.release()
	now := s.now()
	for _, r := range p.rows {
		worded := r.Order != nil && (r.Order.Note != "" || r.Order.Ticket != "")
		if now.Before(r.Forget) || r.Identity == nil && !worded {
			continue
		}
		r.Identity = nil
		if worded {
			order := *r.Order
			order.Note, order.Ticket = "", ""
			r.Order = &order
		}
		if err := s.keep(ctx, tenant, p, r); err != nil {
			return err
		}
	}
	return nil
}
