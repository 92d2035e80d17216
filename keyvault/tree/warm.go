package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var errWarm = errors.New("the cache is full")

// Warm reads nodes into the cache until it is full, those near the root first, in one pass over their rows: to read them one by one, when somebody is looked
// up, costs several times as much. A row to which nothing leads is passed over. Nothing else may use the tree meanwhile. ErrDamaged.
func (t *Tree) Warm() error {
	for _, trie := range []Trie{Leaves, Pages} {
		room := t.c.Nodes / 2
		prefix := append(t.row('N'), byte(trie))
		err := t.c.Store.Scan(prefix.key(), func(key, value []byte) error {
			if room == 0 {
				return errWarm
			}
			n, p, err := t.warmed(key[len(prefix.key())-1:], value)
			if n == nil || err != nil {
				return err
			}
			t.mu.Lock()
			defer t.mu.Unlock()
			t.keepNode(p, n)
			room--
			return nil
		})
		if err != nil && !errors.Is(err, errWarm) {
			return err
		}
	}
	return nil
}

// warmed opens the node of a row whose key ends with position and generation, if what is in the cache leads to it.
func (t *Tree) warmed(place, value []byte) (*node, Position, error) {
	if len(place) != 1+1+8+8 {
		return nil, Position{}, fmt.Errorf("node: a row key of a wrong length: %w", ErrDamaged)
	}
	p := Position{Trie(place[0]), place[1], binary.BigEndian.Uint64(place[2:10])}
	e := t.root.tries[trieIndex(p.Trie)]
	if p.Depth > 0 {
		up := Position{p.Trie, p.Depth - 1, p.Prefix & mask(p.Depth-1)}
		parent := t.nodes[up]
		if parent == nil {
			return nil, p, nil
		}
		e = parent.children[index(p.Prefix, up.Depth)]
	}
	if e.kind != kindNode || e.generation != binary.BigEndian.Uint64(place[10:]) {
		return nil, p, nil
	}
	n, err := t.openNode(p, e, value)
	return n, p, err
}
