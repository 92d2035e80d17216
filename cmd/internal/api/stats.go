package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections"
)

func (a *API) registerStats() {
	handle(a, operation("dictionary", "GET", "/v1/stats", "Every table, column, type and meaning"),
		func(ctx context.Context, c *call, _ *struct{}) (*reply[projections.Dictionary], error) {
			d, err := a.Stats.Dictionary(ctx, c.tenant)
			return ok(d), err
		})
	op := operation("stats", "GET", "/v1/stats/{projection}", "Figures of one projection")
	op.Parameters = []*huma.Param{parameter("path", "projection", "string", "Its name; /v1/stats lists all"),
		parameter("query", "from", "string", "First day, 2026-11-01, in the tenant's time zone"), parameter("query", "to", "string", "Last day, inclusive"),
		parameter("query", "by", "string", "day (the default), week or month"), parameter("query", "where", "string", "dimension=value; can stand more than once"),
		formatParameter}
	op.Responses = map[string]*huma.Response{"200": tableResponse(a.schema(projections.Answer{}, "Answer"))}
	a.raw(op, func(w http.ResponseWriter, r *http.Request, c *call) error { return a.stats(w, r, c, &op) })
}

var (
	errFrom  = eventstore.Refuse(eventstore.KindInvalid, "from", "from is a day, as 2026-11-01")
	errTo    = eventstore.Refuse(eventstore.KindInvalid, "to", "to is a day, as 2026-11-30")
	errBy    = eventstore.Refuse(eventstore.KindInvalid, "by", "by is day, week or month")
	errWhere = eventstore.Refuse(eventstore.KindInvalid, "where", "where is dimension=value, each dimension once")
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
	form, err := formOf(r, values.Get("format"))
	if err != nil {
		return err
	}
	leave, err := a.turnFor(r.Context())
	if err != nil {
		return err
	}
	defer leave()
	answer, err := a.Stats.Stats(r.Context(), c.tenant, q)
	if err != nil {
		return err
	}
	head := struct {
		projections.Answer
		Rows *int `json:"rows,omitempty"` // they are written one by one
	}{Answer: answer}
	return form.write(w, head, answer.Table())
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
