package keyvault

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// begin gives a tenant that is restored its tree and keys, in memory and in the database, but no name: nobody can open it yet.
func (t *tenant) begin(was *tenantKeys) (err error) {
	v := t.v
	t.own = was.copy()
	for _, key := range []*secret.Bytes{&t.own.meta, &t.own.outbox} {
		key.Wipe()
		if *key, err = secret.Random(v.entropy, keySize); err != nil {
			return err
		}
	}
	if t.root, err = secret.Random(v.entropy, keySize); err != nil {
		return err
	}
	b := v.batch()
	defer b.Close()
	if t.tree, err = tree.Create(t.treeConfig(), b, t.root, t.own.encode()); err != nil {
		return fromTree(err)
	}
	return v.commit(b, pebble.NoSync)
}

// move takes what an opened image holds into the tenant that is made of it.
type move struct {
	r   *restore
	t   *tenant
	was *tenantKeys
	in  int64
}

// person puts a record into the new tree, sealed under new keys.
func (m *move) person(ctx context.Context, id tree.PersonID, plain []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b := m.t.v.batch()
	defer b.Close()
	full, err := m.t.tree.PutRecord(b, id, plain, true)
	if err != nil {
		return err
	}
	if err := m.t.v.commit(b, pebble.NoSync); err != nil {
		return err
	}
	m.in++
	m.r.persons++
	m.r.progress(m.r.persons)
	if !full {
		return nil
	}
	return m.split(func(b batch) (*tree.Change, error) { return m.t.tree.SplitLeaf(b, id, m.t.root) })
}

// handle puts a handle into the new tree.
func (m *move) handle(handle string, id tree.PersonID) error {
	b := m.t.v.batch()
	defer b.Close()
	full, err := m.t.tree.PutHandle(b, id, handle)
	if err != nil {
		return err
	}
	if err := m.t.v.commit(b, pebble.NoSync); err != nil {
		return err
	}
	if !full {
		return nil
	}
	return m.split(func(b batch) (*tree.Change, error) { return m.t.tree.SplitPage(b, handle, m.t.root) })
}

func (m *move) split(split func(batch) (*tree.Change, error)) error {
	b := m.t.v.batch()
	defer b.Close()
	change, err := split(b)
	if err != nil || change == nil {
		return err
	}
	if err := m.t.v.commit(b, pebble.NoSync); err != nil {
		return err
	}
	change.Apply()
	return nil
}

// small takes the rows beside the tree over, each kind in its way, and notes that the tenant was restored. A kind that is not known here is refused:
// it must not be lost.
func (m *move) small() error {
	prefix := m.t.prefix()
	err := rows{m.r.old}.Scan(prefix, func(key, value []byte) error {
		b := m.t.v.batch()
		defer b.Close()
		if err := m.row(b, key[len(prefix)], key, value); err != nil {
			return err
		}
		return m.t.v.commit(b, pebble.NoSync)
	})
	if err != nil {
		return err
	}
	b := m.t.v.batch()
	defer b.Close()
	if err := b.Merge(m.t.row(rowCount), binary.AppendVarint(nil, m.in), nil); err != nil {
		return err
	}
	if err := b.Set(m.t.row(rowRestored), binary.BigEndian.AppendUint64(nil, uint64(m.r.image.Moment.UnixMilli()))); err != nil {
		return err
	}
	return m.t.v.commit(b, pebble.NoSync)
}

func (m *move) row(b batch, kind byte, key, value []byte) error {
	switch kind {
	case 'R', 'N', 'B', rowCount, rowRestored, rowPopulating:
		return nil // the tree, the count and the notes are made anew
	case rowExpiry:
		return nil // where a run of retention stands in the old tree; the floor says that it is under way, and it begins anew
	case rowTombstone, rowFence, rowRefusal:
		return b.Set(key, value)
	case rowOutbox, rowStaged:
		return m.reseal(b, m.was.outbox, m.t.own.outbox, key, value, "a row of the outbox")
	case rowMeta:
		return m.reseal(b, m.was.meta, m.t.own.meta, key, value, "a meta row")
	case rowSpared: // its key is a hash under the key of hashes, which stays
		return m.reseal(b, m.was.meta, m.t.own.meta, key, value, "the row of a person whom retention spared")
	}
	return fmt.Errorf("vault: a row of a kind that is not known here (%q): %w", kind, eventstore.ErrNewerVersion)
}

// reseal seals a row under the new key.
func (m *move) reseal(b batch, from, to secret.Bytes, key, value []byte, what string) error {
	plain, err := m.t.v.openRow(from, key, value, what)
	if err != nil {
		return err
	}
	sealed, err := m.t.v.sealRow(to, key, plain)
	clear(plain)
	if err != nil {
		return err
	}
	return b.Set(key, sealed)
}

// Restored is when the backup was made that a tenant's vault was restored from; zero if it never was. ErrNotFound, ErrErased.
func (v *Vault) Restored(id eventstore.TenantID) (time.Time, error) {
	t, err := v.tenant(id)
	if err != nil {
		return time.Time{}, err
	}
	return t.restored, t.live()
}

// loadRestored reads the note that [Restore] left.
func (t *tenant) loadRestored() error {
	b, err := rows{t.v.db}.Get(t.row(rowRestored))
	if err != nil || b == nil {
		return err
	}
	if len(b) != 8 {
		return fmt.Errorf("the note of the restore is cut: %w", eventstore.ErrDamaged)
	}
	t.restored = time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
	return nil
}

// errLost is answered for whom a restored vault does not know.
var errLost = eventstore.Refuse(eventstore.KindNotFound, "", "the vault does not know this person; it was restored from a backup, and who came after the backup was lost with the old vault").
	Because(eventstore.ErrKeyLost)
