package streams

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/oubli-store/oubli/eventstore"
)

// indexDir cannot be the name of a tenant, whose directories stand beside it.
const indexDir = "index.db"

// indexVersion is the version of the keys and values below.
const indexVersion = 1

// Keys of the index:
//
//	'v'                                    → version (1)
//	's' len(tenant) tenant kind            → mark: what is known of a stream
//	'r' len(tenant) tenant row (24)        → sequence (8), key month (2)
//	'n'                                    → never there: deleted under a random key, to see where Pebble counts
//	'b'                                    → nothing: it stands while the index is made anew
const (
	keyVersion = 'v'
	keyNothing = 'n' // nothing stands under it
	keyStream  = 's'
	keyRow     = 'r'

	keyBuilding = 'b'
)

type row = [8 + eventstore.MarkSize]byte

// index is the Pebble database of idempotency rows and watermarks. It has no log of its own (WAL): after a crash it is as it was at its last
// flush, and the journals, which are not trimmed before a flush, bring it up to date. Batches stay whole and in order.
type index struct {
	db *pebble.DB
	// filters maps tenants to their [seen]; budget is what filters may still take.
	filters sync.Map
	budget  atomic.Int64
}

// states of a stream.
const (
	stateNone     = 0 // nothing is known
	stateCreating = 1 // its creation was begun
	stateReady    = 2
	stateErasing  = 3 // its tenant is being erased
)

// mark is what the index knows of a stream: its watermark.
type mark struct {
	state   byte
	vault   eventstore.VaultID
	created int64 // nanoseconds since 1970
	// last is the last journalled sequence; removed counts the messages that were given up for removal.
	last, removed uint64
	// anchor is the newest message that was not removed, and its event; 0 if there is none.
	anchor uint64
	event  [16]byte
	// floor: every message up to here was given up for removal, and is counted in removed (0: none).
	floor uint64
	// loose: since this was written, messages may have been acknowledged that the journal had not synced (Config.Loose).
	loose bool
}

// looseBit stands beside the state.
const looseBit = 0x80

const markSize = 1 + 16 + 8 + 8 + 8 + 8 + 16 + 8

// removedAbove counts the messages behind the floor that were given up.
func (m mark) removedAbove() uint64 { return m.removed - min(m.removed, m.floor) }

func (m mark) encode() []byte {
	state := m.state
	if m.loose {
		state |= looseBit
	}
	b := append(make([]byte, 0, markSize), state)
	b = append(b, m.vault[:]...)
	for _, v := range []uint64{uint64(m.created), m.last, m.removed, m.anchor} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	b = append(b, m.event[:]...)
	return binary.BigEndian.AppendUint64(b, m.floor)
}

func decodeMark(b []byte) (m mark, err error) {
	if len(b) != markSize {
		return m, damaged("a watermark in log/%s has %d bytes", indexDir, len(b))
	}
	m.state, m.loose = b[0]&^looseBit, b[0]&looseBit != 0
	copy(m.vault[:], b[1:17])
	for i, v := range []*uint64{new(uint64), &m.last, &m.removed, &m.anchor} {
		*v = binary.BigEndian.Uint64(b[17+8*i:])
		if i == 0 {
			m.created = int64(*v)
		}
	}
	copy(m.event[:], b[49:])
	m.floor = binary.BigEndian.Uint64(b[65:])
	return m, nil
}

func streamKey(sp spec) []byte {
	k := append([]byte{keyStream, byte(len(sp.tenant))}, sp.tenant...)
	return append(k, sp.kind...)
}

func rowKey(dst []byte, tenant eventstore.TenantID, r []byte) []byte {
	dst = append(dst, keyRow, byte(len(tenant)))
	dst = append(dst, tenant...)
	return append(dst, r...)
}

func openIndex(disk vfs.FS, dir string, log *slog.Logger) (*index, error) {
	o := &pebble.Options{
		FS:                 disk,
		FormatMajorVersion: pebble.FormatNewest,
		DisableWAL:         true,
		MemTableSize:       16 << 20,
		Logger:             indexLogger{log},
		// Without it Pebble ends the process when it meets a damaged table in the background. Reads of such a table fail.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {
			log.Error("a table of log/" + indexDir + " is damaged")
		}},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	db, err := pebble.Open(dir, o)
	if err != nil {
		// Unless the system says why, its files are not what was written.
		var system syscall.Errno
		if errors.As(err, &system) && system != syscall.ENOENT {
			return nil, fmt.Errorf("opening log/%s: %w", indexDir, err)
		}
		if errors.Is(err, fs.ErrNotExist) { // of its own files
			return nil, damaged("log/%s lacks a file (%v); if a first start or a rebuild was cut off just then, remove log/ and repeat it", indexDir, err)
		}
		return nil, fmt.Errorf("%w: log/%s: %w", eventstore.ErrDamaged, indexDir, err)
	}
	x := &index{db: db}
	x.budget.Store(seenBytes)
	for _, check := range []func() error{func() error { return x.advance(log) }, x.checkVersion} {
		if err := check(); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return x, nil
}

// advance lets writes be numbered behind every row that is there. Pebble takes a list of tables whose end is cut off for one whose last entry was never written, and
// goes on counting from there; two versions of a row under one number would end the process in a compaction. The rows themselves are as at an earlier flush, which a start makes good.
func (x *index) advance(log *slog.Logger) error {
	largest, err := x.largest()
	if err != nil {
		return err
	}
	for first := true; ; first = false {
		n := 4096
		if first {
			n = 1 // to find the counter
		}
		at, err := x.count(n)
		if err != nil || at > largest {
			return err
		}
		if first {
			log.Warn("the list of tables of log/" + indexDir + " lost its end; its counter is put right")
		}
	}
}

// count makes n writes without effect and gives the number of the last.
func (x *index) count(n int) (uint64, error) {
	b := x.db.NewBatch()
	defer func() { _ = b.Close() }()
	key := binary.BigEndian.AppendUint64([]byte{keyNothing}, rand.Uint64())
	for range n {
		if err := b.Delete(key, nil); err != nil {
			return 0, fmt.Errorf("writing log/%s: %w", indexDir, err)
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return 0, fmt.Errorf("writing log/%s: %w", indexDir, err)
	}
	return uint64(b.SeqNum()) + uint64(n) - 1, nil
}

// largest is the largest number of a row in any table.
func (x *index) largest() (n uint64, err error) {
	levels, err := x.db.SSTables()
	if err != nil {
		return 0, fmt.Errorf("reading log/%s: %w", indexDir, err)
	}
	for _, level := range levels {
		for i := range level {
			n = max(n, uint64(level[i].LargestSeqNum))
		}
	}
	return n, nil
}

func (x *index) checkVersion() error {
	v, err := x.get([]byte{keyVersion})
	switch {
	case err != nil:
		return err
	case v == nil:
		if err := x.db.Set([]byte{keyVersion}, []byte{indexVersion}, pebble.NoSync); err != nil {
			return fmt.Errorf("writing log/%s: %w", indexDir, err)
		}
		return x.flush()
	case len(v) != 1 || v[0] == 0:
		return damaged("log/%s does not say its version", indexDir)
	case v[0] > indexVersion:
		return fmt.Errorf("%w: log/%s has version %d", eventstore.ErrNewerVersion, indexDir, v[0])
	}
	return nil
}

// get copies a value; nil if there is none.
func (x *index) get(key []byte) ([]byte, error) {
	v, c, err := x.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if pebble.IsCorruptionError(err) {
		return nil, fmt.Errorf("%w: log/%s: %w", eventstore.ErrDamaged, indexDir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading log/%s: %w", indexDir, err)
	}
	v = append([]byte{}, v...)
	return v, c.Close()
}

// row finds the sequence of a row; 0 if there is none.
func (x *index) row(tenant eventstore.TenantID, r *row) (uint64, error) {
	if x.filter(tenant).absent(r) {
		return 0, nil
	}
	var space [64]byte
	v, c, err := x.db.Get(rowKey(space[:0], tenant, r[:]))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading log/%s: %w", indexDir, err)
	}
	if len(v) != 10 {
		return 0, errors.Join(damaged("a row in log/%s has %d bytes", indexDir, len(v)), c.Close())
	}
	return binary.BigEndian.Uint64(v), c.Close()
}

func (x *index) mark(sp spec) (mark, error) {
	v, err := x.get(streamKey(sp))
	if err != nil || v == nil {
		return mark{}, err
	}
	return decodeMark(v)
}

// setMark writes a watermark durably.
func (x *index) setMark(sp spec, m mark) error {
	if err := x.db.Set(streamKey(sp), m.encode(), pebble.NoSync); err != nil {
		return fmt.Errorf("writing log/%s: %w", indexDir, err)
	}
	return x.flush()
}

// change gathers what one group or removal does to the index.
type change struct {
	spec  spec
	mark  mark
	rows  []rowAt
	wiped [][8]byte
	// dropped are rows that go.
	dropped []rowAt
}

type rowAt struct {
	row      row
	sequence uint64
	month    uint16
}

// apply does a change, whole or not at all.
func (x *index) apply(c change) error {
	if f := x.filter(c.spec.tenant); f != nil {
		for i := range c.rows {
			f.add(&c.rows[i].row)
		}
	}
	b := x.db.NewBatch()
	defer func() { _ = b.Close() }()
	var key [64]byte
	var value [10]byte
	for i := range c.rows {
		r := &c.rows[i]
		binary.BigEndian.PutUint64(value[:], r.sequence)
		binary.BigEndian.PutUint16(value[8:], r.month)
		if err := b.Set(rowKey(key[:0], c.spec.tenant, r.row[:]), value[:], nil); err != nil {
			return fmt.Errorf("writing log/%s: %w", indexDir, err)
		}
	}
	for _, p := range c.wiped {
		from := rowKey(nil, c.spec.tenant, p[:])
		if err := b.DeleteRange(from, after(from), nil); err != nil {
			return fmt.Errorf("writing log/%s: %w", indexDir, err)
		}
	}
	for i := range c.dropped {
		if err := b.Delete(rowKey(key[:0], c.spec.tenant, c.dropped[i].row[:]), nil); err != nil {
			return fmt.Errorf("writing log/%s: %w", indexDir, err)
		}
	}
	if err := b.Set(streamKey(c.spec), c.mark.encode(), nil); err != nil {
		return fmt.Errorf("writing log/%s: %w", indexDir, err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("writing log/%s: %w", indexDir, err)
	}
	return nil
}

// after is the first key behind all that begin with prefix.
func after(prefix []byte) []byte {
	end := append([]byte{}, prefix...)
	for i := len(end) - 1; ; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
}

// forget deletes all of a tenant but its watermarks.
func (x *index) forget(tenant eventstore.TenantID) error {
	x.unwatch(tenant)
	from := rowKey(nil, tenant, nil)
	if err := x.db.DeleteRange(from, after(from), pebble.NoSync); err != nil {
		return fmt.Errorf("writing log/%s: %w", indexDir, err)
	}
	return x.flush()
}

func (x *index) forgetMark(sp spec) error {
	if err := x.db.Delete(streamKey(sp), pebble.NoSync); err != nil {
		return fmt.Errorf("writing log/%s: %w", indexDir, err)
	}
	return x.flush()
}

// flush makes everything durable.
func (x *index) flush() error {
	if err := x.db.Flush(); err != nil {
		return fmt.Errorf("flushing log/%s: %w", indexDir, err)
	}
	return nil
}

func (x *index) close() error { return errors.Join(x.flush(), x.db.Close()) }

// indexLogger keeps Pebble quiet but for errors.
type indexLogger struct{ to *slog.Logger }

func (l indexLogger) Infof(string, ...any) {}
func (l indexLogger) Errorf(format string, a ...any) {
	l.to.Error("log/" + indexDir + ": " + fmt.Sprintf(format, a...))
}

// Fatalf must not return. Nothing acknowledged depends on the index, so ending the process loses nothing.
func (l indexLogger) Fatalf(format string, a ...any) {
	l.Errorf(format, a...)
	panic("log/" + indexDir + ": " + fmt.Sprintf(format, a...))
}
