package console

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/oubli-store/oubli/projections"
)

// statistics is a table as the server answers it.
type statistics struct {
	Columns  []projections.Column `json:"columns"`
	Rows     [][]any              `json:"rows"`
	Notes    []string             `json:"notes"`
	Timezone string               `json:"timezone"`
}

const barCells = 12

// figures prints an answer: the rows, on a terminal with a bar for the first count that is not of persons, and the notes.
func (e *env) figures(answer statistics) error {
	if len(answer.Rows) > 0 {
		if err := e.rows(answer.readable()); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(e.out, "No rows to show.")
	}
	for _, n := range answer.Notes {
		e.note("%s", clean(n, false))
	}
	if answer.Timezone != "" {
		e.note("Time zone %s.", clean(answer.Timezone, false))
	}
	return nil
}

func (e *env) rows(answer statistics) error {
	t := table{right: map[int]bool{}, raw: map[int]bool{}}
	measure, most := answer.measure()
	if !e.outTTY {
		measure = -1
	}
	for i, c := range answer.Columns {
		t.head = append(t.head, c.Name)
		t.right[i] = answer.isNumber(i)
	}
	if measure >= 0 {
		t.head = append(t.head, "")
		t.raw[len(answer.Columns)] = true
	}
	for _, row := range answer.Rows {
		cells := make([]string, 0, len(row)+1)
		for _, v := range row {
			cells = append(cells, figure(v, e.outTTY))
		}
		if measure >= 0 && measure < len(row) {
			v, _ := row[measure].(float64)
			cells = append(cells, bar(v, most, barCells))
		}
		t.add(cells...)
	}
	return t.print(e.out, "")
}

// readable is an answer with the columns of one histogram as one, and without what its notes or other columns say already: the first day of a period, and
// a status that all rows share.
func (f statistics) readable() statistics {
	out := f
	out.Columns, out.Rows = nil, make([][]any, len(f.Rows))
	for i := 0; i < len(f.Columns); {
		end := i + 1
		for c := f.Columns[i]; c.Group != "" && end < len(f.Columns) && f.Columns[end].Group == c.Group; {
			end++
		}
		if end == i+1 && f.needless(i) {
			i = end
			continue
		}
		c := f.Columns[i]
		if end > i+1 {
			c.Name = c.Group
		}
		out.Columns = append(out.Columns, c)
		for n, row := range f.Rows {
			if end <= len(row) {
				out.Rows[n] = append(out.Rows[n], together(row[i:end]))
			}
		}
		i = end
	}
	return out
}

func (f statistics) needless(column int) bool {
	periods := len(f.Columns) > 0 && f.Columns[0].Name == "period"
	switch f.Columns[column].Name {
	case "starts":
		return periods
	case "status":
		return periods && !slices.ContainsFunc(f.Rows, func(row []any) bool { return column < len(row) && row[column] != f.Rows[0][column] })
	}
	return false
}

// together is one value of one or several columns; several without any number are nothing.
func together(values []any) any {
	if len(values) == 1 {
		return values[0]
	}
	some := false
	out := slices.Clone(values)
	for i, v := range out {
		if _, ok := v.(float64); ok {
			some = true
		} else if v == nil {
			out[i] = 0.0
		}
	}
	if !some {
		return nil
	}
	return out
}

// measure finds the column that the bars show, and its largest value; -1 for none.
func (f statistics) measure() (column int, most float64) {
	column = -1
	for i, c := range f.Columns {
		if f.isNumber(i) && (column < 0 || f.Columns[column].Name == "persons") {
			column = i
			if c.Name != "persons" {
				break
			}
		}
	}
	for _, row := range f.Rows {
		if column >= 0 && column < len(row) {
			v, _ := row[column].(float64)
			most = max(most, v)
		}
	}
	return column, most
}

// isNumber reports whether a column holds numbers, as far as there are any values.
func (f statistics) isNumber(column int) bool {
	return slices.ContainsFunc(f.Rows, func(row []any) bool {
		if column >= len(row) {
			return false
		}
		_, ok := row[column].(float64)
		return ok
	})
}

// figure is one value as a person reads it. An array of numbers is a histogram: columns on a terminal, else the numbers.
func figure(v any, drawn bool) string {
	switch v := v.(type) {
	case nil:
		return "–"
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return digits(v)
	case []any:
		values := make([]float64, 0, len(v))
		texts := make([]string, 0, len(v))
		for _, x := range v {
			f, ok := x.(float64)
			if !ok {
				return strings.TrimSpace(fmt.Sprint(v))
			}
			values, texts = append(values, f), append(texts, digits(f))
		}
		if drawn {
			return spark(values)
		}
		return strings.Join(texts, "/")
	}
	return fmt.Sprint(v)
}

// digits is a whole number as it is, and any other to three places.
func digits(f float64) string {
	if f == math.Trunc(f) {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	if rounded := strconv.FormatFloat(f, 'f', 3, 64); strings.Trim(rounded, "-0.") != "" {
		return strings.TrimRight(rounded, "0")
	}
	return strconv.FormatFloat(f, 'g', 3, 64)
}
