package projections

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
)

// shadowItems is how many messages the rows that are made anew are brought on by, before the live ones have their turn again.
const shadowItems = 20_000

// shadow is a tenant's rows as they are made anew, in the other slot.
type shadow struct {
	*tenant
	cache *cache
}

// Rebuild makes a tenant's rows anew from the stream and the releases, beside those in use, which go on being counted and asked; then one write changes over. It returns once that
// is begun, durably: the tenant's runner does it, and [Projections.Status] says how far it is. A crash does not end it. Asked again while it is under way it goes on. ErrUnavailable
// while the runner is not at work.
func (p *Projections) Rebuild(ctx context.Context, id eventstore.TenantID) error {
	return p.tell(ctx, id, &ask{rebuild: true, want: nobody, done: make(chan error, 1)})
}

// beginShadow makes an empty tenant in the other slot.
func (p *Projections) beginShadow(ctx context.Context, t *tenant) error {
	if t.shadow != nil {
		return nil
	}
	s := newTenant(t.id, 1-t.slot)
	s.aside = true
	if err := p.db.DeleteRange(s.prefix, successor(s.prefix), pebble.Sync); err != nil {
		return dbError(err)
	}
	if err := p.create(ctx, s); err != nil {
		return err
	}
	t.setShadow(&shadow{s, newCache()})
	return nil
}

// findShadow goes on with what a crash interrupted, and clears away what is left of a slot that was given up.
func (p *Projections) findShadow(ctx context.Context, t *tenant) error {
	s := newTenant(t.id, 1-t.slot)
	s.aside = true
	raw, found, err := get(p.db, s.key(tableHeader))
	if err != nil {
		return err
	}
	if !found {
		return dbError(p.db.DeleteRange(s.prefix, successor(s.prefix), pebble.NoSync))
	}
	if err := p.load(ctx, s, raw); err != nil {
		return err
	}
	t.setShadow(&shadow{s, newCache()})
	return nil
}

func (t *tenant) setShadow(s *shadow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shadow = s
}

// rebuildOn brings the rows that are made anew on by some messages. Once they have come as far as those in use they take their place. It returns the tenant to go on with.
func (p *Projections) rebuildOn(ctx context.Context, t *tenant, cache *cache) (*tenant, *cache, error) {
	if t.shadow == nil {
		return t, cache, nil
	}
	s := t.shadow
	// What was published meanwhile closes periods here too.
	s.known = false
	if err := p.countUpTo(ctx, s.tenant, s.cache, shadowItems); err != nil {
		return t, cache, err
	}
	if s.position.Load() < t.position.Load() {
		return t, cache, nil
	}
	if err := p.changeOver(t, s.tenant); err != nil {
		return t, cache, err
	}
	return s.tenant, s.cache, nil
}

// changeOver has a tenant's other slot be the one in use. The rows of the old one are read by whoever reads them now; they go at the next start, or before the slot is used
// again.
func (p *Projections) changeOver(t, s *tenant) error {
	b := p.db.NewBatch()
	err := errors.Join(b.Set(slotKey(t.id), []byte{s.slot}, nil), b.Delete(t.key(tableHeader), nil), b.Commit(pebble.Sync), b.Close())
	if err != nil {
		return dbError(err)
	}
	s.aside = false
	s.running.Store(t.running.Load())
	p.mu.Lock()
	p.tenants[t.id] = s
	p.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, t.asked = append(s.asked, t.asked...), nil
	t.moved, t.shadow = s, nil
	t.running.Store(false)
	return nil
}
