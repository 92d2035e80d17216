package keyvault

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
	"github.com/oubli-store/oubli/keyvault/secret"
)

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
