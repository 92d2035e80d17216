package rights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/oubli-store/oubli/eventstore"
)

// intent is a change under way, as stored in TableStates under its id.
type intent struct {
	ID     string              `json:"id"`
	Person eventstore.PersonID `json:"person"`
	// Persons is the set when it was asked for.
	Persons []eventstore.PersonID `json:"persons"`
	Change  Change                `json:"change"`
	Reason  eventstore.Reason     `json:"reason,omitempty"`
	Actor   Actor                 `json:"actor"`
	// entered: the ledger has the entry, as far as this process knows; references are those that it names.
	entered    bool
	references []eventstore.LedgerReference
}

// stateBook holds the changes under way, by tenant.
type stateBook struct {
	mu      sync.Mutex
	tenants map[eventstore.TenantID]*statePage
}

// statePage is one tenant's part. lock is held while a change is made, so that they have one order.
type statePage struct {
	lock    lock
	loaded  bool
	pending map[string]*intent
	// owing: the stream may be owed person events that could not be sent.
	owing bool
}

// statesOf takes a tenant's page and reads it the first time. The caller releases its lock.
func (s *Service) statesOf(ctx context.Context, tenant eventstore.TenantID) (*statePage, error) {
	s.states.mu.Lock()
	if s.states.tenants == nil {
		s.states.tenants = map[eventstore.TenantID]*statePage{}
	}
	p := s.states.tenants[tenant]
	if p == nil {
		p = &statePage{lock: newLock(), pending: map[string]*intent{}}
		s.states.tenants[tenant] = p
	}
	s.states.mu.Unlock()
	if err := p.lock.acquire(ctx); err != nil {
		return nil, err
	}
	if p.loaded {
		return p, nil
	}
	if err := s.loadStates(ctx, tenant, p); err != nil {
		p.lock.release()
		return nil, err
	}
	p.loaded, p.owing = true, true
	return p, nil
}

func (s *Service) loadStates(ctx context.Context, tenant eventstore.TenantID, p *statePage) error {
	rows, err := s.c.Meta.List(ctx, tenant, eventstore.TableStates)
	if err != nil {
		return err
	}
	for id, value := range rows {
		it := &intent{}
		if json.Unmarshal(value, it) != nil || effects[it.Change].act == "" {
			return fmt.Errorf("%w: a row of the register of states cannot be read", eventstore.ErrDamaged)
		}
		p.pending[id] = it
	}
	return nil
}

// earlier finishes what was begun for persons before, so that the last that was asked for is the last that is done.
func (s *Service) earlier(ctx context.Context, tenant eventstore.TenantID, p *statePage, set []eventstore.PersonID) error {
	for _, id := range slices.SortedFunc(maps.Keys(p.pending), strings.Compare) {
		it := p.pending[id]
		if !slices.ContainsFunc(set, func(x eventstore.PersonID) bool { return slices.Contains(it.Persons, x) }) {
			continue
		}
		if _, err := s.finish(ctx, tenant, p, it); err != nil && p.pending[id] != nil {
			return err
		}
	}
	return nil
}

// start files an intent and carries it out.
func (s *Service) start(ctx context.Context, tenant eventstore.TenantID, p *statePage, it *intent) ([]eventstore.PersonRecord, error) {
	value, err := json.Marshal(it)
	if err != nil {
		return nil, err
	}
	p.pending[it.ID] = it
	if err := s.c.Meta.Put(ctx, tenant, eventstore.TableStates, it.ID, value); err != nil {
		s.drop(ctx, tenant, p, it)
		return nil, err
	}
	return s.finish(ctx, tenant, p, it)
}

// finish carries an intent out: ledger entry, then the change with the debt to the stream in one batch, then the intent goes. Each can be repeated.
func (s *Service) finish(ctx context.Context, tenant eventstore.TenantID, p *statePage, it *intent) ([]eventstore.PersonRecord, error) {
	e := effects[it.Change]
	set, err := s.linked(ctx, tenant, it.Person)
	if err != nil {
		return nil, s.unless(ctx, tenant, p, it, err)
	}
	if err := s.enterChange(ctx, tenant, it, set); err != nil {
		if !it.entered && !errors.Is(err, eventstore.ErrUncertain) {
			s.drop(ctx, tenant, p, it)
		}
		return nil, err
	}
	after, err := s.c.Keys.Change(ctx, tenant, it.Person, e.kind, func(st eventstore.State) eventstore.State {
		*e.flag(&st) = e.on
		return st
	})
	if err != nil {
		return nil, s.unless(ctx, tenant, p, it, err)
	}
	p.owing = p.owing || e.kind != ""
	if err := s.enterChange(ctx, tenant, it, after); err != nil { // somebody joined in between
		return nil, err
	}
	if err := s.c.Meta.Delete(ctx, tenant, eventstore.TableStates, it.ID); err == nil {
		delete(p.pending, it.ID)
	} // else it is done once more, before the next change of these persons
	return after, nil
}

// enterChange makes the ledger entry of an intent, unless there is one that names everybody.
func (s *Service) enterChange(ctx context.Context, tenant eventstore.TenantID, it *intent, set []eventstore.PersonRecord) error {
	refs := references(set)
	if it.entered && !slices.ContainsFunc(refs, func(r eventstore.LedgerReference) bool { return !slices.Contains(it.references, r) }) {
		return nil
	}
	_, err := s.c.Ledger.Record(ctx, tenant, eventstore.Entry{
		Time: s.now(), Act: effects[it.Change].act, Token: it.Actor.Token, Role: it.Actor.Role, References: refs, Reason: it.Reason, Count: uint64(len(refs)),
	})
	if err == nil {
		it.entered, it.references = true, refs
	}
	return err
}

// unless gives an intent up whose person is gone or going; anything else is tried again.
func (s *Service) unless(ctx context.Context, tenant eventstore.TenantID, p *statePage, it *intent, err error) error {
	for _, gone := range []error{eventstore.ErrErased, eventstore.ErrFenced, eventstore.ErrNotFound, eventstore.ErrKeyLost} {
		if errors.Is(err, gone) {
			s.drop(ctx, tenant, p, it)
			break
		}
	}
	return err
}

// drop takes an intent back. If that fails it stays and will be carried out.
func (s *Service) drop(ctx context.Context, tenant eventstore.TenantID, p *statePage, it *intent) {
	if s.c.Meta.Delete(ctx, tenant, eventstore.TableStates, it.ID) == nil {
		delete(p.pending, it.ID)
	}
}

// tell sends what the stream is owed; what fails is tried again by Run.
func (s *Service) tell(ctx context.Context, tenant eventstore.TenantID, p *statePage) {
	if !p.owing {
		return
	}
	if err := s.store.SendOwed(ctx, tenant); err != nil {
		s.c.Logger.Warn("the stream waits to be told of a change", "tenant", tenant, "error", err)
		return
	}
	p.owing = false
}

// resumeStates finishes the changes under way and sends what is owed.
func (s *Service) resumeStates(ctx context.Context, tenant eventstore.TenantID) error {
	p, err := s.statesOf(ctx, tenant)
	if err != nil {
		return err
	}
	defer p.lock.release()
	var failed []error
	for _, id := range slices.SortedFunc(maps.Keys(p.pending), strings.Compare) {
		if _, err := s.finish(ctx, tenant, p, p.pending[id]); err != nil && p.pending[id] != nil {
			failed = append(failed, fmt.Errorf("resuming a change of state: %w", err))
		}
	}
	s.tell(ctx, tenant, p)
	return errors.Join(failed...)
}
