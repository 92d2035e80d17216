package streams

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
	"github.com/oubli-store/oubli/streams/journal"
)

// overhead is room for subject and headers beside a message's data.
const overhead = 512

func (s *Streams) tooLarge(size int) bool {
	limit := s.c.Conn.MaxPayload()
	return limit > 0 && int64(size)+overhead > limit
}

// Submit implements [eventstore.Log].
func (s *Streams) Submit(ctx context.Context, tenant eventstore.TenantID, m eventstore.Message) (eventstore.Ticket, error) {
	return s.submit(ctx, convSpec(tenant), m)
}

func (s *Streams) submit(ctx context.Context, sp spec, m eventstore.Message) (eventstore.Ticket, error) {
	w, err := s.writer(sp)
	if err != nil {
		return nil, err
	}
	if s.tooLarge(m.Envelope.Size()) {
		return nil, eventstore.ErrTooLarge
	}
	it := &item{
		entry: journal.Entry{
			Person: m.Person,
			Row:    m.Row,
			Data:   m.Envelope.Append(make([]byte, 0, m.Envelope.Size())),
		},
		month: m.Envelope.Month, expected: m.Expected, journalled: m.Journalled,
		done: make(chan struct{}),
	}
	if m.Row != (row{}) {
		it.asked = w.generation.Load()
		if it.found, err = s.index.row(sp.tenant, &m.Row); err != nil {
			return nil, unavailable(err)
		}
	}
	if err := w.enqueue(ctx, it); err != nil {
		return nil, err
	}
	return it, nil
}

// stored reads a message as the contract knows it.
func (sp spec) stored(m message) (eventstore.Stored, error) {
	owner, ok := sp.owner(m.subject)
	if !ok {
		return eventstore.Stored{}, damaged("the message %d of the stream %s was not written here", m.sequence, sp.stream())
	}
	e, err := envelope.Parse(m.data)
	if errors.Is(err, envelope.ErrVersion) {
		return eventstore.Stored{}, fmt.Errorf("%w: the message %d of the stream %s", eventstore.ErrNewerVersion, m.sequence, sp.stream())
	}
	if err != nil {
		return eventstore.Stored{}, damaged("the message %d of the stream %s is too short", m.sequence, sp.stream())
	}
	return eventstore.Stored{Sequence: m.sequence, Person: owner, Envelope: e, At: m.at}, nil
}

// Read implements [eventstore.Log]; for the zero person it yields the control messages.
func (s *Streams) Read(ctx context.Context, tenant eventstore.TenantID, person eventstore.PersonID, after uint64) iter.Seq2[eventstore.Stored, error] {
	sp := convSpec(tenant)
	return s.read(ctx, sp, sp.of(person), after)
}

// Replay implements [eventstore.Log].
func (s *Streams) Replay(ctx context.Context, tenant eventstore.TenantID, after uint64) iter.Seq2[eventstore.Stored, error] {
	return s.read(ctx, convSpec(tenant), everything, after)
}

func (s *Streams) read(ctx context.Context, sp spec, subject string, after uint64) iter.Seq2[eventstore.Stored, error] {
	return func(yield func(eventstore.Stored, error) bool) {
		w, err := s.writer(sp)
		if err != nil {
			yield(eventstore.Stored{}, err)
			return
		}
		if err := w.err(); err != nil {
			yield(eventstore.Stored{}, err)
			return
		}
		to := w.committed.now()
		whole := after <= w.floor.Load() && subject != everything && !w.unpurged.Load()
		after = max(after, w.floor.Load())
		if after >= to {
			return
		}
		stopped := false
		var yielded uint64
		var t tally
		each := func(fn func(message) bool) error { return w.remote.each(ctx, subject, after+1, to, fn) }
		if subject == everything {
			each = func(fn func(message) bool) error { return w.remote.all(ctx, after+1, to, fn) }
		}
		err = each(func(m message) bool {
			if m.subject == sp.filler() {
				return true
			}
			st, err := sp.stored(m)
			yielded++
			t.take(m)
			stopped = !yield(st, err) || err != nil
			return !stopped
		})
		if err == nil && !stopped && subject == everything {
			err = w.accountFor(ctx, after, to, yielded)
		}
		if err == nil && !stopped && whole {
			err = w.passedOver(ctx, subject, t)
		}
		if err != nil && !stopped {
			yield(eventstore.Stored{}, err)
		}
	}
}

// everything is the subject of all messages of a stream.
const everything = ">"

// accountFor checks that no more messages are missing among those up to a sequence than were given up for removal: the server passes over what it
// cannot read.
func (w *writer) accountFor(ctx context.Context, after, to, found uint64) error {
	missing := to - after - found
	if missing == 0 {
		return nil
	}
	return w.do(ctx, func() error {
		if w.mark.floor > after { // raised meanwhile: what was read counts for nothing
			return nil
		}
		if removed := w.mark.removedAbove(); missing > removed {
			return damaged("the stream %s gave %d messages from %d to %d; only %d were ever removed: at least %d are missing",
				w.spec.stream(), found, after+1, to, removed, missing-removed)
		}
		return nil
	})
}

// Get implements [eventstore.Log].
func (s *Streams) Get(ctx context.Context, tenant eventstore.TenantID, sequence uint64) (eventstore.Stored, error) {
	return s.get(ctx, convSpec(tenant), sequence)
}

func (s *Streams) get(ctx context.Context, sp spec, sequence uint64) (eventstore.Stored, error) {
	w, err := s.writer(sp)
	if err != nil {
		return eventstore.Stored{}, err
	}
	if err := w.err(); err != nil {
		return eventstore.Stored{}, err
	}
	if sequence <= w.floor.Load() || sequence > w.committed.now() {
		return eventstore.Stored{}, eventstore.ErrNotFound
	}
	m, err := w.remote.get(ctx, sequence)
	if errors.Is(err, errNoMessage) || err == nil && m.subject == sp.filler() {
		return eventstore.Stored{}, eventstore.ErrNotFound
	}
	if err != nil {
		return eventstore.Stored{}, err
	}
	return sp.stored(m)
}

// Committed implements [eventstore.Log].
func (s *Streams) Committed(_ context.Context, tenant eventstore.TenantID) (uint64, error) {
	return s.committed(convSpec(tenant))
}

func (s *Streams) committed(sp spec) (uint64, error) {
	w, err := s.writer(sp)
	if err != nil {
		return 0, err
	}
	return w.committed.now(), w.err()
}

// Await implements [eventstore.Log].
func (s *Streams) Await(ctx context.Context, tenant eventstore.TenantID, after uint64) (uint64, error) {
	return s.await(ctx, convSpec(tenant), after)
}

func (s *Streams) await(ctx context.Context, sp spec, after uint64) (uint64, error) {
	w, err := s.writer(sp)
	if err != nil {
		return 0, err
	}
	return w.committed.await(ctx, after)
}

// Count implements [eventstore.Log].
func (s *Streams) Count(ctx context.Context, tenant eventstore.TenantID, person eventstore.PersonID) (uint64, error) {
	return s.count(ctx, convSpec(tenant), person)
}

func (s *Streams) count(ctx context.Context, sp spec, person eventstore.PersonID) (uint64, error) {
	w, err := s.writer(sp)
	if err != nil {
		return 0, err
	}
	if err := w.err(); err != nil {
		return 0, err
	}
	return w.count(ctx, sp.of(person))
}

// count says how many messages of a subject stand above the floor.
func (w *writer) count(ctx context.Context, subject string) (uint64, error) {
	unpurged := w.unpurged.Load()
	n, err := w.remote.count(ctx, subject)
	if err != nil || !unpurged {
		return n, err
	}
	err = w.remote.each(ctx, subject, 1, w.floor.Load(), func(message) bool { n -= min(n, 1); return true })
	return n, err
}
