package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

func benchRead(ctx context.Context, o options, r *report) error {
	s, persons, err := filled(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	direct, err := readFigure(o, "direct-get", persons, func(p eventstore.PersonID) (n int, err error) {
		for _, err := range s.log.Read(ctx, tenant, p, 0) {
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
	r.compare(opened, direct)
	return nil
}

// readFigure is the median time to read one person, in milliseconds.
func readFigure(o options, name string, persons []eventstore.PersonID, read func(eventstore.PersonID) (int, error)) (figure, error) {
	ms, err := median(o.rounds, func(int) (float64, error) {
		took, _, err := inParallel(1, min(len(persons), 500), func(i int) error {
			n, err := read(persons[i])
			if err == nil && n == 0 {
				err = fmt.Errorf("a person has no events")
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

func benchReplay(ctx context.Context, o options, r *report) error {
	s, _, err := filled(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	bare, err := median(o.rounds, func(int) (float64, error) {
		n, start := 0, time.Now()
		for _, err := range s.log.Replay(ctx, tenant, 0) {
			if err != nil {
				return 0, err
			}
			n++
		}
		return perSecond(n, time.Since(start)), nil
	})
	if err != nil {
		return err
	}
	opened, err := replayRate(ctx, o, s)
	if err != nil {
		return err
	}
	r.compare(opened, figure{Name: "replay-sealed", Value: bare})
	return nil
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
