package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections"
)

// benchRebuild counts the whole stream into a fresh database, against a replay that opens the events and counts nothing.
func benchRebuild(ctx context.Context, o options, r *report) error {
	s, _, err := filled(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	last, err := s.store.Committed(ctx, tenant)
	if err != nil {
		return err
	}
	// Replays and rebuilds take turns, so that both meet the same noise.
	var replays []float64
	once := o
	once.rounds = 1
	rate, err := median(o.rounds, func(round int) (float64, error) {
		replay, err := replayRate(ctx, once, s)
		if err != nil {
			return 0, err
		}
		replays = append(replays, replay.Value)
		start := time.Now()
		if err := rebuild(ctx, s, projectionsDir(o, round), last); err != nil {
			return 0, err
		}
		return perSecond(int(last), time.Since(start)), nil
	})
	if err != nil {
		return err
	}
	slices.Sort(replays)
	replay := figure{Name: "replay/opened", Value: replays[len(replays)/2], Unit: "events/s"}
	r.compare(figure{Name: "rebuild", Value: rate, Unit: "events/s"}, replay)
	return nil
}

// rebuild runs the projections in a fresh directory until they have passed the sequence last.
func rebuild(ctx context.Context, s *stack, dir string, last uint64) error {
	p, err := projections.Open(projections.Config{Dir: dir, Store: s.store, Keys: s.vault, Now: time.Now,
		Settings: func(eventstore.TenantID) projections.Settings { return projections.Settings{K: 10, Zone: time.UTC} }})
	if err != nil {
		return err
	}
	return errors.Join(catchUp(ctx, p, last), p.Close())
}

// catchUp runs the projections until they have passed the sequence last.
func catchUp(ctx context.Context, p *projections.Projections, last uint64) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, tenant) }()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for p.Passed(tenant) < last {
		select {
		case err := <-done:
			return err
		case <-ticker.C:
		}
	}
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
