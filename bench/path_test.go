//go:build unix

package main

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const pathPersons = 10_000

// pathStack is a stack with one event of each person, so that nobody is met for the first time.
func pathStack(b *testing.B, events int) *stack {
	s, err := openStack(context.Background(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	if _, err := s.fill(context.Background(), pathPersons, max(events, pathPersons)); err != nil {
		b.Fatal(err)
	}
	return s
}

// processTime is what the process has used, the server included: it stands on a busy machine too.
func processTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppendPath is the way of an event in, from the door to the answer, each with an idempotency key.
func BenchmarkAppendPath(b *testing.B) {
	for _, callers := range []int{1, 64, 256, 1024} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := pathStack(b, 0)
			ctx := context.Background()
			b.ReportAllocs()
			b.ResetTimer()
			cpu := processTime()
			took, all, err := inParallel(callers, b.N, func(i int) error {
				_, err := s.store.Append(ctx, caller, message(i%pathPersons, "k"+strconv.Itoa(i)))
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(float64((processTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/event")
			b.ReportMetric(perSecond(b.N, all), "events/s")
			b.ReportMetric(percentile(took, 0.5), "p50-ms")
			b.ReportMetric(percentile(took, 0.99), "p99-ms")
		})
	}
}

// BenchmarkReplayPath replays 100,000 events: sealed, as the log gives them, and opened.
func BenchmarkReplayPath(b *testing.B) {
	const events = 100_000
	s := pathStack(b, events)
	ctx := context.Background()
	replay := func(b *testing.B, once func() (int, error)) {
		b.ReportAllocs()
		cpu := processTime()
		for range b.N {
			if n, err := once(); err != nil || n != events {
				b.Fatal(n, err)
			}
		}
		b.ReportMetric(float64((processTime()-cpu).Nanoseconds())/float64(b.N*events), "cpu-ns/event")
		b.ReportMetric(perSecond(b.N*events, b.Elapsed()), "events/s")
	}
	b.Run("sealed", func(b *testing.B) {
		replay(b, func() (n int, err error) {
			for _, err := range s.log.Replay(ctx, tenant, 0) {
				if err != nil {
					return n, err
				}
				n++
			}
			return n, nil
		})
	})
	b.Run("opened", func(b *testing.B) {
		replay(b, func() (n int, err error) {
			for _, err := range s.store.Replay(ctx, tenant, 0) {
				if err != nil {
					return n, err
				}
				n++
			}
			return n, nil
		})
	})
}
