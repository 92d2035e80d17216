package tree

import (
	"fmt"

	"github.com/oubli-store/oubli/keyvault/secret"
)

// Change is what a split or a re-keying does to the opened tree once its batch is committed.
type Change struct {
	t     *Tree
	root  *root
	nodes map[Position]*node
}

// Apply makes the change seen. It must follow the commit and nothing else may use the tree meanwhile.
func (c *Change) Apply() {
	t := c.t
	t.mu.Lock()
	defer t.mu.Unlock()
	t.epoch.Add(1)
	if c.root != nil {
		t.root = *c.root
	}
	for p, n := range c.nodes {
		if _, cached := t.nodes[p]; !cached {
			t.keepNode(p, n)
		} else {
			t.nodes[p] = n
		}
	}
}

// Edits says what a re-keying changes. A nil value takes the item out; another value replaces the item or adds it.
type Edits struct {
	Records map[PersonID][]byte
	Handles map[string]*PersonID
	// Extra is what the owner keeps in the new root node.
	Extra secret.Bytes
	// Top draws a new key for the topmost node or leaf of the leaves even if no record below it changes: it ends a [Walk].
	Top bool
}

// Rekey puts into b the tree as it is after the edits, with new keys from every leaf and page that they touch up to the root node,
// which it seals under rootKey.
func (t *Tree) Rekey(b Batch, e Edits, rootKey secret.Bytes) (*Change, error) {
	next := root{generation: t.root.generation + 1, tries: t.root.tries, census: t.root.census, hash: t.root.hash, extra: e.Extra}
	c := &Change{t: t, root: &next, nodes: map[Position]*node{}}
	edits := t.edits(e)
	w := &rekeying{t: t, b: b, c: c}
	for i, trie := range []Trie{Leaves, Pages} {
		if len(edits[i]) > 0 {
			next.census[i].forget()
		}
		var err error
		if next.tries[i], err = w.plan(Position{Trie: trie}, t.root.tries[i], edits[i]); err != nil {
			return nil, err
		}
	}
	if err := w.reseal(); err != nil {
		return nil, err
	}
	if e.Top && len(edits[0]) == 0 {
		var err error
		if next.tries[0], err = t.rekeyTop(b, c, Position{Trie: Leaves}, t.root.tries[0]); err != nil {
			return nil, err
		}
	}
	if err := b.Delete(t.rootRow(t.root.generation).key()); err != nil {
		return nil, err
	}
	return c, t.putRoot(b, next, rootKey)
}

// replace puts a new entry for the bucket at p into its parent.
func (t *Tree) replace(b Batch, c *Change, p place, hash uint64, e entry, rootKey secret.Bytes) error {
	if p.parent == nil {
		next := t.root
		next.tries[p.index] = e
		c.root = &next
		return t.putRoot(b, next, rootKey)
	}
	above := Position{Trie: p.Trie}
	at := t.root.tries[trieIndex(p.Trie)]
	for above.Depth+1 < p.Depth {
		n, err := t.node(above, at)
		if err != nil {
			return err
		}
		i := index(hash, above.Depth)
		above, at = above.child(i), n.children[i]
	}
	parent := *p.parent
	parent.children[p.index] = e
	c.nodes[above] = &parent
	return t.putNode(b, above, at, &parent)
}

// Shape says how large a tree is.
type Shape struct {
	Leaves, Pages, Nodes, Depth int
	Records, Handles            int
}

// Check opens every node, record and handle and tells visit of each record and handle; the first damage ends it.
func (t *Tree) Check(record func(PersonID, []byte) error, handle func(string, PersonID) error) (Shape, error) {
	var s Shape
	for i, trie := range []Trie{Leaves, Pages} {
		if err := t.check(&s, Position{Trie: trie}, t.root.tries[i], record, handle); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Records opens every node and leaf and tells visit of each record; the first damage, or error of visit, ends it.
func (t *Tree) Records(visit func(PersonID, []byte) error) error {
	return t.check(new(Shape), Position{Trie: Leaves}, t.root.tries[trieIndex(Leaves)], visit, nil)
}

func (t *Tree) check(s *Shape, p Position, e entry, record func(PersonID, []byte) error, handle func(string, PersonID) error) error {
	s.Depth = max(s.Depth, int(p.Depth))
	if e.kind == kindNode {
		s.Nodes++
		n, err := t.readNode(p, e)
		if err != nil {
			return err
		}
		for i, child := range n.children {
			if err := t.check(s, p.child(i), child, record, handle); err != nil {
				return err
			}
		}
		return nil
	}
	items, err := t.load(place{Position: p, entry: e})
	if err != nil {
		return err
	}
	for _, it := range items {
		if t.hash(p.Trie, it.key)&mask(p.Depth) != p.Prefix {
			return fmt.Errorf("an item in the wrong bucket at depth %d: %w", p.Depth, ErrDamaged)
		}
		if p.Trie == Leaves {
			err = record(PersonID([]byte(it.key)), it.value)
		} else {
			err = handle(it.key, PersonID(it.value))
		}
		if err != nil {
			return err
		}
	}
	if p.Trie == Leaves {
		s.Leaves, s.Records = s.Leaves+1, s.Records+len(items)
	} else {
		s.Pages, s.Handles = s.Pages+1, s.Handles+len(items)
	}
	return nil
}

func mask(depth uint8) uint64 {
	if depth == 0 {
		return 0
	}
	return ^uint64(0) << (64 - FanBits*int(depth))
}

// Shape counts nodes and buckets without opening records or handles.
func (t *Tree) Shape() (Shape, error) {
	var s Shape
	for i, trie := range []Trie{Leaves, Pages} {
		if err := t.shape(&s, Position{Trie: trie}, t.root.tries[i]); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (t *Tree) shape(s *Shape, p Position, e entry) error {
	s.Depth = max(s.Depth, int(p.Depth))
	if e.kind == kindBucket {
		if p.Trie == Leaves {
			s.Leaves++
		} else {
			s.Pages++
		}
		return nil
	}
	s.Nodes++
	n, err := t.readNode(p, e)
	if err != nil {
		return err
	}
	for i, child := range n.children {
		if err := t.shape(s, p.child(i), child); err != nil {
			return err
		}
	}
	return nil
}
