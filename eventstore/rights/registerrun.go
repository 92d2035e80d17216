package rights

import (
	"context"
	"errors"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
)

var (
	errWaitsHold     = eventstore.Refuse(eventstore.KindHold, "", "a legal hold forbids this erasure; the request waits in the register and is carried out when the hold ends")
	errWaitsApproval = eventstore.Refuse(eventstore.KindHold, "", "the erasure waits in the register until somebody else approves it: oubli request decide ID --approve")
)

// EraseOrWait is [Service.Erase] with the register behind it: an erasure that a legal hold stops, or that another person has to approve (the tenant's four eyes),
// is kept there and carried out when the hold is over or the approval given, also after a crash. It answers ErrHold then; asked again it waits once.
func (s *Service) EraseOrWait(ctx context.Context, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID, r Request) (Erasure, error) {
	if !s.fourEyes(tenant) {
		e, err := s.Erase(ctx, tenant, actor, person, r)
		if !errors.Is(err, eventstore.ErrHold) {
			return e, err
		}
		if err := s.await(ctx, tenant, actor, person, r, WaitHold); err != nil {
			return Erasure{}, err
		}
		s.nudge() // the hold may be over by now
		return Erasure{}, errWaitsHold
	}
	checked, err := checkRequest(r)
	if err != nil {
		return Erasure{}, err
	}
	set, err := s.linked(ctx, tenant, person)
	if errors.Is(err, eventstore.ErrErased) || errors.Is(err, eventstore.ErrFenced) { // nothing is left to approve
		return s.Erase(ctx, tenant, actor, person, r)
	}
	if err != nil {
		return Erasure{}, err
	}
	if err := s.await(ctx, tenant, actor, set[0].Person, checked, WaitApproval); err != nil {
		return Erasure{}, err
	}
	return Erasure{}, errWaitsApproval
}

// await keeps an erasure in the register until it can be carried out.
func (s *Service) await(ctx context.Context, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID, order Request, wait RequestWait) error {
	p, err := s.requestsOf(ctx, tenant)
	if err != nil {
		return err
	}
	defer p.lock.release()
	f := Filing{Kind: RequestErasure, Person: person, Verified: true, Order: &order}
	r, found, err := s.same(ctx, tenant, p, f)
	if err != nil {
		return err
	}
	if found && (r.Waiting == wait || r.Waiting == WaitWork || p.busy[r.ID]) {
		return nil
	}
	if !found {
		if r, err = s.newRequest(ctx, tenant, p, actor, f); err != nil {
			return err
		}
	}
	r = r.copied()
	if !r.reached(RequestVerified) { // who asks for the erasure has done that
		r.Stages[RequestVerified] = s.now()
	}
	r.Actor, r.Order, r.Waiting = actor, &order, wait
	if _, err := s.enterRequest(ctx, tenant, actor, ActRequestWaits, &r, order.Reason); err != nil {
		return err
	}
	return s.keep(ctx, tenant, p, r)
}

// waitFor keeps an erasure that a legal hold stopped after its ledger entry, unless it is the store's own wish or a request has it already.
func (s *Service) waitFor(ctx context.Context, tenant eventstore.TenantID, w *run) error {
	if w.row.Silent || w.row.Again || w.row.Register != "" {
		return nil
	}
	order := Request{Reason: w.row.Reason, Scope: w.row.Scope}
	if !w.row.RefusedUntil.IsZero() {
		order.RefuseFor = max(0, w.row.RefusedUntil.Sub(s.now()))
	}
	value, err := s.c.Meta.Get(ctx, tenant, eventstore.TableErasures, w.row.ID+noteSuffix)
	if err == nil {
		n, err := decode[note](value)
		if err != nil {
			return err
		}
		order.Note, order.Ticket = n.Note, n.Ticket
	} else if !errors.Is(err, eventstore.ErrNotFound) {
		return err
	}
	return s.await(ctx, tenant, w.row.Actor, w.row.Person, order, WaitHold)
}

// carryOut does what a request waits for, if it can be done now. Its effect has a ledger entry of its own; it can be repeated.
func (s *Service) carryOut(ctx context.Context, tenant eventstore.TenantID, id string) error {
	p, err := s.requestsOf(ctx, tenant)
	if err != nil {
		return err
	}
	r, ok := p.rows[id]
	if !ok || p.busy[id] || r.Waiting != WaitWork && r.Waiting != WaitHold {
		p.lock.release()
		return nil
	}
	p.busy[id] = true
	p.lock.release()
	ctx = context.WithoutCancel(ctx)
	done := r.copied()
	failed := s.effect(ctx, tenant, &done)
	if p, err = s.requestsOf(ctx, tenant); err != nil {
		s.idle(tenant, id)
		return err
	}
	defer p.lock.release()
	delete(p.busy, id)
	if errors.Is(failed, eventstore.ErrHold) && r.Waiting != WaitHold {
		done = r.copied()
		done.Waiting = WaitHold
		if _, err := s.enterRequest(ctx, tenant, done.Actor, ActRequestWaits, &done, ""); err != nil {
			return err
		}
		return s.keep(ctx, tenant, p, done)
	}
	if errors.Is(failed, eventstore.ErrHold) {
		return nil
	}
	if failed != nil {
		return failed
	}
	done.Stages[RequestExecuted], done.Waiting, done.Identity = s.now(), WaitAnswer, nil
	if done.Order != nil { // the note and the ticket are with the erasure
		done.Order = &Request{Reason: done.Order.Reason, Scope: done.Order.Scope}
	}
	return s.keep(ctx, tenant, p, done)
}

// idle lets others decide about a request again although the register cannot be read.
func (s *Service) idle(tenant eventstore.TenantID, id string) {
	s.register.mu.Lock()
	p := s.register.tenants[tenant]
	s.register.mu.Unlock()
	if p.lock.acquire(context.Background()) == nil {
		delete(p.busy, id)
		p.lock.release()
	}
}

// effect carries a request out.
func (s *Service) effect(ctx context.Context, tenant eventstore.TenantID, r *requestRow) error {
	switch r.Kind {
	case RequestErasure:
		return s.effectErasure(ctx, tenant, r)
	case RequestRestriction, RequestObjection:
		change := Restrict
		if r.Kind == RequestObjection {
			change = Object
		}
		_, err := s.Set(ctx, tenant, r.Actor, r.Person, change, eventstore.ReasonPersonRequest)
		if gone(err) { // nothing is left to restrict
			return nil
		}
		return err
	}
	return nil
}

func (s *Service) effectErasure(ctx context.Context, tenant eventstore.TenantID, r *requestRow) error {
	e, found, err := s.ofRequest(ctx, tenant, r.ID)
	if err != nil {
		return err
	}
	if !found {
		order := *r.Order
		order.register = r.ID
		made, err := s.Erase(ctx, tenant, r.Actor, r.Person, order)
		if gone(err) { // by other means; or nothing is in the scope
			return nil
		}
		if err != nil {
			return err
		}
		if e, err = s.erasureRow(ctx, tenant, made.ID); err != nil {
			return err
		}
	}
	r.Erasure, r.Entry = e.ID, e.Entry
	return nil
}

// ofRequest finds the erasure that a request led to before a crash, so that a part is not looked for a second time.
func (s *Service) ofRequest(ctx context.Context, tenant eventstore.TenantID, id string) (row, bool, error) {
	rows, _, err := s.rows(ctx, tenant)
	if err != nil {
		return row{}, false, err
	}
	i := slices.IndexFunc(rows, func(r row) bool { return r.Register == id && r.reached(Shredded) })
	if i < 0 {
		return row{}, false, nil
	}
	return rows[i], true, nil
}

func (s *Service) erasureRow(ctx context.Context, tenant eventstore.TenantID, id string) (row, error) {
	value, err := s.c.Meta.Get(ctx, tenant, eventstore.TableErasures, id)
	if err != nil {
		return row{}, err
	}
	return decode[row](value)
}

// held says whether a legal hold still stops a request; nothing is written to find out.
func (s *Service) held(ctx context.Context, tenant eventstore.TenantID, r *requestRow) bool {
	set, err := s.c.Keys.Linked(ctx, tenant, r.Person)
	return err == nil && holds(set) > 0
}

// carryOutAll carries out every request that can be.
func (s *Service) carryOutAll(ctx context.Context, tenant eventstore.TenantID) error {
	p, err := s.requestsOf(ctx, tenant)
	if err != nil {
		return err
	}
	var ready []requestRow
	for _, r := range p.rows {
		if r.Waiting == WaitWork || r.Waiting == WaitHold {
			ready = append(ready, r)
		}
	}
	p.lock.release()
	slices.SortFunc(ready, func(a, b requestRow) int { return a.Received.Compare(b.Received) })
	var failed []error
	for _, r := range ready {
		if ctx.Err() != nil {
			break
		}
		if r.Waiting == WaitHold && s.held(ctx, tenant, &r) {
			continue
		}
		failed = append(failed, s.carryOut(ctx, tenant, r.ID))
	}
	return errors.Join(failed...)
}

// noteExport notes that an export executes what the person asked for. n is its ledger entry.
func (s *Service) noteExport(ctx context.Context, tenant eventstore.TenantID, set []eventstore.PersonID, n uint64) error {
	p, err := s.requestsOf(ctx, tenant)
	if err != nil {
		return err
	}
	defer p.lock.release()
	for _, r := range p.rows {
		if r.Waiting != WaitExecution || r.Kind != RequestAccess && r.Kind != RequestPortability || !slices.Contains(set, r.Person) {
			continue
		}
		r = r.copied()
		r.Stages[RequestExecuted], r.Waiting, r.Entry = s.now(), WaitAnswer, n
		if err := s.keep(ctx, tenant, p, r); err != nil {
			return err
		}
	}
	return nil
}
