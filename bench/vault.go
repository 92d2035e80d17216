package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
)

func arrival(person int) eventstore.Arrival {
	now := time.Now()
	return eventstore.Arrival{Identity: eventstore.Identity{Namespace: "web", ID: "visitor-" + strconv.Itoa(person)}, Time: now, Received: now}
}

func admitAll(eventstore.State) error { return nil }

// growing is one vault that is measured at several sizes, and the plain Pebble beside it.
type growing struct {
	o      options
	r      *report
	config keyvault.Config
	vault  *keyvault.Vault
	peer   *peer
	// entered is how many persons came in so far; those below gone were erased.
	entered, gone int
	heap          uint64
	shred         []figure // the size before's
}

// benchVault grows one vault through the sizes and measures it at each.
func benchVault(ctx context.Context, o options, r *report) (err error) {
	g := &growing{o: o, r: r, heap: liveHeap(), config: keyvault.Config{
		Dir: filepath.Join(o.dir, "vault"), Roots: filepath.Join(o.dir, "roots"), KEKFile: filepath.Join(o.dir, "kek"), Create: true}}
	if g.vault, err = keyvault.Open(ctx, g.config); err != nil {
		return err
	}
	defer func() {
		if e := g.vault.Close(); err == nil {
			err = e
		}
	}()
	if err := g.vault.CreateTenant(ctx, tenant); err != nil {
		return err
	}
	if g.peer, err = openPeer(filepath.Join(o.dir, "pebble")); err != nil {
		return err
	}
	defer g.peer.db.Close()
	for _, size := range o.sizes {
		for _, step := range []func(context.Context, int) error{g.contacts, g.reopened, g.lookups, g.shredOne, g.shredMany, g.disk} {
			if err := step(ctx, size); err != nil {
				return fmt.Errorf("%d persons: %w", size, err)
			}
		}
	}
	return nil
}

func (g *growing) add(size int, name string, value float64, unit, target string) {
	g.r.add(figure{Name: fmt.Sprintf("vault/%d/%s", size, name), Value: value, Unit: unit, Target: target})
}

// enter lets n more persons in, from 64 goroutines.
func (g *growing) enter(ctx context.Context, n int) (float64, error) {
	first := g.entered
	g.entered += n
	_, all, err := inParallel(64, n, func(i int) error {
		e, err := g.vault.Enter(ctx, tenant, arrival(first+i), admitAll)
		if err == nil {
			e.Gate.Release()
		}
		return err
	})
	return perSecond(n, all), err
}

// contacts fills the vault up to its size; the last contacts are the rounds, each with one of the peer right after it.
func (g *growing) contacts(ctx context.Context, size int) error {
	round := max(1, min(20_000, (size-g.entered)/(2*g.o.rounds)))
	if rest := size - g.entered - round*g.o.rounds; rest > 0 {
		if _, err := g.enter(ctx, rest); err != nil {
			return err
		}
	}
	var ratios []float64
	rate, err := median(g.o.rounds, func(int) (float64, error) {
		rate, err := g.enter(ctx, round)
		if err != nil {
			return 0, err
		}
		synced, err := g.peer.write(round)
		ratios = append(ratios, rate/synced)
		return rate, err
	})
	if err != nil {
		return err
	}
	slices.Sort(ratios)
	g.r.add(figure{Name: fmt.Sprintf("vault/%d/first-contact/64", size), Value: rate, Unit: "persons/s",
		Peer: "pebble-synced", Ratio: ratios[len(ratios)/2], Target: "≥ 0.5 ×"})
	return nil
}

// reopened stops the vault in good order and starts it again.
func (g *growing) reopened(ctx context.Context, size int) error {
	took, err := median(g.o.rounds, func(int) (float64, error) {
		if err := g.vault.Close(); err != nil {
			return 0, err
		}
		start := time.Now()
		v, err := keyvault.Open(ctx, g.config)
		if err != nil {
			return 0, err
		}
		g.vault = v
		return float64(time.Since(start).Microseconds()) / 1000, nil
	})
	if err != nil {
		return err
	}
	g.add(size, "open", took, "ms", "≤ 1000 at 1 M")
	return nil
}

// disk is what is left of the vault when the database has put away what it no longer needs, and what the process holds meanwhile.
func (g *growing) disk(ctx context.Context, size int) error {
	g.add(size, "memory", float64(liveHeap()-min(g.heap, liveHeap()))/(1<<20), "MiB", "by the cache setting")
	if err := g.vault.Compact(ctx); err != nil {
		return err
	}
	if err := g.vault.Close(); err != nil {
		return err
	}
	bytes, err := sizeOf(g.config.Dir)
	if err != nil {
		return err
	}
	g.add(size, "disk", float64(bytes)/float64(g.entered-g.gone), "bytes/person", "≤ 400")
	g.vault, err = keyvault.Open(ctx, g.config)
	return err
}

// liveHeap is what the garbage collector finds in use.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
