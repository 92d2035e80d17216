package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
)

func arrival(person int) eventstore.Arrival {
	now := time.Now()
	return eventstore.Arrival{Identity: eventstore.Identity{Namespace: "web", ID: "visitor-" + strconv.Itoa(person)}, Time: now, Received: now}
}

func admitAll(eventstore.State) error { return nil }

func benchVault(ctx context.Context, o options, r *report) error {
	s, err := openStack(ctx, filepath.Join(o.dir, "oubli"))
	if err != nil {
		return err
	}
	defer s.Close()
	pebbleRate, err := syncedPebble(o)
	if err != nil {
		return err
	}
	enter := func(i int) error {
		e, err := s.vault.Enter(ctx, tenant, arrival(i), admitAll)
		if err == nil {
			e.Gate.Release()
		}
		return err
	}
	_, all, err := inParallel(64, o.persons, enter)
	if err != nil {
		return err
	}
	r.compare(figure{Name: "vault/first-contact/64", Value: perSecond(o.persons, all), Unit: "persons/s"}, pebbleRate)
	took, all, err := inParallel(1, o.events, func(i int) error { return enter(i % min(o.persons, 1000)) })
	if err != nil {
		return err
	}
	r.add(figure{Name: "vault/enter-opened", Value: float64(all.Microseconds()) / float64(len(took)), Unit: "µs"})
	return shredOnes(ctx, o, s, r)
}

// shredOnes erases persons one by one.
func shredOnes(ctx context.Context, o options, s *stack, r *report) error {
	n := min(o.persons, 1000)
	took, _, err := inParallel(1, n, func(i int) error {
		p, err := s.vault.Resolve(ctx, tenant, arrival(i).Identity)
		if err != nil {
			return err
		}
		if _, err := s.vault.Fence(ctx, tenant, []eventstore.PersonID{p}); err != nil {
			return err
		}
		return s.vault.Shred(ctx, tenant, []eventstore.PersonID{p}, eventstore.ShredOptions{})
	})
	if err != nil {
		return err
	}
	r.add(figure{Name: fmt.Sprintf("vault/shred-of-%d/p50", o.persons), Value: percentile(took, 0.5), Unit: "ms"})
	r.add(figure{Name: fmt.Sprintf("vault/shred-of-%d/p99", o.persons), Value: percentile(took, 0.99), Unit: "ms"})
	return nil
}

// syncedPebble writes rows of a record's size to a bare Pebble from 64 goroutines, each synced.
func syncedPebble(o options) (figure, error) {
	db, err := pebble.Open(filepath.Join(o.dir, "pebble"), &pebble.Options{Logger: quiet{}})
	if err != nil {
		return figure{}, err
	}
	defer db.Close()
	value := make([]byte, 300)
	_, all, err := inParallel(64, o.persons, func(i int) error {
		return db.Set([]byte("person-"+strconv.Itoa(i)), value, pebble.Sync)
	})
	return figure{Name: "pebble-synced", Value: perSecond(o.persons, all), Unit: "writes/s"}, err
}

// quiet drops Pebble's notes.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}
