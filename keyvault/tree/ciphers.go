package tree

import (
	"crypto/cipher"
	"encoding/binary"
	"sync/atomic"
)

// ciphers keeps set-up ciphers of buckets: to set one up costs more than to seal a row with it. It is bounded: a cipher has one place, which the next
// that belongs there takes over.
type ciphers []atomic.Pointer[setUp]

type setUp struct {
	key  treeKey
	aead cipher.AEAD
}

// at is the place of a key; keys are random.
func (c ciphers) at(key *treeKey) *atomic.Pointer[setUp] {
	return &c[binary.BigEndian.Uint32(key[:])%uint32(len(c))]
}

func (c ciphers) get(key *treeKey) (cipher.AEAD, error) {
	if s := c.at(key).Load(); s != nil && s.key == *key {
		return s.aead, nil
	}
	a, err := newAEAD(key)
	if err == nil {
		c.at(key).Store(&setUp{*key, a})
	}
	return a, err
}

// drop lets go of the cipher of a key that is to be forgotten.
func (c ciphers) drop(key *treeKey) {
	if s := c.at(key).Load(); s != nil && s.key == *key {
		c.at(key).CompareAndSwap(s, nil)
	}
}

func (c ciphers) clear() {
	for i := range c {
		c[i].Store(nil)
	}
}
