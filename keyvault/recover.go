package keyvault

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// look opens the database for reading, and everything that a start opens, before anything may change it: a database that lost its newest rows to damage
// opens as an older one, and would delete for good what it does not know any more.
func (v *Vault) look(ctx context.Context, key secret.Bytes) (err error) {
	if err := v.openDB(v.dirLock(), true); err != nil {
		return err
	}
	defer func() {
		for _, t := range v.tenants {
			t.close()
		}
		clear(v.tenants)
		if v.roots != nil {
			err = errors.Join(err, v.roots.Close())
		}
		err = errors.Join(err, v.db.Close())
		v.roots, v.db = nil, nil
	}()
	fresh, err := v.openHeader()
	if err != nil || fresh {
		return err
	}
	v.roots, _, err = register.Open(v.fs, register.Options{Dirs: v.c.rootDirs(), Vault: v.id, Key: key, KEK: v.kek, Look: true, Lost: v.c.RootsLost})
	if err != nil {
		return fromRegister(err)
	}
	_, err = v.readTenants(ctx)
	return err
}

// readTenants opens every tenant and changes nothing; what is to be done before they are served is returned.
func (v *Vault) readTenants(ctx context.Context) (finish []func() error, err error) {
	type named struct {
		t *tenant
		s tenantState
	}
	var all []named
	err = rows{v.db}.Scan([]byte{rowName}, func(key, value []byte) error {
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
		return nil, err
	}
	known := map[uint32]bool{}
	for _, n := range all {
		known[n.t.index] = true
	}
	left, err := v.refuseStrangers(ctx, known)
	if err != nil {
		return nil, err
	}
	for _, index := range left {
		finish = append(finish, func() error { return fromRegister(v.roots.EffaceAll(ctx, index)) })
	}
	for _, n := range all {
		f, err := n.t.open(ctx, n.s)
		if err != nil && v.c.Inspect {
			v.unopened[n.t.id] = err
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("vault: tenant %s: %w", n.t.id, err)
		}
		finish = append(finish, f)
		if n.s != tenantCreating {
			v.tenants[n.t.id] = n.t
		}
	}
	return finish, nil
}

// openTenants opens every tenant, finishing what a crash interrupted.
func (v *Vault) openTenants(ctx context.Context) error {
	finish, err := v.readTenants(ctx)
	if err != nil {
		return err
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
		if t.v.c.Inspect {
			continue // damage is told when it is met
		}
		if err := t.tree.Warm(); err != nil {
			return fmt.Errorf("vault: tenant %s: %w", t.id, fromTree(err))
		}
	}
	return nil
}

// refuseStrangers refuses a register that holds roots of tenants that the database does not know: the database is older. What a copy that comes back
// holds of such a tenant is listed, to be effaced.
func (v *Vault) refuseStrangers(ctx context.Context, known map[uint32]bool) (left []uint32, err error) {
	n, err := v.roots.Tenants(ctx)
	if err != nil {
		return nil, fromRegister(err)
	}
	for i := range n {
		if known[i] {
			continue
		}
		held, err := v.roots.Held(ctx, i)
		if err != nil {
			return nil, fromRegister(err)
		}
		wipe(held)
		for _, h := range held {
			switch {
			case !holdsRoot(h):
			case h.Stale:
				left = append(left, i)
			default:
				return nil, fmt.Errorf("vault: the root register holds the root of a tenant that the database does not know; the database is older than the register: %w", eventstore.ErrDamaged)
			}
		}
	}
	return left, nil
}

func holdsRoot(h register.Held) bool {
	return h.Slots[0].State == register.Full || h.Slots[1].State == register.Full
}

// open reads a tenant and returns what is left to do before it is served.
func (t *tenant) open(ctx context.Context, s tenantState) (finish func() error, err error) {
	switch s {
	case tenantLive:
		return t.openLive(ctx)
	case tenantCreating:
		return func() error {
			if err := t.v.roots.EffaceAll(ctx, t.index); err != nil {
				return fromRegister(err)
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
		// A copy of the register that comes back may still hold its root.
		return func() error { return fromRegister(t.v.roots.EffaceAll(ctx, t.index)) }, nil
	}
	return nil, fmt.Errorf("its row says an unknown state: %w", eventstore.ErrDamaged)
}

// openLive finds the root that opens the newest root node; it is to be in one slot of every copy of the register, and the other is to be effaced.
func (t *tenant) openLive(ctx context.Context) (func() error, error) {
	held, err := t.v.roots.Held(ctx, t.index)
	if err != nil {
		return nil, fromRegister(err)
	}
	defer wipe(held)
	root, err := t.findRoot(held)
	if err != nil {
		return nil, err
	}
	t.root = root.Key
	if err := noneNewer(held, root); err != nil {
		return nil, err
	}
	if t.own, err = decodeTenantKeys(t.tree.Extra()); err != nil {
		return nil, err
	}
	t.least.Store(uint32(t.own.floor))
	if err := t.loadSmall(); err != nil {
		return nil, err
	}
	return func() error {
		return errors.Join(fromRegister(t.v.roots.Agree(ctx, t.index, t.slot, root)), t.undoPopulating())
	}, nil
}

// findRoot tries every root that a copy of the register holds; the first that opens the tree is taken.
func (t *tenant) findRoot(held []register.Held) (root register.Root, err error) {
	var tried []register.Root
	for _, h := range held {
		for i, s := range h.Slots {
			if s.State != register.Full || slices.ContainsFunc(tried, s.Root.Equal) {
				continue
			}
			tried = append(tried, s.Root)
			tr, err := tree.Open(t.treeConfig(), s.Root.Key)
			if errors.Is(err, tree.ErrWrongKey) {
				continue
			}
			if err != nil {
				return root, fromTree(err)
			}
			t.tree, t.slot = tr, i
			return register.Root{Generation: s.Root.Generation, Key: secret.New(bytes.Clone(s.Root.Key.Reveal()))}, nil
		}
	}
	return root, fmt.Errorf("no slot of the root register opens its root node; database and register are not of the same moment, or the slot is damaged: %w", eventstore.ErrDamaged)
}

func wipe(held []register.Held) {
	for _, h := range held {
		h.Wipe()
	}
}

// noneNewer refuses when a copy holds a newer root than the one that opens the tree, and not that one: the old root is effaced only once the database
// needs the new one, so the database and the copy that opens it are older.
func noneNewer(held []register.Held, root register.Root) error {
	for _, h := range held {
		newer, has := false, false
		for _, s := range h.Slots {
			if s.State == register.Full {
				newer = newer || s.Root.Generation > root.Generation
				has = has || s.Root.Equal(root)
			}
		}
		if newer && !has {
			return fmt.Errorf("the copy of the root register in %s is newer than the database and than the copy that opens it: %w", h.Copy, eventstore.ErrDamaged)
		}
	}
	return nil
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
	if err := t.loadRestored(); err != nil {
		return err
	}
	return t.loadRefusals()
}
