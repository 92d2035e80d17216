package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// lookups opens persons whom the vault that was just opened does not know yet, then those whom it does.
func (g *measured) lookups(ctx context.Context, size int) error {
	n := min(2000, size/2)
	at := make([]int, n)
	for i := range at {
		at[i] = g.gone + rand.IntN(g.entered-g.gone)
	}
	persons := make([]eventstore.PersonID, n)
	cold, _, err := inParallel(1, n, func(i int) (err error) {
		persons[i], err = g.vault.Resolve(ctx, tenant, arrival(at[i]).Identity)
		return err
	})
	if err != nil {
		return err
	}
	g.add(size, "cold-lookup/handle", percentile(cold, 0.5)*1000, "µs", "≤ 40")
	gate := func(i int) error {
		h, err := g.vault.Gate(ctx, tenant, persons[i%n])
		if err == nil {
			h.Release()
		}
		return err
	}
	if cold, _, err = inParallel(1, n, gate); err != nil {
		return err
	}
	g.add(size, "cold-lookup/keys", percentile(cold, 0.5)*1000, "µs", "≤ 40")
	const calls = 200_000
	warm, err := median(g.o.rounds, func(int) (float64, error) {
		start := time.Now()
		for i := range calls {
			if err := gate(i); err != nil {
				return 0, err
			}
		}
		return float64(time.Since(start).Nanoseconds()) / 1000 / calls, nil
	})
	if err != nil {
		return err
	}
	g.add(size, "opened-lookup", warm, "µs", "≤ 1")
	return nil
}

// fenced fences the next n persons.
func (g *measured) fenced(ctx context.Context, n int) ([]eventstore.PersonID, error) {
	persons := make([]eventstore.PersonID, n)
	for i := range persons {
		var err error
		if persons[i], err = g.vault.Resolve(ctx, tenant, arrival(g.gone+i).Identity); err != nil {
			return nil, err
		}
	}
	g.gone += n
	_, err := g.vault.Fence(ctx, tenant, persons)
	return persons, err
}

// shredOne erases persons one by one, each followed by a lone write of the peer, and compares with those and with the size before.
func (g *measured) shredOne(ctx context.Context, size int) error {
	n := min(1000, size/(4*g.o.rounds))
	var p50, p99, peer50, peer99 []float64
	for range g.o.rounds {
		took, synced, err := g.shredEach(ctx, n)
		if err != nil {
			return err
		}
		p50, p99 = append(p50, percentile(took, 0.5)), append(p99, percentile(took, 0.99))
		peer50, peer99 = append(peer50, percentile(synced, 0.5)), append(peer99, percentile(synced, 0.99))
	}
	name := fmt.Sprintf("vault/%d/shred-one/", size)
	half := figure{Name: name + "p50", Value: middle(p50), Unit: "ms", Target: "≤ 2 at 1 M, then ≤ 1.5 ×"}
	g.r.compare(half, append(g.shred, figure{Name: "pebble-synced/1/p50", Value: middle(peer50)})...)
	g.shred = []figure{half}
	g.r.compare(figure{Name: name + "p99", Value: middle(p99), Unit: "ms", Target: "≤ 15 at 1 M"},
		figure{Name: "pebble-synced/1/p99", Value: middle(peer99)})
	return nil
}

// shredEach erases the next n persons, and tells how long each took and the peer's write behind it, in ascending order.
func (g *measured) shredEach(ctx context.Context, n int) (took, synced []time.Duration, err error) {
	persons, err := g.fenced(ctx, n)
	if err != nil {
		return nil, nil, err
	}
	for i := range persons {
		start := time.Now()
		if err := g.vault.Shred(ctx, tenant, persons[i:i+1], eventstore.ShredOptions{}); err != nil {
			return nil, nil, err
		}
		shredded := time.Now()
		if err := g.peer.one(); err != nil {
			return nil, nil, err
		}
		took, synced = append(took, shredded.Sub(start)), append(synced, time.Since(shredded))
	}
	slices.Sort(took)
	slices.Sort(synced)
	return took, synced, nil
}

// shredMany erases many persons in one request.
func (g *measured) shredMany(ctx context.Context, size int) error {
	n := min(10_000, size/(4*g.o.rounds))
	took, err := median(g.o.rounds, func(int) (float64, error) {
		persons, err := g.fenced(ctx, n)
		if err != nil {
			return 0, err
		}
		start := time.Now()
		err = g.vault.Shred(ctx, tenant, persons, eventstore.ShredOptions{})
		return time.Since(start).Seconds(), err
	})
	if err != nil {
		return err
	}
	target := ""
	if n == 10_000 {
		target = "≤ 3"
	}
	g.add(size, fmt.Sprintf("shred-%d-at-once", n), took, "s", target)
	return nil
}
