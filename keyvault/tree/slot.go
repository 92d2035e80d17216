package tree

// Slot is where a handle stands or would stand: found once, for a lookup and for the put that may follow. It is for one goroutine.
type Slot struct {
	t      *Tree
	handle string
	hash   uint64
	epoch  uint64
	place  place
	bucket *bucket
}

// Slot finds where a handle stands.
func (t *Tree) Slot(handle string) (*Slot, error) {
	s := &Slot{t: t, handle: handle, hash: t.hashHandle(handle)}
	_, err := s.find()
	return s, err
}

// find says whether the bucket is another than before, or has another key.
func (s *Slot) find() (moved bool, err error) {
	epoch := s.t.epoch.Load()
	if s.bucket != nil && s.epoch == epoch {
		return false, nil
	}
	s.epoch = epoch
	p, err := s.t.find(Pages, s.hash)
	if err != nil {
		return false, err
	}
	if s.bucket != nil && p.Position == s.place.Position && p.entry == s.place.entry {
		s.place = p
		return false, nil
	}
	s.place, s.bucket = p, s.t.bucket(p)
	return true, nil
}

// Hash is that of [Tree.PageHash].
func (s *Slot) Hash() uint64 { return s.hash }

// Lacks says, without reading, that the handle certainly named nobody when the slot was found. It is only worth something to who knows that nobody
// is putting the handle.
func (s *Slot) Lacks() bool { return s.place.census.lacks(s.bucket.name(s.handle)) }

// Get answers whom the handle names, from where the slot was found.
func (s *Slot) Get() (id PersonID, found bool, err error) {
	value, err := s.bucket.get(s.handle)
	if err != nil || value == nil {
		return id, false, err
	}
	return PersonID(value), true, nil
}

// Moved says whether what Get answered stands elsewhere since; the slot is then that of now.
func (s *Slot) Moved() (bool, error) { return s.find() }

// Put makes the handle, which named nobody, name a person. full says that the page should be split once b is committed. Nothing may have moved
// since the slot was found, or since Moved.
func (s *Slot) Put(b Batch, id PersonID) (full bool, err error) {
	return s.t.putInto(b, s.place, s.bucket, s.handle, id[:], true)
}

// Note must follow the commit of what was put, before its owner lets go of what keeps others from the handle.
func (s *Slot) Note() error {
	if _, err := s.find(); err != nil {
		return err
	}
	s.place.census.ensure(s.bucket.name(s.handle))
	return nil
}
