package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oubli-store/oubli/bench/peers/postgres"
)

// inParallel has n callers each do their share of total calls, and returns every call's duration, sorted, and the whole time.
func inParallel(n, total int, call func(i int) error) ([]time.Duration, time.Duration, error) {
	var (
		next  atomic.Int64
		wait  sync.WaitGroup
		mu    sync.Mutex
		first error
		took  = make([]time.Duration, total)
		start = time.Now()
	)
	for range n {
		wait.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= total {
					return
				}
				begin := time.Now()
				if err := call(i); err != nil {
					mu.Lock()
					first = err
					mu.Unlock()
					return
				}
				took[i] = time.Since(begin)
			}
		})
	}
	wait.Wait()
	all := time.Since(start)
	slices.Sort(took)
	return took, all, first
}

// callsFor bounds a round so that a lone caller does not take for ever.
func callsFor(callers, events int) int { return min(events, 2_000*callers) }

// appendTargets says what a figure is meant to be, by its name and its peer's.
var appendTargets = map[[2]string]string{
	{"append/64", "jetstream-syncalways"}:          "≥ 6 ×",
	{"append/64", "postgresql-64"}:                 "≥ 1.4 ×",
	{"append/256", "jetstream-syncalways"}:         "≥ 10 ×",
	{"append/1024", "jetstream"}:                   "≥ 0.5 ×",
	{"append/1024", "postgresql-batches-of-256"}:   "≥ 1 ×",
	{"append/1/p50", "jetstream-syncalways/1/p50"}: "≤ 1.5 ×",
}

func benchAppend(ctx context.Context, o options, r *report) error {
	return withPostgres(ctx, o, r, func(pg *postgres.Store) error { return appendBeside(ctx, o, r, pg) })
}

func appendBeside(ctx context.Context, o options, r *report, pg *postgres.Store) error {
	var singles, batches []figure
	if pg != nil {
		one, err := postgresSingles(ctx, o, pg)
		if err != nil {
			return err
		}
		many, err := postgresBatches(ctx, o, pg)
		if err != nil {
			return err
		}
		singles, batches = []figure{one}, []figure{many}
		for _, f := range []figure{one, many} {
			r.add(figure{Name: "peer/" + f.Name, Value: f.Value, Unit: "events/s"})
		}
	}
	s, err := openStack(ctx, filepath.Join(o.dir, "oubli"))
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.fill(ctx, o.persons, o.persons); err != nil {
		return err
	}
	for _, callers := range []int{1, 64, 256, 1024} {
		synced, lone, err := jetstreamRate(ctx, o, callers, true)
		if err != nil {
			return err
		}
		unsynced, _, err := jetstreamRate(ctx, o, callers, false)
		if err != nil {
			return err
		}
		rate, took, err := s.appendRate(ctx, o, callers)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("append/%d", callers)
		for _, peers := range [][]figure{{synced}, {unsynced}, singles, batches} {
			for _, p := range peers {
				r.compare(figure{Name: name, Value: rate, Unit: "events/s", Target: appendTargets[[2]string{name, p.Name}]}, p)
			}
		}
		p50 := figure{Name: name + "/p50", Value: percentile(took, 0.5), Unit: "ms"}
		if callers == 1 {
			p50.Target = appendTargets[[2]string{p50.Name, lone.Name}]
			r.compare(p50, lone)
		} else {
			r.add(p50)
		}
		r.add(figure{Name: name + "/p99", Value: percentile(took, 0.99), Unit: "ms"})
	}
	return s.appendCost(ctx, o, r)
}

// appendRate has callers append, each waiting for its answer. The durations are those of the last round.
func (s *stack) appendRate(ctx context.Context, o options, callers int) (rate float64, took []time.Duration, err error) {
	rate, err = median(o.rounds, func(round int) (float64, error) {
		n := callsFor(callers, o.events)
		var all time.Duration
		took, all, err = inParallel(callers, n, func(i int) error {
			_, err := s.store.Append(ctx, caller, message(i%o.persons, ""))
			return err
		})
		return perSecond(n, all), err
	})
	return rate, took, err
}

// appendCost reports what an append allocates, the server in this process included.
func (s *stack) appendCost(ctx context.Context, o options, r *report) error {
	n := callsFor(256, o.events)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := inParallel(256, n, func(i int) error {
		_, err := s.store.Append(ctx, caller, message(i%o.persons, ""))
		return err
	})
	runtime.ReadMemStats(&after)
	r.add(figure{Name: "append/allocations", Value: float64(after.Mallocs-before.Mallocs) / float64(n), Unit: "per event"})
	r.add(figure{Name: "append/allocated", Value: float64(after.TotalAlloc-before.TotalAlloc) / float64(n), Unit: "bytes/event"})
	return err
}

// jetstreamRate publishes messages of the same size to a bare JetStream stream, with an fsync for each or with none. lone is the median time of one.
func jetstreamRate(ctx context.Context, o options, callers int, syncAlways bool) (f, lone figure, err error) {
	f = figure{Name: "jetstream", Unit: "events/s"}
	if syncAlways {
		f.Name = "jetstream-syncalways"
	}
	lone = figure{Name: fmt.Sprintf("%s/%d/p50", f.Name, callers)}
	js, stop, err := bareJetStream(ctx, filepath.Join(o.dir, fmt.Sprintf("%s-%d", f.Name, callers)), syncAlways)
	if err != nil {
		return f, lone, err
	}
	defer stop()
	payload := make([]byte, 640)
	f.Value, err = median(o.rounds, func(int) (float64, error) {
		n := callsFor(callers, o.events)
		if syncAlways {
			n = min(n, 10_000)
		}
		took, all, err := inParallel(callers, n, func(i int) error {
			ack, err := js.PublishAsync(fmt.Sprintf("bench.%d", i%o.persons), payload, jetstream.WithStallWait(10*time.Second))
			if err != nil {
				return err
			}
			select {
			case <-ack.Ok():
				return nil
			case err := <-ack.Err():
				return err
			}
		})
		lone.Value = percentile(took, 0.5)
		return perSecond(n, all), err
	})
	return f, lone, err
}

func bareJetStream(ctx context.Context, dir string, syncAlways bool) (jetstream.JetStream, func(), error) {
	srv, err := server.NewServer(&server.Options{JetStream: true, StoreDir: dir, DontListen: true, NoSigs: true, SyncAlways: syncAlways})
	if err != nil {
		return nil, nil, err
	}
	srv.Start()
	stop := func() { srv.Shutdown(); srv.WaitForShutdown() }
	if !srv.ReadyForConnections(10 * time.Second) {
		stop()
		return nil, nil, fmt.Errorf("the bare JetStream server did not start")
	}
	conn, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		stop()
		return nil, nil, err
	}
	closeAll := func() { conn.Close(); stop() }
	js, err := jetstream.New(conn)
	if err == nil {
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "BENCH", Subjects: []string{"bench.>"}, AllowDirect: true})
	}
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	return js, closeAll, nil
}
