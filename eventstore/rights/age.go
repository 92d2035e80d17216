package rights

import (
	"context"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

const (
	// agePoll is how often a run that failed is tried again, ageEvery how often each tenant's retention is looked at.
	agePoll  = time.Minute
	ageEvery = 24 * time.Hour
)

// age carries out runs of retention, and begins those that are due, until ctx ends.
func (s *Service) age(ctx context.Context) {
	tick := time.NewTicker(agePoll)
	defer tick.Stop()
	for {
		s.ageAll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-s.aging.wake:
		case <-tick.C:
		}
	}
}

func (s *Service) ageAll(ctx context.Context) {
	tenants, err := s.c.Keys.Tenants(ctx)
	if err != nil {
		s.c.Logger.Warn("retention waits: the tenants cannot be listed", "error", err)
		return
	}
	for _, tenant := range tenants {
		if ctx.Err() != nil {
			return
		}
		if err := s.ageTenant(ctx, tenant); err != nil && ctx.Err() == nil {
			s.c.Logger.Warn("retention waits", "tenant", tenant, "error", err)
		}
	}
}

// ageTenant carries out the run that is under way, and the one that is due today.
func (s *Service) ageTenant(ctx context.Context, tenant eventstore.TenantID) error {
	if err := s.ResumeExpiry(ctx, tenant); err != nil {
		return err
	}
	if s.c.Retention == nil {
		return nil
	}
	a, err := s.agingOf(ctx, tenant)
	if err != nil {
		return err
	}
	due := a.checked.IsZero() || s.now().Sub(a.checked) >= ageEvery
	a.begin.release()
	if !due {
		return nil
	}
	retention, err := s.c.Retention(tenant)
	if err != nil {
		return err
	}
	if n, err := s.c.Keys.Count(ctx, tenant); err != nil {
		return err
	} else if n == 0 { // so that a new tenant can take an archive, and nothing is written without a reason
		return s.looked(ctx, a)
	}
	if _, err := s.Expire(ctx, tenant, system, OldestKept(s.now(), max(retention, LeastRetention))); err != nil {
		return err
	}
	if err := s.ResumeExpiry(ctx, tenant); err != nil {
		return err
	}
	return s.looked(ctx, a)
}

// looked notes that a tenant's retention was looked at today.
func (s *Service) looked(ctx context.Context, a *agingTenant) error {
	if err := a.begin.acquire(ctx); err != nil {
		return err
	}
	defer a.begin.release()
	a.checked = s.now()
	return nil
}

// ResumeExpiry carries out the run of retention that is under way, if one is. Each step is durable before the next begins and can be repeated.
func (s *Service) ResumeExpiry(ctx context.Context, tenant eventstore.TenantID) error {
	a, err := s.agingOf(ctx, tenant)
	if err != nil {
		return err
	}
	a.begin.release()
	if err := a.work.acquire(ctx); err != nil {
		return err
	}
	defer a.work.release()
	if a.underWay() == nil {
		return nil
	}
	for _, step := range []struct {
		stage Stage
		do    func(context.Context, eventstore.TenantID, *agingTenant) error
	}{
		{Requested, func(ctx context.Context, tenant eventstore.TenantID, a *agingTenant) error {
			return s.recordExpiry(ctx, tenant, a.underWay())
		}},
		{Closed, s.closePeriods},
		{Announced, s.announceExpiry},
		{Expired, s.destroyKeys},
		{Removed, s.removeExpired},
		{Silenced, s.erasing},
	} {
		if _, behind := a.underWay().Stages[step.stage]; behind {
			continue
		}
		if err := step.do(ctx, tenant, a); err != nil {
			return err
		}
		if err := s.reachExpiry(ctx, tenant, a, step.stage); err != nil {
			return err
		}
	}
	return s.completeExpiry(ctx, tenant, a)
}

// closePeriods has the periods that begin before the month published, before anything of them goes.
func (s *Service) closePeriods(ctx context.Context, tenant eventstore.TenantID, a *agingTenant) error {
	if s.c.ClosePeriods == nil {
		return nil
	}
	return s.c.ClosePeriods(ctx, tenant, a.underWay().Month)
}

// announceExpiry tells the readers of the stream. To be told twice is to be told once.
func (s *Service) announceExpiry(ctx context.Context, tenant eventstore.TenantID, a *agingTenant) error {
	_, err := s.store.Announce(ctx, tenant, eventstore.PersonEvent{Kind: eventstore.PersonExpired, Before: a.underWay().Month})
	return err
}

// destroyKeys is the acknowledgement.
func (s *Service) destroyKeys(ctx context.Context, tenant eventstore.TenantID, a *agingTenant) error {
	done, err := s.c.Keys.Expire(ctx, tenant, a.underWay().Month, func(done, total uint64) {
		a.change(func(r *expiryRow) { r.PersonsDone, r.Persons = done, total })
	})
	if err != nil {
		return err
	}
	a.change(func(r *expiryRow) { r.Keys, r.Spared = r.Keys+done.Keys, done.Spared })
	return nil
}

// removeExpired takes ciphertexts and idempotency rows, once appends that were in flight have ended.
func (s *Service) removeExpired(ctx context.Context, tenant eventstore.TenantID, a *agingTenant) error {
	r := a.underWay()
	if wait := r.Stages[Expired].Add(s.c.Settle).Sub(s.now()); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	spared := func(id eventstore.PersonID) bool {
		_, found := slices.BinarySearchFunc(r.Spared, id, eventstore.PersonID.Compare)
		return found
	}
	return s.expireMessages(ctx, tenant, r.Month, spared, func(_, left uint64) {
		a.change(func(r *expiryRow) { r.LeftMessages = left })
	})
}

// erasing erases those of whom nothing is left.
func (s *Service) erasing(ctx context.Context, tenant eventstore.TenantID, a *agingTenant) error {
	n, err := s.eraseSilent(ctx, tenant)
	a.change(func(r *expiryRow) { r.Erased += n })
	return err
}

// completeExpiry ends the run: it becomes the last one.
func (s *Service) completeExpiry(ctx context.Context, tenant eventstore.TenantID, a *agingTenant) error {
	r := a.underWay()
	r.Stages[Completed], r.LeftMessages = s.now(), 0
	if err := s.putExpiry(ctx, tenant, rowLast, r); err != nil {
		return err
	}
	if err := s.c.Meta.Delete(ctx, tenant, eventstore.TableRetention, rowRun); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.run, a.was = nil, r
	return nil
}
