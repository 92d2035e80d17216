package streams

import (
	"context"
	"sync"
)

// position is the committed sequence: it only grows, and can be awaited.
type position struct {
	mu      sync.Mutex
	value   uint64
	err     error
	changed chan struct{} // nil while nobody waits
}

// advance moves the position up to v.
func (p *position) advance(v uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v > p.value {
		p.value = v
		p.wake()
	}
}

// fail ends all waits, now and later.
func (p *position) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		p.wake()
	}
}

func (p *position) wake() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

func (p *position) now() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.value
}

// await blocks until the position is above after.
func (p *position) await(ctx context.Context, after uint64) (uint64, error) {
	for {
		p.mu.Lock()
		v, err := p.value, p.err
		if v > after || err != nil {
			p.mu.Unlock()
			if v > after {
				return v, nil
			}
			return v, err
		}
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}
