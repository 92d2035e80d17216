package projections

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/oubli-store/oubli/eventstore"
)

// BenchmarkReplay counts 20 events each of 1,000 persons over ten days.
func BenchmarkReplay(b *testing.B) {
	w := newWorld()
	w.ahead = 100
	var people []eventstore.PersonID
	for range 1000 {
		people = append(people, w.mint())
	}
	for i := range 20 {
		for j, id := range people {
			e := message("fr", fmt.Sprint("intent", (i+j)%20))
			e.Time = w.now.Add(-time.Duration(i/2) * 24 * time.Hour)
			w.say(id, e)
		}
	}
	w.commit()
	b.ResetTimer()
	for range b.N {
		p := w.open(b, vfs.NewMem())
		if err := newRunner(b, p).round(); err != nil {
			b.Fatal(err)
		}
		closing(b, p)
	}
	b.ReportMetric(float64(len(w.log)*b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkYear asks for a year of days, with figures that are made anew.
func BenchmarkYear(b *testing.B) {
	w := newWorld()
	for i := range 20 {
		id := w.mint()
		for d := range 365 {
			e := message("fr", fmt.Sprint("intent", (i+d)%20))
			e.Time = w.now.Add(-time.Duration(d) * 24 * time.Hour)
			w.say(id, e)
		}
	}
	p := w.open(b, vfs.NewMem())
	defer closing(b, p)
	w.catchUp(b, newRunner(b, p))
	b.ResetTimer()
	for range b.N {
		w.now = w.now.Add(renewal)
		if _, err := p.Stats(b.Context(), acme, Query{Projection: "intents"}); err != nil {
			b.Fatal(err)
		}
	}
}
