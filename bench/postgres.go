package main

import (
	"context"
	"errors"
	"slices"

	"github.com/oubli-store/oubli/bench/peers/postgres"
)

// withPostgres gives f a store in PostgreSQL; nil, after a note, where there is none.
func withPostgres(ctx context.Context, o options, r *report, f func(*postgres.Store) error) error {
	s, err := postgres.Start(ctx)
	if errors.Is(err, postgres.ErrAbsent) {
		r.note("no PostgreSQL to compare with: there is no initdb in PATH or /usr/lib/postgresql, or nobody unprivileged to run it as")
		return f(nil)
	}
	if err != nil {
		return err
	}
	defer s.Stop()
	store, err := s.Open(ctx, o.persons, []byte(text512))
	if err != nil {
		return err
	}
	return f(store)
}

// postgresSingles inserts one row a statement over 64 connections.
func postgresSingles(ctx context.Context, o options, s *postgres.Store) (f figure, err error) {
	f = figure{Name: "postgresql-64"}
	f.Value, err = median(o.rounds, func(int) (float64, error) {
		n := callsFor(64, min(o.events, 40_000))
		_, all, err := s.Inserts(ctx, 64, n)
		return perSecond(n, all), err
	})
	return f, err
}

// postgresBatches is the best of what PostgreSQL does with batches of 256 rows: COPY or one statement, over one to eight connections.
func postgresBatches(ctx context.Context, o options, s *postgres.Store) (figure, error) {
	f := figure{Name: "postgresql-batches-of-256"}
	for _, connections := range []int{2, 4, 8} {
		var copies, unnests []float64
		for range o.rounds {
			took, err := s.Copies(ctx, connections, o.events)
			if err != nil {
				return f, err
			}
			copies = append(copies, perSecond(o.events, took))
			if took, err = s.Unnests(ctx, connections, o.events); err != nil {
				return f, err
			}
			unnests = append(unnests, perSecond(o.events, took))
		}
		for _, values := range [][]float64{copies, unnests} {
			slices.Sort(values)
			f.Value = max(f.Value, values[len(values)/2])
		}
	}
	return f, nil
}
