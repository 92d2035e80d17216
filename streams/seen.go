package streams

import (
	"context"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/oubli-store/oubli/eventstore"
)

// seen is a filter in memory of every idempotency row that a tenant has in the index, or had: what is not in it has no row, and that
// answers nearly every first-time append without looking into the index. What is in it is looked up there, so an answer never rests on the filter alone
// but for "there is none".
//
// That is exact because a row enters the filter before the index, and the index before the generation that says so: a caller that has read a generation finds
// the rows of it and of those before. Until the rows that stood in the index at the start have been read (learn), every row is looked up.
//
// It is a chain of blocked Bloom filters, each twice as large as the one before: 16 bits for a row, six of them set in one cache line, about one false positive in 500.
// Adding and asking need no lock.
type seen struct {
	budget *atomic.Int64 // bytes that all filters may still take
	seed   maphash.Seed
	ready  atomic.Bool // it holds every row
	grow   sync.Mutex
	chain  atomic.Pointer[[]*bloomBlocks]
	gaveUp atomic.Bool // there is no room for it
}

const (
	// seenBytes bounds what the filters of all tenants take: 32 million rows. A tenant whose rows do not fit has none.
	seenBytes = 64 << 20
	// firstBlocks is the size of the first filter of a chain, for 4,096 rows.
	firstBlocks  = 128
	blockSize    = 64 // bytes: a cache line
	rowsPerBlock = 32
	probes       = 6
)

// bloomBlocks is one filter of a chain.
type bloomBlocks struct {
	blocks [][blockSize / 8]uint64
	left   atomic.Int64 // rows until it is full
}

func newSeen(budget *atomic.Int64) *seen {
	s := &seen{budget: budget, seed: maphash.MakeSeed()}
	s.chain.Store(&[]*bloomBlocks{})
	return s
}

// places are the block of a row in a filter of n blocks, and its bits there: nine bits of mix for each.
func places(hash uint64, n int) (block int, mix uint64) {
	hi, _ := bits.Mul64(hash, uint64(n))
	return int(hi), hash * 0x9E3779B97F4A7C15
}

// add notes a row. It may be called by several at once.
func (s *seen) add(r *row) {
	if s.gaveUp.Load() {
		return
	}
	chain := *s.chain.Load()
	if len(chain) == 0 || chain[len(chain)-1].left.Add(-1) < 0 {
		if chain = s.extend(); chain == nil {
			return
		}
	}
	last := chain[len(chain)-1]
	block, mix := places(maphash.Bytes(s.seed, r[:]), len(last.blocks))
	for range probes {
		atomic.OrUint64(&last.blocks[block][mix>>6&7], 1<<(mix&63))
		mix >>= 9
	}
}

// extend begins a filter behind one that is full. nil if there is no room: then there is no filter any more.
func (s *seen) extend() []*bloomBlocks {
	s.grow.Lock()
	defer s.grow.Unlock()
	chain := *s.chain.Load()
	if n := len(chain); n > 0 && chain[n-1].left.Load() >= 0 {
		return chain // another one was faster
	}
	if s.gaveUp.Load() {
		return nil
	}
	n := firstBlocks << len(chain)
	if s.budget.Add(-int64(n*blockSize)) < 0 {
		s.budget.Add(int64(n * blockSize))
		s.release(chain)
		return nil
	}
	b := &bloomBlocks{blocks: make([][blockSize / 8]uint64, n)}
	b.left.Store(int64(n * rowsPerBlock))
	chain = append(chain[:len(chain):len(chain)], b)
	s.chain.Store(&chain)
	return chain
}

func (s *seen) release(chain []*bloomBlocks) {
	s.gaveUp.Store(true)
	s.ready.Store(false)
	s.chain.Store(&[]*bloomBlocks{})
	for _, b := range chain {
		s.budget.Add(int64(len(b.blocks) * blockSize))
	}
}

// drop gives the memory back.
func (s *seen) drop() {
	s.grow.Lock()
	defer s.grow.Unlock()
	if !s.gaveUp.Load() {
		s.release(*s.chain.Load())
	}
}

// absent says that there is no such row in the index. False says nothing.
func (s *seen) absent(r *row) bool {
	if s == nil || !s.ready.Load() {
		return false
	}
	hash := maphash.Bytes(s.seed, r[:])
	for _, b := range *s.chain.Load() {
		if b.has(hash) {
			return false
		}
	}
	return s.ready.Load() // else it was given up meanwhile
}

func (b *bloomBlocks) has(hash uint64) bool {
	block, mix := places(hash, len(b.blocks))
	for range probes {
		if atomic.LoadUint64(&b.blocks[block][mix>>6&7])&(1<<(mix&63)) == 0 {
			return false
		}
		mix >>= 9
	}
	return true
}

// watch makes the filter of a tenant: rows that enter the index from now on are in it. Nothing must enter it beside the call.
func (x *index) watch(tenant eventstore.TenantID) *seen {
	s := newSeen(&x.budget)
	x.filters.Store(tenant, s)
	return s
}

// unwatch drops the filter of a tenant.
func (x *index) unwatch(tenant eventstore.TenantID) {
	if s := x.filter(tenant); s != nil {
		x.filters.Delete(tenant)
		s.drop()
	}
}

func (x *index) filter(tenant eventstore.TenantID) *seen {
	if s, ok := x.filters.Load(tenant); ok {
		return s.(*seen)
	}
	return nil
}

// learn reads the rows that stand in the index into the filter, which is ready then.
func (x *index) learn(ctx context.Context, tenant eventstore.TenantID, s *seen) error {
	n := 0
	_, _, err := x.find(tenant, row{}, 0, func(r rowAt) bool {
		if n++; n%4096 != 0 || ctx.Err() == nil {
			s.add(&r.row)
			return false
		}
		return true // ends it
	})
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && !s.gaveUp.Load() {
		s.ready.Store(true)
	}
	return err
}
