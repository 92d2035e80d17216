package sqltables

import (
	"context"
	"sync"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/tabular"
)

// Engine runs queries, so many at a time. It is safe for concurrent use.
type Engine struct {
	limits Limits
	slots  chan struct{}

	mu      sync.Mutex
	tenants map[eventstore.TenantID]*turn
}

// turn is a tenant's place in the queue: one query at a time.
type turn struct {
	slot chan struct{}
	// asking counts who runs or waits.
	asking int
}

// New makes an engine; limits of zero are those of [Defaults].
func New(l Limits) *Engine {
	d := Defaults
	if l.Time != 0 {
		d.Time = l.Time
	}
	if l.Rows != 0 {
		d.Rows = l.Rows
	}
	if l.Bytes != 0 {
		d.Bytes = l.Bytes
	}
	if l.Memory != 0 {
		d.Memory = l.Memory
	}
	if l.Running != 0 {
		d.Running = l.Running
	}
	if l.Waiting != 0 {
		d.Waiting = l.Waiting
	}
	return &Engine{limits: d, slots: make(chan struct{}, d.Running), tenants: map[eventstore.TenantID]*turn{}}
}

// Limits are the limits in force.
func (e *Engine) Limits() Limits { return e.limits }

// Query runs one query of a tenant once it is its turn. images is asked then; it gives at most two images, held for the caller, which are released at the
// end. An answer has typed columns and no remarks.
//
// Errors: those of this package, all of them an [eventstore.Problem]; those of images; ctx's.
func (e *Engine) Query(ctx context.Context, tenant eventstore.TenantID, images func(context.Context) ([]*Image, error), query string) (tabular.Table, error) {
	if err := checkText(query); err != nil {
		return tabular.Table{}, err
	}
	leave, err := e.enter(ctx, tenant)
	if err != nil {
		return tabular.Table{}, err
	}
	defer leave()
	held, err := images(ctx)
	if err != nil {
		return tabular.Table{}, err
	}
	defer func() {
		for _, image := range held {
			image.Release()
		}
	}()
	return ask(ctx, e.limits, held, query)
}

// enter waits for a tenant's turn and for a slot.
func (e *Engine) enter(ctx context.Context, tenant eventstore.TenantID) (leave func(), err error) {
	e.mu.Lock()
	t := e.tenants[tenant]
	if t == nil {
		t = &turn{slot: make(chan struct{}, 1)}
		e.tenants[tenant] = t
	}
	if t.asking > e.limits.Waiting {
		e.mu.Unlock()
		return nil, ErrBusy
	}
	t.asking++
	e.mu.Unlock()
	done := func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if t.asking--; t.asking == 0 {
			delete(e.tenants, tenant)
		}
	}
	select {
	case t.slot <- struct{}{}:
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	}
	select {
	case e.slots <- struct{}{}:
	case <-ctx.Done():
		<-t.slot
		done()
		return nil, ctx.Err()
	}
	return func() { <-e.slots; <-t.slot; done() }, nil
}
