package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oubli-store/oubli/projections"
)

// lagPatience is how long a scrape waits for a stream to say where it is.
const lagPatience = time.Second

// following shows how far every tenant's projections are, when it is asked.
type following struct{ figures *projections.Projections }

var (
	lagEvents = prometheus.NewDesc("oubli_projections_lag_events",
		"Sequences of the tenant's stream that are committed and not counted in its statistics yet.", []string{"tenant"}, nil)
	lagPosition = prometheus.NewDesc("oubli_projections_position",
		"The sequence of the tenant's stream up to which everything is counted in its statistics.", []string{"tenant"}, nil)
)

func (f following) Describe(out chan<- *prometheus.Desc) {
	out <- lagEvents
	out <- lagPosition
}

func (f following) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), lagPatience)
	defer cancel()
	for _, t := range f.figures.Following(ctx) {
		out <- prometheus.MustNewConstMetric(lagEvents, prometheus.GaugeValue, float64(t.Lag), string(t.Tenant))
		out <- prometheus.MustNewConstMetric(lagPosition, prometheus.GaugeValue, float64(t.Position), string(t.Tenant))
	}
}
