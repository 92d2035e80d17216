package console

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/oubli-store/oubli/projections"
)

type statsCmd struct {
	Projection string   `arg:"" optional:"" help:"Which table; left out: what there is."`
	From       string   `placeholder:"DATE" help:"First day, as 2026-11-01, in the tenant's time zone."`
	To         string   `placeholder:"DATE" help:"Last day, inclusive."`
	By         string   `enum:"day,week,month" default:"day" placeholder:"PERIOD" help:"day, week (ISO) or month."`
	Where      []string `sep:"none" placeholder:"DIM=VALUE" help:"Only rows whose dimension has the value; can be given more than once."`
	Format     string   `enum:"table,csv,json" default:"table" placeholder:"FORMAT" help:"table, csv or json."`
}

// Run prints a table of statistics, or the dictionary.
func (c statsCmd) Run(e *env) error {
	if e.JSON {
		c.Format = "json"
	}
	a, err := e.api()
	if err != nil {
		return err
	}
	if c.Projection == "" {
		return c.dictionary(e, a)
	}
	query := url.Values{"by": {c.By}, "where": c.Where}
	if c.From != "" {
		query.Set("from", c.From)
	}
	if c.To != "" {
		query.Set("to", c.To)
	}
	path := "/v1/stats/" + url.PathEscape(c.Projection)
	if c.Format == "csv" {
		query.Set("format", "csv")
		resp, err := a.do(e.ctx, "GET", path, query, "text/csv", nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(e.out, resp.Body)
		return err
	}
	var raw json.RawMessage
	if err := a.call(e.ctx, "GET", path, query, nil, &raw); err != nil {
		return err
	}
	if c.Format == "json" {
		return e.document(raw)
	}
	var answer projections.Answer
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("the server's answer is not Oubli's")
	}
	return e.figures(answer)
}

func (c statsCmd) dictionary(e *env, a *api) error {
	var d struct {
		Tables []projections.Table `json:"tables"`
	}
	if err := a.call(e.ctx, "GET", "/v1/stats", nil, nil, &d); err != nil {
		return err
	}
	if c.Format == "json" {
		return e.document(d)
	}
	for i, table := range d.Tables {
		if i > 0 {
			fmt.Fprintln(e.out)
		}
		fmt.Fprintf(e.out, "%s: %s\n", clean(table.Name, false), clean(table.Meaning, false))
		t := tableOf(table.Columns)
		if err := t.print(e.out, "  "); err != nil {
			return err
		}
	}
	return nil
}

func tableOf(columns []projections.Column) *table {
	t := &table{}
	for _, c := range columns {
		t.add(c.Name, c.Type, c.Meaning)
	}
	return t
}

const barCells = 12

// figures prints an answer: the rows, a bar for the first count that is not of persons, and the notes.
func (e *env) figures(answer projections.Answer) error {
	answer = histograms(answer)
	t := table{right: map[int]bool{}, raw: map[int]bool{}}
	measure, most := measureOf(answer)
	for i, c := range answer.Columns {
		t.head = append(t.head, c.Name)
		t.right[i] = isNumber(answer, i)
	}
	if measure >= 0 {
		t.head = append(t.head, "")
		t.raw[len(answer.Columns)] = true
	}
	for _, row := range answer.Rows {
		cells := make([]string, 0, len(row)+1)
		for _, v := range row {
			cells = append(cells, figure(v))
		}
		if measure >= 0 && measure < len(row) {
			v, _ := row[measure].(float64)
			cells = append(cells, bar(v, most, barCells))
		}
		t.add(cells...)
	}
	if len(answer.Rows) > 0 {
		if err := t.print(e.out, ""); err != nil {
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

// histograms draws columns name_00, name_10, … that stand side by side together as one column name.
func histograms(answer projections.Answer) projections.Answer {
	out := answer
	out.Columns, out.Rows = nil, make([][]any, len(answer.Rows))
	for i := 0; i < len(answer.Columns); {
		name, end := answer.Columns[i].Name, i+1
		if prefix, ok := bucket(name); ok {
			for end < len(answer.Columns) {
				if p, ok := bucket(answer.Columns[end].Name); !ok || p != prefix {
					break
				}
				end++
			}
			if end > i+1 {
				name = prefix
			}
		}
		c := answer.Columns[i]
		c.Name = name
		out.Columns = append(out.Columns, c)
		for n, row := range answer.Rows {
			if end <= len(row) {
				out.Rows[n] = append(out.Rows[n], together(row[i:end]))
			}
		}
		i = end
	}
	return out
}

// bucket finds the name of the histogram that a column belongs to.
func bucket(column string) (name string, ok bool) {
	i := strings.LastIndexByte(column, '_')
	if i <= 0 {
		return "", false
	}
	_, err := strconv.ParseUint(column[i+1:], 10, 16)
	return column[:i], err == nil
}

// together is one value of one or several columns; several without any number are nothing.
func together(values []any) any {
	if len(values) == 1 {
		return values[0]
	}
	some := false
	for i, v := range values {
		if _, ok := v.(float64); ok {
			some = true
		} else if v == nil {
			values[i] = 0.0
		}
	}
	if !some {
		return nil
	}
	return values
}

// measureOf finds the column that the bars show, and its largest value; -1 for none.
func measureOf(answer projections.Answer) (column int, most float64) {
	column = -1
	for i, c := range answer.Columns {
		if isNumber(answer, i) && (column < 0 || answer.Columns[column].Name == "persons") {
			column = i
			if c.Name != "persons" {
				break
			}
		}
	}
	for _, row := range answer.Rows {
		if column >= 0 && column < len(row) {
			v, _ := row[column].(float64)
			most = max(most, v)
		}
	}
	return column, most
}

// isNumber reports whether a column holds numbers, as far as there are any values.
func isNumber(answer projections.Answer, column int) bool {
	return slices.ContainsFunc(answer.Rows, func(row []any) bool {
		if column >= len(row) {
			return false
		}
		_, ok := row[column].(float64)
		return ok
	})
}

// figure is one value as a person reads it. An array of numbers is a histogram.
func figure(v any) string {
	switch v := v.(type) {
	case nil:
		return "–"
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		values := make([]float64, 0, len(v))
		for _, x := range v {
			f, ok := x.(float64)
			if !ok {
				return strings.TrimSpace(fmt.Sprint(v))
			}
			values = append(values, f)
		}
		return spark(values)
	}
	return fmt.Sprint(v)
}
