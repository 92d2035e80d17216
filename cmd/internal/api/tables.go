package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/tabular"
)

// The media types of a table.
const (
	csvType     = "text/csv"
	parquetType = "application/vnd.apache.parquet"
)

// form is how a table is answered.
type form string

const (
	asJSON    form = "json"
	asCSV     form = "csv"
	asParquet form = "parquet"
)

var errFormat = eventstore.Refuse(eventstore.KindInvalid, "format", "format is json, csv or parquet")

// formOf is the form that a request asks for: by its parameter format, else by Accept, else JSON.
func formOf(r *http.Request, format string) (form, error) {
	switch f := form(format); {
	case f == asJSON || f == asCSV || f == asParquet:
		return f, nil
	case format != "":
		return "", errFormat
	case accepts(r, csvType):
		return asCSV, nil
	case accepts(r, parquetType):
		return asParquet, nil
	}
	return asJSON, nil
}

var formatParameter = parameter("query", "format", "string", "json, csv or parquet; decides before Accept")

// tableResponse describes an answer that is a table.
func tableResponse(document *huma.Schema) *huma.Response {
	return &huma.Response{
		Description: "A table. What its JSON has beside the rows stands in the headers Oubli-… of CSV and in the metadata oubli.… of Parquet",
		Content: map[string]*huma.MediaType{jsonType: {Schema: document}, csvType: {Schema: &huma.Schema{Type: "string"}},
			parquetType: {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}
}

// write answers with a table; head is what JSON has beside the rows.
func (f form) write(w http.ResponseWriter, head any, t tabular.Table) error {
	w.Header().Set("Vary", "Accept")
	switch f {
	case asCSV:
		remark(w.Header(), t.Remarks)
		w.Header().Set("Content-Type", csvType+"; charset=utf-8")
		w.Header().Set("Content-Disposition", `attachment; filename="`+t.Name+`.csv"`)
		return tabular.WriteCSV(w, t)
	case asParquet:
		w.Header().Set("Content-Type", parquetType)
		w.Header().Set("Content-Disposition", `attachment; filename="`+t.Name+`.parquet"`)
		return tabular.WriteParquet(w, t)
	}
	w.Header().Set("Content-Type", jsonType)
	return tabular.WriteJSON(w, head, t.Rows)
}

// remark puts remarks into headers: notes one by one, the others together. What came from outside is not among them: a header holds plain English only.
func remark(h http.Header, remarks []tabular.Remark) {
	var parameters []string
	for _, r := range remarks {
		switch r.Name {
		case "where":
		case "note":
			h.Add("Oubli-Note", r.Text)
		case "provisional":
			h.Set("Oubli-Provisional", r.Text)
		default:
			parameters = append(parameters, r.Name+"="+r.Text)
		}
	}
	h.Set("Oubli-Parameters", strings.Join(parameters, "; "))
}

const (
	// tablesAtOnce bounds how many tables are in memory on their way out.
	tablesAtOnce = 8
	// tableWithin is how long a request waits for others to be done.
	tableWithin = 10 * time.Second
)

var errTables = eventstore.Refuse(eventstore.KindRate, "", "too many tables are being answered; try again")

// turnFor waits until a table may be made.
func (a *API) turnFor(ctx context.Context) (leave func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tableWithin, errTables)
	defer cancel()
	select {
	case a.answers <- struct{}{}:
		return func() { <-a.answers }, nil
	case <-ctx.Done():
		if cause := context.Cause(ctx); errors.Is(cause, errTables) {
			return nil, cause
		}
		return nil, ctx.Err()
	}
}
