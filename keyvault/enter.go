package keyvault

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// fencePatience is how long resolving waits for a fence to fall before it answers ErrFenced.
const fencePatience = 250 * time.Millisecond

var errStale = errors.New("resolved to a person who is gone")

// Enter implements [eventstore.Keys]. admit may be asked more than once, when another goroutine changes what it was told.
//
//	resolve identity ──known──▶ take the gate ─▶ admit ─▶ tie what Also names, if anything is new ─▶ gate
//	        └───────stranger──▶ admit ─▶ mint, or tie if Also names others, under the page's lock ─▶ gate
func (v *Vault) Enter(ctx context.Context, tenant eventstore.TenantID, a eventstore.Arrival, admit func(eventstore.State) error) (out *eventstore.Entered, err error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if t.tooOld(a) {
		return nil, eventstore.ErrExpired
	}
	err = t.waiting(ctx, func() error {
		for {
			out, err = t.enter(ctx, a, admit)
			if err != errStale {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	})
	return out, err
}

// waiting runs f again when a fence falls, for a short while.
func (t *tenant) waiting(ctx context.Context, f func() error) error {
	var timeout <-chan time.Time
	for {
		changed := t.fences.watch()
		err := f()
		if err == nil || !errors.Is(err, eventstore.ErrFenced) {
			return err
		}
		if timeout == nil {
			timer := time.NewTimer(fencePatience)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-changed:
		case <-timeout:
			return eventstore.ErrFenced
		case <-ctx.Done():
			return err
		}
	}
}

func (t *tenant) enter(ctx context.Context, a eventstore.Arrival, admit func(eventstore.State) error) (*eventstore.Entered, error) {
	g, s, err := t.known(a)
	if err != nil {
		return nil, err
	}
	if s != nil {
		if err := admit(eventstore.State{}); err != nil {
			return nil, err
		}
		if len(a.Also) == 0 {
			return t.mint(a, s)
		}
		return t.tied(a, admit, nil)
	}
	if err := admit(g.State()); err != nil {
		g.Release()
		return nil, err
	}
	if len(a.Also) == 0 {
		return &eventstore.Entered{Gate: g}, nil
	}
	return t.tied(a, admit, g)
}

// known takes the gate of the person that the arrival's identity names, or answers the stranger.
func (t *tenant) known(a eventstore.Arrival) (*gate, *stranger, error) {
	handle := handleOf(a.Identity)
	id, ok := t.handles.get(handle)
	if older, _ := t.refused.maybe(a); !ok || older {
		var s *stranger
		if err := t.enterShared(); err != nil {
			return nil, nil, err
		}
		err := t.refuse(a)
		if err == nil && !ok {
			id, s, err = t.lookup(handle)
		}
		t.mu.RUnlock()
		if err != nil || s != nil {
			return nil, s, err
		}
	}
	g, err := t.acquire(id)
	return g, nil, t.staleIfErased(err)
}

// tied ties all handles of an arrival, minting a stranger (g nil).
func (t *tenant) tied(a eventstore.Arrival, admit func(eventstore.State) error, g *gate) (*eventstore.Entered, error) {
	if g != nil && t.sameSet(a, g) {
		return &eventstore.Entered{Gate: g}, nil
	}
	done, err := t.tie(a, admit, g == nil)
	if err != nil {
		if g != nil {
			g.Release()
		}
		return nil, err
	}
	t.split(done.full)
	if g == nil && done.unsynced != nil {
		g = done.unsynced.gate
	}
	if g == nil {
		if g, err = t.acquire(done.person); err != nil {
			return nil, t.staleIfErased(err)
		}
	}
	return &eventstore.Entered{Gate: g, Minted: done.minted, Ambiguous: done.ambiguous, Linked: done.linked}, nil
}

// staleIfErased tells an erasure of the person from one of the tenant.
func (t *tenant) staleIfErased(err error) error {
	if errors.Is(err, eventstore.ErrErased) && t.live() == nil {
		return errStale
	}
	return err
}

// sameSet says, from what is cached, that everything is tied already.
func (t *tenant) sameSet(a eventstore.Arrival, g *gate) bool {
	g.o.use.RLock()
	defer g.o.use.RUnlock()
	for _, h := range a.Also {
		id, ok := t.handles.get(handleOf(h))
		if !ok || id != g.o.person && !slices.Contains(g.o.rec.others, id) || t.fences.has(id) {
			return false
		}
	}
	return true
}

// Link implements [eventstore.Keys].
func (v *Vault) Link(_ context.Context, tenant eventstore.TenantID, a, b eventstore.PersonID) error {
	t, err := v.tenant(tenant)
	if err != nil {
		return err
	}
	if err := t.enterShared(); err != nil {
		return err
	}
	defer t.mu.RUnlock()
	d := &tie{t: t, named: map[string]eventstore.PersonID{"a": a, "b": b}}
	_, err = d.withLeaves(func() error {
		mine := d.members(a)
		if slices.Contains(mine, b) {
			return eventstore.ErrConflict
		}
		return d.merge(mine, d.members(b))
	})
	return err
}
