package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// benchMemory fills a store with ten times the events and persons of the other workloads, replays it, reads from it and starts it again, and says what the
// process, the server included, keeps resident meanwhile. It runs first, so that nothing else's memory counts.
func benchMemory(ctx context.Context, o options, r *report) error {
	persons, events := 10*o.persons, 10*o.events
	dir := filepath.Join(o.dir, "oubli")
	s, err := openStack(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	target := ""
	if persons == 100_000 && events == 1_000_000 {
		target = "≤ 600"
	}
	resident := func(name string, f func() error) error {
		peak, err := peakResident(f)
		r.add(figure{Name: "memory/" + name, Value: peak, Unit: "MiB resident", Target: target})
		return err
	}
	if err := resident("append", func() error { _, err := s.fill(ctx, persons, events); return err }); err != nil {
		return err
	}
	if n := s.again.Load(); n > 0 {
		r.add(figure{Name: "memory/append/again", Value: float64(n), Unit: "appends"})
	}
	if err := resident("replay", func() error {
		for _, err := range s.store.Replay(ctx, tenant, 0) {
			if err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := resident("read", func() error {
		_, _, err := inParallel(8, min(persons, 5_000), func(i int) error { return s.readPerson(ctx, i) })
		return err
	}); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if target != "" {
		target = "≤ 3"
	}
	start := time.Now()
	if s, err = openStack(ctx, dir); err != nil {
		return err
	}
	r.add(figure{Name: "start", Value: time.Since(start).Seconds(), Unit: "s", Target: target})
	return nil
}

func (s *stack) readPerson(ctx context.Context, i int) error {
	p, err := s.vault.Resolve(ctx, tenant, *message(i, "").Identity)
	if err != nil {
		return err
	}
	for _, err := range s.store.Read(ctx, tenant, p, eventstore.ReadOptions{}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// peakResident is the most that the process kept resident while f ran, in MiB.
func peakResident(f func() error) (float64, error) {
	var peak atomic.Int64
	done, ended := make(chan struct{}), make(chan struct{})
	look := func() { peak.Store(max(peak.Load(), residentBytes())) }
	look()
	go func() {
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				look()
			case <-done:
				return
			}
		}
	}()
	err := f()
	close(done)
	<-ended
	look()
	return float64(peak.Load()) / (1 << 20), err
}

// residentBytes is what the system keeps in memory for the process; where that cannot be told, what the Go runtime has taken from it.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if fields := bytes.Fields(text); err == nil && len(fields) > 1 {
		if pages, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
			return pages * int64(os.Getpagesize())
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased)
}
