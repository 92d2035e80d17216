// Package offline opens the data directory of a server that does not run, for commands that must not meet one: the directory's lock, the vault, and
// the ledger of the default tenant, in which such a command records what it does before it does it.
//
//	rooms, err := offline.Open(ctx, server.Config{Server: settings})
//	if err != nil { … }              // ErrInUse: stop the server first
//	defer rooms.Close(ctx)
//	n, err := rooms.Record(ctx, eventstore.ActKEKRotated)
//
// NATS runs inside the process and opens no port, or is the cluster of the settings. A ledger that is damaged, or behind what was acknowledged, is
// refused as a server refuses it.
package offline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

// stopWithin bounds the closing of what a failed Open had opened.
const stopWithin = 30 * time.Second

// Rooms are the rooms of a stopped server.
type Rooms struct {
	*server.Offline
	Ledger *ledger.Ledger
}

// Open opens them. Errors: those of [server.OpenOffline], and of the ledger.
func Open(ctx context.Context, c server.Config) (*Rooms, error) {
	o, err := server.OpenOffline(ctx, c)
	if err != nil {
		return nil, err
	}
	r := &Rooms{o, ledger.New(o.Streams)}
	if err := r.openLedger(ctx); err != nil {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("opening the ledger of the tenant %s: %w", eventstore.DefaultTenant, err), o.Close(bounded))
	}
	return r, nil
}

func (r *Rooms) openLedger(ctx context.Context) error {
	if err := r.Streams.OpenRecords(ctx, eventstore.DefaultTenant, eventstore.RecordsLedger, r.Vault.Vault(), false); err != nil {
		return err
	}
	return r.Ledger.Open(ctx, eventstore.DefaultTenant)
}

// Record writes an act of the operator, who has no access token here, into the ledger of the default tenant and returns the entry's number.
func (r *Rooms) Record(ctx context.Context, act eventstore.Act) (uint64, error) {
	n, err := r.Ledger.Record(ctx, eventstore.DefaultTenant, eventstore.Entry{Act: act, Token: eventstore.TokenSystem})
	if err != nil {
		return 0, fmt.Errorf("recording it in the ledger: %w", err)
	}
	return n, nil
}
