package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/shadow"
	"github.com/oubli-store/oubli/streams"
)

// Surviving are the ledgers of a data directory whose vault is lost, or is not to be used any more. They are read from a copy; nothing of the directory
// is changed but lock files.
type Surviving struct {
	streams *streams.Streams
	tenants []eventstore.TenantID
	end     func()
}

var _ Ledgers = (*Surviving)(nil)

// OpenSurviving opens the ledgers of the data directory dir, which must have its nats/ and log/. vault is whose they must be. ErrDamaged, ErrInUse, ErrNotFound. The
// caller closes them.
func OpenSurviving(ctx context.Context, c Config, dir string, vault eventstore.VaultID) (_ *Surviving, err error) {
	c = c.withDefaults()
	c.Data = dir
	data, err := findData(dir)
	if err != nil {
		return nil, err
	}
	s := &stopped{c: c, data: data, files: shadow.New()}
	log, end, err := s.copies(ctx, "LEDGER_*")
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	out := &Surviving{end: func() { end(); data.Close() }}
	defer func() {
		if err != nil {
			out.Close()
		}
	}()
	if out.streams, err = streams.Open(ctx, log); err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", dir, err)
	}
	names, err := filepath.Glob(filepath.Join(data.in("nats"), "jetstream", "*", "streams", "LEDGER_*"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		id, err := eventstore.ParseTenantID(strings.TrimPrefix(filepath.Base(name), "LEDGER_"))
		if err != nil {
			continue // not one of ours
		}
		if err := out.streams.OpenRecords(ctx, id, eventstore.RecordsLedger, vault, false); err != nil {
			return nil, fmt.Errorf("the ledger of tenant %s in %s: %w", id, dir, err)
		}
		out.tenants = append(out.tenants, id)
	}
	slices.Sort(out.tenants)
	return out, nil
}

// Tenants implements [Ledgers].
func (s *Surviving) Tenants() []eventstore.TenantID { return s.tenants }

// Records implements [Ledgers].
func (s *Surviving) Records(ctx context.Context, id eventstore.TenantID) iter.Seq2[eventstore.Record, error] {
	return s.streams.ReadRecords(ctx, id, eventstore.RecordsLedger, 1)
}

// Erased implements [Ledgers]: such a directory has nothing of an erased tenant.
func (s *Surviving) Erased(eventstore.TenantID) bool { return false }

// Adopt implements [Ledgers].
func (s *Surviving) Adopt(context.Context, eventstore.Meta) error { return nil }

// Close ends it.
func (s *Surviving) Close() {
	if s.streams != nil {
		_ = s.streams.Close() // it writes to memory
	}
	s.end()
}
