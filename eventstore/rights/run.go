package rights

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Resume completes every erasure of a tenant that a crash interrupted before it was shredded. Call it before serving. An error means that
// at least one is still open; it can be called again.
func (s *Service) Resume(ctx context.Context, tenant eventstore.TenantID) error {
	p, err := s.page(ctx, tenant)
	if err != nil {
		return err
	}
	failed := []error{s.resumeStates(ctx, tenant)}
	for _, w := range p.pending() {
		if err := s.settle(ctx, tenant, p, w); err != nil {
			failed = append(failed, fmt.Errorf("resuming erasure %s: %w", w.row.ID, err))
		}
	}
	return errors.Join(failed...)
}

// settle is drive for callers who do not mind that an erasure was refused or withdrawn.
func (s *Service) settle(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) error {
	if w.shredded.Load() != nil {
		return nil
	}
	_, err := s.drive(ctx, tenant, p, w)
	if err == errWithdrawn || (errors.Is(err, eventstore.ErrHold) || errors.Is(err, errSpoke)) && !p.has(w) {
		return nil
	}
	return err
}

// Run completes the later stages of erasures, and the earlier ones of those that failed, and lets events expire, until ctx ends; it then returns nil.
func (s *Service) Run(ctx context.Context) error {
	var aging sync.WaitGroup
	defer aging.Wait()
	aging.Go(func() { s.age(ctx) })
	tick := time.NewTicker(s.c.Poll)
	defer tick.Stop()
	swept := s.now()
	for {
		s.pass(ctx)
		if now := s.now(); now.Sub(swept) >= time.Hour {
			swept = now
			s.sweep(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-tick.C:
		}
	}
}

// nudge lets Run look at once.
func (s *Service) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// pass takes every erasure as far as it goes now: first all that is quick, then the removals one by one.
func (s *Service) pass(ctx context.Context) {
	tenants, err := s.c.Keys.Tenants(ctx)
	if err != nil {
		s.c.Logger.Warn("erasures wait: the tenants cannot be listed", "error", err)
		return
	}
	for _, tenant := range tenants {
		if err := s.resumeStates(ctx, tenant); err != nil && ctx.Err() == nil {
			s.c.Logger.Warn("a change of state waits", "tenant", tenant, "error", err)
		}
		if err := s.carryOutAll(ctx, tenant); err != nil && ctx.Err() == nil {
			s.c.Logger.Warn("a request waits", "tenant", tenant, "error", err)
		}
	}
	for _, step := range []func(context.Context, eventstore.TenantID, *page, *run) error{s.settle, s.project, s.remove} {
		for _, tenant := range tenants {
			p, err := s.page(ctx, tenant)
			if err != nil {
				s.c.Logger.Warn("erasures wait: the register cannot be read", "tenant", tenant, "error", err)
				continue
			}
			for _, w := range p.pending() {
				if ctx.Err() != nil {
					return
				}
				if err := step(ctx, tenant, p, w); err != nil && ctx.Err() == nil {
					s.c.Logger.Warn("an erasure waits", "tenant", tenant, "erasure", w.row.ID, "error", err)
				}
			}
		}
	}
	s.vanish(ctx, tenants)
}

// later runs a step of a run that is shredded and stored as such.
func (s *Service) later(ctx context.Context, tenant eventstore.TenantID, w *run, step func() error) error {
	if w.shredded.Load() == nil {
		return nil
	}
	if err := w.lock.acquire(ctx); err != nil {
		return err
	}
	defer w.lock.release()
	if w.dirty {
		if err := s.save(ctx, tenant, w); err != nil {
			return err
		}
	}
	return step()
}

// project is step 7.
func (s *Service) project(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) error {
	return s.later(ctx, tenant, w, func() error {
		if w.row.reached(Projected) || s.c.Passed != nil && s.c.Passed(tenant) < w.row.Announced {
			return nil
		}
		if err := s.reach(ctx, tenant, w, Projected); err != nil || s.c.Certifier == nil {
			return err
		}
		_, err := s.certify(ctx, tenant, p, &w.row, false)
		return err
	})
}

// sweep deletes notes that have expired.
func (s *Service) sweep(ctx context.Context) {
	tenants, err := s.c.Keys.Tenants(ctx)
	if err != nil {
		return
	}
	for _, tenant := range tenants {
		rows, notes, err := s.rows(ctx, tenant)
		if err != nil {
			continue
		}
		if err := s.forgetRequests(ctx, tenant); err != nil {
			s.c.Logger.Warn("what expired of a request waits to be forgotten", "tenant", tenant, "error", err)
		}
		if err := s.forgetScopes(ctx, tenant, rows); err != nil {
			s.c.Logger.Warn("the name of an erased conversation waits to be forgotten", "tenant", tenant, "error", err)
		}
		for id, n := range notes {
			if s.now().Before(n.Expires) {
				continue
			}
			if err := s.c.Meta.Delete(ctx, tenant, eventstore.TableErasures, id+noteSuffix); err != nil {
				s.c.Logger.Warn("an expired note waits to be deleted", "tenant", tenant, "erasure", id, "error", err)
			}
		}
	}
}
