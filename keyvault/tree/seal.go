package tree

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"github.com/oubli-store/oubli/keyvault/secret"
)

// Kinds of children.
const (
	kindBucket byte = 1
	kindNode   byte = 2
	entrySize       = 1 + 8 + KeySize
)

// treeKey is a key that does not print.
type treeKey [KeySize]byte

// Format implements [fmt.Formatter].
func (treeKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[redacted]") }

// entry is what a node knows of a child.
type entry struct {
	kind       byte
	generation uint64
	key        treeKey
}

func (t *Tree) fresh(kind byte, generation uint64) (entry, error) {
	e := entry{kind: kind, generation: generation}
	if _, err := io.ReadFull(t.c.Entropy, e.key[:]); err != nil {
		return e, fmt.Errorf("drawing a key: %w", err)
	}
	return e, nil
}

// newAEAD sets up AES-256-GCM that draws its nonces itself and writes them in front. It is what Tink's is made of; a re-keying seals
// hundreds of thousands of rows, and this one seals and opens in place.
func newAEAD(key *treeKey) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal appends the sealed value of a row to to.
func seal(to []byte, a cipher.AEAD, r row, plain []byte) []byte {
	return a.Seal(append(to, Version), nil, plain, r)
}

// open opens the value of a row; a nil value is a missing row.
func open(a cipher.AEAD, r row, value []byte) ([]byte, error) {
	switch {
	case value == nil:
		return nil, fmt.Errorf("the row is missing: %w", ErrDamaged)
	case len(value) == 0 || value[0] == 0:
		return nil, fmt.Errorf("the row is cut: %w", ErrDamaged)
	case value[0] > Version:
		return nil, ErrVersion
	}
	plain, err := a.Open(nil, nil, value[1:], r)
	if err != nil {
		return nil, fmt.Errorf("the row does not open: %w", ErrDamaged)
	}
	return plain, nil
}

// row is the name of a row: what binds its value to vault and place. It ends with the row's key.
type row []byte

const (
	rowLabel = "oubli/tree/1\x00"
	// handleLabel tells what a page's key hashes from what it seals.
	handleLabel = "oubli/handle/1\x00"
	boundSize   = len(rowLabel) + 16
)

// key is the row's key in the store.
func (r row) key() []byte { return r[boundSize:] }

func hashPerson(id PersonID) uint64 { return binary.BigEndian.Uint64(id[6:14]) }

// hashHandle borrows a keyed hash: to key one costs more than to hash a handle. The hash key is never drawn anew.
func (t *Tree) hashHandle(handle string) uint64 {
	h, ok := t.hashes.Get().(*keyedHash)
	if !ok {
		h = newKeyedHash(t.root.hash.Reveal())
	}
	defer t.hashes.Put(h)
	return binary.BigEndian.Uint64(h.of("", handle))
}

// keyedHash is HMAC-SHA-256 under one key, for one goroutine.
type keyedHash struct {
	mac  hash.Hash
	used bool
	in   []byte
	out  [sha256.Size]byte
}

func newKeyedHash(key []byte) *keyedHash { return &keyedHash{mac: hmac.New(sha256.New, key)} }

// of hashes label ‖ text. The result is overwritten by the next.
func (h *keyedHash) of(label, text string) []byte {
	if h.used {
		h.mac.Reset()
	}
	h.used = true
	h.in = append(append(h.in[:0], label...), text...)
	h.mac.Write(h.in)
	return h.mac.Sum(h.out[:0])
}

func appendEntry(b []byte, e entry) []byte {
	b = append(b, e.kind)
	b = binary.BigEndian.AppendUint64(b, e.generation)
	return append(b, e.key[:]...)
}

func decodeEntry(b []byte) (entry, error) {
	e := entry{kind: b[0], generation: binary.BigEndian.Uint64(b[1:9])}
	copy(e.key[:], b[9:])
	if e.kind != kindBucket && e.kind != kindNode {
		return e, fmt.Errorf("a child of an unknown kind: %w", ErrDamaged)
	}
	return e, nil
}

func encodeRoot(r root) []byte {
	b := append([]byte{FanBits}, binary.BigEndian.AppendUint64(nil, r.generation)...)
	b = appendEntry(appendEntry(b, r.tries[0]), r.tries[1])
	b = append(b, r.hash.Reveal()...)
	return append(b, r.extra.Reveal()...)
}

func decodeRoot(b []byte) (root, error) {
	r := root{census: make([]census, 2)}
	if len(b) < 9+2*entrySize+KeySize {
		return r, fmt.Errorf("root node is too short: %w", ErrDamaged)
	}
	if b[0] != FanBits {
		return r, fmt.Errorf("root node of another fan-out: %w", ErrVersion)
	}
	r.generation = binary.BigEndian.Uint64(b[1:9])
	b = b[9:]
	var err error
	for i := range r.tries {
		if r.tries[i], err = decodeEntry(b[:entrySize]); err != nil {
			return r, err
		}
		b = b[entrySize:]
	}
	r.hash = secret.New(append([]byte(nil), b[:KeySize]...))
	r.extra = secret.New(append([]byte(nil), b[KeySize:]...))
	return r, nil
}

func encodeNode(n *node) []byte {
	b := make([]byte, 0, Fan*entrySize)
	for _, e := range n.children {
		b = appendEntry(b, e)
	}
	return b
}

func decodeNode(b []byte) (*node, error) {
	if len(b) != Fan*entrySize {
		return nil, fmt.Errorf("node of a wrong length: %w", ErrDamaged)
	}
	n := &node{census: make([]census, Fan)}
	for i := range n.children {
		var err error
		if n.children[i], err = decodeEntry(b[i*entrySize:][:entrySize]); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (t *Tree) putRoot(b Batch, r root, rootKey secret.Bytes) error {
	a, err := newAEAD((*treeKey)(rootKey.Reveal()))
	if err != nil {
		return err
	}
	name := t.rootRow(r.generation)
	return b.Set(name.key(), seal(nil, a, name, encodeRoot(r)))
}

func (t *Tree) putNode(b Batch, p Position, e entry, n *node) error {
	a, err := newAEAD(&e.key)
	if err != nil {
		return err
	}
	name := t.positionRow('N', p, e.generation)
	return b.Set(name.key(), seal(nil, a, name, encodeNode(n)))
}
