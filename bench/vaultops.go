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
func (g *growing) lookups(ctx context.Context, size int) error {
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
func (g *growing) fenced(ctx context.Context, n int) ([]eventstore.PersonID, error) {
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
func (g *growing) shredOne(ctx context.Context, size int) error {
	persons, err := g.fenced(ctx, min(1000, size/4))
	if err != nil {
		return err
	}
	var took, synced []time.Duration
	for i := range persons {
		start := time.Now()
		if err := g.vault.Shred(ctx, tenant, persons[i:i+1], eventstore.ShredOptions{}); err != nil {
			return err
		}
		shredded := time.Now()
		if err := g.peer.one(); err != nil {
			return err
		}
		took, synced = append(took, shredded.Sub(start)), append(synced, time.Since(shredded))
	}
	slices.Sort(took)
	slices.Sort(synced)
	name := fmt.Sprintf("vault/%d/shred-one/", size)
	p50 := figure{Name: name + "p50", Value: percentile(took, 0.5), Unit: "ms", Target: "≤ 2 at 1 M, then ≤ 1.5 ×"}
	g.r.compare(p50, append(g.shred, figure{Name: "pebble-synced/1/p50", Value: percentile(synced, 0.5)})...)
	g.shred = []figure{p50}
	g.r.compare(figure{Name: name + "p99", Value: percentile(took, 0.99), Unit: "ms", Target: "≤ 15 at 1 M"},
		figure{Name: "pebble-synced/1/p99", Value: percentile(synced, 0.99)})
	return nil
}

// shredMany erases many persons in one request.
func (g *growing) shredMany(ctx context.Context, size int) error {
	n := min(10_000, size/2)
	persons, err := g.fenced(ctx, n)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := g.vault.Shred(ctx, tenant, persons, eventstore.ShredOptions{}); err != nil {
		return err
	}
	target := ""
	if n == 10_000 {
		target = "≤ 3"
	}
	g.add(size, fmt.Sprintf("shred-%d-at-once", n), time.Since(start).Seconds(), "s", target)
	return nil
}
