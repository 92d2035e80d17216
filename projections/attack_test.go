package projections

import (
	"reflect"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/release"
)

// attacked is a world with a release for the figures of one day, its week and its month.
func attacked(t *testing.T, build func(*world)) (*world, *Projections, *runner) {
	t.Helper()
	w := newWorld()
	w.books, w.k = newBooks(), 10
	build(w)
	p := w.open(t, vfs.NewMem())
	t.Cleanup(func() { closing(t, p) })
	r := newRunner(t, p)
	w.catchUp(t, r)
	w.now = w.now.AddDate(0, 0, 60)
	r.closeAll(t)
	return w, p, r
}

// rows are the released rows of a projection for a kind of period.
func (w *world) rows(t *testing.T, p *Projections, projection string, kind eventstore.PeriodKind) (out []release.Figure) {
	t.Helper()
	for _, r := range w.released(t, p, projection, kind) {
		out = append(out, r.Rows...)
	}
	return out
}

// TestAttackErasure: what is published before and after an erasure does not differ: the bound is nothing at all.
func TestAttackErasure(t *testing.T) {
	var all []eventstore.PersonID
	w, p, r := attacked(t, func(w *world) { all = crowd(w, 11, "order") })
	before := w.rows(t, p, "intents", eventstore.Day)
	for _, person := range all[:5] {
		w.erase(person)
		w.catchUp(t, r)
	}
	r.closeAll(t)
	if after := w.rows(t, p, "intents", eventstore.Day); len(before) != 1 || !reflect.DeepEqual(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}

// TestAttackWeek: eleven persons come on one day, and one more on another, which hides them. The week tells no exact number, so the remainder is known to within k only: all worlds with 0 to k − 2
// more persons look alike.
func TestAttackWeek(t *testing.T) {
	var seen []release.Figure
	for more := range 9 {
		w, p, _ := attacked(t, func(w *world) {
			w.now = w.now.AddDate(0, 0, -6) // a Monday
			crowd(w, 11, "order")
			w.now = w.now.AddDate(0, 0, 1)
			crowd(w, more, "order")
		})
		week := w.rows(t, p, "intents", eventstore.Week)
		if more > 0 && !reflect.DeepEqual(week, seen) {
			t.Errorf("with %d more the week reads %v, not %v", more, week, seen)
		}
		seen = week
	}
}

// TestAttackLonely: a person alone in a dimension, and a tenant with fewer than k persons, are in no row.
func TestAttackLonely(t *testing.T) {
	w, p, _ := attacked(t, func(w *world) { crowd(w, 12, "order"); crowd(w, 1, "secret") })
	for _, kind := range kinds {
		for _, row := range w.rows(t, p, "intents", kind) {
			if slices.Contains(row.Values, "secret") || row.Persons > 12 {
				t.Errorf("a lonely person shows: %v", row)
			}
		}
	}
	w, p, _ = attacked(t, func(w *world) { crowd(w, 9, "order") })
	for _, m := range models {
		for _, kind := range kinds {
			if rows := w.rows(t, p, m.Name, kind); len(rows) != 0 {
				t.Errorf("a tenant with 9 persons shows %v", rows)
			}
		}
	}
}

// TestAttackTwoTenants: a wording that k − 1 persons wrote in each of two tenants is told in neither; k persons of one tenant make it known there.
func TestAttackTwoTenants(t *testing.T) {
	for _, n := range []int{9, 10} {
		for range 2 { // two tenants share nothing, and so are two worlds
			w, p, _ := attacked(t, func(w *world) { crowd(w, n, "order") })
			told := len(w.rows(t, p, "utterances", eventstore.Day)) > 0
			if told != (n >= 10) {
				t.Errorf("%d persons: told is %v", n, told)
			}
		}
	}
}

// TestAttackAcross: without noise, subtracting two projections gives the number of those whom one of them hides: docs/threat-model.md says so. The bound: it gives nothing where both hide alike.
func TestAttackAcross(t *testing.T) {
	w, p, _ := attacked(t, func(w *world) { crowd(w, 12, "order"); crowd(w, 3, "rare") })
	persons := func(projection string) (n uint64) {
		for _, row := range w.rows(t, p, projection, eventstore.Day) {
			n += row.Persons
		}
		return n
	}
	if a, i := persons("activity"), persons("intents"); a != 15 || i != 12 {
		t.Errorf("%d and %d persons", a, i)
	}
}
