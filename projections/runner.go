package projections

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Bounds of one batch: what it holds is in memory until it is committed.
const (
	batchItems = 16384
	batchBytes = 32 << 20
	// inCellBytes is about what a mark in a cell takes.
	inCellBytes = 128
)

// How long the runner waits before it tries again what cannot be answered yet.
const (
	waitFenced      = 10 * time.Millisecond
	waitUnavailable = 500 * time.Millisecond
)

// Run follows a tenant's stream until ctx ends; then it returns nil. One Run at a time for each tenant: ErrConflict.
//
// What was read is counted in batches; each is durable with its position. An event that cannot be read for good (erased, expired, lost key) advances
// the position. One of a person who is just being erased stops the runner for that moment: a fence ends in an erasure or is lifted, and only then is it
// known whether the event counts. An outage is waited out. Other errors end Run: ErrDamaged, also when the stream ends before the position.
func (p *Projections) Run(ctx context.Context, id eventstore.TenantID) error {
	t, err := p.tenant(ctx, id)
	if err != nil {
		return ended(ctx, err)
	}
	if !t.running.CompareAndSwap(false, true) {
		return eventstore.Refuse(eventstore.KindConflict, "tenant", "the tenant's projections are running already")
	}
	defer func() { t.running.Store(false); t.failAsks() }()
	cache := newCache()
	if err := p.findShadow(ctx, t); err != nil {
		return ended(ctx, err)
	}
	for {
		err := p.turn(ctx, t, cache)
		if err == nil {
			t, cache, err = p.rebuildOn(ctx, t, cache)
		}
		switch {
		case ctx.Err() != nil:
			return ended(ctx, err)
		case errors.Is(err, eventstore.ErrFenced):
			err = sleep(ctx, waitFenced)
		case errors.Is(err, eventstore.ErrUnavailable):
			err = sleep(ctx, waitUnavailable)
		case err == nil && t.shadow == nil:
			err = p.await(ctx, t)
		}
		if err != nil {
			return ended(ctx, err)
		}
	}
}

// turn counts what is committed, and then closes the periods that are due or asked for.
func (p *Projections) turn(ctx context.Context, t *tenant, cache *cache) error {
	asks := t.takeAsks()
	err := p.round(ctx, t, cache)
	for _, a := range asks {
		if a.rebuild && err == nil {
			err = p.beginShadow(ctx, t)
		}
	}
	if err == nil {
		err = p.closeDue(ctx, t, cache, asks.wantIn(t.zone))
	}
	if err != nil {
		t.known = false // what was published last may be in doubt
		t.putBack(asks)
		return err
	}
	asks.answer(nil)
	return nil
}

// await waits until more is committed, somebody asks for something, or it is time to look for periods that are due.
func (p *Projections) await(ctx context.Context, t *tenant) error {
	waiting, cancel := context.WithTimeout(ctx, closeEvery)
	defer cancel()
	if !t.waitWith(cancel) {
		return nil
	}
	defer t.waitWith(nil)
	_, err := p.stream.Await(waiting, t.id, t.position.Load())
	switch {
	case err == nil, ctx.Err() != nil:
		return err
	case waiting.Err() != nil:
		return nil
	case errors.Is(err, eventstore.ErrUnavailable):
		return sleep(ctx, waitUnavailable)
	}
	return err
}

// ended makes the end of ctx a regular end, unless damage was found.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, eventstore.ErrDamaged) {
		return nil
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// round counts everything that is committed now. When it returns nil, the position is at least the sequence that was committed when it began: messages
// that were removed leave holes, also at the end, and are never yielded.
func (p *Projections) round(ctx context.Context, t *tenant, cache *cache) error {
	return p.countUpTo(ctx, t, cache, math.MaxInt)
}

// countUpTo is round, but ends behind that many messages.
func (p *Projections) countUpTo(ctx context.Context, t *tenant, cache *cache, most int) error {
	if err := p.settle(ctx, t, cache); err != nil {
		return err
	}
	after := t.position.Load()
	committed, err := p.stream.Committed(ctx, t.id)
	if err != nil {
		return err
	}
	if committed < after {
		return damaged("the stream ends before the position that was counted; if it was restored, remove the projections directory to make the figures anew")
	}
	if committed == after {
		return nil
	}
	f := p.newFold(t, cache, after)
	defer func() { f.discard() }()
	for item, err := range p.stream.Replay(ctx, t.id, after) {
		if err == nil {
			err = f.item(ctx, item)
			if err != nil && !asked(err) {
				return err // The batch may hold half of the item; it is dropped.
			}
		}
		if err != nil {
			return errors.Join(f.commit(), err)
		}
		if f.full() {
			if err := f.commit(); err != nil {
				return err
			}
		}
		if most--; most <= 0 {
			return f.commit()
		}
	}
	f.position = max(f.position, committed)
	return f.commit()
}

// settle brings the tenant to where counting may go on: what was published is known, the rows are of the present zone and models, and no close is half done.
func (p *Projections) settle(ctx context.Context, t *tenant, cache *cache) error {
	if !t.known {
		if err := p.loadClosed(t); err != nil {
			return err
		}
		if err := p.absorb(ctx, t, cache); err != nil {
			return err
		}
	}
	if err := p.renew(t, cache); err != nil {
		return err
	}
	if !t.known && !t.aside {
		if err := p.finishCloses(ctx, t, cache); err != nil {
			return err
		}
	}
	t.known = true
	return nil
}

// asked says that an error is an answer of the vault, which is asked before anything of an item is counted.
func asked(err error) bool {
	return errors.Is(err, eventstore.ErrFenced) || errors.Is(err, eventstore.ErrUnavailable)
}

// item counts one message of the stream. With an error nothing of it is counted durably.
func (f *fold) item(ctx context.Context, item eventstore.Item) error {
	var err error
	switch {
	case item.Sequence <= f.position:
		return damaged("the stream yields a sequence twice")
	case item.Skipped != nil && errors.Is(item.Skipped, eventstore.ErrFenced):
		return eventstore.ErrFenced
	case item.Event != nil:
		err = f.event(ctx, item.Event, item.Sequence)
	case item.Change != nil:
		err = f.change(ctx, item.Change)
	}
	if err != nil {
		return fmt.Errorf("projections: at sequence %d: %w", item.Sequence, err)
	}
	f.position = item.Sequence
	f.items++
	return nil
}
