package keyvault

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// Populate lets n strangers at once into a tenant in which nobody is, as if each had come with one event at that time. identity names them, and is called
// by several goroutines. The key tree is built from below, each row written once: it takes a fraction of the time of n first contacts, and 50 bytes of memory a
// person besides. Everything else of the tenant waits.
//
// They are durable when it returns, all or none. ErrConflict if somebody is in the tenant or an erasure is not a day ago, or if two have the same identity;
// ErrExpired.
func (v *Vault) Populate(ctx context.Context, tenant eventstore.TenantID, n int, identity func(int) eventstore.Identity, at time.Time) error {
	t, err := v.tenant(tenant)
	if err != nil {
		return err
	}
	leave, err := t.enterToRekey()
	if err != nil {
		return err
	}
	defer leave()
	if t.tooOld(eventstore.Arrival{Time: at, Received: at}) {
		return eventstore.ErrExpired
	}
	if t.count.Load() > 0 || len(t.own.refusals) > 0 {
		return errPopulated
	}
	w, err := t.tree.Builder()
	if errors.Is(err, tree.ErrNotEmpty) {
		return errPopulated
	}
	if err != nil {
		return fromTree(err)
	}
	p := &populating{t: t, ctx: ctx, at: at, identity: identity}
	if err := p.draw(n); err != nil {
		return err
	}
	if err := p.build(w); err != nil {
		if v.ready() == nil {
			err = errors.Join(err, t.undoPopulating())
		}
		return err
	}
	return nil
}

var errPopulated = eventstore.Refuse(eventstore.KindConflict, "", "only an empty tenant, in which nobody was erased for a day, can be populated")

// populating is one run of [Vault.Populate].
type populating struct {
	t        *tenant
	ctx      context.Context
	at       time.Time
	identity func(int) eventstore.Identity
	ids      []eventstore.PersonID // ascending by hash
	handles  []hashed
}

// hashed is the handle of a person by number.
type hashed struct {
	hash   uint64
	person uint32
}

func (p *populating) handle(i int) string { return handleOf(p.identity(i)) }

// draw draws the ids and orders the handles.
func (p *populating) draw(n int) error {
	tr := p.t.tree
	p.ids, p.handles = make([]eventstore.PersonID, n), make([]hashed, n)
	for i := range n {
		var err error
		if p.ids[i], err = eventstore.NewPersonID(p.t.v.entropy); err != nil {
			return err
		}
		p.handles[i] = hashed{tr.PageHash(p.handle(i)), uint32(i)}
	}
	slices.SortFunc(p.ids, func(a, b eventstore.PersonID) int {
		return cmp.Compare(tr.LeafHash(tree.PersonID(a)), tr.LeafHash(tree.PersonID(b)))
	})
	slices.SortFunc(p.handles, func(a, b hashed) int { return cmp.Compare(a.hash, b.hash) })
	for i := 1; i < n; i++ {
		if a, b := p.handles[i-1], p.handles[i]; a.hash == b.hash && p.handle(int(a.person)) == p.handle(int(b.person)) {
			return fmt.Errorf("vault: two strangers with the same identity: %w", eventstore.ErrConflict)
		}
	}
	return nil
}

// build writes the tree. The last batch makes it seen; it is synced, and everything before it in the log with it.
func (p *populating) build(w *tree.Builder) error {
	v := p.t.v
	b := v.batch()
	defer b.Close()
	if len(p.ids) <= tree.BucketMax { // a bucket without a node above stands where the empty one stood
		if err := errors.Join(w.Fill(b, tree.Leaves, p.leaves()), w.Fill(b, tree.Pages, p.pages())); err != nil {
			return fromTree(err)
		}
	} else if err := errors.Join(p.begin(), b.Delete(p.t.row(rowPopulating)), p.fill(w)); err != nil {
		return err
	}
	change, err := w.Finish(b, p.t.root)
	if err != nil {
		return fromTree(err)
	}
	if err := b.Merge(p.t.row(rowCount), binary.AppendVarint(nil, int64(len(p.ids))), nil); err != nil {
		return err
	}
	if err := v.commit(b, pebble.Sync); err != nil {
		return err
	}
	change.Apply()
	p.t.count.Add(int64(len(p.ids)))
	p.t.minted.Store(true)
	return nil
}

// fill writes both tries side by side.
func (p *populating) fill(w *tree.Builder) error {
	var (
		both   sync.WaitGroup
		failed [2]error
	)
	for i, trie := range []tree.Trie{tree.Leaves, tree.Pages} {
		items := p.leaves()
		if trie == tree.Pages {
			items = p.pages()
		}
		both.Go(func() {
			rows := &stream{v: p.t.v, ctx: p.ctx, batch: p.t.v.batch()}
			defer func() { rows.Close() }()
			if failed[i] = fromTree(w.Fill(rows, trie, items)); failed[i] == nil {
				failed[i] = rows.commit()
			}
		})
	}
	both.Wait()
	return errors.Join(failed[0], failed[1])
}

func (p *populating) leaves() tree.Items {
	return tree.Items{Len: len(p.ids), Hash: func(i int) uint64 { return p.t.tree.LeafHash(tree.PersonID(p.ids[i])) }, Item: p.record}
}

func (p *populating) pages() tree.Items {
	return tree.Items{Len: len(p.ids), Hash: func(i int) uint64 { return p.handles[i].hash }, Item: func(i int) (string, []byte, error) {
		h := p.handles[i]
		return p.handle(int(h.person)), p.ids[h.person][:], nil
	}}
}

// record makes the record of the i-th person.
func (p *populating) record(i int) (string, []byte, error) {
	a := eventstore.Arrival{Identity: p.identity(i), Time: p.at, Received: p.at}
	r, err := p.t.firstRecord(a)
	if err != nil {
		return "", nil, err
	}
	defer r.wipe()
	r.identities = []eventstore.Identity{a.Identity}
	return string(p.ids[i][:]), r.encode(), nil
}

// begin notes that the tree's rows are none but those of its root, until the last batch: a crash leaves rows to which nothing leads.
func (p *populating) begin() error {
	b := p.t.v.batch()
	defer b.Close()
	if err := b.Set(p.t.row(rowPopulating), nil); err != nil {
		return err
	}
	return p.t.v.commit(b, pebble.NoSync)
}

// undoPopulating takes out what a run left that did not come to its end; mu is held alone, or nobody knows the tenant yet.
func (t *tenant) undoPopulating() error {
	if note, err := (rows{t.v.db}).Get(t.row(rowPopulating)); err != nil || note == nil {
		return err
	}
	if _, err := t.tree.Builder(); err != nil {
		return fmt.Errorf("a tenant that is being populated has somebody in it: %w", errors.Join(eventstore.ErrDamaged, err))
	}
	b := t.v.batch()
	defer b.Close()
	for _, kind := range []byte{'N', 'B'} {
		if err := b.DeleteRange(t.row(kind), after(t.row(kind)), nil); err != nil {
			return err
		}
	}
	if err := b.Delete(t.row(rowPopulating)); err != nil {
		return err
	}
	return t.v.commit(b, pebble.NoSync)
}

// stream is a [tree.Batch] that is committed as it fills, without a sync.
type stream struct {
	batch
	v   *Vault
	ctx context.Context
}

const streamedAtOnce = 1 << 20

func (s *stream) Set(key, value []byte) error {
	if err := s.batch.Set(key, value); err != nil || s.Len() < streamedAtOnce {
		return err
	}
	if err := s.commit(); err != nil {
		return err
	}
	err := s.Close()
	s.batch = s.v.batch()
	return errors.Join(err, s.ctx.Err())
}

func (s *stream) commit() error { return s.v.commit(s.batch, pebble.NoSync) }
