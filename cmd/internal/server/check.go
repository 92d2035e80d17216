package server

import (
	"cmp"
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
	// More counts what was found beyond a thousand.
	More int `json:"more,omitempty"`
}

// Findings are what [CheckVault] found.
type Findings struct {
	// Files says what is not as the last stop left it; nothing after a crash, of which there is no list.
	Files   []string  `json:"files"`
	Tenants []Checked `json:"tenants"`
}

// Damages counts them.
func (f Findings) Damages() int {
	n := len(f.Files)
	for _, c := range f.Tenants {
		n += len(c.Damage) + c.More
	}
	return n
}

// CheckVault compares the files of a stopped server with the list that its stop left, opens every record of its vault, and compares it with the ledger: no
// record that the ledger says was erased may be there, but for those whose erasure the next start completes. It goes on after damage. It changes nothing below the data
// directory but lock files: what opening puts in order is put in order in memory, and the ledger is read from a copy in a temporary directory. progress is
// told of each tenant, how many of its persons were looked at, and how many there are. With an external NATS the ledger is not compared. An error is one of what
// cannot be looked at at all, ErrInUse, ErrDamaged, ErrNewerVersion among them.
func CheckVault(ctx context.Context, c Config, progress func(id eventstore.TenantID, done, of uint64)) (f Findings, err error) {
	s, err := openStopped(ctx, c, true)
	if err != nil {
		return f, err
	}
	defer s.close()
	if f.Files, err = s.data.differences(); err != nil {
		return f, err
	}
	all, err := s.vault.Tenants(ctx)
	if err != nil {
		return f, err
	}
	end, ledgers := s.openLedgers(ctx)
	if ledgers != nil && !errors.Is(ledgers, eventstore.ErrDamaged) {
		return f, ledgers
	}
	defer end()
	for id, err := range s.vault.Unopened() {
		f.Tenants = append(f.Tenants, Checked{Tenant: id, Damage: []string{"it does not open: " + err.Error()}})
	}
	for _, id := range all {
		checked, err := s.check(ctx, id, ledgers, func(done, of uint64) { progress(id, done, of) })
		if err != nil {
			return f, fmt.Errorf("tenant %s: %w", id, err)
		}
		f.Tenants = append(f.Tenants, checked)
	}
	slices.SortFunc(f.Tenants, func(a, b Checked) int { return cmp.Compare(a.Tenant, b.Tenant) })
	return f, nil
}

// openLedgers makes the ledgers readable: with a server of its own over a copy of their streams.
func (s *stopped) openLedgers(ctx context.Context) (end func(), err error) {
	nothing := func() {}
	if s.c.NATS != "" {
		return nothing, nil
	}
	c, stop, err := s.copies(ctx, "LEDGER_*")
	if err != nil {
		return nothing, err
	}
	if s.streams, err = streams.Open(ctx, c); err != nil {
		stop()
		s.streams = nil
		return nothing, fmt.Errorf("opening the log: %w", err)
	}
	return func() {
		_ = s.streams.Close() // it writes to memory
		stop()
	}, nil
}

// check looks at one tenant: at its ledger first, if that could be opened, for what the vault must not hold any more.
func (s *stopped) check(ctx context.Context, id eventstore.TenantID, ledgers error, progress func(done, of uint64)) (Checked, error) {
	out := Checked{Tenant: id, Damage: []string{}}
	erased := map[eventstore.LedgerReference]uint64{}
	err := ledgers
	if s.streams != nil {
		erased, err = s.erased(ctx, &out)
	}
	if errors.Is(err, eventstore.ErrDamaged) || errors.Is(err, eventstore.ErrNotFound) {
		out.Damage = append(out.Damage, "ledger: "+err.Error())
	} else if err != nil {
		return out, err
	}
	report, err := s.vault.CheckWith(ctx, id, keyvault.CheckOptions{Progress: progress,
		Wanted: func(ref eventstore.LedgerReference) bool { return erased[ref] > 0 }})
	if err != nil {
		return out, err
	}
	out.Persons, out.Handles, out.Fenced, out.Erased, out.Owed = report.Persons, report.Handles, report.Fenced, report.Erased, report.Owed
	out.Damage, out.More = append(out.Damage, report.Damage...), report.More
	if len(erased) == 0 {
		return out, nil
	}
	return out, s.compare(ctx, erased, report, &out)
}

// erased reads from the ledger which records were erased, with the number of the entry.
func (s *stopped) erased(ctx context.Context, out *Checked) (map[eventstore.LedgerReference]uint64, error) {
	if err := s.streams.OpenRecords(ctx, out.Tenant, eventstore.RecordsLedger, s.vault.Vault(), false); err != nil {
		return nil, err
	}
	book := ledger.New(s.streams)
	if err := book.Open(ctx, out.Tenant); err != nil {
		return nil, err
	}
	erased := map[eventstore.LedgerReference]uint64{}
	for entry, err := range book.Entries(ctx, out.Tenant, 1) {
		if err != nil {
			return erased, err
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
	return erased, nil
}

// compare says which records should be gone.
func (s *stopped) compare(ctx context.Context, erased map[eventstore.LedgerReference]uint64, report keyvault.Report, out *Checked) error {
	unfinished, err := s.unfinished(ctx, out.Tenant)
	if err != nil {
		return err
	}
	for ref, number := range erased {
		if id, there := report.Holder(ref); there && !unfinished[id] {
			out.Damage = append(out.Damage, fmt.Sprintf("ledger: entry %d erased the record of %s, and the vault still holds it", number, id))
		}
	}
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
