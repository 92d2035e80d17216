package rights

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// A certificate says what is true when it is issued, and goes on as stages are reached.
func TestCertificate(t *testing.T) {
	w := newWorld(t)
	backup := w.clock.Add(1000 * time.Hour)
	s, ctx := w.service(), t.Context()
	s.c.BackupsUntil = func(context.Context, eventstore.TenantID) (time.Time, error) { return backup, nil }
	if _, err := s.Certificate(ctx, tenant, "01KB1NOTHING"); !errors.Is(err, eventstore.ErrNotFound) {
		t.Errorf("of no erasure: %v", err)
	}
	e, err := s.Erase(ctx, tenant, support, w.a, asked)
	if err != nil {
		t.Fatal(err)
	}
	first := w.certified(s, e.ID)
	if len(first) != 1 || len(first[0].Stages) != 3 || first[0].Reason != asked.Reason || first[0].Ticket == "" {
		t.Errorf("once shredded: %+v", first)
	}
	if got := left(first[0]); !slices.Equal(got, []eventstore.RemainsCode{eventstore.RemainsSkeleton, eventstore.RemainsRefusals, eventstore.RemainsBackups,
		eventstore.RemainsReleases, eventstore.RemainsLedger, eventstore.RemainsElsewhere}) {
		t.Errorf("once shredded there is left %v", got)
	}
	if again := w.certified(s, e.ID); len(again) != 1 {
		t.Errorf("asked again, %d issues", len(again))
	}
	w.catchUp()
	s.pass(ctx)
	if second := w.certified(s, e.ID); len(second) != 2 || len(second[1].Stages) != 4 || len(second[1].Destroyed) != 3 {
		t.Errorf("once projected: %+v", second)
	}
	w.later(48 * time.Hour)
	w.finish(s)
	all := w.certified(s, e.ID)
	last := all[len(all)-1]
	if got := left(last); len(all) != 3 || len(last.Destroyed) != 4 || slices.Contains(got, eventstore.RemainsSkeleton) || slices.Contains(got, eventstore.RemainsRefusals) {
		t.Errorf("once removed: %d issues, the last %+v", len(all), last)
	}
	w.audit(s, e.ID)
}

func left(s eventstore.Statement) (out []eventstore.RemainsCode) {
	for _, r := range s.Remains {
		out = append(out, r.What)
	}
	return out
}

// Before the keys are destroyed there is nothing to certify.
func TestNothingToCertify(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	w.f.armed, w.f.mode = true, mode{crash: true}
	for w.f.at = 1; ; w.f.at++ {
		w.f.n, w.f.dead = 0, false
		_, err := s.Erase(ctx, tenant, dpo, w.a, asked)
		w.f.dead = false
		if err == nil {
			break
		}
		rows, _, err := s.rows(ctx, tenant)
		w.must(err)
		for _, r := range rows {
			_, err := s.Certificate(ctx, tenant, r.ID)
			if !r.reached(Shredded) && !errors.Is(err, eventstore.ErrUnavailable) && !errors.Is(err, eventstore.ErrNotFound) {
				t.Errorf("write %d: a certificate of what is not destroyed: %v", w.f.at, err)
			}
		}
		s = w.service()
	}
}
