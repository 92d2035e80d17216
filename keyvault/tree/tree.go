package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/oubli-store/oubli/keyvault/secret"
)

// The shape of a tree; part of the format (docs/decisions/2026-11-27-small-leaves.md).
const (
	Version   = 1
	FanBits   = 3
	Fan       = 1 << FanBits
	BucketMax = 16
	// KeySize is the size of every key.
	KeySize = 32

	maxDepth = 60 / FanBits
)

// Errors.
var (
	// ErrDamaged: a row is missing, cut or does not open.
	ErrDamaged = errors.New("key tree: damaged")
	// ErrVersion: a row was written by a newer version.
	ErrVersion = errors.New("key tree: a row of a newer version")
	// ErrWrongKey: the newest root node does not open under the root key.
	ErrWrongKey = errors.New("key tree: the root key does not open the newest root node")
	// ErrNoRoot: there is no root node.
	ErrNoRoot = errors.New("key tree: no root node")
)

// Store is all that the tree reads of its database.
type Store interface {
	// Get returns a copy of a row, nil if there is none.
	Get(key []byte) ([]byte, error)
	// Scan visits the rows whose keys begin with prefix, ascending. Key and value are valid during the call only.
	Scan(prefix []byte, visit func(key, value []byte) error) error
	// ScanEach is Scan for many prefixes, ascending, none of which begins with another; i says whose row it is.
	ScanEach(prefixes [][]byte, visit func(i int, key, value []byte) error) error
}

// Batch takes changes, copying what it is given; its owner commits them at once or not at all.
type Batch interface {
	Set(key, value []byte) error
	Delete(key []byte) error
	// Part is an empty batch that another goroutine may fill.
	Part() Batch
	// Join puts what a part holds behind what is there. The part is of no use any more.
	Join(part Batch) error
}

// Config says where a tree lives.
type Config struct {
	// Prefix begins every row key.
	Prefix []byte
	// Vault is bound to every row.
	Vault   [16]byte
	Store   Store
	Entropy io.Reader
	// Nodes is how many opened nodes are kept; less than one is one.
	Nodes int
}

// PersonID is the raw form of a person's id.
type PersonID = [16]byte

// Trie names one of the two tries.
type Trie byte

// The tries.
const (
	Leaves Trie = 'l'
	Pages  Trie = 'p'
)

// Position is where a bucket or node stands.
type Position struct {
	Trie   Trie
	Depth  uint8
	Prefix uint64
}

func (p Position) child(i int) Position {
	shift := 64 - FanBits*(int(p.Depth)+1)
	return Position{p.Trie, p.Depth + 1, p.Prefix | uint64(i)<<shift}
}

func index(hash uint64, depth uint8) int {
	return int(hash >> (64 - FanBits*(int(depth)+1)) & (Fan - 1))
}

// Tree is an opened tree. Reads, and puts into different buckets, may run at the same time; puts into one bucket, [Tree.Split] and [Tree.Rekey] with the
// [Change.Apply] that follows are for the owner to keep apart from everything that touches the same bucket, or any, respectively.
type Tree struct {
	c    Config
	root root

	mu    sync.RWMutex
	nodes map[Position]*node
	// epoch counts what may lead a place that was found astray: an applied change, and a node put out of the cache.
	epoch atomic.Uint64
	// hashes holds keyed hashes that nobody uses.
	hashes  sync.Pool
	ciphers ciphers
}

// root is the opened root node.
type root struct {
	generation uint64
	tries      [2]entry
	census     []census
	hash       secret.Bytes
	extra      secret.Bytes
}

func trieIndex(t Trie) int {
	if t == Leaves {
		return 0
	}
	return 1
}

// node is an opened node. It is never changed; a change makes another, which shares the censuses of the children that are buckets.
type node struct {
	children [Fan]entry
	census   []census
}

func newTree(c Config) *Tree {
	c.Nodes = max(1, c.Nodes)
	return &Tree{c: c, nodes: map[Position]*node{}, ciphers: make(ciphers, max(1, c.Nodes/8))}
}

// Create puts a new, empty tree into b. extra is kept in the root node for the owner.
func Create(c Config, b Batch, rootKey, extra secret.Bytes) (*Tree, error) {
	t := newTree(c)
	r := root{generation: 1, census: make([]census, 2), extra: extra}
	var err error
	if r.hash, err = secret.Random(c.Entropy, KeySize); err != nil {
		return nil, err
	}
	for i := range r.tries {
		if r.tries[i], err = t.fresh(kindBucket, 1); err != nil {
			return nil, err
		}
		r.census[i].take(nil)
	}
	if err := t.putRoot(b, r, rootKey); err != nil {
		return nil, err
	}
	t.root = r
	return t, nil
}

// Open reads the newest root node. ErrWrongKey, ErrNoRoot, ErrVersion, ErrDamaged.
func Open(c Config, rootKey secret.Bytes) (*Tree, error) {
	t := newTree(c)
	var key, value []byte
	err := c.Store.Scan(t.row('R').key(), func(k, v []byte) error {
		key, value = append([]byte(nil), k...), append([]byte(nil), v...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, ErrNoRoot
	}
	if len(value) > 0 && value[0] > Version {
		return nil, fmt.Errorf("root node: %w", ErrVersion)
	}
	a, err := newAEAD((*treeKey)(rootKey.Reveal()))
	if err != nil {
		return nil, err
	}
	plain, err := open(a, append(t.row('R'), key[len(t.c.Prefix)+1:]...), value)
	if err != nil {
		return nil, fmt.Errorf("%w", ErrWrongKey)
	}
	t.root, err = decodeRoot(plain)
	if err != nil {
		return nil, err
	}
	if want := t.rootRow(t.root.generation); string(want.key()) != string(key) {
		return nil, fmt.Errorf("root node: its generation is not that of its row: %w", ErrDamaged)
	}
	return t, nil
}

// Extra is what the owner keeps in the root node.
func (t *Tree) Extra() secret.Bytes { return t.root.extra }

// Generation counts the re-keyings.
func (t *Tree) Generation() uint64 { return t.root.generation }

// row begins the name of a row; it has room for the longest.
func (t *Tree) row(kind byte) row {
	r := make(row, 0, boundSize+len(t.c.Prefix)+1+2+8+8+nameSize)
	r = append(r, rowLabel...)
	r = append(r, t.c.Vault[:]...)
	r = append(r, t.c.Prefix...)
	return append(r, kind)
}

func (t *Tree) rootRow(generation uint64) row {
	return binary.BigEndian.AppendUint64(t.row('R'), generation)
}

func (t *Tree) positionRow(kind byte, p Position, generation uint64) row {
	r := append(t.row(kind), byte(p.Trie), p.Depth)
	r = binary.BigEndian.AppendUint64(r, p.Prefix)
	return binary.BigEndian.AppendUint64(r, generation)
}

// place is a bucket as found from the root.
type place struct {
	Position
	entry
	// parent is nil for a bucket right under the root.
	parent *node
	index  int
	census *census
}

// find descends to the bucket that holds hash.
func (t *Tree) find(trie Trie, hash uint64) (place, error) {
	i := trieIndex(trie)
	p := place{Position: Position{Trie: trie}, entry: t.root.tries[i], index: i, census: &t.root.census[i]}
	for {
		p = t.descend(p, hash)
		if p.kind == kindBucket {
			return p, nil
		}
		n, err := t.node(p.Position, p.entry)
		if err != nil {
			return p, err
		}
		p = p.below(n, hash)
	}
}

// descend goes down as far as the nodes are in the cache.
func (t *Tree) descend(p place, hash uint64) place {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for p.kind == kindNode {
		n := t.nodes[p.Position]
		if n == nil {
			return p
		}
		p = p.below(n, hash)
	}
	return p
}

func (p place) below(n *node, hash uint64) place {
	i := index(hash, p.Depth)
	return place{Position: p.Position.child(i), entry: n.children[i], parent: n, index: i, census: &n.census[i]}
}

// node reads a node, or takes it from the cache.
func (t *Tree) node(p Position, e entry) (*node, error) {
	t.mu.RLock()
	n := t.nodes[p]
	t.mu.RUnlock()
	if n != nil {
		return n, nil
	}
	n, err := t.readNode(p, e)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if cached := t.nodes[p]; cached != nil {
		return cached, nil
	}
	t.keepNode(p, n)
	return n, nil
}

func (t *Tree) readNode(p Position, e entry) (*node, error) {
	value, err := t.c.Store.Get(t.positionRow('N', p, e.generation).key())
	if err != nil {
		return nil, err
	}
	return t.openNode(p, e, value)
}

func (t *Tree) openNode(p Position, e entry, value []byte) (*node, error) {
	a, err := newAEAD(&e.key)
	if err != nil {
		return nil, err
	}
	plain, err := open(a, t.positionRow('N', p, e.generation), value)
	if err != nil {
		return nil, fmt.Errorf("node at depth %d: %w", p.Depth, err)
	}
	return decodeNode(plain)
}

// keepNode puts a node into the cache; t.mu is held. What it puts out is the deepest of a few: those near the root are needed by all.
func (t *Tree) keepNode(p Position, n *node) {
	for len(t.nodes) >= t.c.Nodes {
		t.epoch.Add(1)
		looked, out := 0, Position{}
		for old := range t.nodes {
			if looked == 0 || old.Depth > out.Depth {
				out = old
			}
			if looked++; looked == 8 {
				break
			}
		}
		delete(t.nodes, out)
	}
	t.nodes[p] = n
}

// Close wipes the keys that are held open.
func (t *Tree) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.nodes {
		clear(n.children[:])
	}
	clear(t.nodes)
	t.ciphers.clear()
	clear(t.root.tries[:])
	t.root.hash.Wipe()
	t.root.extra.Wipe()
}
