package projections

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/tabular"
)

// MaxRows bounds an answer.
const MaxRows = 200_000

// Query asks for the figures of one projection.
type Query struct {
	Projection string
	// From and To are civil days in the tenant's zone, inclusive; zero: everything there is. Only their year, month and day count.
	From, To time.Time
	// By is the unit of the rows (zero: day). Weeks and months are answered whole.
	By eventstore.PeriodKind
	// Where keeps the cells whose dimension has the value.
	Where map[string]string
}

// Parameters are what figures were made by.
type Parameters struct {
	// K is the fewest distinct persons that a published cell may have.
	K int `json:"k"`
	// Timezone is the zone in which days, weeks and months are counted.
	Timezone string `json:"timezone"`
	// Bound is the most that one person adds to a figure of a closed period.
	Bound uint64 `json:"bound"`
	// Grace is how long a period stays open after its end and its last event, as 48h0m0s.
	Grace string `json:"grace"`
	// Noise says that released figures have noise.
	Noise bool `json:"noise"`
}

func parameters(s Settings, zone string) Parameters {
	return Parameters{K: s.K, Timezone: zone, Bound: s.Bound, Grace: s.Grace.String(), Noise: s.Epsilon != 0}
}

// Asked is what an answer is about: the query, with its range as it was answered.
type Asked struct {
	// From and To are the first and last day; empty: as far as there is anything.
	From  string            `json:"from,omitempty"`
	To    string            `json:"to,omitempty"`
	By    string            `json:"by"`
	Where map[string]string `json:"where,omitempty"`
}

// Answer is a table of figures with what it takes to judge them.
type Answer struct {
	Projection string `json:"projection"`
	Asked
	Parameters
	Columns []Column `json:"columns"`
	// Rows hold strings, numbers and null, in the order of Columns.
	Rows [][]any `json:"rows"`
	// Provisional says that some rows are; their column status says which.
	Provisional bool `json:"provisional"`
	// Notes say what is hidden and why, for people.
	Notes []string `json:"notes"`
}

// Column is one column of a table.
type Column = tabular.Column

// unitNames are the units of rows, as queries name them.
var unitNames = map[eventstore.PeriodKind]string{eventstore.Day: "day", eventstore.Week: "week", eventstore.Month: "month"}

func asking(q Query, s span) Asked {
	a := Asked{By: unitNames[q.By], Where: q.Where}
	if s.days[0].First != math.MinInt32 {
		a.From = s.days[0].Date().Format(time.DateOnly)
	}
	if s.days[1].First != math.MaxInt32 {
		a.To = s.days[1].Date().Format(time.DateOnly)
	}
	return a
}

// Table is the answer as a table whose remarks say everything that stands beside the rows.
func (a Answer) Table() tabular.Table {
	t := tabular.Table{Name: a.Projection, Columns: a.Columns, Rows: a.Rows}
	add := func(name, text string) {
		if text != "" {
			t.Remarks = append(t.Remarks, tabular.Remark{Name: name, Text: text})
		}
	}
	add("from", a.From)
	add("to", a.To)
	add("by", a.By)
	for _, dimension := range slices.Sorted(maps.Keys(a.Where)) {
		add("where", dimension+"="+a.Where[dimension])
	}
	t.Remarks = append(t.Remarks, a.Parameters.Remarks()...)
	add("provisional", strconv.FormatBool(a.Provisional))
	for _, n := range a.Notes {
		add("note", n)
	}
	return t
}

// Remarks are the parameters as remarks of a table.
func (p Parameters) Remarks() []tabular.Remark {
	return []tabular.Remark{{Name: "k", Text: strconv.Itoa(p.K)}, {Name: "timezone", Text: p.Timezone}, {Name: "bound", Text: strconv.FormatUint(p.Bound, 10)},
		{Name: "grace", Text: p.Grace}, {Name: "noise", Text: strconv.FormatBool(p.Noise)}}
}

// finalBefore is the first open period behind a closed one; empty if nothing in the range is closed, or everything.
func (f published) finalBefore() string {
	for i, d := range f.periods {
		if !d.released {
			if i == 0 {
				return ""
			}
			return d.period.String()
		}
	}
	return ""
}

// notes say what an answer does not show and why. What is hidden does not depend on what was filtered by: whether a value exists at all is told only of values
// that are published.
func notes(q Query, f published, rows int) []string {
	k := f.parameters.K
	var out []string
	switch open := f.provisional(); {
	case open && !slices.ContainsFunc(f.periods, func(d dated) bool { return d.released }):
		out = append(out, fmt.Sprintf("provisional: no period is closed yet; every count is rounded down to a multiple of %d and renewed once a minute", k))
	case open:
		out = append(out, fmt.Sprintf("provisional rows are of periods that are not closed yet; their counts are rounded down to multiples of %d and renewed once a minute", k))
	}
	if f.noised {
		out = append(out, "figures of open periods are not told, as releases have noise")
	}
	if slices.ContainsFunc(f.periods, func(d dated) bool { return d.released && d.k != k }) {
		out = append(out, "some periods were closed under another k than today's")
	}
	if day := f.finalBefore(); day != "" {
		out = append(out, "figures before "+day+" are final")
	}
	hidden, folded := false, false
	var first *eventstore.Period
	for _, d := range slices.Concat(f.periods, f.days) {
		hidden, folded = hidden || d.Hidden, folded || d.Folded
		if first == nil && len(d.Rows) > 0 {
			first = &d.period
		}
	}
	if hidden {
		out = append(out, fmt.Sprintf("fewer than %d persons: hidden", k))
	}
	if folded {
		out = append(out, fmt.Sprintf("values of fewer than %d persons stand together as %s", k, readmodel.Other))
	}
	if first != nil && !q.From.IsZero() && first.First > f.span.periods[0].First {
		out = append(out, "nothing is published before "+first.String())
	}
	if f.worded {
		out = append(out, "what persons wrote is shown when its period is closed, where enough of them wrote the same")
	}
	if len(f.periods) == 0 && len(f.days) == 0 && !f.worded {
		out = append(out, "no events in this range")
	}
	if first != nil && rows == 0 && len(q.Where) > 0 {
		out = append(out, "nothing that is published has these values; upper and lower case differ")
	}
	if f.span.widened {
		out = append(out, "weeks and months are answered whole, also where the range cuts them")
	}
	return out
}
