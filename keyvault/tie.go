package keyvault

import (
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// tie is one change of who is tied to what, decided and written under the locks of all its pages and leaves.
type tie struct {
	t *tenant
	// named is whom each handle of the arrival names, if anybody.
	named map[string]eventstore.PersonID
	recs  map[eventstore.PersonID]*record
	dirty map[eventstore.PersonID]bool
	// added are the handles that now name person.
	added map[string]*tree.Slot
	owed  []eventstore.Owed
	full  fullBuckets
	// unsynced is a first contact that is not synced yet.
	unsynced *unsynced

	person    eventstore.PersonID
	minted    bool
	ambiguous bool
	linked    bool
}

// tie resolves all handles of an arrival under their locks and writes what is new. mint says that a stranger may be minted.
func (t *tenant) tie(a eventstore.Arrival, admit func(eventstore.State) error, mint bool) (*tie, error) {
	d, err := t.tieLocked(a, admit, mint)
	if err != nil || d.unsynced == nil {
		return d, err
	}
	return d, d.unsynced.wait()
}

func (t *tenant) tieLocked(a eventstore.Arrival, admit func(eventstore.State) error, mint bool) (*tie, error) {
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	// A stranger must not be minted for an event that an erasure has overtaken since it was looked at.
	if err := t.refuse(a); err != nil {
		return nil, err
	}
	if t.tooOld(a) {
		return nil, eventstore.ErrExpired
	}
	all := []string{handleOf(a.Identity)}
	for _, h := range a.Also {
		all = append(all, handleOf(h))
	}
	unlockPages := t.lockPages(all)
	d := &tie{t: t, named: map[string]eventstore.PersonID{}}
	for _, h := range all {
		if id, ok, err := t.resolveLocked(h); err != nil {
			unlockPages()
			return nil, err
		} else if ok {
			d.named[h] = id
		}
	}
	var err error
	d.full, err = d.withLeaves(func() error { return d.decide(a, admit, mint) })
	unlockPages()
	return d, err
}

// withLeaves locks the leaves of everybody concerned, decides and commits.
func (d *tie) withLeaves(decide func() error) (full fullBuckets, err error) {
	t := d.t
	stranger, err := eventstore.NewPersonID(t.v.entropy)
	if err != nil {
		return full, err
	}
	d.person = stranger
	for {
		ids, err := d.closure()
		if err != nil {
			return full, err
		}
		unlock := t.lockLeaves(append(ids, stranger))
		again, err := d.closure()
		if err == nil && slices.ContainsFunc(again, func(id eventstore.PersonID) bool { return !slices.Contains(ids, id) }) {
			unlock() // linked further in between
			continue
		}
		if err == nil {
			if err = decide(); err == nil {
				full, err = d.commit()
			}
		}
		unlock()
		return full, err
	}
}

// closure reads the records of the linked sets of everybody who is named.
func (d *tie) closure() ([]eventstore.PersonID, error) {
	d.recs = map[eventstore.PersonID]*record{}
	d.dirty = map[eventstore.PersonID]bool{}
	d.added = map[string]*tree.Slot{}
	d.owed = nil
	var ids []eventstore.PersonID
	for _, id := range d.named {
		if d.recs[id] != nil {
			continue
		}
		set, err := d.t.set(id, d.t.mustRecord)
		if err != nil {
			return nil, err
		}
		for id, r := range set {
			d.recs[id] = r
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (d *tie) decide(a eventstore.Arrival, admit func(eventstore.State) error, mint bool) error {
	if id, ok := d.named[handleOf(a.Identity)]; ok {
		if mint {
			return errStale // somebody else minted the person: admit must be asked about them
		}
		d.person = id
	} else {
		if !mint {
			return errStale
		}
		r, err := d.t.firstRecord(a)
		if err != nil {
			return err
		}
		d.recs[d.person] = r
		d.minted = true
		if err := d.addHandle(a.Identity); err != nil {
			return err
		}
	}
	for _, h := range a.Also {
		if err := d.also(a.Identity, h); err != nil {
			return err
		}
	}
	if d.linked { // into a human of whom admit has not heard
		return admit(d.recs[d.person].state())
	}
	return nil
}

func (d *tie) addHandle(id eventstore.Identity) (err error) {
	r := d.recs[d.person]
	r.identities = append(r.identities, id)
	d.dirty[d.person] = true
	h := handleOf(id)
	d.added[h], err = d.t.tree.Slot(h)
	d.named[h] = d.person
	return fromTree(err)
}

// also ties one further handle.
func (d *tie) also(identity, h eventstore.Identity) error {
	other, known := d.named[handleOf(h)]
	mine := d.members(d.person)
	if known && slices.Contains(mine, other) {
		return nil
	}
	var theirs []eventstore.PersonID
	if known {
		theirs = d.members(other)
	}
	switch {
	case ambiguous(identity, d.identities(mine), h, d.identities(theirs)):
		d.ambiguous = true
		r := d.recs[d.person]
		if !slices.Contains(r.ambiguous, h) && len(r.ambiguous) < maxAmbiguous {
			r.ambiguous = append(r.ambiguous, h)
			d.dirty[d.person] = true
		}
	case !known:
		return d.addHandle(h)
	default:
		return d.merge(mine, theirs)
	}
	return nil
}

func (d *tie) members(id eventstore.PersonID) []eventstore.PersonID {
	return append([]eventstore.PersonID{id}, d.recs[id].others...)
}

func (d *tie) identities(members []eventstore.PersonID) (out []eventstore.Identity) {
	for _, id := range members {
		out = append(out, d.recs[id].identities...)
	}
	return out
}

func strong(id eventstore.Identity) bool { return id.Namespace == "email" || id.Namespace == "phone" }

// ambiguous is the rule of a shared computer: the handle h, tied to the handles b, is not linked with the identity i, tied to a, when either side
// is tied to an e-mail or phone that the other does not know, and the other has one of its own. Either side may be new.
func ambiguous(i eventstore.Identity, a []eventstore.Identity, h eventstore.Identity, b []eventstore.Identity) bool {
	a, b = append(slices.Clip(a), i), append(slices.Clip(b), h)
	clash := func(tied []eventstore.Identity, named eventstore.Identity, other []eventstore.Identity) bool {
		return slices.ContainsFunc(other, strong) && slices.ContainsFunc(tied, func(x eventstore.Identity) bool {
			return strong(x) && x != named && !slices.Contains(other, x)
		})
	}
	return clash(b, h, a) || clash(a, i, b)
}

// merge makes two sets one. The larger keeps its secret, so that fewer marks move.
func (d *tie) merge(a, b []eventstore.PersonID) error {
	if len(b) > len(a) {
		a, b = b, a
	}
	all := append(slices.Clone(a), b...)
	slices.SortFunc(all, eventstore.PersonID.Compare)
	from, to := d.recs[b[0]].set, d.recs[a[0]].set
	event := eventstore.PersonEvent{Kind: eventstore.PersonLinked, Persons: all}
	for _, p := range d.periods(b) {
		event.Marks = append(event.Marks, eventstore.PeriodMark{Period: p, Mark: periodMark(from, p), To: periodMark(to, p)})
	}
	handles := d.identities(all)
	for _, id := range all {
		r := d.recs[id]
		r.set = secret.New(slices.Clone(to.Reveal())) // each record wipes its own
		r.others = slices.DeleteFunc(slices.Clone(all), func(o eventstore.PersonID) bool { return o == id })
		r.ambiguous = slices.DeleteFunc(r.ambiguous, func(h eventstore.Identity) bool { return slices.Contains(handles, h) })
		d.dirty[id] = true
	}
	d.linked = true
	if err := d.owe(event); err != nil {
		return err
	}
	return d.join(all)
}

// fullBuckets are the buckets to split.
type fullBuckets []tree.Full

// commit writes what changed in one batch and shows it to the caches. The batch is synced, but for that of a first contact, which [tenant.tie]
// waits for when it has let go of its locks.
func (d *tie) commit() (full fullBuckets, err error) {
	t := d.t
	if len(d.dirty) == 0 && len(d.owed) == 0 {
		return full, nil
	}
	b := t.v.batch()
	if full, err = d.fill(b); err != nil {
		return full, errors.Join(err, b.Close())
	}
	if d.minted && len(d.dirty) == 1 && len(d.owed) == 0 {
		if d.unsynced, err = t.land(b, d.person, d.recs[d.person]); err != nil {
			return full, err
		}
	} else {
		defer b.Close()
		if err := t.v.commit(b, pebble.Sync); err != nil {
			return full, err
		}
		if d.minted {
			t.countMinted()
		}
	}
	for h, slot := range d.added {
		t.handles.put(h, d.person)
		t.written(slot)
	}
	for id := range d.dirty {
		t.v.gates.update(t, id, d.recs[id])
	}
	return full, nil
}

// fill puts what changed into a batch.
func (d *tie) fill(b batch) (full fullBuckets, err error) {
	t := d.t
	for id := range d.dirty {
		isFull, err := t.tree.PutRecord(b, id, d.recs[id].encode(), d.minted && id == d.person)
		if err != nil {
			return full, fromTree(err)
		}
		if isFull {
			full = append(full, tree.Full{Trie: tree.Leaves, Hash: t.tree.LeafHash(id)})
		}
	}
	for _, slot := range d.added {
		isFull, err := slot.Put(b, d.person)
		if err != nil {
			return full, fromTree(err)
		}
		if isFull {
			full = append(full, tree.Full{Trie: tree.Pages, Hash: slot.Hash()})
		}
	}
	for _, o := range d.owed {
		if err := t.putOwed(b, t.own.outbox, o); err != nil {
			return full, err
		}
	}
	if d.minted {
		err = b.Merge(t.row(rowCount), one, nil)
	}
	return full, err
}
