package eventstore

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"
)

// Item is one message of a replay: exactly one of Event, Change and Skipped is set.
type Item struct {
	Sequence uint64
	Event    *Recorded
	Change   *PersonEvent
	// Skipped says why an event is not there: ErrErased, ErrFenced, ErrExpired, ErrKeyLost. Damage ends a replay instead.
	Skipped error
}

const (
	// batchMessages and batchBytes bound what one goroutine opens at a time.
	batchMessages = 64
	batchBytes    = 1 << 20
)

// batch is a run of messages. The goroutine that opens it closes done; err stands behind its items.
type batch struct {
	in    []Stored
	items []Item
	err   error
	done  chan struct{}
}

// Replay yields everything that is stored behind the sequence after, up to what is committed when it is called, in order. Events are
// opened and decoded by several goroutines ahead of the caller.
//
// One goroutine cuts the log's messages into batches and puts each into two queues: work, from which as many goroutines as there are
// processors take, and order, from which the caller takes. All have ended when the iteration has.
func (s *Store) Replay(ctx context.Context, tenant TenantID, after uint64) iter.Seq2[Item, error] {
	stored := s.c.Log.Replay(ctx, tenant, after)
	return func(yield func(Item, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		workers := runtime.GOMAXPROCS(0)
		work, order := make(chan *batch, workers), make(chan *batch, 2*workers)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() {
			defer close(work)
			defer close(order)
			cut(stored, func(b *batch) bool {
				for _, queue := range []chan *batch{order, work} {
					select {
					case queue <- b:
					case <-ctx.Done():
						return false
					}
				}
				return true
			})
		})
		for range workers {
			wg.Go(func() {
				for b := range work {
					s.openBatch(ctx, tenant, b)
				}
			})
		}
		for {
			var b *batch
			var more bool
			select {
			case b, more = <-order:
			case <-ctx.Done():
				yield(Item{}, ctx.Err())
				return
			}
			if !more || !hand(ctx, b, yield) {
				return
			}
		}
	}
}

// hand gives the caller a batch once it is open. It says whether to go on.
func hand(ctx context.Context, b *batch, yield func(Item, error) bool) bool {
	select {
	case <-b.done:
	case <-ctx.Done():
		yield(Item{}, ctx.Err())
		return false
	}
	for _, item := range b.items {
		if !yield(item, nil) {
			return false
		}
	}
	if b.err != nil {
		yield(Item{}, b.err)
		return false
	}
	return true
}

// cut makes batches of messages.
func cut(stored iter.Seq2[Stored, error], put func(*batch) bool) {
	b, size := &batch{done: make(chan struct{})}, 0
	for m, err := range stored {
		if err != nil {
			b.err = err
			break
		}
		b.in = append(b.in, m)
		if size += m.Envelope.Size(); len(b.in) < batchMessages && size < batchBytes {
			continue
		}
		if !put(b) {
			return
		}
		b, size = &batch{done: make(chan struct{})}, 0
	}
	put(b)
}

// openBatch opens a batch. Consecutive messages of one person share a gate.
func (s *Store) openBatch(ctx context.Context, tenant TenantID, b *batch) {
	defer close(b.done)
	b.items = make([]Item, 0, len(b.in))
	var gate Gate
	defer func() {
		if gate != nil {
			gate.Release()
		}
	}()
	for _, m := range b.in {
		if gate != nil && gate.Person() != m.Person {
			gate.Release()
			gate = nil
		}
		item, err := s.item(ctx, tenant, &gate, m)
		if err != nil {
			b.err = err
			return
		}
		b.items = append(b.items, item)
	}
}

// item opens one message. gate is nil or a gate of its person.
func (s *Store) item(ctx context.Context, tenant TenantID, gate *Gate, m Stored) (Item, error) {
	item := Item{Sequence: m.Sequence}
	if m.Person.IsZero() {
		change, err := s.openChange(ctx, tenant, m)
		item.Change = &change
		return item, err
	}
	if *gate == nil {
		g, err := s.c.Keys.Gate(ctx, tenant, m.Person)
		if err != nil {
			return skip(item, err)
		}
		*gate = g
	}
	if m.Sequence < (*gate).State().First {
		return skip(item, ErrErased)
	}
	r, err := s.recorded(ctx, tenant, *gate, m)
	if err != nil {
		return skip(item, err)
	}
	item.Event = &r
	return item, nil
}

// skip tells the reasons to go on without an event from those to stop.
func skip(item Item, err error) (Item, error) {
	for _, reason := range []error{ErrExpired, ErrFenced, ErrErased} { // ErrExpired is an ErrErased too
		if errors.Is(err, reason) {
			item.Skipped = reason
			return item, nil
		}
	}
	if errors.Is(err, ErrNotFound) {
		item.Skipped = ErrKeyLost
		return item, nil
	}
	return Item{}, err
}
