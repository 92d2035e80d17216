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
	return t.bucket(p).get(key)
}

// PutRecord puts a record, new or changed. full says that the leaf should be split once b is committed.
func (t *Tree) PutRecord(b Batch, id PersonID, plain []byte, isNew bool) (full bool, err error) {
	return t.put(b, Leaves, hashPerson(id), string(id[:]), plain, isNew)
}

func (t *Tree) put(b Batch, trie Trie, hash uint64, key string, value []byte, isNew bool) (full bool, err error) {
	p, err := t.find(trie, hash)
	if err != nil {
		return false, err
	}
	return t.putInto(b, p, t.bucket(p), key, value, isNew)
}

func (t *Tree) putInto(b Batch, p place, k *bucket, key string, value []byte, isNew bool) (full bool, err error) {
	if err := k.put(b, key, value); err != nil || !isNew {
		return false, err
	}
	n, err := p.census.note(k, k.name(key))
	return n > BucketMax && p.Depth < maxDepth, err
}

// PutHandle puts a handle for an owner whom nobody else writes beside; others need a [Slot].
func (t *Tree) PutHandle(b Batch, id PersonID, handle string) (full bool, err error) {
	return t.put(b, Pages, t.hashHandle(handle), handle, id[:], true)
}
