package release_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/release"
)

// table fills a table with persons who each add to some cells.
func fill(t testing.TB, rules release.Rules, kind eventstore.PeriodKind, width int, persons [][]release.Cell) *release.Table {
	t.Helper()
	table, err := release.NewTable(rules, kind, dimensions, width)
	if err != nil {
		t.Fatal(err)
	}
	for n, cells := range persons {
		var parts []release.Part
		for _, c := range cells {
			parts = append(parts, release.Part{Cell: table.Cell(c.Values), Sums: c.Sums})
		}
		table.Add(member(n), parts)
	}
	return table
}

// TestTableBounds: without noise a table is the k-rule over cells in which nobody counts more than the bound.
func TestTableBounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const bound = 20
		k := rapid.IntRange(2, 6).Draw(rt, "k")
		var persons [][]release.Cell
		want := map[string]*release.Cell{}
		for n := range rapid.IntRange(0, 30).Draw(rt, "persons") {
			mine := cells().Draw(rt, "cells")
			persons = append(persons, mine)
			for _, c := range mine {
				key := fmt.Sprint(c.Values)
				w := want[key]
				if w == nil {
					w = &release.Cell{Values: c.Values, Sums: make([]uint64, 2)}
					want[key] = w
				}
				w.Persons, w.Members = w.Persons+1, append(w.Members, member(n))
				for i := range c.Sums {
					w.Sums[i] += min(c.Sums[i], bound)
				}
			}
		}
		var all []release.Cell
		for _, c := range want {
			all = append(all, *c)
		}
		table := fill(t, release.Rules{K: k, Bound: bound}, eventstore.Day, 2, persons)
		got, err := table.Figures(nil)
		if err != nil {
			rt.Fatal(err)
		}
		if want := release.Fold(all, k); !reflect.DeepEqual(got, want) {
			rt.Fatalf("%+v\nwant %+v", got, want)
		}
	})
}

// TestWeeksAreRounded: the persons of a week are a multiple of k, so that nothing can be taken off that tells of fewer than k.
func TestWeeksAreRounded(t *testing.T) {
	for persons := range 40 {
		list := make([][]release.Cell, persons)
		for i := range list {
			list[i] = []release.Cell{{Values: []string{"a", "b", "c"}}}
		}
		got, err := fill(t, release.Rules{K: 10}, eventstore.Week, 0, list).Figures(nil)
		if err != nil {
			t.Fatal(err)
		}
		if persons < 10 {
			if len(got.Rows) != 0 {
				t.Errorf("%d persons are shown", persons)
			}
		} else if got.Rows[0].Persons != uint64(persons/10*10) {
			t.Errorf("%d persons are told as %d", persons, got.Rows[0].Persons)
		}
	}
}

var noisy = release.Rules{K: 10, Bound: 5, Epsilon: 2000}

// TestThreshold: it is the smallest with which a cell of one person passes less than once in 2^20, give or take the rounding of ln 2^20 to 14.
func TestThreshold(t *testing.T) {
	for _, epsilon := range []release.Epsilon{10, 100, 500, 1000, 4000, 10_000} {
		for d := 1; d <= 5; d++ {
			rules := release.Rules{K: 10, Bound: 50, Epsilon: epsilon}
			got := rules.Threshold(d, 3)
			scale := release.MaxCells * float64(d+1) * 2000 / float64(epsilon)
			pass := func(threshold uint64) float64 { // P(1 + X ≥ threshold)
				a := math.Exp(-1 / scale)
				return math.Pow(a, float64(threshold-1)) / (1 + a)
			}
			if p := pass(got); p > 1.0/(1<<20) {
				t.Errorf("ε %s, %d dimensions: with %d one person passes with %.2g", epsilon, d, got, p)
			}
			if p := pass(got - 1); got > 10 && p < 0.3/(1<<20) {
				t.Errorf("ε %s, %d dimensions: %d is more than is needed (%.2g)", epsilon, d, got, p)
			}
		}
	}
	if got := (release.Rules{K: 7}).Threshold(3, 2); got != 7 {
		t.Errorf("without noise the threshold is %d", got)
	}
}

// TestInfluence: whatever one person adds, the noise-free input of the noise changes by no more than the scales are made for.
func TestInfluence(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// With ε at its largest and huge groups the noise is small beside what an unbounded person would do.
		list := make([][]release.Cell, 500)
		values := [][]string{{"a", "a", "a"}, {"a", "a", "b"}, {"a", "b", "a"}, {"b", "a", "a"}, {"b", "b", "a"}, {"b", "c", "a"}}
		for i := range list {
			for _, v := range values[:release.MaxCells] {
				list[i] = append(list[i], release.Cell{Values: v, Sums: []uint64{1, 1}})
			}
		}
		var loud []release.Cell
		for _, v := range values {
			loud = append(loud, release.Cell{Values: v, Sums: []uint64{rapid.Uint64Range(0, 1<<40).Draw(rt, "one"), 1 << 40}})
		}
		rules := release.Rules{K: 10, Bound: 5, Epsilon: release.MaxEpsilon}
		seed := rapid.Byte().Draw(rt, "seed")
		figures := func(persons [][]release.Cell) release.Figures {
			f, err := fill(t, rules, eventstore.Day, 2, persons).Figures(release.NewLaplace(seeded(seed)))
			if err != nil {
				rt.Fatal(err)
			}
			return f
		}
		before, after := figures(list), figures(append(slices.Clone(list), loud))
		if len(before.Rows) != len(after.Rows) {
			rt.Skip("the draws went apart")
		}
		moved, sums := 0.0, 0.0
		for i := range before.Rows { // the same draws, so what differs is the person
			moved += math.Abs(float64(after.Rows[i].Persons) - float64(before.Rows[i].Persons))
			for j := range before.Rows[i].Sums {
				sums += math.Abs(float64(after.Rows[i].Sums[j]) - float64(before.Rows[i].Sums[j]))
			}
		}
		if moved > release.MaxCells || sums > release.MaxCells*release.Weight*5 {
			rt.Fatalf("one person moves persons by %v and measures by %v", moved, sums)
		}
	})
}

// TestNoisedFigures: published rows reach the threshold, what stands in them is near the truth, and whether anything is hidden is never told.
func TestNoisedFigures(t *testing.T) {
	list := make([][]release.Cell, 3000)
	for i := range list {
		list[i] = []release.Cell{{Values: []string{"a", "b", "c"}, Sums: []uint64{2, 1}}}
	}
	list = append(list, []release.Cell{{Values: []string{"x", "y", "z"}, Sums: []uint64{1, 1}}})
	far := 0.0
	for seed := range byte(50) {
		got, err := fill(t, noisy, eventstore.Day, 2, list).Figures(release.NewLaplace(seeded(seed)))
		if err != nil {
			t.Fatal(err)
		}
		if !got.Hidden || !got.Folded || len(got.Rows) != 1 {
			t.Fatalf("%+v", got)
		}
		far = max(far, math.Abs(float64(got.Rows[0].Persons)-3000))
	}
	if far == 0 || far > 16*20 {
		t.Errorf("the noise on persons is %v", far)
	}
	if _, err := fill(t, noisy, eventstore.Day, 2, list).Figures(release.NewLaplace(broken{})); err == nil {
		t.Error("figures without the noise that they should have")
	}
}

func TestTableRefuses(t *testing.T) {
	for _, rules := range []release.Rules{{}, {K: 10, Epsilon: 1000}, {K: 10, Epsilon: 1, Bound: 5}, {K: 10, Epsilon: 20_000, Bound: 5}, {K: 10, Epsilon: 1000, Bound: 2_000_000}} {
		if _, err := release.NewTable(rules, eventstore.Day, 1, 1); err == nil {
			t.Errorf("a table under %+v", rules)
		}
	}
	if _, err := release.NewTable(release.Rules{K: 10}, eventstore.Month, 1, 1); err == nil {
		t.Error("a month with measures of its own")
	}
}

func TestEpsilon(t *testing.T) {
	for e, want := range map[release.Epsilon]string{10: "0.01", 500: "0.5", 1000: "1", 10_000: "10", 1250: "1.25"} {
		if got := e.String(); got != want {
			t.Errorf("%d is %s", e, got)
		}
	}
}

// some draws a release.
func some() *rapid.Generator[release.Release] {
	return rapid.Custom(func(t *rapid.T) release.Release {
		f := release.Fold(cells().Draw(t, "cells"), 2)
		return release.Release{
			Projection: "intents", Version: rapid.IntRange(1, 9).Draw(t, "version"), Period: eventstore.Period{Kind: eventstore.Day, First: rapid.Int32().Draw(t, "first")},
			Zone: "Europe/Paris", Sequence: rapid.Uint64().Draw(t, "sequence"), Closed: time.UnixMilli(rapid.Int64Range(1, 1<<41).Draw(t, "closed")).UTC(),
			Rules: release.Rules{K: rapid.IntRange(2, 9).Draw(t, "k"), Bound: 50, Epsilon: release.Epsilon(rapid.Uint64Range(0, 10).Draw(t, "epsilon"))}, Threshold: 9,
			Dimensions: []string{"a", "b", "c"}, Measures: []string{"uses", "cells"}, Figures: f,
			Withheld: rapid.SampledFrom([]release.Withheld{"", release.WithheldBudget}).Draw(t, "withheld"),
		}
	})
}

// TestRecord: a release reads back as it was written; any changed byte is refused or is another release with another hash.
func TestRecord(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := some().Draw(rt, "release")
		record, err := r.Encode()
		if err != nil {
			rt.Fatal(err)
		}
		got, err := release.Decode(record)
		if err != nil || got.Expired != nil || !reflect.DeepEqual(*got.Release, r) {
			rt.Fatalf("%+v, %v\nwant %+v", got.Release, err, r)
		}
		changed := bytes.Clone(record)
		changed[rapid.IntRange(0, len(record)-1).Draw(rt, "at")] ^= byte(1 + rapid.IntRange(0, 254).Draw(rt, "bits"))
		if release.Hash(changed) == release.Hash(record) {
			rt.Fatal("another record has the same hash")
		}
		if other, err := release.Decode(changed); err == nil {
			if other.Release != nil && reflect.DeepEqual(*other.Release, r) {
				rt.Fatal("two records say the same")
			}
		} else if !errors.Is(err, eventstore.ErrDamaged) && !errors.Is(err, eventstore.ErrNewerVersion) {
			rt.Fatal(err)
		}
	})
	e := release.Expired{Before: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	record, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := release.Decode(record); err != nil || got.Release != nil || *got.Expired != e {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestRecordWithin: a release that does not fit keeps the rows with the most persons, as many as fit, and says so.
func TestRecordWithin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := some().Draw(rt, "release")
		whole, err := r.Encode()
		if err != nil {
			rt.Fatal(err)
		}
		size := rapid.IntRange(130, max(130, len(whole)+10)).Draw(rt, "size")
		record, err := r.EncodeWithin(size)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := release.Decode(record)
		if err != nil {
			rt.Fatal(err)
		}
		if len(whole) <= size {
			if !bytes.Equal(record, whole) {
				rt.Fatal("a release that fits was changed")
			}
			return
		}
		if len(record) > size || got.Release.Withheld != release.WithheldSize || !got.Release.Hidden {
			rt.Fatalf("%d bytes of %d, %+v", len(record), size, got.Release)
		}
		least := uint64(math.MaxUint64)
		for _, row := range got.Release.Rows {
			least = min(least, row.Persons)
		}
		for _, row := range r.Rows {
			kept := slices.ContainsFunc(got.Release.Rows, func(k release.Figure) bool { return slices.Equal(k.Values, row.Values) })
			if !kept && row.Persons > least {
				rt.Fatal("a larger row went before a smaller one")
			}
		}
	})
}

// TestRealNoise: with the system's randomness two releases of the same cells are not alike.
func TestRealNoise(t *testing.T) {
	list := make([][]release.Cell, 3000)
	for i := range list {
		list[i] = []release.Cell{{Values: []string{"a", "b", "c"}, Sums: []uint64{2, 1}}}
	}
	seen := map[uint64]bool{}
	for range 20 {
		f, err := fill(t, noisy, eventstore.Day, 2, list).Figures(release.NewLaplace(rand.Reader))
		if err != nil {
			t.Fatal(err)
		}
		seen[f.Rows[0].Sums[0]] = true
	}
	if len(seen) < 10 {
		t.Errorf("20 draws, %d values", len(seen))
	}
}
