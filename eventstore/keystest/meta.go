package keystest

import (
	"bytes"
	"context"

	"github.com/oubli-store/oubli/eventstore"
)

// Put implements [eventstore.Meta].
func (f *Fake) Put(ctx context.Context, tenant eventstore.TenantID, table eventstore.MetaTable, key string, value []byte) error {
	return f.put(tenant, table, key, value, false)
}

// PutIf implements [eventstore.Meta].
func (f *Fake) PutIf(ctx context.Context, tenant eventstore.TenantID, table eventstore.MetaTable, key string, value []byte) error {
	return f.put(tenant, table, key, value, true)
}

func (f *Fake) put(tenant eventstore.TenantID, table eventstore.MetaTable, key string, value []byte, absent bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return err
	}
	rows := t.meta[table]
	if _, ok := rows[key]; ok && absent {
		return eventstore.ErrConflict
	}
	if rows == nil {
		rows = map[string][]byte{}
		t.meta[table] = rows
	}
	rows[key] = bytes.Clone(value)
	return nil
}

// Get implements [eventstore.Meta].
func (f *Fake) Get(ctx context.Context, tenant eventstore.TenantID, table eventstore.MetaTable, key string) ([]byte, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return nil, err
	}
	value, ok := t.meta[table][key]
	if !ok {
		return nil, eventstore.ErrNotFound
	}
	return bytes.Clone(value), nil
}

// List implements [eventstore.Meta].
func (f *Fake) List(ctx context.Context, tenant eventstore.TenantID, table eventstore.MetaTable) (map[string][]byte, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for key, value := range t.meta[table] {
		out[key] = bytes.Clone(value)
	}
	return out, nil
}

// Delete implements [eventstore.Meta].
func (f *Fake) Delete(ctx context.Context, tenant eventstore.TenantID, table eventstore.MetaTable, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return err
	}
	delete(t.meta[table], key)
	return nil
}
