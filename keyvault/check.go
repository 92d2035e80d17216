package keyvault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// Report is what [Vault.Check] found in a tenant.
type Report struct {
	Persons, Handles, Fenced, Staged, Erased, Owed int
	// Damage says what is wrong, by kind of row; it names persons by their ids and no handle.
	Damage []string

	holders map[eventstore.LedgerReference]eventstore.PersonID
}

// Holder is the person whose record a ledger reference names, if the vault holds it.
func (r Report) Holder(ref eventstore.LedgerReference) (eventstore.PersonID, bool) {
	id, found := r.holders[ref]
	return id, found
}

// checker goes through one tenant.
type checker struct {
	t       *tenant
	report  Report
	records map[eventstore.PersonID]*record
	named   map[string]eventstore.PersonID
}

func (c *checker) damage(format string, args ...any) {
	c.report.Damage = append(c.report.Damage, fmt.Sprintf(format, args...))
}

// Check opens every node, record, handle and row of a tenant and holds them against each other, changing nothing. It keeps the whole tenant
// in memory and stops its writers meanwhile. The error is that of a tenant that cannot be looked at; damage is in the report.
func (v *Vault) Check(ctx context.Context, tenant eventstore.TenantID) (Report, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return Report{}, err
	}
	if err := t.enterAlone(); err != nil {
		return Report{}, err
	}
	defer t.mu.Unlock()
	c := &checker{t: t, records: map[eventstore.PersonID]*record{}, named: map[string]eventstore.PersonID{}}
	defer func() {
		for _, r := range c.records {
			r.wipe()
		}
	}()
	for _, step := range []func(context.Context) error{c.tree, c.register, c.small} {
		if err := step(ctx); err != nil {
			return c.report, err
		}
	}
	c.people()
	return c.report, nil
}

// tree opens nodes, records and handles.
func (c *checker) tree(context.Context) error {
	shape, err := c.t.tree.Check(func(id tree.PersonID, plain []byte) error {
		r, err := decodeRecord(plain)
		if err != nil {
			return fmt.Errorf("the record of %s: %w", eventstore.PersonID(id), err)
		}
		c.records[eventstore.PersonID(id)] = r
		return nil
	}, func(handle string, id tree.PersonID) error {
		c.named[handle] = eventstore.PersonID(id)
		return nil
	})
	switch {
	case errors.Is(err, tree.ErrDamaged), errors.Is(err, tree.ErrVersion), errors.Is(err, eventstore.ErrDamaged), errors.Is(err, eventstore.ErrNewerVersion):
		c.damage("key tree: %v", err)
		return nil
	case err != nil:
		return err
	}
	c.report.Persons, c.report.Handles = len(c.records), len(c.named)
	if n := c.t.count.Load(); n != int64(len(c.records)) {
		c.damage("counter: it says %d persons, there are %d", n, len(c.records))
	}
	return c.strays(shape)
}

// strays counts the tree's rows: what no node leads to is left over from something.
func (c *checker) strays(shape tree.Shape) error {
	for kind, want := range map[byte]int{'R': 1, 'N': shape.Nodes, 'B': shape.Records + shape.Handles} {
		n := 0
		if err := (rows{c.t.v.db}).Scan(c.t.row(kind), func(_, _ []byte) error { n++; return nil }); err != nil {
			return err
		}
		if n != want {
			c.damage("key tree: %d rows of kind %c, %d of them in use", n, kind, want)
		}
	}
	return nil
}

// register wants the root in one slot of every copy and nothing in the other.
func (c *checker) register(ctx context.Context) error {
	held, err := c.t.v.roots.Held(ctx, c.t.index)
	if err != nil {
		return fromRegister(err)
	}
	defer wipe(held)
	for _, h := range held {
		if s := h.Slots[c.t.slot]; s.State != register.Full || !s.Root.Key.Equal(c.t.root) {
			c.damage("root register in %s: the slot of the root does not hold it", h.Copy)
		}
		if h.Slots[1-c.t.slot].State != register.Empty {
			c.damage("root register in %s: the spare slot is not empty", h.Copy)
		}
	}
	return nil
}

// small looks at the rows beside the tree.
func (c *checker) small(context.Context) error {
	db := rows{c.t.v.db}
	prefix := c.t.row(rowTombstone)
	err := db.Scan(prefix, func(key, _ []byte) error {
		id := eventstore.PersonID(key[len(prefix):])
		c.report.Erased++
		if c.records[id] != nil {
			c.damage("tombstone: %s is erased and has a record", id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	prefix = c.t.row(rowFence)
	err = db.Scan(prefix, func(key, _ []byte) error {
		id := eventstore.PersonID(key[len(prefix):])
		c.report.Fenced++
		if c.records[id] == nil {
			c.damage("fence: %s is fenced and has no record", id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	prefix = c.t.row(rowStaged)
	err = db.Scan(prefix, func(key, sealed []byte) error {
		id := eventstore.PersonID(key[len(prefix):])
		c.report.Staged++
		if !c.t.fences.has(id) {
			c.damage("successor: %s has one and is not fenced", id)
		}
		if r, err := c.t.openStaged(c.t.own.outbox, key, sealed); err != nil {
			c.damage("successor: that of %s: %v", id, err)
		} else {
			r.wipe()
		}
		return nil
	})
	if err != nil {
		return err
	}
	prefix = c.t.row(rowRefusal)
	err = db.Scan(prefix, func(key, value []byte) error {
		if len(key) != len(prefix)+8+16 || len(value) != 8 {
			c.damage("refusal: a row of a wrong length")
			return nil
		}
		if _, ok := c.t.own.refusals[term(binary.BigEndian.Uint64(key[len(prefix):]))]; !ok {
			c.damage("refusal: a row whose key is shredded")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.retention(); err != nil {
		return err
	}
	owed, err := c.t.outbox()
	if errors.Is(err, eventstore.ErrDamaged) {
		c.damage("outbox: %v", err)
		err = nil
	}
	c.report.Owed = len(owed)
	if err != nil {
		return err
	}
	return db.Scan(c.t.row(rowMeta), func(row, sealed []byte) error {
		if _, _, err := c.t.openMeta(row, sealed); err != nil {
			c.damage("meta: %v", err)
		}
		return nil
	})
}

// retention looks at the rows of a run that is under way and of those whom retention spared.
func (c *checker) retention() error {
	b, err := rows{c.t.v.db}.Get(c.t.row(rowExpiry))
	if err != nil {
		return err
	}
	if b != nil && (len(b) != 16 || c.t.own.floor == c.t.own.expired) {
		c.damage("retention: the row of a run is cut, or there is no run")
	}
	if c.t.own.floor < c.t.own.expired {
		c.damage("retention: months expired that no run began with")
	}
	err = c.t.eachSpared(func([]byte, eventstore.PersonID) error { return nil })
	if errors.Is(err, eventstore.ErrDamaged) {
		c.damage("retention: %v", err)
		err = nil
	}
	return err
}

// people holds records, handles and linked sets against each other.
func (c *checker) people() {
	handles := 0
	c.report.holders = make(map[eventstore.LedgerReference]eventstore.PersonID, len(c.records))
	for id, r := range c.records {
		c.report.holders[r.reference] = id
		for _, h := range r.identities {
			handles++
			if c.named[handleOf(h)] != id {
				c.damage("page: a handle of %s does not lead there", id)
			}
		}
		for _, o := range r.others {
			other := c.records[o]
			switch {
			case other == nil:
				c.damage("record: %s is linked with %s, who has none", id, o)
			case !slices.Contains(other.others, id) || len(other.others) != len(r.others):
				c.damage("record: %s is linked with %s, but not the other way round", id, o)
			case !other.set.Equal(r.set):
				c.damage("record: %s and %s are linked but have two set secrets", id, o)
			}
		}
	}
	if handles != len(c.named) {
		c.damage("pages: they hold %d handles, the records %d", len(c.named), handles)
	}
}
