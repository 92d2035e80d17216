package checkpoint

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/oubli-store/oubli/eventstore"
)

// The row in which the vault knows how often the place was updated; a row of the tenant default, which is there always.
const tableOutside eventstore.MetaTable = "outside"

const rowUpdates = "updates"

// known is the number of updates that a vault knows of.
func known(ctx context.Context, meta eventstore.Meta) (uint64, error) {
	value, err := meta.Get(ctx, eventstore.DefaultTenant, tableOutside, rowUpdates)
	if errors.Is(err, eventstore.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("%w: the row about the checkpoint outside cannot be read", eventstore.ErrDamaged)
	}
	return binary.BigEndian.Uint64(value), nil
}

func setKnown(ctx context.Context, meta eventstore.Meta, n uint64) error {
	return meta.Put(ctx, eventstore.DefaultTenant, tableOutside, rowUpdates, binary.BigEndian.AppendUint64(nil, n))
}

// Adopt lets a restored vault be served beside what is kept outside, which is newer than the backup. It is for a restore, once everything that the outside ledger
// says has been applied again: the vault is no older copy any more.
func (o *Outside) Adopt(ctx context.Context, meta eventstore.Meta) error {
	n, err := known(ctx, meta)
	if err != nil || n >= o.Updates {
		return err
	}
	return setKnown(ctx, meta, o.Updates)
}
