package projections

import (
	"context"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// ask is a close that somebody waits for.
type ask struct {
	// want says of a period that ended whether it is to be closed.
	want func(period eventstore.Period, zone *time.Location) bool
	// rebuild asks for a rebuild instead; done is told when it is begun.
	rebuild bool
	done    chan error
}

func nobody(eventstore.Period, *time.Location) bool { return false }

type asks []*ask

// wantIn says whether any of them is about a period.
func (a asks) wantIn(zone *time.Location) func(eventstore.Period) bool {
	return func(period eventstore.Period) bool {
		for _, one := range a {
			if one.want(period, zone) {
				return true
			}
		}
		return false
	}
}

func (a asks) answer(err error) {
	for _, one := range a {
		one.done <- err
	}
}

func (t *tenant) takeAsks() asks {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.asked
	t.asked = nil
	return a
}

func (t *tenant) putBack(a asks) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked = append(a, t.asked...)
}

// failAsks tells those who wait that the runner is gone.
func (t *tenant) failAsks() { t.takeAsks().answer(errNotRunning) }

var errNotRunning = eventstore.ErrUnavailable

// waitWith says what ends the runner's wait; false if it should not wait at all.
func (t *tenant) waitWith(interrupt func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.interrupt = interrupt
	return len(t.asked) == 0
}

// CloseBefore closes every period that ended before a civil day (its year, month and day count; no later than today), with everything that is committed when it is
// called, and returns when the releases are published. A month whose last week has not ended stays open. ErrUnavailable while the tenant's runner is not at
// work; when ctx ends first the close goes on.
func (p *Projections) CloseBefore(ctx context.Context, id eventstore.TenantID, day time.Time) error {
	return p.ask(ctx, id, func(period eventstore.Period, _ *time.Location) bool { return !period.Next().Date().After(civil(day)) })
}

// CloseMonths closes every period that begins before a key month, as [Projections.CloseBefore] does: before retention takes the month's keys.
func (p *Projections) CloseMonths(ctx context.Context, id eventstore.TenantID, before eventstore.KeyMonth) error {
	return p.ask(ctx, id, func(period eventstore.Period, zone *time.Location) bool {
		return begin(period, zone).Before(before.Start())
	})
}

func (p *Projections) ask(ctx context.Context, id eventstore.TenantID, want func(eventstore.Period, *time.Location) bool) error {
	return p.tell(ctx, id, &ask{want: want, done: make(chan error, 1)})
}

// tell hands something to the runner and waits until it is done.
func (p *Projections) tell(ctx context.Context, id eventstore.TenantID, a *ask) error {
	t, err := p.tenant(ctx, id)
	if err != nil {
		return err
	}
	if !t.take(a) {
		return errNotRunning
	}
	select {
	case err := <-a.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take puts what is asked where the runner finds it; false if there is no runner.
func (t *tenant) take(a *ask) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.moved != nil {
		return t.moved.take(a)
	}
	if !t.running.Load() {
		return false
	}
	t.asked = append(t.asked, a)
	if t.interrupt != nil {
		t.interrupt()
	}
	return true
}
