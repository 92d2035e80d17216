package projections

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/sqltables"
)

// formatVersion is the version of the layout of rows.
const formatVersion = 1

// What the database holds in memory.
const (
	memTable   = 32 << 20
	blockCache = 32 << 20
)

// stream is what the runner reads: [eventstore.Store].
type stream interface {
	Replay(ctx context.Context, tenant eventstore.TenantID, after uint64) iter.Seq2[eventstore.Item, error]
	Committed(ctx context.Context, tenant eventstore.TenantID) (uint64, error)
	Await(ctx context.Context, tenant eventstore.TenantID, after uint64) (uint64, error)
}

// Open opens the database, making a new one in an empty or missing directory.
//
// Errors: ErrInUse while another process has it open; ErrNewerVersion; ErrDamaged, naming the damage. Nothing is repaired by losing it: what the
// database holds can be made again by removing its directory, which is for the operator to do.
func Open(c Config) (*Projections, error) { return open(c, c.Store, vfs.Default) }

func open(c Config, s stream, fs vfs.FS) (*Projections, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Settings == nil {
		c.Settings = func(eventstore.TenantID) Settings { return Settings{} }
	}
	if err := makeDir(fs, c.Dir); err != nil {
		return nil, err
	}
	lock, err := pebble.LockDirectory(c.Dir, fs)
	if err != nil {
		return nil, lockError(err)
	}
	made, err := wasMade(fs, c.Dir)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	o := &pebble.Options{
		FS: fs, Lock: lock, Logger: quiet{}, ErrorIfNotExists: made, FormatMajorVersion: pebble.FormatNewest,
		MemTableSize: memTable, CacheSize: blockCache,
		// By default damage in a table ends the process; who reads it gets the error, which says ErrDamaged.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(c.Dir, o)
	if err != nil {
		return nil, errors.Join(openError(err), lock.Close())
	}
	p := &Projections{c: c, stream: s, db: db, lock: lock, models: models, maxCells: MaxCells, engine: sqltables.New(sqltables.Limits{}), tenants: map[eventstore.TenantID]*tenant{}}
	if err := p.checkFormat(made); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if !made {
		if err := markMade(fs, c.Dir); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	return p, nil
}

// madeFile is there from when the database was completely made, so that a crash in the making can be told from damage.
const madeFile = "MADE"

func makeDir(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("projections: making the database directory: %w", err)
	}
	return syncDir(fs, fs.PathDir(dir))
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("projections: opening a directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("projections: syncing a directory: %w", err)
	}
	return nil
}

func markMade(fs vfs.FS, dir string) error {
	f, err := fs.Create(fs.PathJoin(dir, madeFile), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("projections: marking the database as made: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("projections: marking the database as made: %w", err)
	}
	return syncDir(fs, dir)
}

// wasMade says whether a database was completely made here. What a crash in the making left, which holds nothing, is cleared away; tables of a
// database that was never made are damage.
func wasMade(fs vfs.FS, dir string) (bool, error) {
	names, err := fs.List(dir)
	if err != nil {
		return false, fmt.Errorf("projections: looking at the database directory: %w", err)
	}
	if slices.Contains(names, madeFile) {
		return true, nil
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			return false, damaged("there are tables of a database that was never made")
		}
	}
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		if err := fs.Remove(fs.PathJoin(dir, name)); err != nil {
			return false, fmt.Errorf("projections: clearing away what a crash left: %w", err)
		}
	}
	return false, nil
}

// lockError tells a directory that is in use from one that cannot be locked.
func lockError(err error) error {
	if errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process") {
		return fmt.Errorf("projections: %w", eventstore.ErrInUse)
	}
	return fmt.Errorf("projections: locking the database directory: %w", err)
}

func openError(err error) error {
	if errors.Is(err, pebble.ErrDBDoesNotExist) {
		return damaged("there are files of a database and no manifest that names them")
	}
	if errors.Is(err, os.ErrNotExist) || pebble.IsCorruptionError(err) {
		return fmt.Errorf("projections: the database does not open (%v): %w", err, eventstore.ErrDamaged)
	}
	if strings.Contains(err.Error(), "name from file") { // The options that the database was made with name a comparer that there is not.
		return fmt.Errorf("projections: the database's options do not read: %w", eventstore.ErrDamaged)
	}
	if strings.Contains(err.Error(), "format major version") {
		return fmt.Errorf("projections: %w", eventstore.ErrNewerVersion)
	}
	var system syscall.Errno
	if errors.As(err, &system) {
		return fmt.Errorf("projections: opening the database: %w", err)
	}
	return fmt.Errorf("projections: the database does not open (%v): %w", err, eventstore.ErrDamaged)
}

// checkFormat reads the version of the layout, or writes it into a new database.
func (p *Projections) checkFormat(made bool) error {
	if !made {
		return dbError(p.db.Set(formatKey, binary.AppendUvarint(nil, formatVersion), pebble.Sync))
	}
	value, ok, err := get(p.db, formatKey)
	if err != nil {
		return err
	}
	version, n := binary.Uvarint(value)
	switch {
	case !ok || n <= 0 || version == 0:
		return damaged("the row with the format's version is missing or cannot be read")
	case version > formatVersion:
		return fmt.Errorf("projections: %w", eventstore.ErrNewerVersion)
	}
	return nil
}

// get reads a row; the value is a copy.
func get(r pebble.Reader, key []byte) (value []byte, ok bool, err error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, dbError(err)
	}
	value = append([]byte{}, v...)
	return value, true, dbError(closer.Close())
}

// dbError names an error of the database.
func dbError(err error) error {
	if err == nil {
		return nil
	}
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("projections: reading the database (%v): %w", err, eventstore.ErrDamaged)
	}
	return fmt.Errorf("projections: database: %w", err)
}

// Close closes the database; call it after Run has returned.
func (p *Projections) Close() error {
	p.images.close()
	return errors.Join(p.db.Close(), p.lock.Close())
}

// quiet keeps Pebble's chatter out of the log; only what it calls fatal is passed on, and it ends the process as Pebble asks.
type quiet struct{}

// exit ends the process; tests stand in for it.
var exit = os.Exit

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	slog.Error("projections: the database cannot go on", "cause", fmt.Sprintf(format, args...))
	exit(1)
}
