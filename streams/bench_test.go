//go:build unix

package streams

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// BenchmarkAppend measures durable appends of 560-byte events of 10,000 persons, each with an idempotency row.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 64, 256, 1024} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			r := newRoom(b, nil)
			r.openTenant()
			persons := make([]eventstore.PersonID, 10_000)
			for i := range persons {
				persons[i] = newPerson(b)
			}
			template := newMessage(b, persons[0], 560)
			var next atomic.Int64
			took := make([]time.Duration, b.N)
			ctx := context.Background()
			w, err := r.s.writer(convSpec(tenant))
			if err != nil {
				b.Fatal(err)
			}
			groups, cpu := w.generation.Load(), cpuTime()
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for {
						i := int(next.Add(1)) - 1
						if i >= b.N {
							return
						}
						m := template
						m.Person = persons[i%len(persons)]
						m.Envelope.Event[15], m.Envelope.Event[14], m.Envelope.Event[13] = byte(i), byte(i>>8), byte(i>>16)
						m.Row = row{0: byte(i), 8: byte(i >> 8), 9: byte(i >> 16), 10: byte(i >> 24), 23: 1}
						begin := time.Now()
						ticket, err := r.s.Submit(ctx, tenant, m)
						if err == nil {
							_, err = ticket.Wait(ctx)
						}
						if err != nil {
							b.Error(err)
							return
						}
						took[i] = time.Since(begin)
					}
				})
			}
			all.Wait()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/event")
			b.ReportMetric(float64(b.N)/float64(max(w.generation.Load()-groups, 1)), "events/group")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(took[b.N/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[b.N*99/100].Microseconds()), "p99-µs")
		})
	}
}

// cpuTime is what the process has used, server included: a figure that stands on a busy machine too.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
