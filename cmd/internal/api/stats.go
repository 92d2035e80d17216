package api

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections"
)

type dictionaryOutput struct {
	Tables []projections.Table `json:"tables"`
}

const csvType = "text/csv"

func (a *API) registerStats() {
	handle(a, operation("dictionary", "GET", "/v1/stats", "Every table, column, type and meaning"),
		func(context.Context, *call, *struct{}) (*reply[dictionaryOutput], error) {
			return ok(dictionaryOutput{a.Stats.Dictionary()}), nil
		})
	op := operation("stats", "GET", "/v1/stats/{projection}", "Figures of one projection")
	op.Parameters = []*huma.Param{parameter("path", "projection", "string", "Its name; /v1/stats lists all"),
		parameter("query", "from", "string", "First day, 2026-11-01, in the tenant's time zone"), parameter("query", "to", "string", "Last day, inclusive"),
		parameter("query", "by", "string", "day (the default), week or month"), parameter("query", "where", "string", "dimension=value; can stand more than once"),
		parameter("query", "format", "string", "json or csv; decides before Accept")}
	op.Responses = map[string]*huma.Response{"200": {Description: "A table", Content: map[string]*huma.MediaType{
		jsonType: {Schema: a.schema(projections.Answer{}, "Answer")}, csvType: {Schema: &huma.Schema{Type: "string"}}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request, c *call) error { return a.stats(w, r, c, &op) })
}

var (
	errFormat = eventstore.Refuse(eventstore.KindInvalid, "format", "format is json or csv")
	errFrom   = eventstore.Refuse(eventstore.KindInvalid, "from", "from is a day, as 2026-11-01")
	errTo     = eventstore.Refuse(eventstore.KindInvalid, "to", "to is a day, as 2026-11-30")
	errBy     = eventstore.Refuse(eventstore.KindInvalid, "by", "by is day, week or month")
	errWhere  = eventstore.Refuse(eventstore.KindInvalid, "where", "where is dimension=value, each dimension once")
)

func (a *API) stats(w http.ResponseWriter, r *http.Request, c *call, op *huma.Operation) error {
	values, err := queries(r, op, "where")
	if err != nil {
		return err
	}
	q := projections.Query{Projection: r.PathValue("projection")}
	if q.From, err = day(values.Get("from"), errFrom); err != nil {
		return err
	}
	if q.To, err = day(values.Get("to"), errTo); err != nil {
		return err
	}
	switch values.Get("by") {
	case "", "day":
		q.By = eventstore.Day
	case "week":
		q.By = eventstore.Week
	case "month":
		q.By = eventstore.Month
	default:
		return errBy
	}
	for _, where := range values["where"] {
		dimension, value, found := strings.Cut(where, "=")
		if _, again := q.Where[dimension]; !found || again || dimension == "" {
			return errWhere
		}
		if q.Where == nil {
			q.Where = map[string]string{}
		}
		q.Where[dimension] = value
	}
	asCSV := accepts(r, csvType)
	switch values.Get("format") {
	case "":
	case "json", "csv":
		asCSV = values.Get("format") == "csv"
	default:
		return errFormat
	}
	answer, err := a.Stats.Stats(r.Context(), c.tenant, q)
	if err != nil {
		return err
	}
	w.Header().Set("Vary", "Accept")
	if asCSV {
		return writeCSV(w, answer)
	}
	if answer.Rows == nil {
		answer.Rows = [][]any{}
	}
	return writeJSON(w, http.StatusOK, answer)
}

func day(s string, problem *eventstore.Problem) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, problem
	}
	return t, nil
}

// writeCSV writes a table with a header line. A text that a spreadsheet would take for a formula gets an apostrophe before it, since names of intents and
// the like come from outside. The header Oubli-Provisional says what the JSON form says; its notes are there only.
func writeCSV(w http.ResponseWriter, answer projections.Answer) error {
	w.Header().Set("Content-Type", csvType+"; charset=utf-8")
	w.Header().Set("Oubli-Provisional", strconv.FormatBool(answer.Provisional))
	out := csv.NewWriter(w)
	record := make([]string, len(answer.Columns))
	for i, c := range answer.Columns {
		record[i] = c.Name
	}
	out.Write(record)
	for _, row := range answer.Rows {
		for i, v := range row {
			record[i] = cell(v)
		}
		out.Write(record)
	}
	out.Flush()
	return out.Error()
}

func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		if v != "" && strings.ContainsRune("=+-@\t\r", rune(v[0])) {
			return "'" + v
		}
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}
