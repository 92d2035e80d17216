package release_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/release"
)

const dimensions = 3

func member(n int) release.Member { return release.Member{byte(n), byte(n >> 8)} }

// cells draws cells with different values and known members; every measure but the last counts members' uses.
func cells() *rapid.Generator[[]release.Cell] {
	return rapid.Custom(func(t *rapid.T) []release.Cell {
		value := rapid.SampledFrom([]string{"a", "b", "c", readmodel.Other})
		keys := rapid.SliceOfNDistinct(rapid.SliceOfN(value, dimensions, dimensions), 0, 20,
			func(v []string) string { return strings.Join(v, "|") }).Draw(t, "values")
		var out []release.Cell
		for _, values := range keys {
			who := rapid.SliceOfNDistinct(rapid.IntRange(0, 15), 1, 10, rapid.ID).Draw(t, "members")
			c := release.Cell{Values: values, Persons: uint64(len(who)), Sums: []uint64{rapid.Uint64Range(0, 99).Draw(t, "uses"), 1}}
			for _, n := range who {
				c.Members = append(c.Members, member(n))
			}
			out = append(out, c)
		}
		return out
	})
}

// covers says whether a published row stands for a cell: every value is the cell's, or (other) from some dimension on.
func covers(row, cell []string) bool {
	for i := range row {
		if row[i] != cell[i] {
			return !slices.ContainsFunc(row[i:], func(v string) bool { return v != readmodel.Other })
		}
	}
	return true
}

func TestFoldRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := cells().Draw(t, "cells")
		k := rapid.IntRange(2, 8).Draw(t, "k")
		before := fmt.Sprint(in)
		got := release.Fold(in, k)
		if fmt.Sprint(in) != before {
			t.Fatal("the cells given were changed")
		}
		all := make([]uint64, 2)
		for _, c := range in {
			all[0], all[1] = all[0]+c.Sums[0], all[1]+c.Sums[1]
		}
		seen := map[string]bool{}
		for _, r := range got.Rows {
			key := strings.Join(r.Values, "|")
			if seen[key] {
				t.Fatalf("%s is published twice", key)
			}
			seen[key] = true
			if r.Persons < uint64(k) {
				t.Fatalf("%s is published with %d persons", key, r.Persons)
			}
			checkRow(t, in, r)
		}
		published := release.Total(got.Rows)
		if len(published) > 0 && (published[0] > all[0] || published[1] > all[1]) {
			t.Fatal("more is published than there is")
		}
		complete := len(in) == 0 || len(published) > 0 && published[1] == all[1]
		if got.Hidden == complete {
			t.Fatalf("hidden is %v, but published %v of %v", got.Hidden, published, all)
		}
		for _, c := range in {
			big := c.Persons >= uint64(k) && c.Values[dimensions-1] != readmodel.Other
			if big && !slices.ContainsFunc(got.Rows, func(r release.Figure) bool {
				return slices.Equal(r.Values, c.Values) && reflect.DeepEqual(r.Sums, c.Sums) && r.Persons == c.Persons
			}) {
				t.Fatalf("%v is large enough and not published as it is", c.Values)
			}
		}
		slices.Reverse(in)
		if again := release.Fold(in, k); !reflect.DeepEqual(got, again) {
			t.Fatalf("the order of the cells matters: %v, %v", got, again)
		}
	})
}

// checkRow: a row's persons are distinct persons of cells that it can stand for.
func checkRow(t *rapid.T, in []release.Cell, r release.Figure) {
	union := map[release.Member]bool{}
	most := uint64(0)
	for _, c := range in {
		if covers(r.Values, c.Values) {
			most += c.Sums[1]
			for _, m := range c.Members {
				union[m] = true
			}
		}
	}
	if r.Persons > uint64(len(union)) {
		t.Fatalf("%v has %d persons of %d that there are", r.Values, r.Persons, len(union))
	}
	if r.Sums[1] > most || r.Sums[1] == 0 {
		t.Fatalf("%v stands for %d cells of %d", r.Values, r.Sums[1], most)
	}
}

// TestOnePersonIsNoGroup: ten rare values of one person are one person.
func TestOnePersonIsNoGroup(t *testing.T) {
	var in []release.Cell
	for i := range 10 {
		in = append(in, release.Cell{Values: []string{"fr", fmt.Sprint("intent", i)}, Persons: 1, Members: []release.Member{member(1)}, Sums: []uint64{1}})
	}
	if got := release.Fold(in, 10); len(got.Rows) != 0 || !got.Hidden {
		t.Fatalf("one person is published: %v", got)
	}
}

func group(values string, from, to int) release.Cell {
	c := release.Cell{Values: strings.Split(values, " "), Sums: []uint64{100}}
	for n := from; n < to; n++ {
		c.Members = append(c.Members, member(n))
	}
	c.Persons = uint64(len(c.Members))
	return c
}

// ExampleFold is the example of the package comment.
func ExampleFold() {
	got := release.Fold([]release.Cell{
		group("fr order", 0, 7), group("fr refund", 7, 9), group("fr hello", 9, 11), group("en order", 11, 12),
	}, 3)
	for _, r := range got.Rows {
		fmt.Println(r.Values, r.Persons)
	}
	fmt.Println("hidden:", got.Hidden)
	// Output:
	// [fr (other)] 4
	// [fr order] 7
	// hidden: true
}

func TestFoldGoesUp(t *testing.T) {
	got := release.Fold([]release.Cell{group("fr order", 0, 2), group("en refund", 2, 4)}, 3)
	if len(got.Rows) != 1 || !slices.Equal(got.Rows[0].Values, []string{readmodel.Other, readmodel.Other}) || got.Rows[0].Persons != 4 || got.Hidden || !got.Folded {
		t.Fatalf("not folded all the way up: %+v", got)
	}
}

func TestProvisional(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(2, 8).Draw(t, "k")
		in := release.Fold(cells().Draw(t, "cells"), k)
		got := release.Provisional(in, k)
		if got.Hidden != in.Hidden || got.Folded != in.Folded || len(got.Rows) != len(in.Rows) {
			t.Fatal("rounding changed what is shown")
		}
		for i, r := range got.Rows {
			numbers, was := append([]uint64{r.Persons}, r.Sums...), append([]uint64{in.Rows[i].Persons}, in.Rows[i].Sums...)
			for j, n := range numbers {
				if n%uint64(k) != 0 || n > was[j] || was[j]-n >= uint64(k) {
					t.Fatalf("%d is told as %d with k %d", was[j], n, k)
				}
			}
			if r.Persons < uint64(k) {
				t.Fatal("a row without persons is shown")
			}
		}
	})
}

// TestRoll: a week's sums are those of its published days, and nothing that a day hides is in them.
func TestRoll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(2, 8).Draw(t, "k")
		var days []release.Figures
		want := make([]uint64, 2)
		for range rapid.IntRange(0, 7).Draw(t, "days") {
			day := release.Fold(cells().Draw(t, "cells"), k)
			days = append(days, day)
			for i, n := range release.Total(day.Rows) {
				want[i] += n
			}
		}
		week := release.Roll(days...)
		if got := release.Total(week); got != nil && !slices.Equal(got, want) {
			t.Fatalf("a week is %v, its days %v", got, want)
		}
		for i := 1; i < len(week); i++ {
			if slices.Compare(week[i-1].Values, week[i].Values) >= 0 {
				t.Fatal("the rows are not in order, or one is there twice")
			}
		}
	})
}
