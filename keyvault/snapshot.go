package keyvault

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// Snapshot is a whole vault at one moment: its rows as they are stored, and the root keys of that moment, which open them. It holds the
// keys in memory until it is closed.
type Snapshot struct {
	Vault eventstore.VaultID
	// Tenants are those of the moment by their numbers, erased ones included.
	Tenants []ImagedTenant

	v    *Vault
	rows *pebble.Snapshot
}

// ImagedTenant is a tenant in a [Snapshot] or an [Image].
type ImagedTenant struct {
	Name eventstore.TenantID
	// Number begins the tenant's rows.
	Number uint32
	// Erased tenants have neither root nor rows.
	Erased bool
	// Root is the root key of the moment.
	Root secret.Bytes
}

// Row is one row of a vault, as it is stored.
type Row struct{ Key, Value []byte }

// Snapshot takes hold of the whole vault. While at is called with the tenants that are not erased (nil: nothing is) nobody writes to any of them:
// whatever it reads elsewhere is of the same moment. It must be quick and must not use the vault. Then all go on. The caller must close the snapshot,
// before the vault.
func (v *Vault) Snapshot(ctx context.Context, at func(context.Context, []eventstore.TenantID) error) (_ *Snapshot, err error) {
	if err := v.ready(); err != nil {
		return nil, err
	}
	s := &Snapshot{Vault: v.id, v: v}
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, t := range v.tenants {
		t.mu.Lock()
		defer t.mu.Unlock()
		if err := t.v.ready(); err != nil {
			return nil, err
		}
		image := ImagedTenant{Name: id, Number: t.index, Erased: t.gone != nil}
		if !image.Erased {
			image.Root = secret.New(slices.Clone(t.root.Reveal()))
		}
		s.Tenants = append(s.Tenants, image)
	}
	slices.SortFunc(s.Tenants, func(a, b ImagedTenant) int { return int(a.Number) - int(b.Number) })
	var live []eventstore.TenantID
	for _, t := range s.Tenants {
		if !t.Erased {
			live = append(live, t.Name)
		}
	}
	if at != nil {
		if err := at(ctx, live); err != nil {
			s.wipe()
			return nil, err
		}
	}
	v.snapshots.Add(1)
	s.rows = v.db.NewSnapshot()
	return s, nil
}

// Rows yields the rows of the tenants that are not erased, in ascending order of their keys. Key and value are valid during the call only.
func (s *Snapshot) Rows(ctx context.Context) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, t := range s.Tenants {
			if t.Erased {
				continue
			}
			prefix := tenantPrefix(t.Number)
			it, err := s.rows.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
			if err != nil {
				yield(Row{}, fmt.Errorf("vault: reading rows: %w", damage(err)))
				return
			}
			for ok := it.First(); ok; ok = it.Next() {
				value, err := it.ValueAndErr()
				if err != nil {
					break // it.Error says so again
				}
				if !yield(Row{it.Key(), value}, nil) {
					_ = it.Close() // nobody asks
					return
				}
			}
			if err := errors.Join(it.Error(), it.Close(), ctx.Err()); err != nil {
				yield(Row{}, fmt.Errorf("vault: reading rows: %w", damage(err)))
				return
			}
		}
	}
}

func (s *Snapshot) wipe() {
	for _, t := range s.Tenants {
		t.Root.Wipe()
	}
}

// Close wipes the keys and gives the rows free.
func (s *Snapshot) Close() error {
	s.wipe()
	if s.rows == nil {
		return nil
	}
	defer s.v.snapshots.Done()
	err := s.rows.Close()
	s.rows = nil
	return err
}
