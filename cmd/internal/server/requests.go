package server

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oubli-store/oubli/cmd/internal/api"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// requestSettings is what the register of requests asks of a tenant's settings.
type requestSettings struct {
	promise  time.Duration
	fourEyes bool
}

// answerWithin is in what time a tenant promises to answer.
func (t *tenantSettings) answerWithin(id eventstore.TenantID) time.Duration {
	if s, ok := t.asked.Load(id); ok {
		return s.(requestSettings).promise
	}
	return rights.AnswerWithin
}

// fourEyes says whether a tenant's erasures need a second person. One whose settings were not read yet is taken to want that.
func (t *tenantSettings) fourEyes(id eventstore.TenantID) bool {
	s, ok := t.asked.Load(id)
	return !ok || s.(requestSettings).fourEyes
}

// owner is whom an access token belongs to.
func (s *Server) owner(ctx context.Context, tenant eventstore.TenantID, id eventstore.TokenID) (string, error) {
	all, err := s.tokens.List(ctx, tenant)
	if err != nil {
		return "", err
	}
	for _, t := range all {
		if t.ID == id {
			return t.Owner, nil
		}
	}
	return "", eventstore.ErrNotFound
}

// countPatience bounds how long counting requests may take.
const countPatience = 2 * time.Second

// requestNotes says, in numbers alone, which tenants' requests are overdue.
func (s *Server) requestNotes(ctx context.Context) (out []api.Reason) {
	ctx, cancel := context.WithTimeout(ctx, countPatience)
	defer cancel()
	tenants, err := s.List(ctx)
	if err != nil {
		return nil
	}
	for _, id := range tenants {
		n, err := s.rights.CountRequests(ctx, id)
		if err == nil && n.Overdue > 0 {
			out = append(out, api.Reason{Part: "requests", Why: fmt.Sprintf("tenant %s: requests of persons are overdue: %d of %d; look at oubli request list", id, n.Overdue, n.Open)})
		}
	}
	return out
}

// requests shows how many requests every tenant has, when it is asked.
type requests struct{ s *Server }

var requestCount = prometheus.NewDesc("oubli_requests", "Requests of persons that are open, overdue, or wait for the end of a legal hold.", []string{"tenant", "state"}, nil)

// Describe implements [prometheus.Collector].
func (requests) Describe(out chan<- *prometheus.Desc) { out <- requestCount }

// Collect implements [prometheus.Collector].
func (r requests) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), countPatience)
	defer cancel()
	tenants, err := r.s.List(ctx)
	if err != nil {
		return
	}
	for _, id := range tenants {
		n, err := r.s.rights.CountRequests(ctx, id)
		if err != nil {
			continue
		}
		for state, count := range map[string]int{"open": n.Open, "overdue": n.Overdue, "held": n.Held} {
			out <- prometheus.MustNewConstMetric(requestCount, prometheus.GaugeValue, float64(count), string(id), state)
		}
	}
}
