package tree

import (
	"encoding/binary"
	"fmt"
)

// item is one record of a leaf (key: person id) or one handle of a page (value: person id).
type item struct {
	key   string
	value []byte
}

func (t *Tree) hash(trie Trie, key string) uint64 {
	if trie == Leaves {
		return hashPerson(PersonID([]byte(key)))
	}
	return t.hashHandle(key)
}

// LeafOf and PageOf say in which bucket a person or a handle stands at present.
func (t *Tree) LeafOf(id PersonID) (Position, error) {
	p, err := t.find(Leaves, hashPerson(id))
	return p.Position, err
}

// PageOf is LeafOf for a handle.
func (t *Tree) PageOf(handle string) (Position, error) {
	p, err := t.find(Pages, t.hashHandle(handle))
	return p.Position, err
}

// Record opens a person's record, nil if there is none.
func (t *Tree) Record(id PersonID) ([]byte, error) {
	p, err := t.find(Leaves, hashPerson(id))
	if err != nil {
		return nil, err
	}
	row := t.recordRow(p, string(id[:]))
	value, err := t.c.Store.Get(row)
	if err != nil || value == nil {
		return nil, err
	}
	plain, err := t.open(p.key[:], row, value)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return plain, nil
}

func (t *Tree) recordRow(p place, person string) []byte {
	return append(t.positionRow('B', p.Position, p.generation), person...)
}

// PutRecord puts a record, new or changed. full says that the leaf should be split once b is committed.
func (t *Tree) PutRecord(b Batch, id PersonID, plain []byte, isNew bool) (full bool, err error) {
	p, err := t.find(Leaves, hashPerson(id))
	if err != nil {
		return false, err
	}
	if err := t.putRecord(b, p, string(id[:]), plain); err != nil || !isNew {
		return false, err
	}
	n, err := t.count(p)
	if err != nil {
		return false, err
	}
	*n++
	return *n > BucketMax && p.Depth < maxDepth, nil
}

func (t *Tree) putRecord(b Batch, p place, person string, plain []byte) error {
	row := t.recordRow(p, person)
	value, err := t.seal(p.key[:], row, plain)
	if err != nil {
		return err
	}
	return b.Set(row, value)
}

// count points to the number of records in a leaf, which its owner's lock on the leaf protects.
func (t *Tree) count(p place) (*int32, error) {
	n := &t.root.counts[p.index%2]
	if p.parent != nil {
		n = &p.parent.counts[p.index]
	}
	if *n >= 0 {
		return n, nil
	}
	found := int32(0)
	err := t.c.Store.Scan(t.positionRow('B', p.Position, p.generation), func(_, _ []byte) error { found++; return nil })
	*n = found
	return n, err
}

// Handle answers which person a handle names.
func (t *Tree) Handle(handle string) (id PersonID, found bool, err error) {
	p, err := t.find(Pages, t.hashHandle(handle))
	if err != nil {
		return id, false, err
	}
	plain, err := t.page(p)
	if err != nil {
		return id, false, err
	}
	err = eachHandle(plain, func(h, person []byte) {
		if string(h) == handle {
			id, found = PersonID(person), true
		}
	})
	return id, found, err
}

// page opens a page; one without handles has no row.
func (t *Tree) page(p place) ([]byte, error) {
	row := t.positionRow('B', p.Position, p.generation)
	value, err := t.c.Store.Get(row)
	if err != nil || value == nil {
		return nil, err
	}
	plain, err := t.open(p.key[:], row, value)
	if err != nil {
		return nil, fmt.Errorf("page at depth %d: %w", p.Depth, err)
	}
	return plain, nil
}

// PutHandles makes handles name a person. full lists one handle of each page that should be split once b is committed.
func (t *Tree) PutHandles(b Batch, id PersonID, handles []string) (full []string, err error) {
	pages := map[Position]place{}
	news := map[Position][]item{}
	for _, h := range handles {
		p, err := t.find(Pages, t.hashHandle(h))
		if err != nil {
			return nil, err
		}
		pages[p.Position] = p
		news[p.Position] = append(news[p.Position], item{h, append([]byte(nil), id[:]...)})
	}
	for pos, p := range pages {
		items, err := t.load(p)
		if err != nil {
			return nil, err
		}
		items = append(items, news[pos]...)
		if err := t.store(b, p, items); err != nil {
			return nil, err
		}
		if len(items) > BucketMax && p.Depth < maxDepth {
			full = append(full, news[pos][0].key)
		}
	}
	return full, nil
}

// load opens everything in a bucket.
func (t *Tree) load(p place) ([]item, error) {
	prefix := t.positionRow('B', p.Position, p.generation)
	if p.Trie == Pages {
		plain, err := t.page(p)
		if err != nil {
			return nil, err
		}
		return decodePage(plain)
	}
	var items []item
	err := t.c.Store.Scan(prefix, func(row, value []byte) error {
		if len(row) != len(prefix)+16 {
			return fmt.Errorf("record: a row key of a wrong length: %w", ErrDamaged)
		}
		plain, err := t.open(p.key[:], row, value)
		if err != nil {
			return fmt.Errorf("record: %w", err)
		}
		items = append(items, item{string(row[len(prefix):]), plain})
		return nil
	})
	return items, err
}

// store seals everything in a bucket. A page without handles has no row.
func (t *Tree) store(b Batch, p place, items []item) error {
	if p.Trie == Leaves {
		for _, it := range items {
			if err := t.putRecord(b, p, it.key, it.value); err != nil {
				return err
			}
		}
		return nil
	}
	if len(items) == 0 {
		return nil
	}
	var plain []byte
	for _, it := range items {
		plain = binary.AppendUvarint(plain, uint64(len(it.key)))
		plain = append(plain, it.key...)
		plain = append(plain, it.value...)
	}
	row := t.positionRow('B', p.Position, p.generation)
	value, err := t.seal(p.key[:], row, plain)
	if err != nil {
		return err
	}
	return b.Set(row, value)
}

// drop deletes a bucket's rows.
func (t *Tree) drop(b Batch, p place, items []item) error {
	prefix := t.positionRow('B', p.Position, p.generation)
	if p.Trie == Pages {
		return b.Delete(prefix)
	}
	for _, it := range items {
		if err := b.Delete(append(prefix[:len(prefix):len(prefix)], it.key...)); err != nil {
			return err
		}
	}
	return nil
}

func decodePage(b []byte) (items []item, err error) {
	err = eachHandle(b, func(h, person []byte) { items = append(items, item{string(h), person}) })
	return items, err
}

// eachHandle visits what an opened page holds.
func eachHandle(b []byte, visit func(handle, person []byte)) error {
	for len(b) > 0 {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) || len(b)-k-int(n) < 16 {
			return fmt.Errorf("page is cut: %w", ErrDamaged)
		}
		b = b[k:]
		visit(b[:n], b[n:n+16:n+16])
		b = b[n+16:]
	}
	return nil
}
