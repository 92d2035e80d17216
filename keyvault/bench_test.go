package keyvault_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sys/unix"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
)

// benchPersons is how many persons the vault holds before a benchmark: OUBLI_BENCH_PERSONS.
func benchPersons() int {
	if n, err := strconv.Atoi(os.Getenv("OUBLI_BENCH_PERSONS")); err == nil {
		return n
	}
	return 10_000
}

func populated(b *testing.B) (*keyvault.Vault, []eventstore.PersonID) {
	v := newTenant(b, keyvault.Config{})
	n := benchPersons()
	persons := make([]eventstore.PersonID, min(n, 40_000)) // who is erased
	visitor := func(i int) eventstore.Identity { return web(fmt.Sprintf("visitor-%d", i)) }
	if err := v.Populate(b.Context(), crashTenant, n, visitor, time.Now()); err != nil {
		b.Fatal(err)
	}
	for i := range len(persons) {
		var err error
		if persons[i], err = v.Resolve(b.Context(), crashTenant, visitor(i)); err != nil {
			b.Fatal(err)
		}
	}
	return v, persons
}

func contact(b *testing.B, v *keyvault.Vault, id eventstore.Identity) eventstore.PersonID {
	now := time.Now()
	e, err := v.Enter(b.Context(), crashTenant, eventstore.Arrival{Identity: id, Time: now, Received: now}, accept)
	if err != nil {
		b.Error(err)
		return eventstore.PersonID{}
	}
	e.Gate.Release()
	return e.Gate.Person()
}

func BenchmarkShred(b *testing.B) {
	v, persons := populated(b)
	var took []time.Duration
	before := processTime(b)
	b.ResetTimer()
	for i := range b.N {
		p := persons[i%len(persons)]
		if _, err := v.Fence(b.Context(), crashTenant, []eventstore.PersonID{p}); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if err := v.Shred(b.Context(), crashTenant, []eventstore.PersonID{p}, eventstore.ShredOptions{}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	b.StopTimer()
	b.ReportMetric(float64((processTime(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkShredMany is 10,000 persons in one request; run it with -benchtime 1x and OUBLI_BENCH_PERSONS.
func BenchmarkShredMany(b *testing.B) {
	v, persons := populated(b)
	n := min(10_000, len(persons)/max(2, 2*b.N))
	var took, used time.Duration
	b.ResetTimer()
	for i := range b.N {
		out := persons[i*n:][:n]
		if _, err := v.Fence(b.Context(), crashTenant, out); err != nil {
			b.Fatal(err)
		}
		before, start := processTime(b), time.Now()
		if err := v.Shred(b.Context(), crashTenant, out, eventstore.ShredOptions{}); err != nil {
			b.Fatal(err)
		}
		took, used = took+time.Since(start), used+processTime(b)-before
	}
	b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms/shred")
	b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/shred")
}

func BenchmarkEnterKnown(b *testing.B) {
	v := newTenant(b, keyvault.Config{})
	id := web("v")
	contact(b, v, id)
	now := time.Now()
	for b.Loop() {
		e, err := v.Enter(b.Context(), crashTenant, eventstore.Arrival{Identity: id, Time: now, Received: now}, accept)
		if err != nil {
			b.Fatal(err)
		}
		e.Gate.Release()
	}
}

func BenchmarkGate(b *testing.B) {
	v := newTenant(b, keyvault.Config{})
	p := contact(b, v, web("v"))
	for b.Loop() {
		g, err := v.Gate(b.Context(), crashTenant, p)
		if err != nil {
			b.Fatal(err)
		}
		g.Release()
	}
}

// BenchmarkFirstContact is 64 callers' first contacts in a vault that holds persons already.
func BenchmarkFirstContact(b *testing.B) {
	v, _ := populated(b)
	callers(b, func(i int64) { contact(b, v, web(fmt.Sprintf("new-%d", i))) })
}

// BenchmarkPebble is 64 callers' synced writes, to a plain Pebble, of the rows that a first contact writes.
func BenchmarkPebble(b *testing.B) {
	db, err := pebble.Open(b.TempDir(), &pebble.Options{Logger: quiet{}, MemTableSize: 32 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	callers(b, func(i int64) {
		var key [40]byte
		binary.BigEndian.PutUint64(key[24:], rand.Uint64())
		w := db.NewBatch()
		key[6] = 'l'
		w.Set(key[:], make([]byte, 190), nil)
		key[6] = 'p'
		w.Set(key[:], make([]byte, 60), nil)
		if err := w.Commit(pebble.Sync); err != nil {
			b.Error(err)
		}
		w.Close()
	})
}

// callers has 64 goroutines call, and reports the process's own time, which says more than the clock on a machine that is shared.
func callers(b *testing.B, call func(i int64)) {
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	var next atomic.Int64
	before := processTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			call(next.Add(1))
		}
	})
	b.StopTimer()
	b.ReportMetric(float64((processTime(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op")
}

func processTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}
