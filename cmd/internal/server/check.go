package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
	"github.com/oubli-store/oubli/eventstore/rights"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/streams"
)

// Checked is what [CheckVault] found in one tenant.
type Checked struct {
	Tenant  eventstore.TenantID `json:"tenant"`
	Persons int                 `json:"persons"`
	Handles int                 `json:"handles"`
	Fenced  int                 `json:"fenced"`
	Erased  int                 `json:"erased"`
	Owed    int                 `json:"owed"`
	// LedgerEntries and Compared count the ledger's entries and the erased records in them that were looked for; not with an external NATS.
	LedgerEntries uint64 `json:"ledger_entries"`
	Compared      int    `json:"erased_records_compared"`
	// Damage says what is wrong; it names persons by their ids and no handle.
	Damage []string `json:"damage"`
}

// CheckVault opens every record of the vault of a stopped server and compares it with the ledger: no record that the ledger says was erased may
// be there, but for those whose erasure the next start completes. It changes nothing below the data directory but lock files: what opening puts in
// order is put in order in memory, and the ledger is read from a copy in a temporary directory. next is told of each tenant before it is
// looked at, and how many there are. With an external NATS the ledger is not compared. An error is one of what cannot be looked at at
// all, ErrInUse, ErrDamaged, ErrNewerVersion among them.
func CheckVault(ctx context.Context, c Config, next func(id eventstore.TenantID, of int)) ([]Checked, error) {
	s, err := openStopped(ctx, c)
	if err != nil {
		return nil, err
	}
	defer s.close()
	all, err := s.vault.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	end, err := s.openLedgers(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var out []Checked
	for _, id := range all {
		next(id, len(all))
		checked, err := s.check(ctx, id)
		if err != nil {
			return out, fmt.Errorf("tenant %s: %w", id, err)
		}
		out = append(out, checked)
	}
	return out, nil
}

// openLedgers makes the ledgers readable: with a server of its own over a copy of their streams.
func (s *stopped) openLedgers(ctx context.Context) (end func(), err error) {
	if s.c.NATS != "" {
		return func() {}, nil
	}
	c, stop, err := s.copies(ctx, "LEDGER_*")
	if err != nil {
		return nil, err
	}
	if s.streams, err = streams.Open(ctx, c); err != nil {
		stop()
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return func() {
		_ = s.streams.Close() // it writes to memory
		stop()
	}, nil
}

func (s *stopped) check(ctx context.Context, id eventstore.TenantID) (Checked, error) {
	report, err := s.vault.Check(ctx, id)
	if err != nil {
		return Checked{}, err
	}
	out := Checked{Tenant: id, Persons: report.Persons, Handles: report.Handles, Fenced: report.Fenced, Erased: report.Erased, Owed: report.Owed,
		Damage: append([]string{}, report.Damage...)}
	if s.streams == nil {
		return out, nil
	}
	if err := s.compare(ctx, report, &out); errors.Is(err, eventstore.ErrDamaged) || errors.Is(err, eventstore.ErrNotFound) {
		out.Damage = append(out.Damage, "ledger: "+err.Error())
	} else if err != nil {
		return out, err
	}
	return out, nil
}

// compare looks for the records that the ledger says were erased.
func (s *stopped) compare(ctx context.Context, report keyvault.Report, out *Checked) error {
	if err := s.streams.OpenRecords(ctx, out.Tenant, eventstore.RecordsLedger, s.vault.Vault(), false); err != nil {
		return err
	}
	book := ledger.New(s.streams)
	if err := book.Open(ctx, out.Tenant); err != nil {
		return err
	}
	erased := map[eventstore.LedgerReference]uint64{}
	for entry, err := range book.Entries(ctx, out.Tenant, 1) {
		if err != nil {
			return err
		}
		out.LedgerEntries++
		for _, ref := range entry.References {
			switch entry.Act {
			case eventstore.ActErased:
				erased[ref] = entry.Number
			case rights.ActErasureRefused:
				delete(erased, ref)
			}
		}
	}
	out.Compared = len(erased)
	unfinished, err := s.unfinished(ctx, out.Tenant)
	if err != nil {
		return err
	}
	for ref, number := range erased {
		if id, there := report.Holder(ref); there && !unfinished[id] {
			out.Damage = append(out.Damage, fmt.Sprintf("ledger: entry %d erased the record of %s, and the vault still holds it", number, id))
		}
	}
	slices.Sort(out.Damage)
	return nil
}

// unfinished are the persons whose erasure was interrupted and is completed at the next start.
func (s *stopped) unfinished(ctx context.Context, id eventstore.TenantID) (map[eventstore.PersonID]bool, error) {
	all, err := rights.New(rights.Config{Keys: s.vault, Meta: s.vault, Log: s.streams, Now: time.Now}).Erasures(ctx, id)
	if err != nil {
		return nil, err
	}
	out := map[eventstore.PersonID]bool{}
	for _, e := range all {
		if _, done := e.Stages[rights.Shredded]; !done {
			for _, p := range e.Persons {
				out[p] = true
			}
		}
	}
	return out, nil
}
