package tree

import (
	"bytes"
	"cmp"
	"errors"
	"runtime"
	"slices"
	"sync"
)

// edit is a change of one item: a nil value takes it out.
type edit struct {
	key   string
	hash  uint64
	value []byte
}

// edits lists what changes in each trie, in the order of the hashes.
func (t *Tree) edits(e Edits) (edits [2][]edit) {
	for id, value := range e.Records {
		edits[0] = append(edits[0], edit{string(id[:]), hashPerson(id), value})
	}
	for h, id := range e.Handles {
		var value []byte
		if id != nil {
			value = append(value, id[:]...)
		}
		edits[1] = append(edits[1], edit{h, t.hashHandle(h), value})
	}
	for _, of := range edits {
		slices.SortFunc(of, func(a, b edit) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.key, b.key)) })
	}
	return edits
}

// rekeying is a re-keying in the making. First, in one goroutine and always in the same order, the keys are drawn and the nodes written; then the
// buckets, which have nothing to do with each other, are re-sealed by as many goroutines as there are processors. What they write goes into the batch in the
// order of the rows, whoever is first.
type rekeying struct {
	t       *Tree
	b       Batch
	c       *Change
	buckets []moving
}

// moving is one bucket that gets another key.
type moving struct {
	old, now place
	edits    []edit
}

// plan draws new keys for what stands at p and everything below it that the edits touch, writes its nodes, and returns its new entry.
func (w *rekeying) plan(p Position, old entry, edits []edit) (entry, error) {
	if len(edits) == 0 {
		return old, nil
	}
	e, err := w.t.fresh(old.kind, w.c.root.generation)
	if err != nil {
		return e, err
	}
	if old.kind == kindBucket {
		w.buckets = append(w.buckets, moving{place{Position: p, entry: old}, place{Position: p, entry: e}, edits})
		return e, nil
	}
	was, err := w.t.node(p, old)
	if err != nil {
		return e, err
	}
	n := *was
	for len(edits) > 0 {
		i, same := index(edits[0].hash, p.Depth), 1
		for same < len(edits) && index(edits[same].hash, p.Depth) == i {
			same++
		}
		n.census[i].forget()
		if n.children[i], err = w.plan(p.child(i), n.children[i], edits[:same]); err != nil {
			return e, err
		}
		edits = edits[same:]
	}
	if err := w.b.Delete(w.t.positionRow('N', p, old.generation).key()); err != nil {
		return e, err
	}
	w.c.nodes[p] = &n
	return e, w.t.putNode(w.b, p, e, &n)
}

// resealAtOnce is how many buckets a goroutine takes at a time.
const resealAtOnce = 64

// reseal moves the buckets.
func (w *rekeying) reseal() error {
	slices.SortFunc(w.buckets, func(a, b moving) int {
		return cmp.Or(cmp.Compare(a.old.Trie, b.old.Trie), comparePositions(a.old.Position, b.old.Position))
	})
	if len(w.buckets) <= resealAtOnce {
		return w.t.move(w.b, w.buckets)
	}
	workers := runtime.GOMAXPROCS(0)
	type share struct {
		buckets []moving
		part    Batch
		err     error
		done    chan struct{}
	}
	var running sync.WaitGroup
	defer running.Wait()
	todo, inOrder := make(chan *share), make(chan *share, 2*workers) // the latter bounds what waits for its turn
	stop := make(chan struct{})
	defer close(stop)
	for range workers {
		running.Go(func() {
			for s := range todo {
				s.err = w.t.move(s.part, s.buckets)
				close(s.done)
			}
		})
	}
	running.Go(func() {
		defer close(todo)
		defer close(inOrder)
		for buckets := range slices.Chunk(w.buckets, resealAtOnce) {
			s := &share{buckets, w.b.Part(), nil, make(chan struct{})}
			select {
			case inOrder <- s:
			case <-stop:
				return
			}
			todo <- s
		}
	})
	var failed error
	for s := range inOrder {
		<-s.done
		if failed = errors.Join(s.err, w.b.Join(s.part)); failed != nil {
			return failed
		}
	}
	return nil
}

// move re-seals buckets under their new keys, and takes their old rows out.
func (t *Tree) move(b Batch, buckets []moving) error {
	if len(buckets) == 0 {
		return nil
	}
	prefixes := make([][]byte, len(buckets))
	for i, m := range buckets {
		prefixes[i] = t.bucket(m.old).prefix.key()
	}
	at := 0
	k := t.bucket(buckets[0].old)
	var items []item
	finish := func() error {
		err := t.moved(b, buckets[at], items)
		items = items[:0]
		if at++; at < len(buckets) {
			k = t.bucket(buckets[at].old)
		}
		return err
	}
	err := t.c.Store.ScanEach(prefixes, func(i int, key, sealed []byte) error {
		for at < i {
			if err := finish(); err != nil {
				return err
			}
		}
		name, err := k.named(key)
		if err != nil {
			return err
		}
		it, err := k.openNamed(k.row(name), sealed)
		items = append(items, it)
		return err
	})
	for err == nil && at < len(buckets) {
		err = finish()
	}
	return err
}

// moved writes what is to be in a bucket that held items.
func (t *Tree) moved(b Batch, m moving, items []item) error {
	if err := t.drop(b, m.old, items); err != nil {
		return err
	}
	t.ciphers.drop(&m.old.key)
	values := make(map[string][]byte, len(m.edits))
	for _, ed := range m.edits {
		values[ed.key] = ed.value
	}
	kept := items[:0]
	for _, it := range items {
		if v, edited := values[it.key]; edited {
			delete(values, it.key)
			if v == nil {
				continue
			}
			it.value = v
		}
		kept = append(kept, it)
	}
	for _, ed := range m.edits {
		if v, isNew := values[ed.key]; isNew && v != nil {
			kept = append(kept, item{key: ed.key, value: v})
		}
	}
	return t.store(b, m.now, kept)
}

// RecordsOf opens the records of persons and tells visit of those that are there, in the order of their rows.
func (t *Tree) RecordsOf(ids []PersonID, visit func(PersonID, []byte) error) error {
	type wanted struct {
		k *bucket
		r row
	}
	all := make([]wanted, 0, len(ids))
	for _, id := range ids {
		p, err := t.find(Leaves, hashPerson(id))
		if err != nil {
			return err
		}
		k := t.bucket(p)
		all = append(all, wanted{k, k.row(k.name(string(id[:])))})
	}
	slices.SortFunc(all, func(a, b wanted) int { return bytes.Compare(a.r, b.r) })
	all = slices.CompactFunc(all, func(a, b wanted) bool { return bytes.Equal(a.r, b.r) })
	rows := make([][]byte, len(all))
	for i, w := range all {
		rows[i] = w.r.key()
	}
	return t.c.Store.ScanEach(rows, func(i int, key, sealed []byte) error {
		if len(key) != len(rows[i]) { // damage, which whoever opens the bucket will name
			return nil
		}
		it, err := all[i].k.open(all[i].r, sealed)
		if err != nil {
			return err
		}
		return visit(PersonID([]byte(it.key)), it.value)
	})
}
