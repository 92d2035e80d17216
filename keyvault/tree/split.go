package tree

import (
	"slices"

	"github.com/oubli-store/oubli/keyvault/secret"
)

// Full names a bucket by the hash of an item in it.
type Full struct {
	Trie Trie
	Hash uint64
}

// SplitLeaf and SplitPage make a node of the bucket that holds the person or handle, if it is full. The change is nil if it is not.
func (t *Tree) SplitLeaf(b Batch, id PersonID, rootKey secret.Bytes) (*Change, error) {
	return t.split(b, Leaves, hashPerson(id), rootKey)
}

// SplitPage is SplitLeaf for a handle.
func (t *Tree) SplitPage(b Batch, handle string, rootKey secret.Bytes) (*Change, error) {
	return t.split(b, Pages, t.hashHandle(handle), rootKey)
}

// Split makes nodes of buckets, those that are full, and reads all of them in one pass. commit is to commit what it is given to put into a batch, and to
// apply the change, before it returns; the first error ends it.
func (t *Tree) Split(all []Full, rootKey secret.Bytes, commit func(split func(Batch) (*Change, error)) error) error {
	type loaded struct {
		Full
		k     *bucket
		items []item
	}
	buckets := make([]loaded, 0, len(all))
	for _, f := range all {
		p, err := t.find(f.Trie, f.Hash)
		if err != nil {
			return err
		}
		buckets = append(buckets, loaded{Full: f, k: t.bucket(p)})
	}
	order := func(a, b loaded) int { return slices.Compare(a.k.prefix, b.k.prefix) }
	slices.SortFunc(buckets, order)
	buckets = slices.CompactFunc(buckets, func(a, b loaded) bool { return order(a, b) == 0 })
	prefixes := make([][]byte, len(buckets))
	for i, l := range buckets {
		prefixes[i] = l.k.prefix.key()
	}
	err := t.c.Store.ScanEach(prefixes, func(i int, key, sealed []byte) error {
		l := &buckets[i]
		name, err := l.k.named(key)
		if err != nil {
			return err
		}
		it, err := l.k.openNamed(l.k.row(name), sealed)
		l.items = append(l.items, it)
		return err
	})
	for _, l := range buckets {
		if err != nil {
			return err
		}
		err = commit(func(b Batch) (*Change, error) {
			p, err := t.find(l.Trie, l.Hash) // one before may have made another node of the one above
			if err != nil {
				return nil, err
			}
			return t.splitLoaded(b, p, l.Hash, l.items, rootKey)
		})
	}
	return err
}

func (t *Tree) split(b Batch, trie Trie, hash uint64, rootKey secret.Bytes) (*Change, error) {
	p, err := t.find(trie, hash)
	if err != nil {
		return nil, err
	}
	items, err := t.load(p)
	if err != nil {
		return nil, err
	}
	return t.splitLoaded(b, p, hash, items, rootKey)
}

// splitLoaded needs the root key only when the trie is still one bucket, whose entry stands in the root node. Keys above a split stay as they
// are: nothing is taken out. The old bucket's key stood at the same position, so a re-keying of what it held passes there.
func (t *Tree) splitLoaded(b Batch, p place, hash uint64, items []item, rootKey secret.Bytes) (*Change, error) {
	if len(items) <= BucketMax || p.Depth >= maxDepth {
		p.census.take(items)
		return nil, nil
	}
	top, err := t.fresh(kindNode, t.root.generation)
	if err != nil {
		return nil, err
	}
	n := &node{census: make([]census, Fan)}
	parts := make([][]item, Fan)
	for _, it := range items {
		i := index(t.hash(p.Trie, it.key), p.Depth)
		parts[i] = append(parts[i], it)
	}
	for i, part := range parts {
		if n.children[i], err = t.fresh(kindBucket, t.root.generation); err != nil {
			return nil, err
		}
		if err := t.store(b, place{Position: p.Position.child(i), entry: n.children[i]}, part); err != nil {
			return nil, err
		}
		n.census[i].take(part)
	}
	if err := t.drop(b, p, items); err != nil {
		return nil, err
	}
	t.ciphers.drop(&p.key)
	if err := t.putNode(b, p.Position, top, n); err != nil {
		return nil, err
	}
	c := &Change{t: t, nodes: map[Position]*node{p.Position: n}}
	return c, t.replace(b, c, p, hash, top, rootKey)
}
