package tree

// LeafHash is the hash of a person: its first bits say in which leaf the record stands. It never changes.
func (t *Tree) LeafHash(id PersonID) uint64 { return hashPerson(id) }

// PageHash is LeafHash for a handle.
func (t *Tree) PageHash(handle string) uint64 { return t.hashHandle(handle) }

// Record opens a person's record, nil if there is none.
func (t *Tree) Record(id PersonID) ([]byte, error) {
	return t.get(Leaves, hashPerson(id), string(id[:]))
}

// Handle answers which person a handle names.
func (t *Tree) Handle(handle string) (id PersonID, found bool, err error) {
	value, err := t.get(Pages, t.hashHandle(handle), handle)
	if err != nil || value == nil {
		return id, false, err
	}
	return PersonID(value), true, nil
}

func (t *Tree) get(trie Trie, hash uint64, key string) ([]byte, error) {
	p, err := t.find(trie, hash)
	if err != nil {
		return nil, err
	}
	k, err := t.bucket(p)
	if err != nil {
		return nil, err
	}
	return k.get(key)
}

// PutRecord puts a record, new or changed. full says that the leaf should be split once b is committed.
func (t *Tree) PutRecord(b Batch, id PersonID, plain []byte, isNew bool) (full bool, err error) {
	return t.put(b, Leaves, hashPerson(id), string(id[:]), plain, isNew)
}

// PutHandles makes handles name a person. full lists one handle of each page that should be split once b is committed.
func (t *Tree) PutHandles(b Batch, id PersonID, handles []string) (full []string, err error) {
	for _, h := range handles {
		isFull, err := t.put(b, Pages, t.hashHandle(h), h, id[:], true)
		if err != nil {
			return nil, err
		}
		if isFull {
			full = append(full, h)
		}
	}
	return full, nil
}

func (t *Tree) put(b Batch, trie Trie, hash uint64, key string, value []byte, isNew bool) (full bool, err error) {
	p, err := t.find(trie, hash)
	if err != nil {
		return false, err
	}
	k, err := t.bucket(p)
	if err != nil {
		return false, err
	}
	if err := k.put(b, key, value); err != nil || !isNew {
		return false, err
	}
	return t.added(p)
}
