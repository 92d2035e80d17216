package tree

import (
	"errors"
	"maps"
	"sort"

	"github.com/oubli-store/oubli/keyvault/secret"
)

// ErrNotEmpty: there is something in a tree that is to be built.
var ErrNotEmpty = errors.New("key tree: not empty")

// Items are what a trie is built of, in ascending order of their hashes.
type Items struct {
	Len  int
	Hash func(i int) uint64
	// Item is the raw id of a person and the record, or a handle and the raw id of its person.
	Item func(i int) (key string, value []byte, err error)
}

// Builder fills an empty tree from below: each row is sealed once, where it stays, while a tree that grows seals it again at every split. What it makes is what a
// tree would be that grew to the same items. Nothing else may use the tree from [Tree.Builder] to [Change.Apply].
type Builder struct {
	t *Tree
	// tries and kept are those of leaves and pages.
	tries [2]entry
	kept  [2]map[Position]*node
}

// Builder begins to fill a tree. ErrNotEmpty.
func (t *Tree) Builder() (*Builder, error) {
	for i, trie := range []Trie{Leaves, Pages} {
		if t.root.tries[i].kind != kindBucket {
			return nil, ErrNotEmpty
		}
		items, err := t.load(place{Position: Position{Trie: trie}, entry: t.root.tries[i]})
		if err != nil {
			return nil, err
		}
		if len(items) > 0 {
			return nil, ErrNotEmpty
		}
	}
	return &Builder{t: t, tries: t.root.tries, kept: [2]map[Position]*node{{}, {}}}, nil
}

// Fill puts the rows of one trie into rows, whose owner may commit them as they come: nothing leads to them before [Builder.Finish]. Both tries may be
// filled at the same time.
func (w *Builder) Fill(rows Batch, trie Trie, items Items) error {
	var err error
	w.tries[trieIndex(trie)], _, err = w.fill(rows, Position{Trie: trie}, items, 0, items.Len)
	return err
}

// fill builds what stands at p: the items from first to last, without the last. It answers its entry and, of a bucket, what it holds.
func (w *Builder) fill(rows Batch, p Position, items Items, first, last int) (e entry, in []item, err error) {
	if last-first <= BucketMax || p.Depth >= maxDepth {
		return w.fillBucket(rows, p, items, first, last)
	}
	if e, err = w.t.fresh(kindNode, w.t.root.generation); err != nil {
		return e, nil, err
	}
	n := &node{census: make([]census, Fan)}
	for i := range n.children {
		child, end := p.child(i), last
		if i < Fan-1 {
			above := p.child(i + 1).Prefix
			end = first + sort.Search(last-first, func(k int) bool { return items.Hash(first+k) >= above })
		}
		if n.children[i], in, err = w.fill(rows, child, items, first, end); err != nil {
			return e, nil, err
		}
		if n.children[i].kind == kindBucket {
			n.census[i].take(in)
		}
		first = end
	}
	if kept := w.kept[trieIndex(p.Trie)]; len(kept) < w.t.c.Nodes/2 {
		kept[p] = n
	}
	return e, nil, w.t.putNode(rows, p, e, n)
}

func (w *Builder) fillBucket(rows Batch, p Position, items Items, first, last int) (e entry, in []item, err error) {
	if e, err = w.t.fresh(kindBucket, w.t.root.generation); err != nil {
		return e, nil, err
	}
	in = make([]item, 0, last-first)
	for i := first; i < last; i++ {
		key, value, err := items.Item(i)
		if err != nil {
			return e, nil, err
		}
		in = append(in, item{key: key, value: value})
	}
	return e, in, w.t.store(rows, place{Position: p, entry: e}, in)
}

// Finish puts the root node into b, which must be committed after everything else; from then on the items are there. Nothing was taken out of the
// tree, so the root key may be the one that it has.
func (w *Builder) Finish(b Batch, rootKey secret.Bytes) (*Change, error) {
	next := w.t.root
	next.tries, next.census = w.tries, make([]census, 2)
	c := &Change{t: w.t, root: &next, nodes: w.kept[0]}
	maps.Copy(c.nodes, w.kept[1])
	return c, w.t.putRoot(b, next, rootKey)
}
