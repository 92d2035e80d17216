package main

import (
	"context"
	"errors"
	"iter"
	"path/filepath"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/sample"
	"github.com/oubli-store/oubli/projections"
)

// benchStats asks for a year of daily rows of each projection: as it is first asked after figures were renewed (made), and again within the minute (kept). Then it asks SQL
// over the same year: when the tables have to be made first, and when they are there. The times are of the process alone, without HTTP.
func benchStats(ctx context.Context, o options, r *report) error {
	s, err := openStack(ctx, filepath.Join(o.dir, "stats"))
	if err != nil {
		return err
	}
	defer s.Close()
	year := sample.New(sample.Options{Persons: o.persons, Events: o.events, Start: time.Now().AddDate(-1, 0, 0), Days: 365})
	if err := s.submitAll(ctx, year.Events()); err != nil {
		return err
	}
	last, err := s.store.Committed(ctx, tenant)
	if err != nil {
		return err
	}
	now := time.Now()
	p, err := projections.Open(projections.Config{Dir: projectionsDir(o, 0), Store: s.store, Keys: s.vault, Now: func() time.Time { return now },
		Settings: func(eventstore.TenantID) projections.Settings { return projections.Settings{K: 2, Zone: time.UTC} }})
	if err != nil {
		return err
	}
	if err := catchUp(ctx, p, last); err != nil {
		return errors.Join(err, p.Close())
	}
	return errors.Join(askYear(ctx, o, p, &now, r), p.Close())
}

func askYear(ctx context.Context, o options, p *projections.Projections, now *time.Time, r *report) error {
	d, err := p.Dictionary(ctx, tenant)
	if err != nil {
		return err
	}
	took := func(name string, renew bool, ask func() error) error {
		ms, err := median(o.rounds, func(int) (float64, error) {
			if renew {
				*now = now.Add(2 * time.Minute)
			}
			begin := time.Now()
			err := ask()
			return float64(time.Since(begin).Microseconds()) / 1000, err
		})
		r.add(figure{Name: name, Value: max(ms, 0.001), Unit: "ms"})
		return err
	}
	for _, table := range d.Tables {
		stats := func() error {
			_, err := p.Stats(ctx, tenant, projections.Query{Projection: table.Name})
			return err
		}
		if err := errors.Join(took("stats/made/"+table.Name, true, stats), took("stats/kept/"+table.Name, false, stats)); err != nil {
			return err
		}
	}
	query := func() error {
		_, err := p.SQL(ctx, tenant, "SELECT intent, sum(uses) FROM intents_provisional GROUP BY intent ORDER BY 2 DESC")
		return err
	}
	return errors.Join(took("sql/made", true, query), took("sql/kept", false, query))
}

// submitAll appends events, many in flight.
func (s *stack) submitAll(ctx context.Context, events iter.Seq[eventstore.Event]) error {
	var pending []*eventstore.Pending
	for e := range events {
		if e.Type == eventstore.TypeConsent { // it would need a ledger
			continue
		}
		made, err := s.store.Submit(ctx, eventstore.Caller{Tenant: tenant, Token: "bench"}, e)
		if err != nil {
			return err
		}
		if pending = append(pending, made); len(pending) == 1024 {
			if err := waitAll(ctx, pending); err != nil {
				return err
			}
			pending = pending[:0]
		}
	}
	return waitAll(ctx, pending)
}

func waitAll(ctx context.Context, pending []*eventstore.Pending) error {
	for _, p := range pending {
		if _, err := p.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}
