package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
	"github.com/oubli-store/oubli/eventstore/rights"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/keyvault/kms"
	"github.com/oubli-store/oubli/keyvault/shadow"
	"github.com/oubli-store/oubli/streams"
	"github.com/oubli-store/oubli/streams/natsembed"
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
	c = c.withDefaults()
	data, err := findData(c.Data)
	if err != nil {
		return nil, err
	}
	defer data.Close()
	dirs := c.RootDirs()
	for i := range dirs {
		if dirs[i], err = filepath.Abs(dirs[i]); err != nil {
			return nil, err
		}
	}
	s := &stopped{c: c, data: data, files: shadow.New()}
	s.vault, err = keyvault.Open(ctx, keyvault.Config{Dir: data.in("vault"), Roots: dirs[0], RootCopies: dirs[1:], KEK: c.KEK, KEKFile: data.in("kek"), KMS: kms.Clients(),
		Now: c.Now, FS: s.files})
	if err != nil {
		return nil, explain(fmt.Errorf("opening the vault: %w", err))
	}
	defer s.vault.Close()
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

// findData locks a data directory that is there.
func findData(path string) (*dataDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(path, formatFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a data directory of oubli (the file %s is missing); name another --data: %w", path, formatFile, eventstore.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the data directory: %w", err)
	}
	d := &dataDir{path: path, lock: f}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %s; stop the server first", eventstore.ErrInUse, path)
	}
	err = d.check()
	if err == nil && d.fresh {
		err = fmt.Errorf("the first start on %s did not come to its end; start the server once", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return d, nil
}

// stopped is the files of a stopped server.
type stopped struct {
	c       Config
	data    *dataDir
	files   *shadow.FS
	vault   *keyvault.Vault
	streams *streams.Streams // nil with an external NATS
}

// openLedgers makes the ledgers readable: with a server of its own over a copy of their streams.
func (s *stopped) openLedgers(ctx context.Context) (end func(), err error) {
	if s.c.NATS != "" {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "oubli-check-")
	if err != nil {
		return nil, err
	}
	closers := []func(){func() { os.RemoveAll(dir) }}
	end = func() {
		for _, f := range slices.Backward(closers) {
			f()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	from, err := filepath.Glob(filepath.Join(s.data.in("nats"), "jetstream", "*", "streams", "LEDGER_*"))
	if err != nil {
		return nil, err
	}
	for _, stream := range from {
		to, err := filepath.Rel(s.data.in("nats"), stream)
		if err != nil {
			return nil, err
		}
		if err := os.CopyFS(filepath.Join(dir, to), os.DirFS(stream)); err != nil {
			return nil, fmt.Errorf("copying a ledger to look at it: %w", err)
		}
	}
	server, err := natsembed.Start(ctx, natsembed.Config{Dir: dir, Logger: s.c.Log})
	if err != nil {
		return nil, err
	}
	closers = append(closers, func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		_ = server.Stop(bounded) // it works on a copy
	})
	conn, err := server.Connect()
	if err != nil {
		return nil, err
	}
	closers = append(closers, conn.Close)
	s.streams, err = streams.Open(ctx, streams.Config{Dir: s.data.in("log"), Conn: conn, Now: s.c.Now, Logger: s.c.Log, FS: s.files, Settle: natsembed.Settle})
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	closers = append(closers, func() { _ = s.streams.Close() }) // it writes to memory
	return end, nil
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
