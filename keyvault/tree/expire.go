package tree

import (
	"fmt"
	"maps"
	"slices"

	"github.com/oubli-store/oubli/keyvault/secret"
)

// Walk goes through the leaves in the order of their hashes, once, and takes out of records what must be destroyed, while the tree goes on being used
// and changed between its steps. It is not safe for concurrent use.
//
//	at the next leaf  look at its records; if none is to change, go on behind it
//	otherwise         re-seal its records under a fresh key, which goes into its parent under the parent's present key
//	leaving a node    if anything below it was re-sealed: a fresh key for the node itself, which goes into its parent
//
// The topmost node or leaf is left to [Tree.Rekey] with [Edits.Top], which ends the walk. So in the end every key that opened an old version of a changed
// record, and every key above one, up to the root key, is drawn anew after the last time it sealed one, and none of the present rows holds an old one. Until
// then the old versions open under the present root key.
//
// Splits, puts and re-keyings between two steps keep this: a split moves records to new leaves at places that the walk has passed or will come to, a re-keying
// draws keys that are fresh anyway. The walk finds its way anew in each step; all that it carries along is where it is and below which depths it changed something.
type Walk struct {
	t *Tree
	// next is the hash at which the next leaf begins.
	next uint64
	done bool
	// changed says, for each depth, that something was re-sealed below the node on the way to next.
	changed [maxDepth + 1]bool
}

// Walk begins a walk at a hash. changed says that it goes on with one that has changed something: all nodes on the way are then re-keyed when they are left.
func (t *Tree) Walk(from uint64, changed bool) *Walk {
	w := &Walk{t: t, next: from}
	for i := range w.changed {
		w.changed[i] = changed
	}
	return w
}

// Next is the hash at which the walk goes on; done says that there is nothing more.
func (w *Walk) Next() (hash uint64, done bool) { return w.next, w.done }

// Pass looks at the next leaf and goes on behind it, unless stay says of one of its records that the walk must not, or a node that ends there needs a fresh key:
// then a [Walk.Step] must follow. It may run beside reads and puts; stay may be asked about a leaf twice.
func (w *Walk) Pass(stay func(PersonID, []byte) (bool, error)) (passed bool, err error) {
	s := &step{Walk: w, c: &Change{t: w.t}}
	crumbs, leaf, err := s.way()
	if err != nil {
		return false, err
	}
	items, err := w.t.load(leaf)
	if err != nil {
		return false, err
	}
	passed = true
	for _, it := range items {
		stays, err := stay(PersonID([]byte(it.key)), it.value)
		if err != nil {
			return false, err
		}
		passed = passed && !stays
	}
	next, done := w.behind(leaf.Depth)
	for _, at := range crumbs[min(1, len(crumbs)):] {
		if w.changed[at.p.Depth] && ends(at.p, next, done) {
			passed = false
		}
	}
	if passed {
		w.next, w.done = next, done
	}
	return passed, nil
}

// behind is where the walk goes on behind a leaf of a depth.
func (w *Walk) behind(depth uint8) (next uint64, done bool) {
	if depth == 0 {
		return 0, true
	}
	next = w.next&mask(depth) + 1<<(64-FanBits*int(depth))
	return next, next == 0
}

// ends says that a node lies before next.
func ends(p Position, next uint64, done bool) bool { return done || next&mask(p.Depth) != p.Prefix }

// Drop says what becomes of a record: a nil value leaves it as it is.
type Drop func(id PersonID, plain []byte) (changed []byte, err error)

// Step takes at least one leaf, and further ones until about limit records were loaded, and puts into b what changes. The change is nil if nothing does. The
// step counts when the change is applied, or at once without one; after an error the walk is of no use any more. Nothing else may use the tree from the call to
// the end of [Change.Apply]; rootKey is the present one.
func (w *Walk) Step(b Batch, drop Drop, limit int, rootKey secret.Bytes) (*Change, error) {
	s := &step{Walk: w, b: b, c: &Change{t: w.t, nodes: map[Position]*node{}}, sealed: map[Position]entry{}}
	for loaded := 0; !w.done && loaded < limit; {
		n, err := s.leaf(drop)
		if err != nil {
			return nil, err
		}
		loaded += max(1, n)
	}
	return s.end(rootKey)
}

// step is one step in the making.
type step struct {
	*Walk
	b Batch
	c *Change
	// sealed are the entries of the nodes that must be written.
	sealed map[Position]entry
}

// crumb is one node on the way from the root to a leaf.
type crumb struct {
	p    Position
	e    entry
	n    *node
	down int
}

// way descends to the leaf at next, past what the step has changed.
func (s *step) way() (crumbs []crumb, leaf place, err error) {
	p, e := Position{Trie: Leaves}, s.t.root.tries[0]
	if s.c.root != nil {
		e = s.c.root.tries[0]
	}
	for e.kind == kindNode {
		n := s.c.nodes[p]
		if n == nil {
			if n, err = s.t.node(p, e); err != nil {
				return nil, leaf, err
			}
		}
		i := index(s.next, p.Depth)
		crumbs = append(crumbs, crumb{p, e, n, i})
		p, e = p.child(i), n.children[i]
	}
	return crumbs, place{Position: p, entry: e}, nil
}

// leaf takes the next leaf and leaves the nodes that end with it. It returns how many records were loaded.
func (s *step) leaf(drop Drop) (int, error) {
	crumbs, leaf, err := s.way()
	if err != nil {
		return 0, err
	}
	items, err := s.t.load(leaf)
	if err != nil {
		return 0, err
	}
	changed := false
	for i, it := range items {
		v, err := drop(PersonID([]byte(it.key)), it.value)
		if err != nil {
			return 0, err
		}
		if v != nil {
			items[i].value, changed = v, true
		}
	}
	if changed {
		if err := s.reseal(crumbs, leaf, items); err != nil {
			return 0, err
		}
	}
	return len(items), s.leave(crumbs, leaf.Depth)
}

// reseal gives a leaf a fresh key.
func (s *step) reseal(crumbs []crumb, leaf place, items []item) error {
	e, err := s.t.fresh(kindBucket, s.t.root.generation)
	if err != nil {
		return err
	}
	if err := s.t.drop(s.b, leaf, items); err != nil {
		return err
	}
	if err := s.t.store(s.b, place{Position: leaf.Position, entry: e}, items); err != nil {
		return err
	}
	for i := range crumbs {
		s.changed[i] = true
	}
	s.enter(crumbs, e)
	return nil
}

// enter puts a child's new entry into the last node of a way, or into the root.
func (s *step) enter(crumbs []crumb, e entry) {
	if len(crumbs) == 0 {
		next := s.t.root
		if s.c.root != nil {
			next = *s.c.root
		}
		next.tries[0] = e
		s.c.root = &next
		return
	}
	last := &crumbs[len(crumbs)-1]
	if s.c.nodes[last.p] == nil { // what is read may be seen by others
		n := *last.n
		s.c.nodes[last.p], last.n = &n, &n
	}
	last.n.children[last.down] = e
	s.sealed[last.p] = last.e
}

// leave goes on behind a leaf and gives fresh keys to the nodes that end there, from below.
func (s *step) leave(crumbs []crumb, depth uint8) error {
	s.next, s.done = s.behind(depth)
	for i := len(crumbs) - 1; i > 0 && ends(crumbs[i].p, s.next, s.done); i-- {
		at := crumbs[i]
		if !s.changed[i] {
			continue
		}
		s.changed[i] = false
		e, err := s.t.fresh(kindNode, s.t.root.generation)
		if err != nil {
			return err
		}
		if err := s.b.Delete(s.t.positionRow('N', at.p, at.e.generation).key()); err != nil {
			return err
		}
		if s.c.nodes[at.p] == nil {
			s.c.nodes[at.p] = at.n
		}
		s.enter(crumbs[:i], e)
		s.sealed[at.p] = e
	}
	return nil
}

// end writes the nodes that changed, each once.
func (s *step) end(rootKey secret.Bytes) (*Change, error) {
	if s.c.root == nil && len(s.sealed) == 0 {
		return nil, nil
	}
	for _, p := range slices.SortedFunc(maps.Keys(s.sealed), comparePositions) {
		if err := s.t.putNode(s.b, p, s.sealed[p], s.c.nodes[p]); err != nil {
			return nil, err
		}
	}
	if s.c.root != nil {
		return s.c, s.t.putRoot(s.b, *s.c.root, rootKey)
	}
	return s.c, nil
}

func comparePositions(a, b Position) int {
	if a.Depth != b.Depth {
		return int(a.Depth) - int(b.Depth)
	}
	switch {
	case a.Prefix < b.Prefix:
		return -1
	case a.Prefix > b.Prefix:
		return 1
	}
	return 0
}

// rekeyTop draws a new key for the topmost node or bucket of a trie and keeps what is below.
func (t *Tree) rekeyTop(b Batch, c *Change, p Position, old entry) (entry, error) {
	e, err := t.fresh(old.kind, c.root.generation)
	if err != nil {
		return e, err
	}
	if old.kind == kindBucket {
		items, err := t.load(place{Position: p, entry: old})
		if err != nil {
			return e, err
		}
		if err := t.drop(b, place{Position: p, entry: old}, items); err != nil {
			return e, err
		}
		return e, t.store(b, place{Position: p, entry: e}, items)
	}
	was, err := t.node(p, old)
	if err != nil {
		return e, fmt.Errorf("the topmost node: %w", err)
	}
	n := *was
	if err := b.Delete(t.positionRow('N', p, old.generation).key()); err != nil {
		return e, err
	}
	c.nodes[p] = &n
	return e, t.putNode(b, p, e, &n)
}
