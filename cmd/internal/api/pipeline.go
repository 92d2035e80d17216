package api

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer"
)

// lanes is how many events of a batch are submitted at the same time.
const lanes = 32

// pipeline appends a batch: to submit an event can take a few syncs of the disk (a first contact), so it works on several at a time.
//
// Invariants: the outcomes are told in the order of the events; at most [Window] events are between the reader and tell; the events of one handle
// are submitted in their order. To that end a handle has its lane, by the hash of its canonical form. An event that names several handles has the road
// to itself: whatever stands before it is submitted, then it, then what stands behind it.
//
//	reader:   for each event: slot → flights; event → lane of its handle (or, with also: wait for all lanes, submit)
//	lanes:    submit; slot is ready
//	pipeline: for each slot of flights: wait until it is ready; wait for the disk; tell
//
// A lane for each person would need the vault to be asked first; the handle is enough, since the events of different handles of one human have an order only
// once they are linked, which is by such an event.
type pipeline struct {
	a       *API
	ctx     context.Context
	caller  eventstore.Caller
	flights chan *flight
	lanes   [lanes]chan *flight
	// open counts the events that are in a lane.
	open sync.WaitGroup
	seed maphash.Seed
}

// flight is one event on its way.
type flight struct {
	event eventstore.Event
	at    importer.Position
	// ready is closed once waiter or err is set.
	ready  chan struct{}
	waiter Waiter
	// withdraws says that the event takes consent to storage back.
	withdraws bool
	err       error
}

// appendAll appends events and tells each outcome, in order. An error among the events is its own outcome. It returns when every outcome is told.
func (a *API) appendAll(ctx context.Context, caller eventstore.Caller, events items, tell func(outcome)) {
	ctx, cancel := lasting(ctx)
	defer cancel()
	p := &pipeline{a: a, ctx: ctx, caller: caller, flights: make(chan *flight, Window-lanes), seed: maphash.MakeSeed()}
	var working sync.WaitGroup
	for i := range p.lanes {
		p.lanes[i] = make(chan *flight, 1)
		working.Go(func() {
			for f := range p.lanes[i] {
				p.submit(f)
				p.open.Done()
			}
		})
	}
	working.Go(func() { p.read(events) })
	defer working.Wait()
	defer func() {
		for range p.flights { // empty, unless tell panicked
			cancel()
		}
	}()
	for f := range p.flights {
		<-f.ready
		o := outcome{at: f.at, err: f.err}
		if f.err == nil {
			o.receipt, o.err = f.waiter.Wait(ctx)
		}
		if o.err == nil && f.withdraws {
			o.err = a.withdrawn(ctx, caller, o.receipt.Person)
		}
		a.metrics.event(caller.Tenant, o.receipt, o.err)
		tell(o)
	}
}

// read hands out the events.
func (p *pipeline) read(events items) {
	defer func() {
		if v := recover(); v != nil {
			f := &flight{ready: make(chan struct{}), err: fmt.Errorf("panic while reading: %T", v)}
			close(f.ready)
			p.flights <- f
		}
		for _, lane := range p.lanes {
			close(lane)
		}
		close(p.flights)
	}()
	for item, err := range events {
		f := &flight{event: item.Event, at: item.At, err: err, ready: make(chan struct{})}
		p.flights <- f
		switch {
		case err != nil:
			close(f.ready)
		case len(f.event.Also) > 0:
			p.open.Wait()
			p.submit(f)
		default:
			p.open.Add(1)
			p.lanes[p.lane(&f.event)] <- f
		}
	}
}

// lane is where the events of a handle go. What has no canonical form is refused wherever it goes.
func (p *pipeline) lane(e *eventstore.Event) uint64 {
	var h maphash.Hash
	h.SetSeed(p.seed)
	if e.Identity == nil {
		h.WriteString(string(e.Conversation))
	} else if id, err := p.a.Door.Canonical(p.caller.Tenant, *e.Identity); err == nil {
		h.WriteString(id.Namespace + "\x00" + id.ID)
	}
	return h.Sum64() % lanes
}

func (p *pipeline) submit(f *flight) {
	defer close(f.ready)
	defer func() {
		if v := recover(); v != nil {
			f.err = fmt.Errorf("panic while appending: %T", v)
		}
	}()
	f.waiter, f.err = p.a.Store.Submit(p.ctx, p.caller, f.event)
	f.withdraws = withdraws(&f.event)
	f.event = eventstore.Event{} // not kept until it is told
}

// grace is how long a batch goes on when its client has gone: what was handed over shall end well.
const grace = 10 * time.Second

// lasting is a context that ends some time after ctx. (A body that breaks off ends a request's context at once.)
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return out, func() { stop(); cancel() }
}
