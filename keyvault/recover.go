package keyvault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// openTenants opens every tenant, finishing what a crash interrupted.
func (v *Vault) openTenants(ctx context.Context) error {
	type named struct {
		t *tenant
		s tenantState
	}
	var all []named
	err := rows{v.db}.Scan([]byte{rowName}, func(key, value []byte) error {
		if len(value) > 0 && value[0] > vaultVersion {
			return fmt.Errorf("vault: a tenant's row: %w", eventstore.ErrNewerVersion)
		}
		if len(value) != 6 {
			return fmt.Errorf("vault: a tenant's row is cut: %w", eventstore.ErrDamaged)
		}
		t := v.newTenant(eventstore.TenantID(key[1:]), binary.BigEndian.Uint32(value[2:]))
		all = append(all, named{t, tenantState(value[1])})
		return nil
	})
	if err != nil {
		return err
	}
	known := map[uint32]bool{}
	for _, n := range all {
		known[n.t.index] = true
	}
	// First look at everything, changing nothing; then put it in order.
	if err := v.refuseStrangers(ctx, known); err != nil {
		return err
	}
	var finish []func() error
	for _, n := range all {
		f, err := n.t.open(ctx, n.s)
		if err != nil {
			return fmt.Errorf("vault: tenant %s: %w", n.t.id, err)
		}
		finish = append(finish, f)
		if n.s != tenantCreating {
			v.tenants[n.t.id] = n.t
		}
	}
	for _, f := range finish {
		if err := f(); err != nil {
			return err
		}
	}
	for _, t := range v.tenants {
		if t.gone != nil {
			continue
		}
		if err := t.renew(ctx); err != nil {
			return fmt.Errorf("vault: tenant %s: renewing its root: %w", t.id, err)
		}
	}
	return nil
}

// refuseStrangers refuses a register that holds roots of tenants that the database does not know: the database is older.
func (v *Vault) refuseStrangers(ctx context.Context, known map[uint32]bool) error {
	n, err := v.roots.Tenants(ctx)
	if err != nil {
		return fromRegister(err)
	}
	for i := range n {
		if known[i] {
			continue
		}
		slots, err := v.roots.Slots(ctx, i)
		if err != nil {
			return fromRegister(err)
		}
		if slots[0].State == register.Full || slots[1].State == register.Full {
			return fmt.Errorf("vault: the root register holds the root of a tenant that the database does not know; the database is older than the register: %w", eventstore.ErrDamaged)
		}
	}
	return nil
}

// open reads a tenant and returns what is left to do before it is served.
func (t *tenant) open(ctx context.Context, s tenantState) (finish func() error, err error) {
	switch s {
	case tenantLive:
		return t.openLive(ctx)
	case tenantCreating:
		return func() error {
			for s := range 2 {
				if err := t.v.roots.Efface(ctx, t.index, s); err != nil {
					return fromRegister(err)
				}
			}
			b := t.v.batch()
			defer b.Close()
			if err := b.Delete(nameRow(t.id)); err != nil {
				return err
			}
			return t.v.commit(b, pebble.Sync)
		}, nil
	case tenantErasing:
		t.gone = eventstore.ErrErased
		return func() error { return t.finishErasing(ctx) }, nil
	case tenantErased:
		t.gone = eventstore.ErrErased
		return func() error { return nil }, nil
	}
	return nil, fmt.Errorf("its row says an unknown state: %w", eventstore.ErrDamaged)
}

// openLive finds the slot that opens the newest root node; the other is to be effaced.
func (t *tenant) openLive(ctx context.Context) (func() error, error) {
	slots, err := t.v.roots.Slots(ctx, t.index)
	if err != nil {
		return nil, fromRegister(err)
	}
	opens := -1
	for i, s := range slots {
		if s.State != register.Full {
			continue
		}
		tr, err := tree.Open(t.treeConfig(), s.Root.Key)
		if errors.Is(err, tree.ErrWrongKey) {
			continue
		}
		if err != nil {
			return nil, fromTree(err)
		}
		t.tree, t.root, opens = tr, s.Root.Key, i
	}
	if opens < 0 {
		return nil, fmt.Errorf("no slot of the root register opens its root node; database and register are not of the same moment, or the slot is damaged: %w", eventstore.ErrDamaged)
	}
	t.slot = opens
	if t.own, err = decodeTenantKeys(t.tree.Extra()); err != nil {
		return nil, err
	}
	if err := t.loadSmall(); err != nil {
		return nil, err
	}
	return func() error {
		if slots[1-opens].State == register.Empty {
			return nil
		}
		return fromRegister(t.v.roots.Efface(ctx, t.index, 1-opens))
	}, nil
}

// loadSmall reads the count, the fences and the outbox's last id.
func (t *tenant) loadSmall() error {
	db := rows{t.v.db}
	if b, err := db.Get(t.row(rowCount)); err != nil {
		return err
	} else if b != nil {
		n, k := binary.Varint(b)
		if k <= 0 {
			return fmt.Errorf("the counter is cut: %w", eventstore.ErrDamaged)
		}
		t.count.Store(n)
	}
	prefix := t.row(rowFence)
	err := db.Scan(prefix, func(key, _ []byte) error {
		if len(key) != len(prefix)+16 {
			return fmt.Errorf("a fence is cut: %w", eventstore.ErrDamaged)
		}
		t.fences.persons[eventstore.PersonID(key[len(prefix):])] = struct{}{}
		return nil
	})
	if err != nil {
		return err
	}
	prefix = t.row(rowOutbox)
	err = db.Scan(prefix, func(key, _ []byte) error {
		if len(key) != len(prefix)+16 {
			return fmt.Errorf("an outbox row is cut: %w", eventstore.ErrDamaged)
		}
		t.owed.last = eventstore.EventID(key[len(prefix):])
		return nil
	})
	if err != nil {
		return err
	}
	return t.loadRefusals()
}
