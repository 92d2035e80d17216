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

// BenchmarkErase erases persons who spoke on 30 days, three handles each, out of 2,000.
func BenchmarkErase(b *testing.B) {
	w := newWorld()
	for range 2000 {
		w.mint()
	}
	for d := range 30 {
		for i, id := range w.order {
			e := message("fr", fmt.Sprint("intent", (i+d)%20))
			e.Time = w.now.Add(-time.Duration(d) * 24 * time.Hour)
			w.say(id, e)
		}
	}
	for i := 0; i+2 < len(w.order); i += 3 {
		w.link(w.order[i], w.order[i+1])
		w.link(w.order[i], w.order[i+2])
	}
	p, err := open(Config{Dir: b.TempDir(), Keys: w, Settings: w.settings}, w, vfs.Default)
	if err != nil {
		b.Fatal(err)
	}
	defer closing(b, p)
	r := newRunner(b, p)
	w.catchUp(b, r)
	i := 0
	for b.Loop() {
		if i+3 > len(w.order) {
			b.Fatal("there is nobody left to erase")
		}
		w.erase(w.order[i])
		w.commit()
		if err := r.round(); err != nil {
			b.Fatal(err)
		}
		i += 3
	}
}
