package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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

func benchAppend(ctx context.Context, o options, r *report) error {
	s, err := openStack(ctx, filepath.Join(o.dir, "oubli"))
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.fill(ctx, o.persons, o.persons); err != nil {
		return err
	}
	for _, callers := range []int{1, 64, 256, 1024} {
		synced, err := jetstreamRate(ctx, o, callers, true)
		if err != nil {
			return err
		}
		unsynced, err := jetstreamRate(ctx, o, callers, false)
		if err != nil {
			return err
		}
		var p50, p99 float64
		rate, err := median(o.rounds, func(int) (float64, error) {
			n := callsFor(callers, o.events)
			took, all, err := inParallel(callers, n, func(i int) error {
				_, err := s.store.Append(ctx, caller, message(i%o.persons, ""))
				return err
			})
			p50, p99 = percentile(took, 0.5), percentile(took, 0.99)
			return perSecond(n, all), err
		})
		if err != nil {
			return err
		}
		name := fmt.Sprintf("append/%d", callers)
		r.compare(figure{Name: name, Value: rate, Unit: "events/s"}, synced, unsynced)
		r.add(figure{Name: name + "/p50", Value: p50, Unit: "ms"})
		r.add(figure{Name: name + "/p99", Value: p99, Unit: "ms"})
	}
	return nil
}

// jetstreamRate publishes messages of the same size to a bare JetStream stream, with an fsync for each or with none.
func jetstreamRate(ctx context.Context, o options, callers int, syncAlways bool) (figure, error) {
	f := figure{Name: "jetstream", Unit: "events/s"}
	if syncAlways {
		f.Name = "jetstream-syncalways"
	}
	js, stop, err := bareJetStream(ctx, filepath.Join(o.dir, fmt.Sprintf("%s-%d", f.Name, callers)), syncAlways)
	if err != nil {
		return f, err
	}
	defer stop()
	payload := make([]byte, 640)
	f.Value, err = median(o.rounds, func(int) (float64, error) {
		n := callsFor(callers, o.events)
		if syncAlways {
			n = min(n, 10_000)
		}
		_, all, err := inParallel(callers, n, func(i int) error {
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
		return perSecond(n, all), err
	})
	return f, err
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
