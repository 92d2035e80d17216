package release

import (
	"slices"
	"strings"

	"github.com/oubli-store/oubli/projections/readmodel"
)

// Member is a person's mark within one period.
type Member [16]byte

// Cell is what was counted under one combination of values in one period.
type Cell struct {
	Values []string
	// Persons is the number of distinct persons.
	Persons uint64
	// Members are their marks; needed where [NeedsMembers] says so.
	Members []Member
	Sums    []uint64
}

// Figure is one published row.
type Figure struct {
	Values []string
	// Persons is the number of distinct persons.
	Persons uint64
	Sums    []uint64
}

// Figures are the published rows of one period, in the order of their values, and what they do not show.
type Figures struct {
	Rows []Figure
	// Folded says that some values were merged into (other), Hidden that something was left out.
	Folded, Hidden bool
}

// NeedsMembers says whether a cell may be merged with others, so that [Fold] must know its members.
func NeedsMembers(values []string, persons uint64, k int) bool {
	return persons < uint64(k) || endsInOther(values)
}

func endsInOther(values []string) bool {
	return len(values) > 0 && values[len(values)-1] == readmodel.Other
}

// group is several cells on their way to being merged.
type group struct {
	values  []string
	members map[Member]struct{}
	sums    []uint64
	cells   int
}

func (g *group) take(members []Member, sums []uint64, cells int) {
	for _, m := range members {
		g.members[m] = struct{}{}
	}
	for i, n := range sums {
		g.sums[i] += n
	}
	g.cells += cells
}

// Fold applies the k-rule to the cells of one period, which have different values. The cells are not changed.
func Fold(cells []Cell, k int) Figures {
	out, _ := fold(cells, func(persons uint64) (uint64, bool, error) { return persons, persons >= uint64(k), nil }) // which never fails
	return out
}

// judge says how many persons a group of cells is told to have, and whether that is enough to publish it.
type judge func(persons uint64) (told uint64, enough bool, err error)

// fold publishes the cells that are judged large enough, folds the others, and so on up. Every cell, and every group that a fold makes, is judged once.
func fold(cells []Cell, enough judge) (out Figures, err error) {
	var pending []*group
	for _, c := range cells {
		if !endsInOther(c.Values) {
			told, ok, err := enough(c.Persons)
			if err != nil {
				return Figures{}, err
			}
			if ok {
				out.Rows = append(out.Rows, Figure{Values: slices.Clone(c.Values), Persons: told, Sums: slices.Clone(c.Sums)})
				continue
			}
		}
		g := &group{values: slices.Clone(c.Values), members: map[Member]struct{}{}, sums: make([]uint64, len(c.Sums))}
		g.take(c.Members, c.Sums, 1)
		pending = append(pending, g)
	}
	for depth := dimensions(pending) - 1; depth >= 0; depth-- {
		var left []*group
		for _, g := range merge(pending, depth) {
			// Values that end in (other) already belong with what folds further up: one row for one combination of values.
			if depth > 0 && g.values[depth-1] == readmodel.Other {
				left = append(left, g)
				continue
			}
			told, ok, err := enough(uint64(len(g.members)))
			if err != nil {
				return Figures{}, err
			}
			if !ok {
				left = append(left, g)
				continue
			}
			out.Folded = out.Folded || g.cells > 1 || g.changed(cells)
			out.Rows = append(out.Rows, Figure{Values: g.values, Persons: told, Sums: g.sums})
		}
		pending = left
	}
	out.Hidden = len(pending) > 0
	slices.SortFunc(out.Rows, func(a, b Figure) int { return slices.Compare(a.Values, b.Values) })
	return out, nil
}

// changed says whether a group of one cell has other values than that cell had.
func (g *group) changed(cells []Cell) bool {
	return !slices.ContainsFunc(cells, func(c Cell) bool { return slices.Equal(c.Values, g.values) })
}

func dimensions(groups []*group) int {
	if len(groups) == 0 {
		return 0
	}
	return len(groups[0].values)
}

// merge joins the groups that are alike once the value at depth reads (other); those behind it do already.
func merge(groups []*group, depth int) []*group {
	byValues := map[string]*group{}
	var order []*group
	for _, g := range groups {
		values := slices.Clone(g.values)
		values[depth] = readmodel.Other
		key := strings.Join(values, "\x00")
		into := byValues[key]
		if into == nil {
			g.values = values
			byValues[key] = g
			order = append(order, g)
			continue
		}
		for m := range g.members {
			into.members[m] = struct{}{}
		}
		into.take(nil, g.sums, g.cells)
	}
	return order
}

// Provisional rounds every count down to a multiple of k. The figures given are not changed.
func Provisional(f Figures, k int) Figures {
	out := Figures{Folded: f.Folded, Hidden: f.Hidden, Rows: make([]Figure, len(f.Rows))}
	for i, r := range f.Rows {
		sums := make([]uint64, len(r.Sums))
		for j, n := range r.Sums {
			sums[j] = roundDown(n, k)
		}
		out.Rows[i] = Figure{Values: r.Values, Persons: roundDown(r.Persons, k), Sums: sums}
	}
	return out
}

func roundDown(n uint64, k int) uint64 { return n - n%uint64(k) }

// Roll adds up published rows by their values: the additive measures of a week from those of its days. Persons are 0: they do not add up. The rows
// come in the order of their values.
func Roll(days ...Figures) []Figure {
	byValues := map[string]*Figure{}
	for _, d := range days {
		for _, r := range d.Rows {
			key := strings.Join(r.Values, "\x00")
			into := byValues[key]
			if into == nil {
				into = &Figure{Values: r.Values, Sums: make([]uint64, len(r.Sums))}
				byValues[key] = into
			}
			for i, n := range r.Sums {
				into.Sums[i] += n
			}
		}
	}
	out := make([]Figure, 0, len(byValues))
	for _, r := range byValues {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Figure) int { return slices.Compare(a.Values, b.Values) })
	return out
}

// Total adds up the additive measures of published rows.
func Total(rows []Figure) []uint64 {
	var out []uint64
	for _, r := range rows {
		if out == nil {
			out = make([]uint64, len(r.Sums))
		}
		for i, n := range r.Sums {
			out[i] += n
		}
	}
	return out
}
