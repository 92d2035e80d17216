package keyvault

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// shredQueue lets concurrent shreds share a re-keying: whoever gets the turn does the work of all who wait.
type shredQueue struct {
	turn    sync.Mutex
	mu      sync.Mutex
	waiting []*shredRequest
}

type shredRequest struct {
	persons []eventstore.PersonID
	refuse  time.Time
	done    bool // under turn
	err     error
}

// Shred implements [eventstore.Keys]. It takes out whole linked sets: any member's id answers for the set that its fence fixed.
func (v *Vault) Shred(ctx context.Context, tenant eventstore.TenantID, persons []eventstore.PersonID, o eventstore.ShredOptions) error {
	t, err := v.tenant(tenant)
	if err != nil {
		return err
	}
	req := &shredRequest{persons: persons, refuse: o.RefuseUntil}
	q := &t.shreds
	q.mu.Lock()
	q.waiting = append(q.waiting, req)
	q.mu.Unlock()

	q.turn.Lock()
	defer q.turn.Unlock()
	if req.done {
		return req.err
	}
	q.mu.Lock()
	all := q.waiting
	q.waiting = nil
	q.mu.Unlock()
	// The work is also that of others, so one caller's end does not end it.
	t.shredAll(context.WithoutCancel(ctx), all)
	return req.err
}

func (t *tenant) shredAll(ctx context.Context, all []*shredRequest) {
	fail := func(err error) {
		for _, r := range all {
			if !r.done {
				r.done, r.err = true, err
			}
		}
	}
	if err := t.enterAlone(); err != nil {
		fail(err)
		return
	}
	defer t.mu.Unlock()
	gone := map[eventstore.PersonID]shredding{}
	for _, r := range all {
		set, err := t.toShred(r.persons)
		if err != nil {
			r.done, r.err = true, err
			continue
		}
		for id, rec := range set {
			s := shredding{rec, r.refuse}
			if was, twice := gone[id]; twice && was.refuse.After(s.refuse) {
				s.refuse = was.refuse
			}
			gone[id] = s
		}
	}
	if len(gone) > 0 {
		if err := t.shred(ctx, gone); err != nil {
			fail(err)
			return
		}
	}
	fail(nil)
}

// toShred reads the linked sets of fenced persons; erased ones are left out. ErrConflict.
func (t *tenant) toShred(persons []eventstore.PersonID) (map[eventstore.PersonID]*record, error) {
	set, err := t.sets(persons)
	if errors.Is(err, eventstore.ErrNotFound) {
		return nil, eventstore.ErrConflict
	}
	if err != nil {
		return nil, err
	}
	for id := range set {
		if !t.fences.has(id) {
			return nil, eventstore.ErrConflict
		}
	}
	return set, nil
}

// shred takes out records and everything that leads to them; mu is held alone.
func (t *tenant) shred(ctx context.Context, gone map[eventstore.PersonID]shredding) error {
	b := t.v.batchFor(len(gone))
	defer b.Close()
	edits := tree.Edits{Records: map[tree.PersonID][]byte{}, Handles: map[string]*tree.PersonID{}}
	next, marks, err := t.refusalsFor(b, gone)
	if err != nil {
		return err
	}
	ids := slices.SortedFunc(maps.Keys(gone), eventstore.PersonID.Compare)
	for _, id := range ids {
		edits.Records[id] = nil
		for _, h := range gone[id].identities {
			edits.Handles[handleOf(h)] = nil
		}
		if err := errors.Join(b.Set(t.row(rowTombstone, id[:]), nil), b.Delete(t.row(rowFence, id[:]))); err != nil {
			return err
		}
	}
	if err := b.Merge(t.row(rowCount), binary.AppendVarint(nil, -int64(len(ids))), nil); err != nil {
		return err
	}
	if err := t.rekey(ctx, b, edits, next, ids...); err != nil {
		return err
	}
	t.count.Add(-int64(len(ids)))
	t.refused.add(marks)
	for h := range edits.Handles {
		t.handles.drop(h)
	}
	for _, id := range ids {
		t.v.gates.remove(gateKey{t.index, id}, eventstore.ErrErased)
		gone[id].wipe()
	}
	t.aside.remove(eventstore.ErrErased, among(gone))
	t.fences.remove(ids)
	return nil
}

// rekey does the three steps of the package comment with a batch that holds the rest of the change; mu is held alone. The successors of those in
// out go with it. An error before the batch is committed leaves everything as it was.
func (t *tenant) rekey(ctx context.Context, b batch, edits tree.Edits, next *tenantKeys, out ...eventstore.PersonID) error {
	v := t.v
	root, err := secret.Random(v.entropy, keySize)
	if err != nil {
		return err
	}
	if err := t.resealOutbox(b, next); err != nil {
		return err
	}
	if err := t.resealStaged(b, next, out); err != nil {
		return err
	}
	edits.Extra = next.encode()
	change, err := t.tree.Rekey(b, edits, root)
	if err != nil {
		return fromTree(err)
	}
	spare := 1 - t.slot
	if err := v.roots.Write(ctx, t.index, spare, register.Root{Generation: t.tree.Generation() + 1, Key: root}); err != nil {
		// What the spare slot holds now opens nothing.
		v.unwritable.Store(true)
		return errRegister.Because(err)
	}
	if err := v.commit(b, pebble.Sync); err != nil {
		return err
	}
	change.Apply()
	v.unwritable.Store(false)
	if err := v.roots.Efface(ctx, t.index, t.slot); err != nil {
		if err = v.roots.Efface(ctx, t.index, t.slot); err != nil {
			return v.fail(err)
		}
	}
	t.root.Wipe()
	t.own.outbox.Wipe()
	for n, key := range t.own.refusals {
		if _, kept := next.refusals[n]; !kept {
			key.Wipe()
		}
	}
	t.root, t.slot, t.own = root, spare, next
	t.least.Store(uint32(next.floor))
	return nil
}

var errRegister = eventstore.Refuse(eventstore.KindUnavailable, "", "the root register could not be written; nothing was erased")

// resealOutbox gives the outbox a new key, so that old copies of its rows do not open.
func (t *tenant) resealOutbox(b batch, next *tenantKeys) error {
	owed, err := t.outbox()
	if err != nil {
		return err
	}
	if next.outbox, err = secret.Random(t.v.entropy, keySize); err != nil {
		return err
	}
	for _, o := range owed {
		if err := t.putOwed(b, next.outbox, o); err != nil {
			return err
		}
	}
	return nil
}
