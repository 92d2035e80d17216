package projections

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/oubli-store/oubli/eventstore"
)

// TestDaylightSaving: days begin and end at midnight on the tenant's clocks, whether they have 23 hours or 25; weeks and months follow; and a
// conversation over the hour that comes twice, or not at all, is cut by what really passed.
func TestDaylightSaving(t *testing.T) {
	w := newWorld()
	w.now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var err error
	if w.zone, err = time.LoadLocation("Europe/Paris"); err != nil {
		t.Fatal(err)
	}
	p := w.open(t, vfs.NewMem())
	defer closing(t, p)
	for _, at := range []string{
		"2026-03-28T23:00:00Z", "2026-03-29T00:55:00Z", "2026-03-29T01:05:00Z", "2026-03-29T21:59:59Z", // the 29th of March, 23 hours
		"2026-03-29T22:00:00Z",                                                                         // Monday the 30th
		"2026-10-24T22:00:00Z", "2026-10-25T00:50:00Z", "2026-10-25T01:10:00Z", "2026-10-25T22:59:59Z", // the 25th of October, 25 hours
		"2026-10-25T23:00:00Z", // Monday the 26th
	} {
		e := message("fr", "")
		if e.Time, err = time.Parse(time.RFC3339, at); err != nil {
			t.Fatal(err)
		}
		w.say(w.mint(), e)
	}
	who := w.mint()
	for _, at := range []time.Time{time.Date(2026, 10, 25, 0, 50, 0, 0, time.UTC), time.Date(2026, 10, 25, 1, 10, 0, 0, time.UTC), // 02:50, and 02:10 again
		time.Date(2026, 3, 29, 0, 55, 0, 0, time.UTC), time.Date(2026, 3, 29, 1, 5, 0, 0, time.UTC)} { // 01:55, and 03:05
		e := message("fr", "")
		e.Time = at
		w.say(who, e)
	}
	w.catchUp(t, newRunner(t, p))
	persons, talks := map[string]uint64{}, map[string]uint64{}
	for _, c := range exact(t, p)["activity"] {
		persons[c.Period.String()] += c.Persons
	}
	for _, c := range exact(t, p)["outcomes"] {
		if c.Period.Kind == eventstore.Day {
			talks[c.Period.String()] += c.Sums[0]
		}
	}
	want := map[string]uint64{"2026-03-29": 5, "2026-03-30": 1, "2026-W13": 5, "2026-W14": 1, "2026-03": 6,
		"2026-10-25": 5, "2026-10-26": 1, "2026-W43": 5, "2026-W44": 1, "2026-10": 6}
	if !reflect.DeepEqual(persons, want) {
		t.Errorf("%v, want %v", persons, want)
	}
	if talks["2026-03-29"] != 4+1 || talks["2026-10-25"] != 4+1 {
		t.Errorf("%v", talks)
	}
	if got, want := exact(t, p), w.expected(models); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestLateEvents: whatever the order in which a person's events arrive, and however they are spread over batches, the cells are the same.
func TestLateEvents(t *testing.T) {
	minutes := []int{0, 5, 50, 27, 90, 1500, 1510, 70, 3000}
	var want map[string][]ExactCell
	for turn := range len(minutes) {
		w := newWorld()
		p := w.open(t, vfs.NewMem())
		r := newRunner(t, p)
		who := w.mint()
		order := append(slices.Clone(minutes[turn:]), minutes[:turn]...)
		for i, m := range order {
			e := message("fr", "order")
			e.Time, e.Text = w.now.Add(time.Duration(m-4000)*time.Minute), "text"
			if m%2 == 1 {
				e.Author, e.Intent = eventstore.AuthorBot, nil
			}
			w.say(who, e)
			if (i+turn)%3 == 0 {
				w.catchUp(t, r)
			}
			if (i+turn)%4 == 0 {
				r = newRunner(t, p)
			}
		}
		w.catchUp(t, r)
		got := exact(t, p)
		audit(t, p)
		if want == nil {
			want = w.expected(models)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("beginning with the event %d: %v\nwant %v", turn, got, want)
		}
		closing(t, p)
	}
	if len(want["outcomes"]) == 0 || len(want["latency"]) != 0 && len(want["paths"]) == 0 {
		t.Fatalf("%v", want)
	}
}

// TestLongHistory: of a talk that goes on for longer than a history is kept, everything is counted once, also when the row is read back.
func TestLongHistory(t *testing.T) {
	w := newWorld()
	p := w.open(t, vfs.NewMem())
	defer closing(t, p)
	r := newRunner(t, p)
	who := w.mint()
	const talks = 400
	for i := range talks {
		for _, author := range []eventstore.Author{eventstore.AuthorUser, eventstore.AuthorBot} {
			e := message("fr", "")
			e.Author, e.Time = author, w.now.Add(time.Duration(i-talks)*31*time.Minute)
			if author == eventstore.AuthorBot {
				e.Time = e.Time.Add(time.Second)
			}
			w.say(who, e)
		}
		if i%50 == 0 {
			w.catchUp(t, r)
			r = newRunner(t, p)
		}
	}
	w.catchUp(t, r)
	audit(t, p)
	conversations, answers := uint64(0), uint64(0)
	for _, c := range exact(t, p)["outcomes"] {
		conversations += c.Sums[0]
	}
	for _, c := range exact(t, p)["latency"] {
		answers += c.Sums[0]
	}
	if conversations != talks || answers != talks {
		t.Fatalf("%d conversations and %d answers, want %d", conversations, answers, talks)
	}
	w.erase(who)
	w.catchUp(t, r)
	for name, cells := range exact(t, p) {
		if len(cells) != 0 {
			t.Errorf("%s: %v", name, cells)
		}
	}
	if n, err := count(p.db, r.t.key(tableHistory)); n != 0 || err != nil {
		t.Errorf("%d histories are left, %v", n, err)
	}
}
