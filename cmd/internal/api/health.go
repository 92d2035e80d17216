package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/oubli-store/oubli/eventstore"
)

type healthOutput struct {
	Status string `json:"status"`
}

// readyOutput says that the server is ready, and what an operator should look at nevertheless.
type readyOutput struct {
	Status string   `json:"status"`
	Notes  []Reason `json:"notes,omitempty" doc:"What does not keep the server from serving, and should be put right"`
}

// unready is the problem of a server that is not ready, with its reasons.
type unready struct {
	*Problem
	Reasons []Reason `json:"reasons"`
}

var errUnready = eventstore.Refuse(eventstore.KindUnavailable, "", "the server is not ready; the reasons are listed")

func (a *API) registerHealth() {
	handle(a, operation("healthz", "GET", "/healthz", "The process answers"),
		func(context.Context, *call, *struct{}) (*reply[healthOutput], error) {
			return ok(healthOutput{"ok"}), nil
		})
	ready := operation("readyz", "GET", "/readyz", "The server can store and read events; else 503 with reasons")
	ready.Responses = map[string]*huma.Response{"200": {Description: "Ready",
		Content: map[string]*huma.MediaType{jsonType: {Schema: a.schema(readyOutput{}, "Ready")}}}}
	a.raw(ready, a.readyz)
	figures := promhttp.HandlerFor(a.Registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	op := operation("metrics", "GET", "/metrics", "Figures for Prometheus")
	op.Responses = map[string]*huma.Response{"200": {Description: "Prometheus text"}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request, _ *call) error {
		figures.ServeHTTP(w, r)
		return nil
	})
	a.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(a.openapi)
	})
}

func (a *API) readyz(w http.ResponseWriter, r *http.Request, _ *call) error {
	reasons := a.Ready(r.Context())
	if len(reasons) == 0 {
		out := readyOutput{Status: "ready"}
		if a.Notes != nil {
			out.Notes = a.Notes(r.Context())
		}
		return writeJSON(w, http.StatusOK, out)
	}
	p := problemOf(errUnready)
	b, err := json.Marshal(unready{p, reasons})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	w.Write(append(b, '\n'))
	return nil
}
