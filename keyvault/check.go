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
	// Damage says what is wrong, row by row, by kind and position; it names persons by their ids and no handle. More counts what was found beyond its bound.
	Damage []string
	More   int

	holders map[eventstore.LedgerReference]eventstore.PersonID
}

// Holder is the person whose record a ledger reference names, if the vault holds it and the reference was asked for.
func (r Report) Holder(ref eventstore.LedgerReference) (eventstore.PersonID, bool) {
	id, found := r.holders[ref]
	return id, found
}

// maxDamage bounds the lines of a report.
const maxDamage = 1000

// CheckOptions say what a check looks for besides damage.
type CheckOptions struct {
	// Wanted asks for the holder of a ledger reference (nil: of none).
	Wanted func(eventstore.LedgerReference) bool
	// Progress is told how many records of how many were opened, now and then (nil: nobody is told).
	Progress func(done, of uint64)
}

// checker goes through one tenant.
type checker struct {
	t      *tenant
	o      CheckOptions
	report Report
	// claimed counts the handles that records hold.
	claimed int
	// lost says that a part of the tree was not seen, so that nothing can be counted against it.
	lost bool
}

func (c *checker) damage(format string, args ...any) {
	if len(c.report.Damage) == maxDamage {
		c.report.More++
		return
	}
	c.report.Damage = append(c.report.Damage, fmt.Sprintf(format, args...))
}

// Check opens every node, record, handle and row of a tenant and holds them against each other, changing nothing. It goes on after damage. It keeps one bucket
// in memory, what was asked for and a bounded report, and stops the tenant's writers meanwhile. The error is that of a tenant that cannot be looked at;
// damage is in the report.
func (v *Vault) Check(ctx context.Context, tenant eventstore.TenantID) (Report, error) {
	return v.CheckWith(ctx, tenant, CheckOptions{})
}

// CheckWith is Check with options.
func (v *Vault) CheckWith(ctx context.Context, tenant eventstore.TenantID, o CheckOptions) (Report, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return Report{}, err
	}
	if err := t.enterAlone(); err != nil {
		return Report{}, err
	}
	defer t.mu.Unlock()
	c := &checker{t: t, o: o, report: Report{holders: map[eventstore.LedgerReference]eventstore.PersonID{}}}
	for _, step := range append([]func(context.Context) error{c.tree, c.register}, c.beside()...) {
		if err := step(ctx); errors.Is(err, eventstore.ErrDamaged) || errors.Is(err, eventstore.ErrNewerVersion) {
			c.damage("%v", err)
		} else if err != nil {
			return c.report, err
		}
	}
	return c.report, nil
}

const progressEvery = 1024

// tree opens nodes, records and handles.
func (c *checker) tree(ctx context.Context) error {
	shape, err := c.t.tree.Survey(tree.Surveyor{
		Record: func(id tree.PersonID, plain []byte) error {
			if c.report.Persons++; c.report.Persons%progressEvery == 0 {
				c.progress()
			}
			c.record(eventstore.PersonID(id), plain)
			return ctx.Err()
		},
		Handle: func(string, tree.PersonID) error { c.report.Handles++; return ctx.Err() },
		Damaged: func(d tree.Damage) {
			c.lost = true
			if d.What == "record" {
				c.damage("record: that of %s, in %s: %v", eventstore.PersonID(d.Person), d.Where(), d.Err)
			} else {
				c.damage("%s: in %s: %v", d.What, d.Where(), d.Err)
			}
		},
	})
	if err != nil {
		return err
	}
	c.progress()
	if c.lost {
		return nil
	}
	if n := c.t.count.Load(); n != int64(c.report.Persons) {
		c.damage("counter: it says %d persons, there are %d", n, c.report.Persons)
	}
	// Each handle of a record was seen to lead there; so if there are as many, no handle leads elsewhere.
	if c.claimed != c.report.Handles {
		c.damage("pages: they hold %d handles, the records %d", c.report.Handles, c.claimed)
	}
	return c.strays(shape)
}

func (c *checker) progress() {
	if c.o.Progress != nil {
		c.o.Progress(uint64(c.report.Persons), uint64(max(c.t.count.Load(), int64(c.report.Persons))))
	}
}

// record holds a record against its handles and its linked set.
func (c *checker) record(id eventstore.PersonID, plain []byte) {
	r, err := decodeRecord(plain)
	if err != nil {
		c.damage("record: that of %s: %v", id, err)
		c.lost = true
		return
	}
	defer r.wipe()
	if c.o.Wanted != nil && c.o.Wanted(r.reference) {
		c.report.holders[r.reference] = id
	}
	for i, h := range r.identities {
		c.claimed++
		if named, found, err := c.t.tree.Handle(handleOf(h)); err != nil {
			c.damage("handle: the %d. of %s: %v", i+1, id, err)
		} else if !found || eventstore.PersonID(named) != id {
			c.damage("handle: the %d. of %s does not lead there", i+1, id)
		}
	}
	for _, o := range r.others {
		c.linked(id, r, o)
	}
}

// linked holds a record against another of its linked set.
func (c *checker) linked(id eventstore.PersonID, r *record, o eventstore.PersonID) {
	plain, err := c.t.tree.Record(tree.PersonID(o))
	if err != nil {
		return // it is damaged, and told for itself
	}
	if plain == nil {
		c.damage("record: %s is linked with %s, who has none", id, o)
		return
	}
	other, err := decodeRecord(plain)
	if err != nil {
		return
	}
	defer other.wipe()
	switch {
	case !slices.Contains(other.others, id) || len(other.others) != len(r.others):
		c.damage("record: %s is linked with %s, but not the other way round", id, o)
	case !other.set.Equal(r.set):
		c.damage("record: %s and %s are linked but have two set secrets", id, o)
	}
}

// has says whether a person has a record; of one that is damaged it is not known, and told elsewhere.
func (c *checker) has(id eventstore.PersonID, otherwise bool) bool {
	plain, err := c.t.tree.Record(tree.PersonID(id))
	if err != nil {
		return otherwise
	}
	return plain != nil
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

// beside are the looks at the rows beside the tree.
func (c *checker) beside() []func(context.Context) error {
	return []func(context.Context) error{c.tombstones, c.fences, c.successors, c.refusals, c.retention, c.outbox, c.meta}
}

// each visits the rows of a kind.
func (c *checker) each(kind byte, visit func(rest, key, value []byte)) error {
	prefix := c.t.row(kind)
	return rows{c.t.v.db}.Scan(prefix, func(key, value []byte) error {
		visit(key[len(prefix):], key, value)
		return nil
	})
}

// person reads the id that a row's key ends with.
func (c *checker) person(what string, rest []byte) (id eventstore.PersonID, ok bool) {
	if len(rest) != len(id) {
		c.damage("%s: a row key of a wrong length", what)
		return id, false
	}
	return eventstore.PersonID(rest), true
}

func (c *checker) tombstones(context.Context) error {
	return c.each(rowTombstone, func(rest, _, _ []byte) {
		c.report.Erased++
		if id, ok := c.person("tombstone", rest); ok && c.has(id, false) {
			c.damage("tombstone: %s is erased and has a record", id)
		}
	})
}

func (c *checker) fences(context.Context) error {
	return c.each(rowFence, func(rest, _, _ []byte) {
		c.report.Fenced++
		if id, ok := c.person("fence", rest); ok && !c.has(id, true) {
			c.damage("fence: %s is fenced and has no record", id)
		}
	})
}

func (c *checker) successors(context.Context) error {
	return c.each(rowStaged, func(rest, key, sealed []byte) {
		c.report.Staged++
		id, ok := c.person("successor", rest)
		if !ok {
			return
		}
		if !c.t.fences.has(id) {
			c.damage("successor: %s has one and is not fenced", id)
		}
		if r, err := c.t.openStaged(c.t.own.outbox, key, sealed); err != nil {
			c.damage("successor: that of %s: %v", id, err)
		} else {
			r.wipe()
		}
	})
}

func (c *checker) refusals(context.Context) error {
	return c.each(rowRefusal, func(rest, _, value []byte) {
		if len(rest) != 8+16 || len(value) != 8 && (len(value) != 8+16 || !term(binary.BigEndian.Uint64(rest)).longer()) {
			c.damage("refusal: a row of a wrong length")
			return
		}
		if _, ok := c.t.own.refusals[term(binary.BigEndian.Uint64(rest))]; !ok {
			c.damage("refusal: a row whose key is shredded")
		}
	})
}

func (c *checker) outbox(context.Context) error {
	owed, err := c.t.outbox()
	c.report.Owed = len(owed)
	return err
}

func (c *checker) meta(context.Context) error {
	n := 0
	return c.each(rowMeta, func(_, row, sealed []byte) {
		n++
		if _, _, err := c.t.openMeta(row, sealed); err != nil {
			c.damage("meta: row %d: %v", n, err)
		}
	})
}

// retention looks at the rows of a run that is under way and of those whom retention spared.
func (c *checker) retention(context.Context) error {
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
