package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections"
)

type sqlRequest struct {
	Query string `json:"query" doc:"One SELECT of SQLite, at most 65536 bytes, without placeholders"`
}

func (a *API) registerSQL() {
	op := operation("sql", "POST", "/v1/sql", "SQL over the published figures")
	op.Description = "Tables NAME (days that are closed), NAME_week, NAME_month, each also with _provisional behind it (open periods), and dictionary."
	op.Parameters = []*huma.Param{formatParameter}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{jsonType: {Schema: a.schema(sqlRequest{}, "SQLRequest")}}}
	op.Responses = map[string]*huma.Response{"200": tableResponse(a.schema(projections.Result{}, "Result"))}
	a.raw(op, func(w http.ResponseWriter, r *http.Request, c *call) error { return a.sql(w, r, c, &op) })
}

func (a *API) sql(w http.ResponseWriter, r *http.Request, c *call, op *huma.Operation) error {
	values, err := queries(r, op)
	if err != nil {
		return err
	}
	form, err := formOf(r, values.Get("format"))
	if err != nil {
		return err
	}
	raw, err := readAll(r, eventstore.MaxEvent)
	if err != nil {
		return err
	}
	var in sqlRequest
	if err := decode(raw, &in); err != nil {
		return err
	}
	leave, err := a.turnFor(r.Context())
	if err != nil {
		return err
	}
	defer leave()
	answer, err := a.Stats.SQL(r.Context(), c.tenant, in.Query)
	if err != nil {
		return err
	}
	head := struct {
		projections.Result
		Shadow *int `json:"rows,omitempty"` // they are written one by one
	}{Result: answer}
	return form.write(w, head, answer.Table())
}
