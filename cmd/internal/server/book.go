package server

import (
	"context"
	"iter"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

// book is the ledger as projections need it.
type book struct{ *ledger.Ledger }

// Entries yields a tenant's entries.
func (b book) Entries(ctx context.Context, tenant eventstore.TenantID) iter.Seq2[eventstore.Entry, error] {
	return func(yield func(eventstore.Entry, error) bool) {
		for e, err := range b.Ledger.Entries(ctx, tenant, 1) {
			if !yield(e.Entry, err) || err != nil {
				return
			}
		}
	}
}

// closeWithin is how long retention waits for periods to close before it tries again.
const closeWithin = 10 * time.Minute

// closePeriods closes the periods that begin before a month, before retention takes it.
func (s *Server) closePeriods(ctx context.Context, id eventstore.TenantID, before eventstore.KeyMonth) error {
	ctx, cancel := context.WithTimeout(ctx, closeWithin)
	defer cancel()
	return s.figures.CloseMonths(ctx, id, before)
}
