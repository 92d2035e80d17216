// Package ledger keeps the tenant's append-only, tamper-evident record of privileged acts.
package ledger

import (
	"context"
	"errors"
	"iter"

	"github.com/oubli-store/oubli/eventstore"
)

// Ledger implements [eventstore.Ledger] over [eventstore.Records].
type Ledger struct{ records eventstore.Records }

// New makes a ledger over record streams that are open.
func New(records eventstore.Records) *Ledger { return &Ledger{records: records} }

// Open reads a tenant's ledger and builds its Merkle tree. It must be called once for each tenant before anything else.
func (l *Ledger) Open(ctx context.Context, tenant eventstore.TenantID) error { return errTODO }

// Record implements [eventstore.Ledger].
func (l *Ledger) Record(ctx context.Context, tenant eventstore.TenantID, e eventstore.Entry) (uint64, error) {
	return 0, errTODO
}

// Numbered is one entry with its number, from 1.
type Numbered struct {
	Number uint64
	eventstore.Entry
}

// Entries yields the entries with a number of at least from, in order.
func (l *Ledger) Entries(ctx context.Context, tenant eventstore.TenantID, from uint64) iter.Seq2[Numbered, error] {
	return func(yield func(Numbered, error) bool) { yield(Numbered{}, errTODO) }
}

// Head is the size of the tenant's tree and its root hash (RFC 6962).
func (l *Ledger) Head(tenant eventstore.TenantID) (size uint64, root [32]byte, err error) {
	return 0, root, errTODO
}

var errTODO = errors.New("not written yet")
