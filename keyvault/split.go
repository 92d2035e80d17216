package keyvault

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// splits are the full buckets that wait until there are enough of them. They are lost at a stop, and found again by who comes next into such a bucket.
type splits struct {
	mu      sync.Mutex
	waiting []tree.Full
}

const (
	// splitsAtOnce is how many buckets a large tenant splits in one go.
	splitsAtOnce = 32
	// personsPerSplit is for how many persons of a tenant one bucket may wait.
	personsPerSplit = 2048
)

// enough adds full buckets and answers those to split now, if any.
func (s *splits) enough(full fullBuckets, persons int64) []tree.Full {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, full...)
	if len(s.waiting) < min(splitsAtOnce, 1+int(persons/personsPerSplit)) {
		return nil
	}
	all := s.waiting
	s.waiting = nil
	return all
}

// split splits full buckets, many of a large tenant together: they are read in one pass, and the tenant is held alone once. It is not synced by itself: the log
// keeps the order of commits, so whatever builds on it is not durable before it. A failure leaves the buckets large, or stops the vault; either way nothing is lost,
// and the caller's own write is done.
func (t *tenant) split(full fullBuckets) {
	if len(full) == 0 {
		return
	}
	all := t.splits.enough(full, t.count.Load())
	if len(all) == 0 || t.enterAlone() != nil {
		return
	}
	defer t.mu.Unlock()
	_ = t.tree.Split(all, t.root, func(split func(tree.Batch) (*tree.Change, error)) error {
		b := t.v.batch()
		defer b.Close()
		c, err := split(b)
		if err != nil || c == nil {
			return err
		}
		if err := t.v.commit(b, pebble.NoSync); err != nil {
			return err
		}
		c.Apply()
		return nil
	})
}
