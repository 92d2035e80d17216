package keyvault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// Image is what [Restore] makes a vault of: what a [Snapshot] held.
type Image struct {
	Vault eventstore.VaultID
	// Moment is when the snapshot was taken.
	Moment  time.Time
	Tenants []ImagedTenant
	// Rows are in ascending order of their keys.
	Rows iter.Seq2[Row, error]
}

// ErrUnfinished: a restore into this directory did not come to its end. It is an ErrDamaged.
var ErrUnfinished = fmt.Errorf("vault: a restore was not finished; run it again in an empty directory: %w", eventstore.ErrDamaged)

// Restore makes a vault of an image, in directories where there is none: the same vault id, tenants, persons and data keys, under keys that are all
// drawn anew, from every leaf and page up to the roots, which stand in a new register under the key-encryption key of c. So the root keys of the
// image, which others may hold, open nothing of the new vault. A tenant's control key and hash keys stay: what they sealed or named stands elsewhere.
//
// Whoever is not in the vault afterwards is answered with [eventstore.ErrKeyLost] besides ErrNotFound. progress is told how many persons are in.
//
// Until it returns nil the vault cannot be opened ([ErrUnfinished], or no vault is there); nothing is served from a part of an image. What it leaves behind
// when it fails is for the caller to delete; it is not gone on with. ErrDamaged if the image is not whole or does not open; ErrConflict if there is a
// vault already.
func Restore(ctx context.Context, c Config, im Image, progress func(persons uint64)) (err error) {
	v := &Vault{c: c, fs: c.FS, id: im.Vault, entropy: c.Entropy, tenants: map[eventstore.TenantID]*tenant{}}
	v.c.Create = true
	v.defaults()
	v.gates = newGates(1)
	defer func() {
		for _, t := range v.tenants {
			t.close()
		}
		err = errors.Join(err, v.release())
	}()
	if err := v.beginRestore(ctx); err != nil {
		return err
	}
	r := &restore{v: v, image: im, progress: progress}
	if r.progress == nil {
		r.progress = func(uint64) {}
	}
	if err := r.load(ctx); err != nil {
		return errors.Join(err, r.drop())
	}
	for _, t := range im.Tenants {
		if t.Erased {
			continue
		}
		if err := r.tenant(ctx, t); err != nil {
			return errors.Join(fmt.Errorf("vault: tenant %s: %w", t.Name, err), r.drop())
		}
	}
	if err := r.drop(); err != nil {
		return err
	}
	return r.finish()
}

// beginRestore makes directories, register and database, with the row that keeps them from being opened.
func (v *Vault) beginRestore(ctx context.Context) error {
	if err := v.lock(); err != nil {
		return err
	}
	for _, dir := range v.c.rootDirs() {
		for _, name := range []string{register.KeyFileName, register.FileName} {
			if _, err := v.fs.Stat(v.fs.PathJoin(dir, name)); err == nil {
				return errNotEmpty
			}
		}
	}
	if desc, err := pebble.Peek(v.c.Dir, v.fs); err != nil {
		return fmt.Errorf("vault: looking for a database: %w", damage(err))
	} else if desc.Exists {
		return errNotEmpty
	}
	lock, err := pebble.LockDirectory(v.c.Dir, v.fs)
	if err != nil {
		return fmt.Errorf("vault: %w", errors.Join(eventstore.ErrInUse, err))
	}
	v.locks = append(v.locks, lock)
	if err := v.openDB(lock, false); err != nil {
		return err
	}
	b := v.batch()
	defer b.Close()
	if err := b.Set([]byte{rowRestoring}, nil); err != nil {
		return err
	}
	if err := v.commit(b, pebble.Sync); err != nil {
		return err
	}
	key, err := v.newKey()
	if err != nil {
		return err
	}
	v.roots, _, err = register.Open(v.fs, register.Options{Dirs: v.c.rootDirs(), Vault: v.id, Key: key, KEK: v.kek, Create: true})
	return fromRegister(err)
}

var errNotEmpty = eventstore.Refuse(eventstore.KindConflict, "", "there is a vault already; a restore needs empty directories")

// restore is one run of [Restore].
type restore struct {
	v        *Vault
	image    Image
	old      *pebble.DB // the image's rows
	progress func(uint64)
	persons  uint64
}

// oldDir is where the image's rows stand meanwhile: sealed under the image's root keys, which are written nowhere.
func (r *restore) oldDir() string {
	fs := r.v.fs
	return fs.PathJoin(fs.PathDir(r.v.c.Dir), fs.PathBase(r.v.c.Dir)+".restoring")
}

// load takes the image's rows into a database of their own, because the tree is read from its root down.
func (r *restore) load(ctx context.Context) (err error) {
	if err := r.v.fs.RemoveAll(r.oldDir()); err != nil {
		return fmt.Errorf("vault: making room for the backup's rows: %w", err)
	}
	err = givenUp(func() (err error) {
		r.old, err = pebble.Open(r.oldDir(), &pebble.Options{FS: r.v.fs, Merger: adder, Logger: quiet{r.v}, FormatMajorVersion: pebble.FormatNewest,
			DisableWAL: true, MemTableSize: 32 << 20})
		return err
	})
	if err != nil {
		return fmt.Errorf("vault: making room for the backup's rows: %w", damage(err))
	}
	known := map[string]bool{}
	for _, t := range r.image.Tenants {
		known[string(tenantPrefix(t.Number))] = !t.Erased
	}
	for row, err := range r.image.Rows {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(row.Key) < 6 || !known[string(row.Key[:5])] {
			return fmt.Errorf("vault: a row of a tenant that is not there: %w", eventstore.ErrDamaged)
		}
		if err := r.v.attempt(func() error { return r.old.Set(row.Key, row.Value, pebble.NoSync) }); err != nil {
			return err
		}
	}
	return nil
}

// drop deletes the image's rows.
func (r *restore) drop() error {
	var closed error
	if r.old != nil {
		closed = r.old.Close()
		r.old = nil
	}
	return errors.Join(closed, r.v.fs.RemoveAll(r.oldDir()))
}

// tenant makes a new tree, into which everybody enters anew.
func (r *restore) tenant(ctx context.Context, im ImagedTenant) error {
	v := r.v
	t := v.newTenant(im.Name, im.Number)
	c := t.treeConfig()
	c.Store, c.Entropy = rows{r.old}, rand.Reader // it draws nothing
	from, err := tree.Open(c, im.Root)
	if err != nil {
		return fmt.Errorf("the backup's rows and root key do not fit: %w", fromTree(err))
	}
	defer from.Close()
	was, err := decodeTenantKeys(from.Extra())
	if err != nil {
		return err
	}
	defer was.wipe()
	if err := t.begin(was); err != nil {
		return err
	}
	v.tenants[im.Name] = t
	m := &move{r: r, t: t, was: was}
	if _, err := from.Check(func(id tree.PersonID, plain []byte) error { return m.person(ctx, id, plain) }, m.handle); err != nil {
		return fromTree(err)
	}
	if err := m.small(); err != nil {
		return err
	}
	return v.roots.Write(ctx, t.index, 0, register.Root{Generation: t.tree.Generation(), Key: t.root})
}

// finish makes the vault one that can be opened, in one batch behind everything else.
func (r *restore) finish() error {
	b := r.v.batch()
	defer b.Close()
	for _, t := range r.image.Tenants {
		state := tenantLive
		if t.Erased {
			state = tenantErased
		}
		if err := b.Set(nameRow(t.Name), nameValue(state, t.Number)); err != nil {
			return err
		}
	}
	if err := errors.Join(b.Set([]byte{rowHeader}, append([]byte{vaultVersion}, r.v.id[:]...)), b.Delete([]byte{rowRestoring})); err != nil {
		return err
	}
	return r.v.commit(b, pebble.Sync)
}
