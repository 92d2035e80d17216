package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/backup"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
	"github.com/oubli-store/oubli/eventstore/rights"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/keyvault/kms"
	"github.com/oubli-store/oubli/streams"
)

// RestoreOrder says what is restored, and what is known of the time since.
type RestoreOrder struct {
	// Backup is the file; Identities open it.
	Backup     io.Reader
	Identities backup.Identities
	// Newest opens the newest ledgers that there are of the vault that the backup is of (nil: there are none but those in the backup), and says how they are
	// closed.
	Newest func(context.Context, eventstore.VaultID) (l Ledgers, end func(), err error)
	// AcceptLost goes on although what happened after the backup is not known, or not all of it.
	AcceptLost bool
	// Progress is told of each part how far it is (nil: nobody).
	Progress func(part string, done uint64)
}

// Ledgers are ledgers that were kept outside of a backup.
type Ledgers interface {
	// Tenants lists whose.
	Tenants() []eventstore.TenantID
	// Records yields a tenant's records, from number 1.
	Records(ctx context.Context, tenant eventstore.TenantID) iter.Seq2[eventstore.Record, error]
	// Erased says that a tenant is known to be erased.
	Erased(tenant eventstore.TenantID) bool
	// Adopt lets the restored vault be served beside them, once everything that they say is applied again.
	Adopt(ctx context.Context, meta eventstore.Meta) error
}

// Restored is what a restore did.
type Restored struct {
	Made    time.Time        `json:"backup_made"`
	Expires time.Time        `json:"backup_expires"`
	Vault   string           `json:"vault"`
	Tenants []RestoredTenant `json:"tenants"`
	// LostTenants are those whose ledger is newer than the backup: nothing of them can be restored.
	LostTenants []eventstore.TenantID `json:"lost_tenants,omitempty"`
	// ErasedTenants were erased after the backup, and again now.
	ErasedTenants []eventstore.TenantID `json:"erased_tenants,omitempty"`
	// AdminToken is the file of a new access token of the instance.
	AdminToken string `json:"admin_token_file"`
	// Accepted says that the newest ledger was not known.
	Accepted bool `json:"accepted_lost_ledger"`
}

// RestoredTenant is a tenant of [Restored].
type RestoredTenant struct {
	Tenant  eventstore.TenantID `json:"tenant"`
	Persons uint64              `json:"persons"`
	Events  uint64              `json:"events"`
	Entries uint64              `json:"ledger_entries"`
	// Since counts the entries of the ledger that are newer than the backup.
	Since   uint64               `json:"ledger_entries_since"`
	Again   rights.ReapplyReport `json:"applied_again"`
	Revoked int                  `json:"access_tokens_revoked"`
}

// Refusals of a restore.
var (
	// ErrNoLedger: nothing newer than the backup is known.
	ErrNoLedger = errors.New("no newer ledger is known: who was erased, restricted or withdrew consent after the backup would be back as before. " +
		"Name the checkpoint that was kept outside (--checkpoint) or a data directory that survived (--ledger-from); " +
		"only if both are lost, go on with --accept-lost-ledger")
	// ErrOldLedger: the ledger that was named ends before the backup's own.
	ErrOldLedger = errors.New("the ledger that was named is older than the backup's own: it is not the newest; name the newest one, or go on with --accept-lost-ledger")
	// ErrOtherLedger: it does not continue the backup's.
	ErrOtherLedger = fmt.Errorf("the ledger that was named does not continue the backup's: one of them was changed, or they are of different instances: %w", eventstore.ErrDamaged)
)

// Restore makes a data directory of a backup, and holds it to everything that the newest ledger says happened since, before anything can be served. Until it
// has returned without an error no server starts on the directory ([ErrUnfinished]); what a restore that failed has made is deleted. Errors: backup.ErrExpired,
// backup.ErrIdentity, backup.ErrDamaged; ErrNoLedger, ErrOldLedger, ErrOtherLedger; ErrConflict for a directory that is not empty.
func Restore(ctx context.Context, c Config, o RestoreOrder) (out Restored, err error) {
	c = c.withDefaults()
	c.NATSListen = ""
	if o.Progress == nil {
		o.Progress = func(string, uint64) {}
	}
	file, err := backup.NewReader(o.Backup, o.Identities)
	if err != nil {
		return out, err
	}
	h := file.Header
	if now := c.Now(); now.After(h.Expires) {
		return out, fmt.Errorf("%w on %s; what it held is to be forgotten", backup.ErrExpired, h.Expires.Format(time.DateOnly))
	}
	if o.Newest == nil && !o.AcceptLost {
		return out, ErrNoLedger
	}
	var newest Ledgers
	if o.Newest != nil {
		l, end, err := o.Newest(ctx, h.Vault)
		if err != nil {
			return out, fmt.Errorf("the newest ledger: %w", err)
		}
		defer end()
		newest = l
	}
	dir, err := beginRestoring(c)
	if err != nil {
		return out, err
	}
	s := &Server{c: c, data: dir.dataDir, work: ctx, ended: make(chan struct{}), tenants: map[eventstore.TenantID]*tenant{}}
	r := &restore{Server: s, order: o, newer: newest, file: file, out: Restored{Made: h.Moment, Expires: h.Expires, Vault: h.Vault.String(), Accepted: o.AcceptLost}}
	err = r.run(ctx)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	err = errors.Join(err, s.Stop(bounded))
	if err == nil {
		err = dir.complete()
	}
	if err != nil {
		return out, errors.Join(explain(err), dir.abandon())
	}
	return r.out, nil
}

// restore is one run of [Restore].
type restore struct {
	*Server
	order RestoreOrder
	newer Ledgers // nil: none
	file  *backup.Reader
	out   Restored
	// tenants are those of the backup that are not erased, by name.
	byName map[eventstore.TenantID]*RestoredTenant
}

// live lists the backup's tenants that are not erased.
func (r *restore) live() (out []eventstore.TenantID) {
	for _, t := range r.file.Header.Tenants {
		if !t.Erased {
			out = append(out, t.Name)
		}
	}
	return out
}

func (r *restore) run(ctx context.Context) error {
	r.byName = map[eventstore.TenantID]*RestoredTenant{}
	r.out.Tenants = make([]RestoredTenant, len(r.live()))
	for i, id := range r.live() {
		r.out.Tenants[i].Tenant = id
		r.byName[id] = &r.out.Tenants[i]
	}
	for _, step := range []func(context.Context) error{r.openNATS, r.sections, r.reopenVault, r.rebuild, r.openRooms, r.gate} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sections takes the file in, part by part.
func (r *restore) sections(ctx context.Context) error {
	for {
		section, err := r.file.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch section.Kind {
		case backup.Events:
			err = r.events(ctx, section)
		case backup.Chunks:
			err = r.chunks(ctx, section)
		case backup.Releases:
			err = r.records(ctx, section.Tenant, eventstore.RecordsStats, r.items(ctx, "releases"))
		case backup.Vault:
			err = r.restoreVault(ctx, section)
		case backup.Ledger:
			err = r.mergedLedger(ctx, section)
		}
		if err != nil {
			return fmt.Errorf("restoring %s: %w", section, err)
		}
	}
}

// events puts a tenant's events into the stream.
func (r *restore) events(ctx context.Context, section backup.Section) error {
	var n uint64
	_, err := streams.Import(ctx, r.log, section.Tenant, r.file.Header.Vault, section.Last, r.messages(section, "events", &n))
	r.byName[section.Tenant].Events = n
	return err
}

// chunks puts the bytes of a tenant's attachments into their stream.
func (r *restore) chunks(ctx context.Context, section backup.Section) error {
	var n uint64
	_, err := streams.ImportChunks(ctx, r.log, section.Tenant, r.file.Header.Vault, section.Last, r.messages(section, "attachments", &n))
	return err
}

// messages are those of the section that is open.
func (r *restore) messages(section backup.Section, what string, count *uint64) iter.Seq2[eventstore.Stored, error] {
	return func(yield func(eventstore.Stored, error) bool) {
		for i, err := range r.file.Items() {
			var m eventstore.Stored
			if err == nil {
				m, err = storedOf(i, section.Last)
			}
			if *count++; *count%1024 == 0 {
				r.order.Progress(what, *count)
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

func storedOf(i backup.Item, last uint64) (m eventstore.Stored, err error) {
	m.Sequence = i.Number
	if m.Envelope, err = envelope.Parse(i.Value); err != nil || i.Number > last || len(i.Key) != 0 && len(i.Key) != len(m.Person) {
		return m, fmt.Errorf("%w: the message %d cannot be read", backup.ErrDamaged, i.Number)
	}
	copy(m.Person[:], i.Key)
	return m, nil
}

// items are the records of the section that is open.
func (r *restore) items(_ context.Context, what string) iter.Seq2[eventstore.Record, error] {
	return func(yield func(eventstore.Record, error) bool) {
		for i, err := range r.file.Items() {
			if i.Number%1024 == 0 {
				r.order.Progress(what, i.Number)
			}
			if !yield(eventstore.Record{Number: i.Number, Data: i.Value}, err) || err != nil {
				return
			}
		}
	}
}

func (r *restore) records(ctx context.Context, tenant eventstore.TenantID, stream eventstore.RecordStream, all iter.Seq2[eventstore.Record, error]) error {
	_, err := streams.ImportRecords(ctx, r.log, tenant, stream, r.file.Header.Vault, all)
	return err
}

// restoreVault makes the vault anew, under new keys.
func (r *restore) restoreVault(ctx context.Context, section backup.Section) error {
	im := keyvault.Image{Vault: r.file.Header.Vault, Moment: r.file.Header.Moment}
	for _, t := range r.file.Header.Tenants {
		im.Tenants = append(im.Tenants, keyvault.ImagedTenant{Name: t.Name, Number: t.Number, Erased: t.Erased, Root: section.Roots[t.Number]})
	}
	defer func() {
		for _, t := range im.Tenants {
			t.Root.Wipe()
		}
	}()
	im.Rows = func(yield func(keyvault.Row, error) bool) {
		for i, err := range r.file.Items() {
			if !yield(keyvault.Row{Key: i.Key, Value: i.Value}, err) || err != nil {
				return
			}
		}
	}
	return keyvault.Restore(ctx, r.vaultConfig(), im, func(persons uint64) {
		if persons%256 == 0 {
			r.order.Progress("persons", persons)
		}
	})
}

func (s *Server) vaultConfig() keyvault.Config {
	dirs := s.c.RootDirs()
	return keyvault.Config{Dir: s.data.in("vault"), Roots: dirs[0], RootCopies: dirs[1:], RootsLost: s.c.RootsLost, KEK: s.c.KEK, KEKFile: s.data.in("kek"),
		KMS: kms.Clients(), Now: s.c.Now, Create: s.data.fresh}
}

// reopenVault opens what was made.
func (r *restore) reopenVault(ctx context.Context) error {
	if err := r.openVault(ctx); err != nil {
		return err
	}
	for _, id := range r.live() {
		n, err := r.vault.Count(ctx, id)
		if err != nil {
			return err
		}
		r.byName[id].Persons = n
	}
	return nil
}

// rebuild makes log/ and opens it.
func (r *restore) rebuild(ctx context.Context) error {
	_, err := streams.Rebuild(ctx, r.log, r.vault.Vault(), r.live(), opener(r.vault), func(done, _ uint64) { r.order.Progress("log", done) })
	if err != nil {
		return fmt.Errorf("making log/ of the restored streams: %w", err)
	}
	if r.streams, err = streams.Open(ctx, r.log); err != nil {
		return err
	}
	r.atStop("log", func(ctx context.Context) error { return within(ctx, r.streams.Close) })
	return nil
}
