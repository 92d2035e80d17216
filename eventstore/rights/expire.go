package rights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// LeastRetention is the shortest time for which events can be kept.
const LeastRetention = 92 * 24 * time.Hour

// The stages of a run of retention beside [Requested], [Removed] and [Completed].
const (
	// Closed: the statistics of the periods concerned are published.
	Closed Stage = "closed"
	// Announced: the stream says which periods count no more.
	Announced Stage = "announced"
	// Expired: the data keys are destroyed. This is the acknowledgement.
	Expired Stage = "expired"
	// Silenced: persons of whom nothing was left are erased.
	Silenced Stage = "silenced"
)

// Expiry is a run of retention and how far it has come.
type Expiry struct {
	// Before is the first day that is kept, the first of a month; the key months before it have expired once the stage expired is there.
	Before string              `json:"expired_before"`
	Stages map[Stage]time.Time `json:"stages"`
	// Keys counts the data keys that were destroyed, Spared the persons who keep older ones because they are on hold, Erased the persons of whom nothing
	// was left.
	Keys   uint64 `json:"keys"`
	Spared int    `json:"spared"`
	Erased uint64 `json:"erased"`
	// PersonsDone of Persons have been looked at; LeftMessages ciphertexts are left in the stream.
	PersonsDone  uint64 `json:"persons_done"`
	Persons      uint64 `json:"persons"`
	LeftMessages uint64 `json:"left_messages"`
}

// expiryRow is a run as it is stored in TableRetention: under rowRun while it is under way, then under rowLast.
type expiryRow struct {
	Expiry
	Month  eventstore.KeyMonth `json:"month"`
	Actor  Actor               `json:"actor"`
	Spared []eventstore.PersonID
}

const (
	rowRun  = "run"
	rowLast = "last"
)

// system acts when nobody asked.
var system = Actor{Token: eventstore.TokenSystem}

var (
	errTooRecent = eventstore.Refuse(eventstore.KindInvalid, "before", "events are kept for at least 92 days")
	errUnderWay  = eventstore.Refuse(eventstore.KindConflict, "before", "retention is at work on earlier months; ask again when it has ended")
)

// aging holds what is known of each tenant's retention.
type aging struct {
	mu      sync.Mutex
	tenants map[eventstore.TenantID]*agingTenant
	wake    chan struct{}
}

type agingTenant struct {
	// begin is held from looking for a run to having one; work by whoever takes its next step.
	begin, work lock
	loaded      bool // guarded by begin
	checked     time.Time

	mu  sync.Mutex
	run *expiryRow // nil: none is under way
	was *expiryRow // the last one
}

// agingOf finds a tenant's retention and reads it the first time. The caller releases begin.
func (s *Service) agingOf(ctx context.Context, tenant eventstore.TenantID) (*agingTenant, error) {
	s.aging.mu.Lock()
	a := s.aging.tenants[tenant]
	if a == nil {
		a = &agingTenant{begin: newLock(), work: newLock()}
		s.aging.tenants[tenant] = a
	}
	s.aging.mu.Unlock()
	if err := a.begin.acquire(ctx); err != nil {
		return nil, err
	}
	if a.loaded {
		return a, nil
	}
	for key, at := range map[string]**expiryRow{rowRun: &a.run, rowLast: &a.was} {
		value, err := s.c.Meta.Get(ctx, tenant, eventstore.TableRetention, key)
		if errors.Is(err, eventstore.ErrNotFound) {
			continue
		}
		if err == nil {
			*at = &expiryRow{}
			if json.Unmarshal(value, *at) != nil {
				err = fmt.Errorf("%w: a row of the register of retention cannot be read", eventstore.ErrDamaged)
			}
		}
		if err != nil {
			a.begin.release()
			return nil, err
		}
	}
	a.loaded = true
	return a, nil
}

// answer copies what callers may have.
func (r *expiryRow) answer() Expiry {
	if r == nil {
		return Expiry{Stages: map[Stage]time.Time{}}
	}
	e := r.Expiry
	e.Stages, e.Spared = maps.Clone(e.Stages), len(r.Spared)
	return e
}

// state is the run that is under way, or the last one.
func (a *agingTenant) state() Expiry {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.run != nil {
		return a.run.answer()
	}
	return a.was.answer()
}

// change changes the run for all who look.
func (a *agingTenant) change(f func(*expiryRow)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a.run)
}

// Expiry is the run of retention that is under way, or the last one; it has no stages if there was none.
func (s *Service) Expiry(ctx context.Context, tenant eventstore.TenantID) (Expiry, error) {
	a, err := s.agingOf(ctx, tenant)
	if err != nil {
		return Expiry{}, err
	}
	defer a.begin.release()
	return a.state(), nil
}

// Expire begins a run of retention that takes everything before a key month, and returns when the ledger has its entry; [Service.Run] does the rest. Asked again
// for what is under way or done it answers how far that is. ErrInvalid for a month that is to be kept (see [LeastRetention]); ErrConflict while a
// run for an earlier month is under way.
func (s *Service) Expire(ctx context.Context, tenant eventstore.TenantID, actor Actor, before eventstore.KeyMonth) (Expiry, error) {
	if before > OldestKept(s.now(), LeastRetention) {
		return Expiry{}, errTooRecent
	}
	a, err := s.agingOf(ctx, tenant)
	if err != nil {
		return Expiry{}, err
	}
	defer a.begin.release()
	if run := a.underWay(); run != nil {
		if run.Month < before {
			return Expiry{}, errUnderWay
		}
		return a.state(), nil
	}
	expired, err := s.c.Keys.Expired(ctx, tenant)
	if err != nil {
		return Expiry{}, err
	}
	if before <= expired {
		if before = expired; !s.released(ctx, tenant, a) {
			return a.state(), nil
		}
	}
	return s.beginExpiry(ctx, tenant, a, actor, before)
}

// OldestKept is the first key month that is kept when events are kept for a while.
func OldestKept(now time.Time, retention time.Duration) eventstore.KeyMonth {
	since := now.Add(-retention)
	return eventstore.KeyMonthOf(since, since)
}

// released says that somebody who was spared by the last run is on hold no more.
func (s *Service) released(ctx context.Context, tenant eventstore.TenantID, a *agingTenant) bool {
	a.mu.Lock()
	var spared []eventstore.PersonID
	if a.was != nil {
		spared = a.was.Spared
	}
	a.mu.Unlock()
	return slices.ContainsFunc(spared, func(id eventstore.PersonID) bool {
		set, err := s.c.Keys.Linked(ctx, tenant, id)
		return err == nil && holds(set) == 0
	})
}

// beginExpiry files the intent and makes the ledger entry. If the ledger refuses it the intent is taken back. begin is held.
func (s *Service) beginExpiry(ctx context.Context, tenant eventstore.TenantID, a *agingTenant, actor Actor, before eventstore.KeyMonth) (Expiry, error) {
	if err := a.work.acquire(ctx); err != nil {
		return Expiry{}, err
	}
	defer a.work.release()
	r := &expiryRow{Month: before, Actor: actor, Expiry: Expiry{Before: before.Start().Format(time.DateOnly), Stages: map[Stage]time.Time{}}}
	a.set(r)
	err := s.putExpiry(ctx, tenant, rowRun, r)
	if err == nil {
		err = s.recordExpiry(ctx, tenant, r)
	}
	if err != nil {
		// What cannot be taken back is carried out, beginning with the ledger.
		if !errors.Is(err, eventstore.ErrUncertain) && s.c.Meta.Delete(ctx, tenant, eventstore.TableRetention, rowRun) == nil {
			a.set(nil)
		}
		return Expiry{}, err
	}
	select {
	case s.aging.wake <- struct{}{}:
	default:
	}
	err = s.reachExpiry(ctx, tenant, a, Requested)
	return a.state(), err
}

// recordExpiry is the ledger entry. After a crash there may be two.
func (s *Service) recordExpiry(ctx context.Context, tenant eventstore.TenantID, r *expiryRow) error {
	_, err := s.c.Ledger.Record(ctx, tenant, eventstore.Entry{
		Time: s.now(), Act: eventstore.ActExpired, Token: r.Actor.Token, Role: r.Actor.Role, Reason: eventstore.ReasonRetention, Before: r.Month,
	})
	return err
}

func (a *agingTenant) set(run *expiryRow) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.run = run
}

// underWay is a copy of the run, nil if there is none.
func (a *agingTenant) underWay() *expiryRow {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.run == nil {
		return nil
	}
	r := *a.run
	r.Expiry = r.answer()
	return &r
}

func (s *Service) putExpiry(ctx context.Context, tenant eventstore.TenantID, key string, r *expiryRow) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.c.Meta.Put(ctx, tenant, eventstore.TableRetention, key, value)
}

// reachExpiry notes that a stage is behind.
func (s *Service) reachExpiry(ctx context.Context, tenant eventstore.TenantID, a *agingTenant, stage Stage) error {
	r := a.underWay()
	r.Stages[stage] = s.now()
	if err := s.putExpiry(ctx, tenant, rowRun, r); err != nil {
		return err
	}
	a.set(r)
	return nil
}
