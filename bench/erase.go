package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// benchErase erases persons through the whole machine while nothing else runs: those with one event, and one with as many as a tenth of
// the events. The cost must not depend on it.
func benchErase(ctx context.Context, o options, r *report) error {
	s, persons, err := filled(ctx, o)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.log.OpenRecords(ctx, tenant, eventstore.RecordsLedger, s.vault.Vault(), true); err != nil {
		return err
	}
	book := ledger.New(s.log)
	if err := book.Open(ctx, tenant); err != nil {
		return err
	}
	service := rights.New(rights.Config{Keys: s.vault, Meta: s.vault, Log: s.log, Ledger: book, Store: s.store, Now: time.Now})
	erase := func(p eventstore.PersonID) error {
		_, err := service.Erase(ctx, tenant, rights.Actor{Token: "bench", Role: eventstore.RoleSupport}, p,
			rights.Request{Reason: eventstore.ReasonPersonRequest, Scope: eventstore.ScopeAll})
		return err
	}
	took, _, err := inParallel(1, len(persons)-1, func(i int) error { return erase(persons[i]) })
	if err != nil {
		return err
	}
	few := figure{Name: fmt.Sprintf("erase/%d-events", max(1, o.events/o.persons)), Value: percentile(took, 0.5), Unit: "ms"}
	r.add(few)
	r.add(figure{Name: "erase/p99", Value: percentile(took, 0.99), Unit: "ms"})

	talker := persons[len(persons)-1]
	many := o.events / 10
	for range many {
		if _, err := s.store.Submit(ctx, caller, message(len(persons)-1, "")); err != nil {
			return err
		}
	}
	start := time.Now()
	if err := erase(talker); err != nil {
		return err
	}
	r.compare(figure{Name: fmt.Sprintf("erase/%d-events", many), Value: float64(time.Since(start)) / float64(time.Millisecond), Unit: "ms"}, few)
	return nil
}

// projectionsDir is a fresh directory for a round.
func projectionsDir(o options, round int) string {
	return filepath.Join(o.dir, fmt.Sprintf("projections-%d", round))
}
