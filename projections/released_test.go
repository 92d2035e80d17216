package projections

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/oubli-store/oubli/eventstore"
)

// TestReleasedFigures: what is closed is told as it was released, exactly, beside what is open; SQL has each in its table; with noise nothing open is told.
func TestReleasedFigures(t *testing.T) {
	w := newWorld()
	w.books, w.k = newBooks(), 3
	p := w.open(t, vfs.NewMem())
	defer closing(t, p)
	r := newRunner(t, p)
	days := func(day int) {
		for range 7 {
			e := message("fr", "order")
			e.Time = time.Date(2026, 11, day, 12, 0, 0, 0, time.UTC)
			w.say(w.mint(), e)
		}
	}
	days(20)
	days(21)
	w.catchUp(t, r)
	before := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	if err := r.closeNow(func(p eventstore.Period) bool { return !p.Next().Date().After(before) }); err != nil {
		t.Fatal(err)
	}
	query := Query{Projection: "intents"}
	a := stats(t, p, query)
	if got, want := short(a, 3), []string{"2026-11-20 shop fr order 7 7", "2026-11-21 shop fr order 6 6"}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	status := slices.IndexFunc(a.Columns, func(c Column) bool { return c.Name == columnStatus })
	if a.Rows[0][status] != statusReleased || a.Rows[1][status] != statusProvisional || !a.Provisional || !slices.Contains(a.Notes, "figures before 2026-11-21 are final") {
		t.Errorf("%v %v %q", a.Rows[0][status], a.Rows[1][status], a.Notes)
	}
	if again := stats(t, p, query); !reflect.DeepEqual(again, a) {
		t.Error("the second answer differs")
	}
	const count = "SELECT (SELECT sum(uses) FROM intents), (SELECT sum(uses) FROM intents_provisional)"
	if got := rowsOf(t, p, acme, count); !reflect.DeepEqual(got, [][]any{{int64(7), int64(6)}}) {
		t.Errorf("SQL: %v", got)
	}
	// The next release is in SQL at once.
	before = before.AddDate(0, 0, 1)
	if err := r.closeNow(func(p eventstore.Period) bool { return !p.Next().Date().After(before) }); err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, p, acme, count); !reflect.DeepEqual(got, [][]any{{int64(14), nil}}) {
		t.Errorf("SQL after a release: %v", got)
	}
	w.k = 5
	if a := stats(t, p, query); !slices.Contains(a.Notes, "some periods were closed under another k than today's") || len(a.Rows) != 2 {
		t.Errorf("%q", a.Notes)
	}
	days(22)
	w.catchUp(t, r)
	w.rules.Epsilon, w.rules.Budget = 500, 2000
	if a, err := p.Stats(context.Background(), acme, query); err != nil || len(a.Rows) != 2 || !a.Noise || !slices.Contains(a.Notes, "figures of open periods are not told, as releases have noise") {
		t.Errorf("with noise: %v %q %v", a.Rows, a.Notes, err)
	}
}
