package keyvault

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
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
	// CacheSize bounds the opened records, each tenant's resolved handles and each tenant's opened nodes (0: 65,536). The database's cache of
	// blocks has half a KiB for each.
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
	// unwritable: a copy of the register could not be written when that was last tried.
	unwritable atomic.Bool
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

func (v *Vault) batch() batch { return batch{v.db.NewBatch(), v.db} }

// batchFor has room for the re-keying of so many persons: to grow to tens of megabytes costs more than to fill them.
func (v *Vault) batchFor(persons int) batch {
	return batch{v.db.NewBatchWithSize(min(persons, 16<<10) * rekeyedSize), v.db}
}

// rekeyedSize is about what a re-keying writes for one person: a leaf, a page and the nodes that no other shares.
const rekeyedSize = 4 << 10

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
