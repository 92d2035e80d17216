package keyvault

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Config says where a vault lives.
type Config struct {
	// Dir holds the sealed key tree, Roots the root register.
	Dir, Roots string
	// RootCopies are directories of further copies of the root register, on volumes of their own. Every write goes to all of them before it counts.
	RootCopies []string
	// RootsLost gives up the copies of the root register that are missing (package register says what that means).
	RootsLost bool
	// FS is the filesystem (nil: the machine's own).
	FS vfs.FS
	// KEK is the URI of the key-encryption key; empty means file:// and KEKFile.
	KEK string
	// KMS are the clients of the services that a KEK may be in, besides local files (package kms has them).
	KMS []register.KMS
	// KEKFile is the local key-encryption key, made if it is missing and Create is set.
	KEKFile string
	// Now is the clock (nil: time.Now).
	Now func() time.Time
	// Entropy is where keys and ids are drawn from (nil: crypto/rand). For tests only.
	Entropy io.Reader
	// CacheSize bounds the opened records, each tenant's resolved handles and, at a quarter of it, each tenant's opened nodes (0: 65,536). The
	// database's cache of blocks has half a KiB for each.
	CacheSize int
	// Inspect opens a vault to look at it ([Vault.Check]), on a filesystem that keeps no change: a tenant that does not open is left out ([Vault.Unopened]), and a
	// damaged table does not stop the vault.
	Inspect bool
	// Create makes a vault where there is none.
	Create bool
}

const (
	vaultVersion     = 1
	defaultCacheSize = 65536
	maintainEvery    = time.Minute
)

// Row kinds above those of a tenant.
const (
	rowHeader    byte = 0x01
	rowName      byte = 0x02
	rowRestoring byte = 0x03
	rowTenant    byte = 0x10
)

// Vault implements [eventstore.Keys] and [eventstore.Meta]. See the package comment.
type Vault struct {
	c       Config
	fs      vfs.FS
	id      eventstore.VaultID
	entropy io.Reader
	db      *pebble.DB
	roots   *register.Copies
	kek     tink.AEAD
	lost    int
	// unopened are the tenants that an inspection could not open.
	unopened map[eventstore.TenantID]error
	locks    []io.Closer
	gates    *gates
	stopped  atomic.Pointer[error]
	// syncing counts first contacts that wait for their sync without a lock.
	syncing sync.WaitGroup
	// snapshots counts those that are not closed.
	snapshots sync.WaitGroup
	rotated   atomic.Bool // its key-encryption key

	mu      sync.RWMutex // tenants; creating and erasing one holds it
	tenants map[eventstore.TenantID]*tenant

	end  context.CancelFunc
	done chan struct{}
}

var (
	_ eventstore.Keys = (*Vault)(nil)
	_ eventstore.Meta = (*Vault)(nil)
)

// Open opens a vault, finishing or undoing what a crash interrupted. Errors: ErrInUse, ErrDamaged, ErrNewerVersion; one of the
// key-encryption key.
func Open(ctx context.Context, c Config) (_ *Vault, err error) {
	if c.Dir == "" || c.Roots == "" || (c.KEK == "" && c.KEKFile == "") {
		return nil, errors.New("vault: a directory, a directory for the roots and a key-encryption key are needed")
	}
	v := &Vault{c: c, fs: c.FS, entropy: c.Entropy, tenants: map[eventstore.TenantID]*tenant{}, unopened: map[eventstore.TenantID]error{}, done: make(chan struct{})}
	v.defaults()
	v.gates = newGates(v.cacheSize())
	defer func() {
		if err != nil {
			err = errors.Join(err, v.release())
		}
	}()
	if err := v.open(ctx); err != nil {
		return nil, err
	}
	run, end := context.WithCancel(context.WithoutCancel(ctx))
	v.end = end
	go v.run(run)
	return v, nil
}

// defaults fills in what the configuration leaves out.
func (v *Vault) defaults() {
	if v.fs == nil {
		v.fs = vfs.Default
	}
	if v.entropy == nil {
		v.entropy = rand.Reader
	} else {
		v.entropy = &lockedReader{r: v.entropy}
	}
	if v.c.Now == nil {
		v.c.Now = time.Now
	}
}

// lockedReader lets many goroutines draw from one reader.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}

func (v *Vault) open(ctx context.Context) error {
	if err := v.lock(); err != nil {
		return err
	}
	key, err := v.openKey()
	if err != nil {
		return err
	}
	lock, err := pebble.LockDirectory(v.c.Dir, v.fs)
	if err != nil {
		return fmt.Errorf("vault: %w", errors.Join(eventstore.ErrInUse, err))
	}
	v.locks = append(v.locks, lock)
	if err := v.lookFirst(ctx, key); err != nil {
		return err
	}
	if err := v.openOrBegin(); err != nil {
		return err
	}
	fresh, err := v.openHeader()
	if err != nil {
		return err
	}
	v.roots, v.lost, err = register.Open(v.fs, register.Options{Dirs: v.c.rootDirs(), Vault: v.id, Key: key, KEK: v.kek, Create: fresh && v.c.Create, Lost: v.c.RootsLost})
	if err != nil {
		return fromRegister(err)
	}
	if err := v.sealHeader(ctx, fresh); err != nil {
		return err
	}
	return v.openTenants(ctx)
}

// lookFirst looks at a database that is there, unless it may be one whose making was cut off by a crash.
func (v *Vault) lookFirst(ctx context.Context, key secret.Bytes) error {
	desc, err := pebble.Peek(v.c.Dir, v.fs)
	switch begun := v.begun(); {
	case err != nil && begun:
		return fmt.Errorf("vault: looking for the database: %w", damage(err))
	case err != nil:
		return nil
	case desc.Exists && begun && !v.c.Inspect:
		return v.look(ctx, key)
	case !desc.Exists && !v.c.Create:
		return fmt.Errorf("vault: the database is missing: %w", eventstore.ErrDamaged)
	}
	return nil
}

// dirLock is the database's lock, the last that was taken.
func (v *Vault) dirLock() *pebble.Lock { return v.locks[len(v.locks)-1].(*pebble.Lock) }

// begun says that there may be roots: Create is not set, or a register is there.
func (v *Vault) begun() bool {
	return !v.c.Create || slices.ContainsFunc(v.c.rootDirs(), func(dir string) bool {
		_, err := v.fs.Stat(v.fs.PathJoin(dir, register.FileName))
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// Unopened are the tenants that an inspection could not open, and why.
func (v *Vault) Unopened() map[eventstore.TenantID]error { return v.unopened }

// LostCopies is how many copies of the root register were given up at this start, because Config.RootsLost said so.
func (v *Vault) LostCopies() int { return v.lost }

// rootDirs are the directories of the root register's copies.
func (c Config) rootDirs() []string { return append([]string{c.Roots}, c.RootCopies...) }

// lock takes all directories for this process.
func (v *Vault) lock() error {
	for _, dir := range append([]string{v.c.Dir}, v.c.rootDirs()...) {
		if v.c.Create {
			if err := v.makeDir(dir); err != nil {
				return fmt.Errorf("vault: making a directory: %w", err)
			}
		}
		if _, err := v.fs.Stat(dir); err != nil {
			return fmt.Errorf("vault: a directory is missing: %w", errors.Join(eventstore.ErrDamaged, err))
		}
	}
	for _, dir := range v.c.rootDirs() {
		roots, err := v.fs.Lock(v.fs.PathJoin(dir, "LOCK"))
		if err != nil {
			return fmt.Errorf("vault: the root register in %s is in use, or the directory is given twice: %w", dir, errors.Join(eventstore.ErrInUse, err))
		}
		v.locks = append(v.locks, roots)
	}
	return nil
}

// makeDir makes a directory whose name survives a power failure.
func (v *Vault) makeDir(dir string) error {
	if _, err := v.fs.Stat(dir); err == nil {
		return nil
	}
	up := v.fs.PathDir(dir)
	if up != dir {
		if err := v.makeDir(up); err != nil {
			return err
		}
	}
	if err := v.fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	parent, err := v.fs.OpenDir(up)
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// openOrBegin opens the database. One whose making was cut off by a crash is made anew: as long as there is no register there is no root, and
// nothing that could be opened.
func (v *Vault) openOrBegin() error {
	failed := v.openDB(v.dirLock(), false)
	if failed == nil || v.begun() {
		return failed
	}
	names, err := v.fs.List(v.c.Dir)
	if err != nil {
		return errors.Join(failed, err)
	}
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		if err := v.fs.RemoveAll(v.fs.PathJoin(v.c.Dir, name)); err != nil {
			return errors.Join(failed, err)
		}
	}
	return v.openDB(v.dirLock(), false)
}

func (v *Vault) openDB(lock *pebble.Lock, look bool) error {
	return givenUp(func() error { return v.openPebble(lock, look) })
}

func (v *Vault) cacheSize() int { return cmp.Or(max(0, v.c.CacheSize), defaultCacheSize) }

func (v *Vault) openPebble(lock *pebble.Lock, look bool) (err error) {
	o := &pebble.Options{
		FS: v.fs, Lock: lock, Merger: adder, Logger: quiet{v}, FormatMajorVersion: pebble.FormatNewest,
		ReadOnly: look, DisableAutomaticCompactions: v.c.Inspect, ErrorIfNotExists: look || !v.c.Create, MemTableSize: 32 << 20, CacheSize: max(1<<20, int64(v.cacheSize())*512),
		// Without it Pebble ends the process when it meets a damaged table in the background.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) { v.rotten() }},
	}
	// Sealed values do not compress; what is not there is not looked for.
	o.Levels[0].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	o.Levels[0].FilterPolicy = bloom.FilterPolicy(10)
	o.Levels[0].IndexBlockSize = 256 << 10
	v.db, err = pebble.Open(v.c.Dir, o)
	if err != nil {
		v.db = nil
		return fmt.Errorf("vault: opening the database: %w", unopened(err))
	}
	return nil
}

// openHeader compares the database with the register's vault id. fresh says that the database is new.
func (v *Vault) openHeader() (fresh bool, err error) {
	if b, err := (rows{v.db}).Get([]byte{rowRestoring}); err != nil {
		return false, err
	} else if b != nil {
		return false, ErrUnfinished
	}
	b, err := rows{v.db}.Get([]byte{rowHeader})
	switch {
	case err != nil:
		return false, err
	case b == nil:
		if !v.c.Create {
			return false, fmt.Errorf("vault: the database has no header: %w", eventstore.ErrDamaged)
		}
		return true, nil
	case b[0] > vaultVersion:
		return false, fmt.Errorf("vault: the database: %w", eventstore.ErrNewerVersion)
	case len(b) != 17:
		return false, fmt.Errorf("vault: the database's header is cut: %w", eventstore.ErrDamaged)
	case !bytes.Equal(b[1:], v.id[:]):
		return false, fmt.Errorf("vault: database and root register belong to different vaults: %w", eventstore.ErrDamaged)
	}
	return false, nil
}

// sealHeader writes the header of a new database, unless the register shows that there was another one before.
func (v *Vault) sealHeader(ctx context.Context, fresh bool) error {
	if !fresh {
		return nil
	}
	n, err := v.roots.Tenants(ctx)
	if err != nil {
		return fromRegister(err)
	}
	for t := range n {
		held, err := v.roots.Held(ctx, t)
		if err != nil {
			return fromRegister(err)
		}
		wipe(held)
		for _, h := range held {
			if holdsRoot(h) {
				return fmt.Errorf("vault: the root register holds roots but the database is new: %w", eventstore.ErrDamaged)
			}
		}
	}
	b := v.batch()
	defer b.Close()
	if err := b.Set([]byte{rowHeader}, append([]byte{vaultVersion}, v.id[:]...)); err != nil {
		return err
	}
	return v.commit(b, pebble.Sync)
}

func (v *Vault) batch() batch { return batch{v.db.NewBatch(), v.db} }

func fromRegister(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, register.ErrVersion):
		return fmt.Errorf("vault: %w", errors.Join(err, eventstore.ErrNewerVersion))
	case errors.Is(err, register.ErrDamaged), errors.Is(err, register.ErrMissing):
		return fmt.Errorf("vault: %w", errors.Join(err, eventstore.ErrDamaged))
	case errors.Is(err, register.ErrKMS):
		return fmt.Errorf("vault: %w", fmt.Errorf("%w: %w", eventstore.ErrUnavailable, err))
	}
	return fmt.Errorf("vault: %w", err)
}

// run does the maintenance until ctx ends.
func (v *Vault) run(ctx context.Context) {
	defer close(v.done)
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// What fails stays due and is tried again in a minute; a disk that cannot be written stops the vault, which every caller is told.
			_ = v.Maintain(ctx)
		}
	}
}

// Maintain shreds the keys of refusal marks that have expired, and renews the roots of tenants into which persons came. The vault does so by
// itself every minute.
func (v *Vault) Maintain(ctx context.Context) error {
	names, err := v.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		t, err := v.tenant(name)
		if err != nil {
			continue // erased meanwhile
		}
		if err := t.maintain(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close waits for what is under way and closes the vault. Gates that are still held are dead.
func (v *Vault) Close() error {
	v.end()
	<-v.done
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, t := range v.tenants {
		t.mu.Lock()
		defer t.mu.Unlock()
	}
	v.syncing.Wait()
	v.snapshots.Wait()
	failed := v.lastRoots()
	closed := error(errClosed)
	v.stopped.CompareAndSwap(nil, &closed)
	v.gates.removeAll(errClosed, func(gateKey) bool { return true })
	for _, t := range v.tenants {
		t.close()
	}
	return errors.Join(failed, v.release())
}

// lastRoots renews every root, so that the register fits the database as it is left and no older one; all tenants are held alone.
func (v *Vault) lastRoots() error {
	for _, t := range v.tenants {
		if t.usable() != nil {
			continue
		}
		if err := t.renewLocked(context.Background()); err != nil {
			return fmt.Errorf("vault: tenant %s: renewing its root: %w", t.id, err)
		}
	}
	return nil
}

var errClosed = eventstore.Refuse(eventstore.KindUnavailable, "", "the key vault is closed")

// release closes what is open.
func (v *Vault) release() error {
	var errs []error
	if v.db != nil {
		errs = append(errs, v.db.Close())
		v.db = nil
	}
	if v.roots != nil {
		errs = append(errs, v.roots.Close())
		v.roots = nil
	}
	for _, l := range slices.Backward(v.locks) {
		errs = append(errs, l.Close())
	}
	v.locks = nil
	return errors.Join(errs...)
}

// Vault implements [eventstore.Keys].
func (v *Vault) Vault() eventstore.VaultID { return v.id }

// ready answers why the vault does not serve.
func (v *Vault) ready() error {
	if err := v.stopped.Load(); err != nil {
		return *err
	}
	return nil
}

// tenantState is the state of a tenant's name row.
type tenantState byte

const (
	tenantCreating tenantState = 1
	tenantLive     tenantState = 2
	tenantErasing  tenantState = 3
	tenantErased   tenantState = 4
)

func nameRow(id eventstore.TenantID) []byte { return append([]byte{rowName}, id...) }

func nameValue(s tenantState, index uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{vaultVersion, byte(s)}, index)
}
