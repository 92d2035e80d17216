package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oubli-store/oubli/eventstore"
)

// metrics are the API's own. Their labels are route patterns, methods, statuses, kinds and tenants: nothing that was sent.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	events   *prometheus.CounterVec
	consent  *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oubli_http_requests_total", Help: "Requests by route, method and status."},
			[]string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "oubli_http_request_seconds", Help: "Duration of requests by route.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 12)}, []string{"route"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oubli_events_total", Help: "Events by result: stored, duplicate, or the kind of refusal."},
			[]string{"result"}),
		consent: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oubli_consent_refused_total", Help: "Events that were not stored because consent was missing or withdrawn, by tenant."},
			[]string{"tenant"}),
	}
	r.MustRegister(m.requests, m.seconds, m.events, m.consent)
	return m
}

func (m *metrics) request(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// event counts one append.
func (m *metrics) event(tenant eventstore.TenantID, r eventstore.Receipt, err error) {
	result := "stored"
	switch {
	case err != nil:
		kind := asProblem(err).Kind()
		if kind == eventstore.KindConsent {
			m.consent.WithLabelValues(string(tenant)).Inc()
		}
		result = string(kind)
	case r.Duplicate:
		result = "duplicate"
	}
	m.events.WithLabelValues(result).Inc()
}
