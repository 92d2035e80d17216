package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// patience paces the tries of one call.
type patience struct {
	c     *Config
	until time.Time
	tries int
	// uncertain says that a try may have been carried out although no answer came.
	uncertain bool
	// storesNothing says that the call only asks.
	storesNothing bool
}

func (c *Client) patience() *patience {
	p := &patience{c: &c.c}
	p.renew()
	return p
}

// renew starts anew: the server has answered something.
func (p *patience) renew() { p.until, p.tries = time.Now().Add(p.c.Patience), 0 }

// wait returns nil when it is time for another try after err, or the error to give up with.
func (p *patience) wait(ctx context.Context, err error) error {
	var asked time.Duration
	if e, ok := errors.AsType[*Error](err); ok {
		if !e.retryable() {
			return err
		}
		asked = e.RetryAfter
	} else if u, ok := errors.AsType[unreachable](err); ok {
		p.uncertain = p.uncertain || u.mayBeStored()
	} else {
		return err
	}
	pause := max(asked, p.pause())
	if ctx.Err() == nil && time.Now().Add(pause).After(p.until) {
		return p.giveUp(err)
	}
	p.tries++
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return p.giveUp(fmt.Errorf("%w: %w", context.Cause(ctx), err))
	case <-t.C:
		return nil
	}
}

func (p *patience) giveUp(err error) error {
	if p.uncertain && !p.storesNothing && !errors.Is(err, eventstore.ErrUncertain) {
		return fmt.Errorf("%w: %w", eventstore.ErrUncertain, err)
	}
	return err
}

// pause doubles from MinPause to MaxPause and is then drawn from its upper half, so that many bots do not come back at once.
func (p *patience) pause() time.Duration {
	d := p.c.MinPause
	for range p.tries {
		if d >= p.c.MaxPause {
			break
		}
		d *= 2
	}
	d = min(d, p.c.MaxPause)
	return d/2 + rand.N(d/2+1)
}
