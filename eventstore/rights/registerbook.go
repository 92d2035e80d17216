package rights

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/oubli-store/oubli/eventstore"
)

// register holds the requests of all tenants, in memory as they are stored in TableRequests.
type register struct {
	mu      sync.Mutex
	tenants map[eventstore.TenantID]*registerPage
}

// registerPage is one tenant's part. lock is held while a request changes, never while an effect is carried out.
type registerPage struct {
	lock   lock
	loaded bool
	rows   map[string]requestRow
	// busy are the requests whose effect is being carried out: nobody decides about them meanwhile.
	busy map[string]bool
}

// requestsOf takes a tenant's page and reads it the first time, and after a write of which nobody knows whether it was stored. The caller releases its lock.
func (s *Service) requestsOf(ctx context.Context, tenant eventstore.TenantID) (*registerPage, error) {
	s.register.mu.Lock()
	if s.register.tenants == nil {
		s.register.tenants = map[eventstore.TenantID]*registerPage{}
	}
	p := s.register.tenants[tenant]
	if p == nil {
		p = &registerPage{lock: newLock(), busy: map[string]bool{}}
		s.register.tenants[tenant] = p
	}
	s.register.mu.Unlock()
	if err := p.lock.acquire(ctx); err != nil {
		return nil, err
	}
	if p.loaded {
		return p, nil
	}
	values, err := s.c.Meta.List(ctx, tenant, eventstore.TableRequests)
	if err != nil {
		p.lock.release()
		return nil, err
	}
	p.rows = map[string]requestRow{}
	for id, value := range values {
		var r requestRow
		if json.Unmarshal(value, &r) != nil || r.ID != id {
			p.lock.release()
			return nil, fmt.Errorf("%w: a row of the register of requests cannot be read", eventstore.ErrDamaged)
		}
		p.rows[id] = r
	}
	p.loaded = true
	return p, nil
}

// keep stores a request. p.lock is held.
func (s *Service) keep(ctx context.Context, tenant eventstore.TenantID, p *registerPage, r requestRow) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := s.c.Meta.Put(ctx, tenant, eventstore.TableRequests, r.ID, value); err != nil {
		p.loaded = false // it may be stored
		return err
	}
	p.rows[r.ID] = r
	return nil
}

// copied is a row whose stages can be changed.
func (r requestRow) copied() requestRow {
	r.Stages = maps.Clone(r.Stages)
	return r
}

// shown is what callers may have of a request.
func (s *Service) shown(r requestRow) PersonRequest {
	out := r.copied().PersonRequest
	out.Overdue = out.Open() && s.now().After(out.Due)
	if r.Order != nil {
		out.Scope = &r.Order.Scope
	}
	return out
}

// enterRequest makes the ledger entry of a step of a request.
func (s *Service) enterRequest(ctx context.Context, tenant eventstore.TenantID, actor Actor, act eventstore.Act, r *requestRow, reason eventstore.Reason) (uint64, error) {
	e := eventstore.Entry{Time: s.now(), Act: act, Token: actor.Token, Role: actor.Role, Basis: string(r.Kind), Reason: reason, Subject: RequestSubject(r.ID)}
	if !r.Person.IsZero() {
		set, err := s.c.Keys.Linked(ctx, tenant, r.Person)
		if err != nil && !gone(err) {
			return 0, err
		}
		e.References = references(set)
		e.Count = uint64(len(set))
	}
	return s.c.Ledger.Record(ctx, tenant, e)
}

// Requests lists the tenant's requests: the open ones first, by their due date, then the closed ones, the newest first.
func (s *Service) Requests(ctx context.Context, tenant eventstore.TenantID) ([]PersonRequest, error) {
	p, err := s.requestsOf(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer p.lock.release()
	out := make([]PersonRequest, 0, len(p.rows))
	for _, r := range p.rows {
		out = append(out, s.shown(r))
	}
	slices.SortFunc(out, func(a, b PersonRequest) int {
		switch {
		case a.Open() != b.Open():
			if a.Open() {
				return -1
			}
			return 1
		case a.Open():
			return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID))
		}
		return cmp.Compare(b.ID, a.ID)
	})
	return out, nil
}

// Request finds one request by its id. ErrNotFound.
func (s *Service) Request(ctx context.Context, tenant eventstore.TenantID, id string) (PersonRequest, error) {
	p, err := s.requestsOf(ctx, tenant)
	if err != nil {
		return PersonRequest{}, err
	}
	defer p.lock.release()
	r, ok := p.rows[id]
	if !ok {
		return PersonRequest{}, eventstore.ErrNotFound
	}
	return s.shown(r), nil
}

// RequestCounts says how many requests of a tenant are open, and how many of these are overdue or wait for the end of a legal hold.
type RequestCounts struct{ Open, Overdue, Held int }

// CountRequests counts the tenant's requests.
func (s *Service) CountRequests(ctx context.Context, tenant eventstore.TenantID) (n RequestCounts, err error) {
	p, err := s.requestsOf(ctx, tenant)
	if err != nil {
		return n, err
	}
	defer p.lock.release()
	now := s.now()
	for _, r := range p.rows {
		if !r.Open() {
			continue
		}
		n.Open++
		if now.After(r.Due) {
			n.Overdue++
		}
		if r.Waiting == WaitHold {
			n.Held++
		}
	}
	return n, nil
}
