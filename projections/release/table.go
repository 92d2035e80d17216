package release

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
)

// Table takes in what a projection counted in one period, and gives the figures to release. It is not safe for concurrent use.
type Table struct {
	rules                Rules
	kind                 eventstore.PeriodKind
	dimensions, measures int
	cells                []Cell
	index                map[string]int
}

// Part is what one person added to one cell of a table.
type Part struct {
	// Cell is what [Table.Cell] said.
	Cell int
	// Sums are as many as the table has measures.
	Sums []uint64
}

// NewTable makes an empty table of a unit of time. A table of weeks or months has no measures, only persons.
func NewTable(rules Rules, kind eventstore.PeriodKind, dimensions, measures int) (*Table, error) {
	if err := rules.check(); err != nil {
		return nil, err
	}
	if kind != eventstore.Day && measures != 0 {
		return nil, fmt.Errorf("release: only days have measures")
	}
	return &Table{rules: rules, kind: kind, dimensions: dimensions, measures: measures, index: map[string]int{}}, nil
}

// Cell is the number of the cell with these values.
func (t *Table) Cell(values []string) int {
	key := strings.Join(values, "\x00")
	i, ok := t.index[key]
	if !ok {
		i = len(t.cells)
		t.index[key] = i
		t.cells = append(t.cells, Cell{Values: values, Sums: make([]uint64, t.measures)})
	}
	return i
}

// Add takes in one person, once: the cells that they stand in, each once, bounded as the rules say. With noise the first [MaxCells] of the cells count; who calls
// sees to an order that does not depend on what the cells are.
func (t *Table) Add(who Member, parts []Part) {
	if t.rules.Epsilon != 0 && len(parts) > MaxCells {
		parts = parts[:MaxCells]
	}
	for _, p := range parts {
		c := &t.cells[p.Cell]
		c.Persons++
		for i, n := range t.bounded(p.Sums) {
			c.Sums[i] += n
		}
		// A cell that is published as it is needs no members; with noise nobody knows yet which these are.
		switch {
		case t.rules.Epsilon != 0 || NeedsMembers(c.Values, c.Persons, t.rules.K):
			c.Members = append(c.Members, who)
		default:
			c.Members = nil
		}
	}
}

// bounded is what counts of one person's measures in one cell.
func (t *Table) bounded(sums []uint64) []uint64 {
	if t.rules.Bound == 0 {
		return sums
	}
	out := make([]uint64, len(sums))
	total := uint64(0)
	for i, n := range sums {
		out[i] = min(n, t.rules.Bound)
		total += out[i]
	}
	if most := Weight * t.rules.Bound; t.rules.Epsilon != 0 && total > most {
		for i, n := range out {
			out[i] = n * most / total
		}
	}
	return out
}

// Figures applies the rules and ends the table: call it once. noise is used, and needed, only if there is an ε.
func (t *Table) Figures(noise *Laplace) (Figures, error) {
	// Cells in which nobody counts because all of theirs that count are elsewhere.
	t.cells = slices.DeleteFunc(t.cells, func(c Cell) bool { return c.Persons == 0 })
	if t.rules.Epsilon != 0 {
		return t.noised(noise)
	}
	out := Fold(t.cells, t.rules.K)
	if t.kind != eventstore.Day {
		for i := range out.Rows {
			out.Rows[i].Persons = roundDown(out.Rows[i].Persons, t.rules.K)
		}
	}
	return out, nil
}

func (t *Table) noised(noise *Laplace) (Figures, error) {
	persons, threshold := t.rules.personsScale(t.dimensions, t.measures), t.rules.Threshold(t.dimensions, t.measures)
	out, err := fold(t.cells, func(n uint64) (uint64, bool, error) {
		told, err := noise.add(n, persons)
		return told, told >= threshold, err
	})
	if err != nil {
		return Figures{}, err
	}
	sums := t.rules.sumsScale(t.measures)
	for _, row := range out.Rows {
		for i, n := range row.Sums {
			if row.Sums[i], err = noise.add(n, sums); err != nil {
				return Figures{}, err
			}
		}
	}
	// Whether something is hidden, and whether rows were merged, is said whatever is there: it would tell of single persons.
	out.Folded, out.Hidden = true, true
	return out, nil
}

// add is n with noise, at least 0.
func (l *Laplace) add(n uint64, s scale) (uint64, error) {
	x, err := l.Draw(s.over, s.under)
	if err != nil {
		return 0, err
	}
	return uint64(max(int64(n)+x, 0)), nil
}
