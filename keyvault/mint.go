package keyvault

import (
	"encoding/binary"
	"errors"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// stranger is a handle that named nobody when it was looked up. It was looked up without a lock: writes tells, to who has the lock, whether another
// lookup is needed.
type stranger struct {
	handle string
	slot   *tree.Slot
	writes uint64
}

// lookup finds whom a handle names, or the stranger; mu is held shared and no other lock.
func (t *tenant) lookup(handle string) (eventstore.PersonID, *stranger, error) {
	if id, ok := t.handles.get(handle); ok {
		return id, nil, nil
	}
	slot, err := t.tree.Slot(handle)
	if err != nil {
		return eventstore.PersonID{}, nil, fromTree(err)
	}
	at := stripe(slot.Hash())
	writes := t.writes[at].Load()
	if slot.Lacks() {
		return eventstore.PersonID{}, &stranger{handle, slot, writes}, nil
	}
	raw, found, err := slot.Get()
	if err != nil {
		return eventstore.PersonID{}, nil, fromTree(err)
	}
	if !found {
		return eventstore.PersonID{}, &stranger{handle, slot, writes}, nil
	}
	// Whoever wrote it may not be done: the person's gate must be known to wait for the sync.
	t.pages[at].Lock()
	t.pages[at].Unlock() //lint:ignore SA2001 it is the waiting that counts
	id := eventstore.PersonID(raw)
	t.handles.put(handle, id)
	return id, nil, nil
}

// still says whether s names nobody to this day; its page is locked, and mu held shared.
func (t *tenant) still(s *stranger) (bool, error) {
	moved, err := s.slot.Moved()
	if err != nil {
		return false, fromTree(err)
	}
	if !moved && t.writes[stripe(s.slot.Hash())].Load() == s.writes {
		return true, nil
	}
	_, found, err := s.slot.Get()
	return !found, fromTree(err)
}

// mint makes a person of a stranger who comes with one handle. It is what [tenant.tie] does, without what only ties of several need.
func (t *tenant) mint(a eventstore.Arrival, s *stranger) (*eventstore.Entered, error) {
	m, full, err := t.mintLocked(a, s)
	if err != nil {
		return nil, err
	}
	if err := m.wait(); err != nil {
		return nil, err
	}
	t.split(full)
	return &eventstore.Entered{Gate: m.gate, Minted: true}, nil
}

func (t *tenant) mintLocked(a eventstore.Arrival, s *stranger) (_ *unsynced, full fullBuckets, err error) {
	if err := t.enterShared(); err != nil {
		return nil, full, err
	}
	defer t.mu.RUnlock()
	// A stranger must not be minted for an event that an erasure has overtaken since it was looked at.
	if err := t.refuse(a); err != nil {
		return nil, full, err
	}
	page := &t.pages[stripe(s.slot.Hash())]
	page.Lock()
	defer page.Unlock()
	if still, err := t.still(s); err != nil {
		return nil, full, err
	} else if !still {
		return nil, full, errStale // somebody else minted the person: admit must be asked about them
	}
	id, err := eventstore.NewPersonID(t.v.entropy)
	if err != nil {
		return nil, full, err
	}
	r, err := t.firstRecord(a)
	if err != nil {
		return nil, full, err
	}
	r.identities = []eventstore.Identity{a.Identity}
	leaf := &t.leaves[stripe(t.tree.LeafHash(id))]
	leaf.Lock()
	defer leaf.Unlock()
	b := t.v.batch()
	if full, err = t.fillMinted(b, id, r, s); err != nil {
		return nil, full, errors.Join(err, b.Close())
	}
	m, err := t.land(b, id, r)
	if err != nil {
		return nil, full, err
	}
	t.handles.put(s.handle, id)
	t.written(s.slot)
	return m, full, nil
}

// written tells those who look up without a lock of a handle that is now seen; its page is locked, and mu held shared.
func (t *tenant) written(slot *tree.Slot) {
	if err := slot.Note(); err != nil {
		_ = t.v.stop(fromTree(err)) // the way to the handle cannot be read any more
	}
	t.writes[stripe(slot.Hash())].Add(1)
}

func (t *tenant) fillMinted(b batch, id eventstore.PersonID, r *record, s *stranger) (full fullBuckets, err error) {
	leaf, err := t.tree.PutRecord(b, id, r.encode(), true)
	if err != nil {
		return full, fromTree(err)
	}
	if leaf {
		full = append(full, tree.Full{Trie: tree.Leaves, Hash: t.tree.LeafHash(id)})
	}
	page, err := s.slot.Put(b, id)
	if err != nil {
		return full, fromTree(err)
	}
	if page {
		full = append(full, tree.Full{Trie: tree.Pages, Hash: s.slot.Hash()})
	}
	return full, b.Merge(t.row(rowCount), one, nil)
}

// one is what the counter of persons is merged with.
var one = binary.AppendVarint(nil, 1)

// unsynced is a first contact whose batch is seen by all, in the log, and not synced yet. Nobody else is given a gate of the person before.
type unsynced struct {
	batch batch
	gate  *gate
}

// land applies the batch of a first contact; mu and the locks of the page and the leaf are held. [unsynced.wait] must follow, without them.
func (t *tenant) land(b batch, id eventstore.PersonID, r *record) (*unsynced, error) {
	if err := t.v.apply(b); err != nil {
		return nil, err
	}
	t.v.syncing.Add(1) // mu is held, so that Close waits
	t.countMinted()
	return &unsynced{b, t.v.gates.mint(t, id, r)}, nil
}

func (t *tenant) countMinted() {
	t.count.Add(1)
	t.minted.Store(true)
}

// wait waits until the first contact is durable. If that fails the gate is released.
func (u *unsynced) wait() error {
	v := u.gate.o.t.v
	defer v.syncing.Done()
	defer u.batch.Close()
	err := v.syncWait(u.batch)
	u.gate.o.settle()
	if err != nil {
		u.gate.Release()
	}
	return err
}
