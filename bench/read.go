package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oubli-store/oubli/eventstore"
)

// eventsOfOne is how many events a person has who is read.
const eventsOfOne = 20

func benchRead(ctx context.Context, o options, r *report) error {
	o.persons = max(1, o.events/eventsOfOne)
	s, persons, err := filled(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	direct, err := readFigure(o, "direct-get", persons, func(p eventstore.PersonID) (int, error) { return directGet(s.conn, p) })
	if err != nil {
		return err
	}
	opened, err := readFigure(o, "read/person", persons, func(p eventstore.PersonID) (n int, err error) {
		for _, err := range s.store.Read(ctx, tenant, p, eventstore.ReadOptions{}) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	})
	if err != nil {
		return err
	}
	opened.Target = "≤ 1.5 ×"
	r.compare(opened, direct)
	return nil
}

// directGet is a bare batched direct get of a person's messages. It returns their number.
func directGet(conn *nats.Conn, p eventstore.PersonID) (n int, err error) {
	inbox := conn.NewInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return 0, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	request := fmt.Appendf(nil, `{"seq":1,"batch":1000,"next_by_subj":"conv.%s.%s"}`, tenant, p)
	if err := conn.PublishRequest("$JS.API.DIRECT.GET.CONV_"+string(tenant), inbox, request); err != nil {
		return 0, err
	}
	for {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			return n, err
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			n++
		case "204":
			return n, nil
		default:
			return n, fmt.Errorf("a direct get was answered with status %s", status)
		}
	}
}

// readFigure is the median time to read one person, in milliseconds.
func readFigure(o options, name string, persons []eventstore.PersonID, read func(eventstore.PersonID) (int, error)) (figure, error) {
	ms, err := median(o.rounds, func(int) (float64, error) {
		took, _, err := inParallel(1, min(len(persons), 500), func(i int) error {
			n, err := read(persons[i])
			if err == nil && n < min(eventsOfOne, o.events) {
				err = fmt.Errorf("a person has %d events, not %d", n, eventsOfOne)
			}
			return err
		})
		return percentile(took, 0.5), err
	})
	return figure{Name: name, Value: ms, Unit: "ms"}, err
}

// filled is a stack with the asked number of events, and its first persons.
func filled(ctx context.Context, o options) (*stack, []eventstore.PersonID, error) {
	s, err := openStack(ctx, filepath.Join(o.dir, "oubli"))
	if err != nil {
		return nil, nil, err
	}
	if _, err := s.fill(ctx, o.persons, o.events); err != nil {
		_ = s.Close()
		return nil, nil, err
	}
	var persons []eventstore.PersonID
	for i := range min(o.persons, o.events, 1000) {
		p, err := s.vault.Resolve(ctx, tenant, *message(i, "").Identity)
		if err != nil {
			_ = s.Close()
			return nil, nil, err
		}
		persons = append(persons, p)
	}
	return s, persons, nil
}

// benchReplay replays a stream against a bare JetStream consumer of the same stream, which opens nothing.
func benchReplay(ctx context.Context, o options, r *report) error {
	s, _, err := filled(ctx, o)
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil { // so that no key is open
		return err
	}
	if s, err = openStack(ctx, filepath.Join(o.dir, "oubli")); err != nil {
		return err
	}
	defer s.Close()
	once := o
	once.rounds = 1
	cold, err := replayRate(ctx, once, s)
	if err != nil {
		return err
	}
	consumer := figure{Name: "bare-consumer"}
	if consumer.Value, err = median(o.rounds, func(int) (float64, error) { return consumeAll(ctx, s.conn) }); err != nil {
		return err
	}
	sealed := figure{Name: "replay-sealed"}
	if sealed.Value, err = median(o.rounds, func(int) (float64, error) { return sealedRate(ctx, s) }); err != nil {
		return err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	opened, err := replayRate(ctx, o, s)
	if err != nil {
		return err
	}
	runtime.ReadMemStats(&after)
	opened.Target = "≥ 0.4 ×"
	r.compare(opened, consumer)
	opened.Target = ""
	r.compare(opened, sealed)
	cold.Name = "replay/cold-keys"
	r.compare(cold, consumer)
	r.add(figure{Name: "replay/allocations", Value: float64(after.Mallocs-before.Mallocs) / float64(o.rounds*o.events), Unit: "per event"})
	return nil
}

func sealedRate(ctx context.Context, s *stack) (float64, error) {
	n, start := 0, time.Now()
	for _, err := range s.log.Replay(ctx, tenant, 0) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return perSecond(n, time.Since(start)), nil
}

// consumeAll reads the stream through an ordered consumer, as any program would.
func consumeAll(ctx context.Context, conn *nats.Conn) (float64, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return 0, err
	}
	stream, err := js.Stream(ctx, "CONV_"+string(tenant))
	if err != nil {
		return 0, err
	}
	last := stream.CachedInfo().State.LastSeq
	start := time.Now()
	c, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return 0, err
	}
	messages, err := c.Messages(jetstream.PullMaxMessages(1_000))
	if err != nil {
		return 0, err
	}
	defer messages.Stop()
	for n := 1; ; n++ {
		m, err := messages.Next()
		if err != nil {
			return 0, err
		}
		at, err := m.Metadata()
		if err != nil {
			return 0, err
		}
		if at.Sequence.Stream >= last {
			return perSecond(n, time.Since(start)), nil
		}
	}
}

// replayRate replays with opening and decoding.
func replayRate(ctx context.Context, o options, s *stack) (figure, error) {
	rate, err := median(o.rounds, func(int) (float64, error) {
		n, start := 0, time.Now()
		for _, err := range s.store.Replay(ctx, tenant, 0) {
			if err != nil {
				return 0, err
			}
			n++
		}
		return perSecond(n, time.Since(start)), nil
	})
	return figure{Name: "replay/opened", Value: rate, Unit: "events/s"}, err
}
