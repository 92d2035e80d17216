package backup

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// Source is what a backup is made of: the rooms of a running server.
type Source struct {
	Vault   *keyvault.Vault
	Log     eventstore.Log
	Chunks  eventstore.Chunks
	Records eventstore.Records
	Ledger  Book
	// Changing is held while no tenant may be made or erased.
	Changing sync.Locker
	// Now is the clock (nil: time.Now).
	Now func() time.Time
	// Program is the program's version.
	Program string
}

// Book is the part of the ledger that is needed.
type Book interface {
	eventstore.Ledger
	Head(tenant eventstore.TenantID) (size uint64, root [32]byte, err error)
}

// Order says what backup is asked for, and by whom.
type Order struct {
	Recipients Recipients
	// Keep is how long it may be used.
	Keep  time.Duration
	Token eventstore.TokenID
	Role  eventstore.Role
}

// Made is what a backup holds.
type Made struct {
	Moment, Expires time.Time
	Tenants         int
	Events, Rows    uint64
	Chunks          uint64
	Bytes           int64
}

// Bounds of [Order.Keep].
const (
	MinKeep = time.Hour
	MaxKeep = 3660 * 24 * time.Hour
)

var errKeep = eventstore.Refuse(eventstore.KindInvalid, "expires", "a backup can be kept from one hour to ten years")

// Make writes a backup of the whole instance to w, while everything goes on. The ledger of each tenant has its entry before. progress (nil: none) is told how
// many items are written. What was written before an error is no backup.
func (s Source) Make(ctx context.Context, o Order, w io.Writer, progress func(items uint64)) (Made, error) {
	if s.Now == nil {
		s.Now = time.Now
	}
	if progress == nil {
		progress = func(uint64) {}
	}
	if len(o.Recipients) == 0 {
		return Made{}, ErrNoRecipient
	}
	if o.Keep < MinKeep || o.Keep > MaxKeep {
		return Made{}, errKeep
	}
	h, snapshot, err := s.moment(ctx, o)
	if err != nil {
		return Made{}, err
	}
	defer snapshot.Close()
	counted := &counter{to: w}
	out, err := NewWriter(counted, o.Recipients, h)
	if err != nil {
		return Made{}, err
	}
	m := &making{Source: s, ctx: ctx, out: out, snapshot: snapshot, progress: progress,
		made: Made{Moment: h.Moment, Expires: h.Expires, Tenants: len(h.Tenants)}}
	for _, section := range h.sections(Version) {
		if err := m.section(section); err != nil {
			return Made{}, fmt.Errorf("making the backup: %s: %w", section, err)
		}
	}
	if err := out.Close(); err != nil {
		return Made{}, err
	}
	m.made.Bytes = counted.n
	return m.made, nil
}

// moment makes the entries of the ledger and then takes the vault, and where the streams stand at that time. The sizes of the ledgers are read just before:
// what is recorded from there on is looked at again by a restore.
func (s Source) moment(ctx context.Context, o Order) (Header, *keyvault.Snapshot, error) {
	if s.Changing != nil {
		s.Changing.Lock()
		defer s.Changing.Unlock()
	}
	live, err := s.Vault.Tenants(ctx)
	if err != nil {
		return Header{}, nil, err
	}
	entries := map[eventstore.TenantID]uint64{}
	for _, id := range live {
		entry := eventstore.Entry{Act: eventstore.ActBackupMade, Token: o.Token, Role: o.Role, Subject: o.Recipients.Sum(), Time: s.Now().UTC()}
		if _, err := s.Ledger.Record(ctx, id, entry); err != nil {
			return Header{}, nil, fmt.Errorf("recording the backup in the ledger of tenant %s: %w", id, err)
		}
		if entries[id], _, err = s.Ledger.Head(id); err != nil {
			return Header{}, nil, err
		}
	}
	h := Header{Vault: s.Vault.Vault(), Program: s.Program}
	last, chunks := map[eventstore.TenantID]uint64{}, map[eventstore.TenantID]uint64{}
	snapshot, err := s.Vault.Snapshot(ctx, func(ctx context.Context, live []eventstore.TenantID) error {
		h.Moment = s.Now().UTC().Truncate(time.Millisecond)
		for _, id := range live {
			var err error
			if last[id], err = s.Log.Committed(ctx, id); err != nil {
				return err
			}
			if chunks[id], err = s.Chunks.Committed(ctx, id); err != nil { // behind it: those of an event stand before it does
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Header{}, nil, fmt.Errorf("taking the vault for the backup: %w", err)
	}
	h.Expires = h.Moment.Add(o.Keep)
	for _, t := range snapshot.Tenants {
		h.Tenants = append(h.Tenants, Tenant{Name: t.Name, Number: t.Number, Erased: t.Erased, Last: last[t.Name], Entries: entries[t.Name], Chunks: chunks[t.Name]})
	}
	return h, snapshot, nil
}

// making is one run of [Source.Make].
type making struct {
	Source
	ctx      context.Context
	out      *Writer
	snapshot *keyvault.Snapshot
	progress func(uint64)
	items    uint64
	made     Made
}

func (m *making) section(s Section) error {
	if s.Kind == Vault {
		s.Roots = m.roots()
	}
	if err := m.out.Begin(s); err != nil {
		return err
	}
	var err error
	switch s.Kind {
	case Events:
		err = m.messages(s, m.Log, &m.made.Events)
	case Chunks:
		err = m.messages(s, m.Chunks, &m.made.Chunks)
	case Vault:
		err = m.rows()
	case Releases:
		err = m.records(s.Tenant, eventstore.RecordsStats)
	case Ledger:
		err = m.records(s.Tenant, eventstore.RecordsLedger)
	}
	if err != nil {
		return err
	}
	return m.out.End()
}

func (m *making) put(i Item) error {
	m.items++
	if m.items%1024 == 0 {
		m.progress(m.items)
	}
	return m.out.Put(i)
}

// messages copies a stream up to the moment. It reads on to its end, because only there the log says whether something is missing.
func (m *making) messages(s Section, log eventstore.Log, count *uint64) error {
	for stored, err := range log.Replay(m.ctx, s.Tenant, 0) {
		if err != nil {
			return err
		}
		if stored.Sequence > s.Last {
			continue
		}
		i := Item{Number: stored.Sequence, Value: stored.Envelope.Append(nil), Time: stored.At.UnixNano()}
		if !stored.Person.IsZero() {
			i.Key = stored.Person[:]
		}
		if err := m.put(i); err != nil {
			return err
		}
		*count++
	}
	return nil
}

func (m *making) records(tenant eventstore.TenantID, stream eventstore.RecordStream) error {
	for r, err := range m.Records.ReadRecords(m.ctx, tenant, stream, 1) {
		if err != nil {
			return err
		}
		if err := m.put(Item{Number: r.Number, Value: r.Data}); err != nil {
			return err
		}
	}
	return nil
}

func (m *making) rows() error {
	for r, err := range m.snapshot.Rows(m.ctx) {
		if err != nil {
			return err
		}
		if err := m.put(Item{Key: r.Key, Value: r.Value}); err != nil {
			return err
		}
		m.made.Rows++
	}
	return nil
}

// counter counts what goes through.
type counter struct {
	to io.Writer
	n  int64
}

// Write implements [io.Writer].
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

func (m *making) roots() map[uint32]secret.Bytes {
	out := map[uint32]secret.Bytes{}
	for _, t := range m.snapshot.Tenants {
		if !t.Erased {
			out[t.Number] = t.Root
		}
	}
	return out
}
