package streams

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/oubli-store/oubli/eventstore"
)

// Opener is asked of stored messages: it accepts those that the vault sealed, and gives the idempotency row that each was sent under. What the vault
// can no longer open because its person is erased or its month is over it accepts without a row. It is called from several goroutines at once.
type Opener func(ctx context.Context, tenant eventstore.TenantID, m eventstore.Stored) (eventstore.Row, error)

// openAll opens messages in parallel: the row of each, or why it does not open, with its name.
func openAll(ctx context.Context, sp spec, all []message, opens Opener) ([]row, []error) {
	rows, errs := make([]row, len(all)), make([]error, len(all))
	if sp.isRecords() {
		return rows, errs
	}
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for k := range workers {
		wg.Go(func() {
			for i := k; i < len(all); i += workers {
				rows[i], errs[i] = openOne(ctx, sp, all[i], opens)
			}
		})
	}
	wg.Wait()
	return rows, errs
}

func openOne(ctx context.Context, sp spec, m message, opens Opener) (row, error) {
	st, err := sp.stored(m)
	if err != nil || sp.kind == attachments { // the key of a chunk is in its event
		return row{}, err
	}
	r, err := opens(ctx, sp.tenant, st)
	if errors.Is(err, eventstore.ErrDamaged) {
		return row{}, damaged("the message %d of the stream %s does not open under this vault", m.sequence, sp.stream())
	}
	if err != nil {
		return row{}, fmt.Errorf("opening the message %d of the stream %s: %w", m.sequence, sp.stream(), err)
	}
	return r, nil
}
