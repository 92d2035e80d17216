package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
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

// measured is a vault of one size, and the plain Pebble beside it.
type measured struct {
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

// benchVault measures a vault of each size.
func benchVault(ctx context.Context, o options, r *report) error {
	var shred []figure
	for _, size := range o.sizes {
		err := inTemporaryDirectory(o, func(o options) (err error) {
			shred, err = benchVaultOf(ctx, o, r, size, shred)
			return err
		})
		if err != nil {
			return fmt.Errorf("%d persons: %w", size, err)
		}
	}
	return nil
}

// benchVaultOf measures a vault of one size and answers what the next is compared with.
func benchVaultOf(ctx context.Context, o options, r *report, size int, before []figure) (_ []figure, err error) {
	g := &measured{o: o, r: r, shred: before, heap: liveHeap(), config: keyvault.Config{CacheSize: o.cache,
		Dir: filepath.Join(o.dir, "vault"), Roots: filepath.Join(o.dir, "roots"), KEKFile: filepath.Join(o.dir, "kek"), Create: true}}
	if g.vault, err = keyvault.Open(ctx, g.config); err != nil {
		return nil, err
	}
	defer func() {
		if e := g.vault.Close(); err == nil {
			err = e
		}
	}()
	if err := g.vault.CreateTenant(ctx, tenant); err != nil {
		return nil, err
	}
	if g.peer, err = openPeer(filepath.Join(o.dir, "pebble")); err != nil {
		return nil, err
	}
	defer g.peer.db.Close()
	for _, step := range []func(context.Context, int) error{g.contacts, g.disk, g.reopened, g.lookups, g.shredOne, g.shredMany, g.memory} {
		if err := step(ctx, size); err != nil {
			return nil, err
		}
	}
	return g.shred, nil
}

func (g *measured) add(size int, name string, value float64, unit, target string) {
	g.r.add(figure{Name: fmt.Sprintf("vault/%d/%s", size, name), Value: value, Unit: unit, Target: target})
}

// enter lets n more persons in, from 64 goroutines.
func (g *measured) enter(ctx context.Context, n int) (float64, error) {
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

// contacts fills the vault up to its size: most come in at once, the last ones are the rounds, each with one of the peer right after it.
func (g *measured) contacts(ctx context.Context, size int) error {
	round := max(1, min(20_000, size/(10*g.o.rounds)))
	g.entered = size - round*g.o.rounds
	start := time.Now()
	err := g.vault.Populate(ctx, tenant, g.entered, func(i int) eventstore.Identity { return arrival(i).Identity }, start)
	if err != nil {
		return err
	}
	g.add(size, "populate", perSecond(g.entered, time.Since(start)), "persons/s", "")
	if err := g.vault.Compact(ctx); err != nil { // what is measured next must not meet what this left to do
		return err
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
func (g *measured) reopened(ctx context.Context, size int) error {
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

// memory is what the process holds when more persons than the caches have room for were looked at.
func (g *measured) memory(ctx context.Context, size int) error {
	looked := min(200_000, g.entered-g.gone)
	_, _, err := inParallel(2, looked, func(i int) error {
		id, err := g.vault.Resolve(ctx, tenant, arrival(g.gone+i).Identity)
		if err != nil {
			return err
		}
		h, err := g.vault.Gate(ctx, tenant, id)
		if err == nil {
			h.Release()
		}
		return err
	})
	if err != nil {
		return err
	}
	debug.FreeOSMemory()
	if held := liveHeap(); held > g.heap {
		g.add(size, "heap", float64(held-g.heap)/(1<<20), "MiB", "by the cache setting")
	}
	if resident := residentMemory(); resident > 0 {
		g.add(size, "resident", float64(resident)/(1<<20), "MiB", "")
	}
	return nil
}

// disk is what is left of the vault when the database has put away what it no longer needs and was started again. The logs that a running database keeps to
// overwrite them have a size of their own, whatever the number of persons.
func (g *measured) disk(ctx context.Context, size int) error {
	if err := g.vault.Compact(ctx); err != nil {
		return err
	}
	logs, err := sizeOf(g.config.Dir, ".log")
	if err != nil {
		return err
	}
	if logs > 0 {
		g.add(size, "logs-kept", float64(logs)/(1<<20), "MiB", "")
	}
	if err := g.restart(ctx); err != nil {
		return err
	}
	bytes, err := sizeOf(g.config.Dir, "")
	g.add(size, "disk", float64(bytes)/float64(g.entered-g.gone), "bytes/person", "≤ 400")
	return err
}

// restart stops the vault in good order and starts it again.
func (g *measured) restart(ctx context.Context) error {
	if err := g.vault.Close(); err != nil {
		return err
	}
	v, err := keyvault.Open(ctx, g.config)
	if err == nil {
		g.vault = v
	}
	return err
}

// liveHeap is what the garbage collector finds in use.
func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// residentMemory is what the process has of the machine's memory, 0 if the machine does not tell.
func residentMemory() (bytes int64) {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var total, pages int64
	if _, err := fmt.Sscan(string(status), &total, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
