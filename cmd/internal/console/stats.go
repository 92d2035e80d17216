package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/oubli-store/oubli/projections"
)

type statsCmd struct {
	Projection string   `arg:"" optional:"" help:"Which table; left out: what there is."`
	From       string   `placeholder:"DATE" help:"First day, as 2026-11-01, in the tenant's time zone."`
	To         string   `placeholder:"DATE" help:"Last day, inclusive."`
	By         string   `enum:"day,week,month" default:"day" placeholder:"PERIOD" help:"day, week (ISO) or month."`
	Where      []string `sep:"none" placeholder:"DIM=VALUE" help:"Only rows whose dimension has the value; can be given more than once."`
	tableFormat
}

// tableFormat is how a table is printed.
type tableFormat struct {
	Format string `enum:"table,csv,json,parquet" default:"table" placeholder:"FORMAT" help:"table, csv, json or parquet."`
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
	return c.print(e, a, "GET", "/v1/stats/"+url.PathEscape(c.Projection), query, nil)
}

var errToTerminal = usage("a Parquet file is not for a terminal; send it to a file: > FILE.parquet")

// print asks for a table and prints it in the form that was chosen.
func (f tableFormat) print(e *env, a *api, method, path string, query url.Values, in any) error {
	switch f.Format {
	case "csv":
		return e.copyTable(a, method, path, query, "text/csv", f.Format, in)
	case "parquet":
		if e.outTTY {
			return errToTerminal
		}
		return e.copyTable(a, method, path, query, "application/vnd.apache.parquet", f.Format, in)
	}
	var raw json.RawMessage
	if err := a.call(e.ctx, method, path, query, in, &raw); err != nil {
		return err
	}
	if f.Format == "json" {
		return e.document(raw)
	}
	var answer statistics
	if err := json.Unmarshal(raw, &answer); err != nil {
		return errNotOurs
	}
	return e.figures(answer)
}

var errNotOurs = errors.New("the server's answer is not Oubli's")

// copyTable prints a table as the server gives it. The notes that such a form has no room for go to standard error.
func (e *env) copyTable(a *api, method, path string, query url.Values, accept, format string, in any) error {
	query.Set("format", format)
	resp, err := a.do(e.ctx, method, path, query, accept, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(e.out, resp.Body); err != nil {
		return err
	}
	for _, n := range resp.Header.Values("Oubli-Note") {
		e.note("%s", clean(n, false))
	}
	return nil
}

func (c statsCmd) dictionary(e *env, a *api) error {
	if c.Format != "table" && c.Format != "json" {
		return usage("the dictionary is printed as table or json")
	}
	var d projections.Dictionary
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
		meaning := table.Meaning
		if e.lang == french && table.MeaningFR != "" {
			meaning = table.MeaningFR
		}
		fmt.Fprintf(e.out, "%s: %s\n", clean(table.Name, false), clean(meaning, false))
		t := tableOf(table.Columns, e.lang)
		if err := t.print(e.out, "  "); err != nil {
			return err
		}
	}
	if d.Timezone != "" {
		e.note("k is %d, the time zone %s.", d.K, clean(d.Timezone, false))
	}
	return nil
}

func tableOf(columns []projections.Column, l lang) *table {
	t := &table{}
	for _, c := range columns {
		meaning := c.Meaning
		if l == french && c.MeaningFR != "" {
			meaning = c.MeaningFR
		}
		t.add(c.Name, string(c.Type), c.Unit, meaning)
	}
	return t
}
