package tree

import (
	"bytes"
	"crypto/cipher"
	"fmt"
	"slices"
)

// nameSize is the size of what tells the items of a bucket apart in their row keys.
const nameSize = 16

// item is one record of a leaf (key: person id) or one handle of a page (value: person id).
type item struct {
	key   string
	value []byte
	// name ends the key of the row that the item was read from.
	name [nameSize]byte
}

func (t *Tree) hash(trie Trie, key string) uint64 {
	if trie == Leaves {
		return hashPerson(PersonID([]byte(key)))
	}
	return t.hashHandle(key)
}

// bucket is a leaf or page to read and write. It is for one goroutine.
type bucket struct {
	t    *Tree
	trie Trie
	// prefix begins the name of every row; it has room for an item's name.
	prefix row
	key    treeKey
	// aead and, of a page, names are set up when they are needed: to look for what is not there needs no cipher.
	aead  cipher.AEAD
	names *keyedHash
	// last is whose name is hashed.
	last   string
	hashed [nameSize]byte
	// sealed and plain are room for the row in work.
	sealed, plain []byte
}

func (t *Tree) bucket(p place) *bucket {
	return &bucket{t: t, trie: p.Trie, prefix: t.positionRow('B', p.Position, p.generation), key: p.key}
}

func (k *bucket) cipher() (_ cipher.AEAD, err error) {
	if k.aead == nil {
		k.aead, err = k.t.ciphers.get(&k.key)
	}
	return k.aead, err
}

// name is what an item's row key ends with: a person's id, or a keyed hash of a handle under the page's key.
func (k *bucket) name(key string) (n [nameSize]byte) {
	if k.trie == Leaves {
		copy(n[:], key)
		return n
	}
	if k.names != nil && key == k.last {
		return k.hashed
	}
	if k.names == nil {
		k.names = newKeyedHash(k.key[:])
	}
	copy(n[:], k.names.of(handleLabel, key))
	k.last, k.hashed = key, n
	return n
}

// row is the row of an item. It is overwritten by the next.
func (k *bucket) row(name [nameSize]byte) row { return append(k.prefix, name[:]...) }

// get opens one item's value, nil if there is none.
func (k *bucket) get(key string) ([]byte, error) {
	r := k.row(k.name(key))
	sealed, err := k.t.c.Store.Get(r.key())
	if err != nil || sealed == nil {
		return nil, err
	}
	it, err := k.open(r, sealed)
	if err != nil {
		return nil, err
	}
	if it.key != key {
		return nil, fmt.Errorf("a handle in the place of another: %w", ErrDamaged)
	}
	return it.value, nil
}

// open opens a row.
func (k *bucket) open(r row, sealed []byte) (item, error) {
	a, err := k.cipher()
	if err != nil {
		return item{}, err
	}
	plain, err := open(a, r, sealed)
	if err != nil {
		return item{}, fmt.Errorf("%s: %w", k.what(), err)
	}
	it := item{name: [nameSize]byte(r[len(r)-nameSize:])}
	if k.trie == Leaves {
		it.key, it.value = string(it.name[:]), plain
		return it, nil
	}
	if len(plain) < 16 {
		return it, fmt.Errorf("handle is cut: %w", ErrDamaged)
	}
	it.key, it.value = string(plain[16:]), plain[:16:16]
	return it, nil
}

func (k *bucket) what() string {
	if k.trie == Leaves {
		return "record"
	}
	return "handle"
}

// put seals an item into b.
func (k *bucket) put(b Batch, key string, value []byte) error {
	return k.putNamed(b, item{key: key, value: value, name: k.name(key)})
}

// putNamed is put for an item that has the name of this bucket.
func (k *bucket) putNamed(b Batch, it item) error {
	r, plain := k.row(it.name), it.value
	if k.trie == Pages {
		k.plain = append(append(k.plain[:0], it.value...), it.key...)
		plain = k.plain
	}
	a, err := k.cipher()
	if err != nil {
		return err
	}
	k.sealed = seal(k.sealed[:0], a, r, plain)
	return b.Set(r.key(), k.sealed)
}

// scan visits the rows of a bucket.
func (k *bucket) scan(visit func(r row, sealed []byte) error) error {
	return k.t.c.Store.Scan(k.prefix.key(), func(key, sealed []byte) error {
		name, err := k.named(key)
		if err != nil {
			return err
		}
		return visit(k.row(name), sealed)
	})
}

// named is the name at the end of the key of one of the bucket's rows.
func (k *bucket) named(key []byte) (name [nameSize]byte, err error) {
	n := len(k.prefix.key())
	if len(key) != n+nameSize {
		return name, fmt.Errorf("%s: a row key of a wrong length: %w", k.what(), ErrDamaged)
	}
	return [nameSize]byte(key[n:]), nil
}

// load opens everything in a bucket.
func (t *Tree) load(p place) ([]item, error) {
	k := t.bucket(p)
	var items []item
	err := k.scan(func(r row, sealed []byte) error {
		it, err := k.openNamed(r, sealed)
		items = append(items, it)
		return err
	})
	return items, err
}

// openNamed is open for a row that may bear the name of another.
func (k *bucket) openNamed(r row, sealed []byte) (item, error) {
	it, err := k.open(r, sealed)
	if err == nil && k.trie == Pages && k.name(it.key) != it.name {
		err = fmt.Errorf("a handle in the place of another: %w", ErrDamaged)
	}
	return it, err
}

// store seals everything in a bucket, in the order of the rows, and gives the items the names that they have there.
func (t *Tree) store(b Batch, p place, items []item) error {
	k := t.bucket(p)
	for i, it := range items {
		items[i].name = k.name(it.key)
	}
	slices.SortFunc(items, func(a, b item) int { return bytes.Compare(a.name[:], b.name[:]) })
	for _, it := range items {
		if err := k.putNamed(b, it); err != nil {
			return err
		}
	}
	return nil
}

// drop deletes the rows that items were read from.
func (t *Tree) drop(b Batch, p place, items []item) error {
	prefix := t.positionRow('B', p.Position, p.generation)
	for _, it := range items {
		if err := b.Delete(append(prefix, it.name[:]...).key()); err != nil {
			return err
		}
	}
	return nil
}
