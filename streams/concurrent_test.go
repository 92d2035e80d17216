package streams

import (
	"errors"
	"sync"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

func TestConcurrentCallers(t *testing.T) {
	r := newRoom(t, nil)
	r.openTenant()
	shared := make([]eventstore.Message, 50)
	person := newPerson(t)
	for i := range shared {
		shared[i] = newMessage(t, person, 100)
		shared[i].Row = newRow()
	}
	var mu sync.Mutex
	at := map[row]map[uint64]int{}
	firsts := 0
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			p := newPerson(t)
			var last uint64
			for i := range shared {
				got, err := r.submit(shared[i])
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if at[shared[i].Row] == nil {
					at[shared[i].Row] = map[uint64]int{}
				}
				at[shared[i].Row][got.Sequence]++
				if !got.Duplicate {
					firsts++
				}
				mu.Unlock()
				m := newMessage(t, p, 50)
				m.Expected = &last
				got, err = r.submit(m)
				if err != nil || got.Sequence <= last {
					t.Errorf("own append: %+v, %v", got, err)
					return
				}
				last = got.Sequence
				wrong := last + 1
				m = newMessage(t, p, 50)
				m.Expected = &wrong
				if _, err = r.submit(m); !errors.Is(err, eventstore.ErrConflict) {
					t.Errorf("a wrong expected sequence: %v", err)
				}
			}
		})
	}
	all.Wait()
	for _, places := range at {
		if len(places) != 1 {
			t.Fatalf("a row stands at %d places", len(places))
		}
	}
	if firsts != len(shared) {
		t.Fatalf("%d first answers for %d rows", firsts, len(shared))
	}
	if n := len(r.replay(0)); n != len(shared)+64*len(shared) {
		t.Fatalf("%d messages", n)
	}
}

// TestOneOfManyWins: of many callers that expect the same last sequence one is taken.
func TestOneOfManyWins(t *testing.T) {
	r := newRoom(t, nil)
	r.openTenant()
	var mu sync.Mutex
	won := 0
	var all sync.WaitGroup
	zero := uint64(0)
	fresh := newPerson(t)
	for range 64 {
		all.Go(func() {
			m := newMessage(t, fresh, 50)
			m.Expected = &zero
			if _, err := r.submit(m); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			} else if !errors.Is(err, eventstore.ErrConflict) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won != 1 {
		t.Fatalf("%d callers won", won)
	}
}
