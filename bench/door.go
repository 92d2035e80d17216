package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/sample"
)

// benchDoor parses and admits sample events on one core.
func benchDoor(_ context.Context, o options, r *report) error {
	var lines [][]byte
	for e := range sample.New(sample.Options{Persons: min(o.persons, 10_000)}).Events() {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if lines = append(lines, line); len(lines) == min(o.events, 50_000) {
			break
		}
	}
	d, open := door.New(door.Rules{}), eventstore.Caller{Tenant: tenant, Token: "bench"}
	parsed, err := median(o.rounds, func(int) (float64, error) {
		start := time.Now()
		for _, line := range lines {
			if _, err := eventstore.ParseEvent(line); err != nil {
				return 0, err
			}
		}
		return perSecond(len(lines), time.Since(start)), nil
	})
	if err != nil {
		return err
	}
	admitted, err := median(o.rounds, func(int) (float64, error) {
		start := time.Now()
		for _, line := range lines {
			e, err := eventstore.ParseEvent(line)
			if err != nil {
				return 0, err
			}
			if _, err := d.Admit(open, e, time.Now()); err != nil {
				return 0, err
			}
		}
		return perSecond(len(lines), time.Since(start)), nil
	})
	if err != nil {
		return err
	}
	r.compare(figure{Name: "door/parse-and-admit", Value: admitted, Unit: "events/s"}, figure{Name: "parse", Value: parsed})
	return nil
}
