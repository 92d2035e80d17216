package tree

import (
	"encoding/binary"
	"slices"
	"sync"
)

// census is what is known of a bucket without reading it: how many items it holds, so that a split is noticed, and a print of each name in it, so
// that it is mostly known that a handle is not there.
//
// It holds at least what the bucket holds: an item is noted before its row is seen by anybody, and one that is not written after all stays. It
// begins unknown and is filled by a scan when some item is put. It goes when its node leaves the cache, so that there may be two for a moment. What was
// noted in one that went, or in none, is noted again by [Slot.Note] after the row is seen.
type census struct {
	mu     sync.Mutex
	known  bool
	prints []uint32
}

func printOf(name [nameSize]byte) uint32 { return binary.BigEndian.Uint32(name[nameSize-4:]) }

// lacks says that an item is certainly not in the bucket.
func (c *census) lacks(name [nameSize]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known && !slices.Contains(c.prints, printOf(name))
}

// fillOneOf is how many items come into a bucket that is not known for one that fills its census: nodes may leave the cache as fast as they come.
const fillOneOf = 8

// note adds an item and answers how many there are, 0 if that is not known.
func (c *census) note(k *bucket, name [nameSize]byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		if name[0]%fillOneOf != 0 {
			return 0, nil
		}
		if err := c.fill(k); err != nil {
			return 0, err
		}
	}
	c.add(name)
	return len(c.prints), nil
}

// ensure is note for an item whose row is seen.
func (c *census) ensure(name [nameSize]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known {
		c.add(name)
	}
}

func (c *census) add(name [nameSize]byte) {
	if p := printOf(name); !slices.Contains(c.prints, p) {
		c.prints = append(c.prints, p)
	}
}

func (c *census) fill(k *bucket) error {
	n := len(k.prefix.key())
	c.prints = c.prints[:0]
	err := k.t.c.Store.Scan(k.prefix.key(), func(key, _ []byte) error {
		if len(key) == n+nameSize { // another is damage, which whoever opens the bucket will name
			c.prints = append(c.prints, printOf([nameSize]byte(key[n:])))
		}
		return nil
	})
	c.known = err == nil
	return err
}

// forget makes it unknown again.
func (c *census) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.prints = false, nil
}

// take makes it what was just put into an empty bucket, or found in a whole one.
func (c *census) take(items []item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.prints = true, make([]uint32, 0, len(items))
	for _, it := range items {
		c.prints = append(c.prints, printOf(it.name))
	}
}
