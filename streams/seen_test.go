package streams

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
)

func readySeen(bytes int64) *seen {
	var budget atomic.Int64
	budget.Store(bytes)
	s := newSeen(&budget)
	s.ready.Store(true)
	return s
}

// TestSeenNeverForgets: whatever was added is never absent, and nearly all else is.
func TestSeenNeverForgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := readySeen(seenBytes)
		n := rapid.IntRange(0, 3000).Draw(t, "rows")
		prefix := rapid.Uint8().Draw(t, "prefix")
		for i := range n {
			s.add(&row{prefix, 8: byte(i), 9: byte(i >> 8)})
		}
		for i := range n {
			if s.absent(&row{prefix, 8: byte(i), 9: byte(i >> 8)}) {
				t.Fatalf("row %d of %d is absent", i, n)
			}
		}
	})
}

func TestSeenConcurrently(t *testing.T) {
	s := readySeen(seenBytes)
	const each, workers = 20_000, 4
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() {
			for i := range each {
				r := row{byte(k), 8: byte(i), 9: byte(i >> 8), 10: byte(i >> 16)}
				s.add(&r)
				if s.absent(&r) {
					t.Errorf("row %d of %d is absent at once", i, k)
					return
				}
			}
		})
	}
	wg.Wait()
	wrong := 0
	for i := range each {
		if !s.absent(&row{0xFF, 8: byte(i), 9: byte(i >> 8), 10: byte(i >> 16)}) {
			wrong++
		}
	}
	if wrong > each/50 {
		t.Errorf("%d of %d rows that were never added are not absent", wrong, each)
	}
	if taken := seenBytes - s.budget.Load(); taken > 4*each*workers*2 {
		t.Errorf("%d rows take %d bytes", each*workers, taken)
	}
}

// TestSeenGivesUp: without room there is no filter, and nothing is absent.
func TestSeenGivesUp(t *testing.T) {
	const room = 5 * firstBlocks * blockSize
	s := readySeen(room)
	for i := range 20_000 {
		s.add(&row{8: byte(i), 9: byte(i >> 8)})
	}
	if s.absent(&row{1}) || s.budget.Load() != room {
		t.Errorf("a filter that gave up says absent, or keeps %d bytes", room-s.budget.Load())
	}
	if s = readySeen(room); !s.absent(&row{1}) {
		t.Error("nothing is absent from an empty filter")
	}
	if s.drop(); s.absent(&row{1}) {
		t.Error("a row is absent from a filter that was dropped")
	}
}

// TestSeenLearns: the rows of an earlier process are learned, those that come meanwhile too; before that every row is looked up.
func TestSeenLearns(t *testing.T) {
	r := newRoom(t, nil)
	r.openTenant()
	p := newPerson(t)
	old := r.many(p, newMonth, 500, 10, true)
	r.restart()
	r.openTenant()
	fresh := r.many(p, newMonth, 500, 10, true)
	filter := r.s.index.filter(tenant)
	for !filter.ready.Load() { // the scan of a thousand rows
		r.append(newMessage(t, p, 10))
	}
	for _, m := range append(old, fresh...) {
		if filter.absent(&m.Row) {
			t.Fatal("a row that is there is absent")
		}
		if a := r.append(m); !a.Duplicate {
			t.Fatalf("stored twice: %+v", a)
		}
	}
	if k := newRow(); !filter.absent(&k) {
		t.Log("a false positive") // one in 500
	}
	if err := r.s.EraseTenant(context.Background(), eventstore.DefaultTenant); err != nil {
		t.Fatal(err)
	}
	if r.s.index.filter(tenant) != nil || r.s.index.budget.Load() != seenBytes {
		t.Error("the filter of an erased tenant keeps its memory")
	}
}
