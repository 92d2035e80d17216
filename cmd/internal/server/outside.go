package server

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/oubli-store/oubli/cmd/internal/checkpoint"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

// Outside are the ledgers beside a checkpoint that was kept outside, or those of a data directory that survived and goes on from there.
type Outside struct {
	*checkpoint.Outside
	survived *Surviving
}

var _ Ledgers = (*Outside)(nil)

// OpenOutside reads and verifies what is kept at source, a path or a URL, which must be of the vault. With a data directory that survived, its ledgers are the
// newest; they must reach at least to the checkpoint (ErrOldLedger) and begin with what it covers (ErrOtherLedger).
func OpenOutside(ctx context.Context, source string, vault eventstore.VaultID, survived *Surviving) (*Outside, error) {
	o, err := checkpoint.Load(ctx, source)
	if err != nil {
		return nil, err
	}
	if o.Vault != vault.String() {
		return nil, fmt.Errorf("the checkpoint is of another instance: %w", ErrOtherLedger)
	}
	out := &Outside{o, survived}
	if survived == nil {
		return out, nil
	}
	for _, id := range out.live() {
		n := uint64(0)
		head := o.Tenants[id].Checkpoint.Head
		if _, err := ledger.Verify(counting(survived.Records(ctx, id), &n), head); err != nil {
			if n < head.Size {
				return nil, fmt.Errorf("tenant %s: the ledger that survived has %d entries and the checkpoint %d: %w", id, n, head.Size, ErrOldLedger)
			}
			return nil, fmt.Errorf("tenant %s: %w: %w", id, ErrOtherLedger, err)
		}
	}
	return out, nil
}

func counting(all iter.Seq2[eventstore.Record, error], n *uint64) iter.Seq2[eventstore.Record, error] {
	return func(yield func(eventstore.Record, error) bool) {
		for r, err := range all {
			if err == nil {
				*n++
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// live are the tenants that the checkpoint does not call erased.
func (o *Outside) live() []eventstore.TenantID {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(o.Outside.Tenants)), func(id eventstore.TenantID) bool { return o.Outside.Tenants[id].Erased })
}

// Tenants implements [Ledgers].
func (o *Outside) Tenants() []eventstore.TenantID {
	if o.survived != nil {
		return o.survived.Tenants()
	}
	return o.live()
}

// Records implements [Ledgers].
func (o *Outside) Records(ctx context.Context, id eventstore.TenantID) iter.Seq2[eventstore.Record, error] {
	if o.survived != nil {
		return o.survived.Records(ctx, id)
	}
	return o.Outside.Records(ctx, id)
}

// Erased implements [Ledgers].
func (o *Outside) Erased(id eventstore.TenantID) bool { return o.Outside.Tenants[id].Erased }
