package keyvault

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
)

// metaTable is the prefix of a table's rows, metaRow the key of one; mu is held.
func (t *tenant) metaTable(table eventstore.MetaTable) []byte {
	h := newPRF(t.own.metaHash, "oubli/meta-table/1")
	io.WriteString(h, string(table))
	return t.row(rowMeta, h.Sum(nil)[:8])
}

func (t *tenant) metaRow(table eventstore.MetaTable, key string) []byte {
	h := newPRF(t.own.metaHash, "oubli/meta-key/1")
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(table))))
	io.WriteString(h, string(table))
	io.WriteString(h, key)
	return append(t.metaTable(table), h.Sum(nil)[:16]...)
}

// Put implements [eventstore.Meta].
func (v *Vault) Put(_ context.Context, tenant eventstore.TenantID, table eventstore.MetaTable, key string, value []byte) error {
	return v.put(tenant, table, key, value, false)
}

// PutIf implements [eventstore.Meta].
func (v *Vault) PutIf(_ context.Context, tenant eventstore.TenantID, table eventstore.MetaTable, key string, value []byte) error {
	return v.put(tenant, table, key, value, true)
}

func (v *Vault) put(tenant eventstore.TenantID, table eventstore.MetaTable, key string, value []byte, ifNone bool) error {
	return v.changeMeta(tenant, table, key, func(t *tenantRow) error {
		if ifNone {
			old, err := rows{v.db}.Get(t.row)
			if err != nil {
				return err
			}
			if old != nil {
				return eventstore.ErrConflict
			}
		}
		plain := append(appendString(nil, key), value...)
		sealed, err := v.sealRow(t.own.meta, t.row, plain)
		if err != nil {
			return err
		}
		return t.batch.Set(t.row, sealed)
	})
}

// tenantRow is one meta row under its lock.
type tenantRow struct {
	*tenant
	row   []byte
	batch batch
}

// changeMeta changes one row under its lock, synced.
func (v *Vault) changeMeta(tenant eventstore.TenantID, table eventstore.MetaTable, key string, change func(*tenantRow) error) error {
	t, err := v.tenant(tenant)
	if err != nil {
		return err
	}
	if err := t.enterShared(); err != nil {
		return err
	}
	defer t.mu.RUnlock()
	row := t.metaRow(table, key)
	lock := &t.meta[int(row[len(row)-1])%len(t.meta)]
	lock.Lock()
	defer lock.Unlock()
	b := v.batch()
	defer b.Close()
	if err := change(&tenantRow{t, row, b}); err != nil {
		return err
	}
	return v.commit(b, pebble.Sync)
}

// Get implements [eventstore.Meta].
func (v *Vault) Get(_ context.Context, tenant eventstore.TenantID, table eventstore.MetaTable, key string) ([]byte, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	row := t.metaRow(table, key)
	sealed, err := rows{v.db}.Get(row)
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		return nil, eventstore.ErrNotFound
	}
	_, value, err := t.openMeta(row, sealed)
	return value, err
}

func (t *tenant) openMeta(row, sealed []byte) (key string, value []byte, err error) {
	plain, err := t.v.openRow(t.own.meta, row, sealed, "a meta row")
	if err != nil {
		return "", nil, err
	}
	in := &reader{b: plain}
	key = in.str()
	if in.cut {
		return "", nil, fmt.Errorf("vault: a meta row is cut: %w", eventstore.ErrDamaged)
	}
	return key, bytes.Clone(in.b), nil
}

// List implements [eventstore.Meta].
func (v *Vault) List(_ context.Context, tenant eventstore.TenantID, table eventstore.MetaTable) (map[string][]byte, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	out := map[string][]byte{}
	err = rows{v.db}.Scan(t.metaTable(table), func(row, sealed []byte) error {
		key, value, err := t.openMeta(row, sealed)
		out[key] = value
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Delete implements [eventstore.Meta].
func (v *Vault) Delete(_ context.Context, tenant eventstore.TenantID, table eventstore.MetaTable, key string) error {
	return v.changeMeta(tenant, table, key, func(t *tenantRow) error { return t.batch.Delete(t.row) })
}
