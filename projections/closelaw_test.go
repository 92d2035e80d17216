package projections

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/release"
)

// TestLawWithCloses: the law of random histories in which periods are closed at any moment, releases expire, the time zone changes, the ledger and the stream of releases
// fail, and the database crashes: what is open is what a fresh database counts, and what a plain count says; releases never change, and both have the same.
func TestLawWithCloses(t *testing.T) {
	releases, rows, late := 0, 0, uint64(0)
	defer func() { t.Logf("%d releases with %d rows, %d late events", releases, rows, late) }()
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{world: newWorld(), rt: rt}
		h.books, h.k = newBooks(), MinK
		h.rules = Settings{Keep: 60 * 24 * time.Hour, Budget: 2000}
		if rapid.Bool().Draw(rt, "noise") {
			h.rules.Epsilon = 500
		}
		fs := vfs.NewMem()
		p := h.open(t, fs)
		defer func() { closing(t, p) }()
		r := newRunner(t, p)
		var published [][]byte
		for range rapid.IntRange(1, 50).Draw(rt, "steps") {
			switch rapid.IntRange(0, 13).Draw(rt, "do") {
			case 0, 1:
				h.commit()
				if err := r.round(); err != nil && !errors.Is(err, eventstore.ErrFenced) && !errors.Is(err, eventstore.ErrUnavailable) {
					rt.Fatal(err)
				}
			case 2, 3:
				h.now = h.now.Add(time.Duration(rapid.IntRange(0, 20*24).Draw(rt, "hours")) * time.Hour)
				if rapid.IntRange(0, 3).Draw(rt, "fails") == 0 {
					h.books.fail, h.books.persisted = rapid.IntRange(1, 8).Draw(rt, "fail"), rapid.Bool().Draw(rt, "persisted")
				}
				asked := eventstore.PeriodOf(eventstore.Day, h.now.AddDate(0, 0, -rapid.IntRange(0, 20).Draw(rt, "asked")), time.UTC).Date()
				h.commit()
				err := r.closeNow(func(p eventstore.Period) bool { return !p.Next().Date().After(asked) })
				if err != nil && !errors.Is(err, eventstore.ErrFenced) && !errors.Is(err, eventstore.ErrUnavailable) {
					rt.Fatal(err)
				}
			case 4:
				h.settle()
			case 5:
				h.remove(p.Passed(acme))
			case 6:
				closing(t, p)
				p = h.open(t, fs)
				r = newRunner(t, p)
			case 8, 9:
				r.rebuild(t, rapid.IntRange(1, 30).Draw(rt, "some"))
			case 7:
				if rapid.IntRange(0, 3).Draw(rt, "rezone") == 0 {
					zone, err := time.LoadLocation(rapid.SampledFrom([]string{"Etc/GMT-9", "Etc/GMT+9"}).Draw(rt, "zone"))
					if err != nil {
						rt.Fatal(err)
					}
					h.zone = zone
				}
			default:
				h.step()
			}
			for i := range published {
				if !bytes.Equal(published[i], h.books.records[i]) {
					rt.Fatal("a release has changed")
				}
			}
			published = append(published, h.books.records[len(published):]...)
		}
		h.books.fail = 0
		h.settle()
		h.catchUp(t, r)
		fresh := h.open(t, vfs.NewMem())
		defer closing(t, fresh)
		h.catchUp(t, newRunner(t, fresh))
		h.books.audit(t, h.rules)
		got, rebuilt, plain := exact(t, p), exact(t, fresh), h.expected(models)
		for _, m := range models {
			if !reflect.DeepEqual(got[m.Name], rebuilt[m.Name]) {
				rt.Fatalf("%s: incremental %v\nrebuilt %v", m.Name, got[m.Name], rebuilt[m.Name])
			}
			if !reflect.DeepEqual(rebuilt[m.Name], plain[m.Name]) {
				rt.Fatalf("%s: rebuilt %v\nplain %v", m.Name, rebuilt[m.Name], plain[m.Name])
			}
			for _, kind := range kinds {
				if a, b := h.released(t, p, m.Name, kind), h.released(t, fresh, m.Name, kind); !reflect.DeepEqual(a, b) {
					rt.Fatalf("%s: releases %v\nrebuilt %v", m.Name, a, b)
				}
			}
		}
		audit(t, p)
		all, _ := h.books.releases()
		for releases += len(all); len(all) > 0; all = all[1:] {
			rows += len(all[0].Rows)
		}
		n, err := r.t.late(p.db)
		if err != nil {
			rt.Fatal(err)
		}
		late += n
	})
}

func (w *world) released(t testing.TB, p *Projections, projection string, kind eventstore.PeriodKind) []release.Release {
	all := eventstore.PeriodOf(kind, w.now.AddDate(-3, 0, 0), time.UTC)
	out, err := p.Released(context.Background(), acme, projection, all, eventstore.PeriodOf(kind, w.now.AddDate(3, 0, 0), time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return out
}
