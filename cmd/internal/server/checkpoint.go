package server

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oubli-store/oubli/cmd/internal/api"
	"github.com/oubli-store/oubli/cmd/internal/checkpoint"
	"github.com/oubli-store/oubli/eventstore"
)

// openCheckpoint reads the checkpoint that is kept outside, if one is, before any tenant is opened.
func (s *Server) openCheckpoint(ctx context.Context) error {
	if s.c.Checkpoint == "" {
		return nil
	}
	var err error
	s.keeper, err = checkpoint.Open(ctx, checkpoint.Config{Source: s.c.Checkpoint, Keys: s.vault, Meta: s.vault, Ledger: s.ledger, Records: s.streams, Signer: s.signer, Log: s.c.Log})
	return err
}

// compareCheckpoint makes sure that a tenant has a key for its checkpoints and holds its ledger to the one outside.
func (s *Server) compareCheckpoint(ctx context.Context, tenant eventstore.TenantID) error {
	if _, err := s.signer.Public(ctx, tenant); err != nil || s.keeper == nil {
		return err
	}
	return s.keeper.Compare(ctx, tenant)
}

// keepCheckpoint brings the checkpoint outside up to date and lets it follow from here.
func (s *Server) keepCheckpoint(ctx context.Context) error {
	if s.keeper == nil {
		return nil
	}
	if err := s.keeper.Update(ctx); err != nil {
		return err
	}
	s.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "oubli_checkpoint_behind_entries", Help: "Ledger entries that the checkpoint outside does not cover yet."},
			func() float64 { return float64(s.keeper.Status().Behind) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "oubli_checkpoint_failures_total", Help: "Updates of the checkpoint outside that failed."},
			func() float64 { return float64(s.keeper.Status().Failures) }))
	s.running.Go(func() { _ = s.keeper.Run(s.work) })
	return nil
}

// checkpointNote says when the checkpoint outside lags.
func (s *Server) checkpointNote() (out []api.Reason) {
	if s.keeper == nil {
		return nil
	}
	if st := s.keeper.Status(); st.Why != "" {
		why := fmt.Sprintf("the checkpoint outside is not up to date (%d entries behind) and is tried again: %s", st.Behind, st.Why)
		out = append(out, api.Reason{Part: "checkpoint", Why: why})
	}
	return out
}
