package eventstore

import (
	"context"
	"errors"
	"iter"
)

// ReadOptions narrow a read. The zero value reads everything.
type ReadOptions struct {
	// Conversation and Bot keep only events of that conversation or bot.
	Conversation ConversationID
	Bot          BotID
	// After is the sequence to go on behind.
	After uint64
	// Limit bounds how many events are yielded; 0: all.
	Limit int
}

func (o ReadOptions) keeps(e *Event) bool {
	return (o.Conversation == "" || e.Conversation == o.Conversation) && (o.Bot == "" || e.Bot == o.Bot)
}

// Read yields the events of a person's whole linked set in the order in which they were accepted. The first error ends it. Memory is
// bounded whatever the number of events. A fence that comes in between ends it with ErrFenced or ErrErased.
//
// Each event is opened when it is its turn, and no gate is held while the caller has it: nothing is read ahead that an erasure could not
// take back. Events whose month retention took are left out. The erasure of a part while it is read ends it with ErrFenced: read again.
func (s *Store) Read(ctx context.Context, tenant TenantID, person PersonID, o ReadOptions) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		records, err := s.c.Keys.Linked(ctx, tenant, person)
		if err != nil {
			yield(Recorded{}, s.unknown(ctx, tenant, person, err))
			return
		}
		left := o.Limit
		first := map[PersonID]uint64{}
		var persons []PersonID
		for _, r := range records {
			first[r.Person] = r.State.First
			persons = append(persons, r.Person)
		}
		for m, err := range s.merged(ctx, tenant, persons, o.After) {
			var r Recorded
			var there bool
			if err == nil {
				r, there, err = s.turn(ctx, tenant, m, first[m.Person])
			}
			switch {
			case err != nil:
				yield(Recorded{}, err)
				return
			case !there || !o.keeps(&r.Event):
				continue
			}
			if left--; !yield(r, nil) || left == 0 {
				return
			}
		}
		// What was removed meanwhile looks like an end.
		for _, r := range records {
			gate, err := s.c.Keys.Gate(ctx, tenant, r.Person)
			if err != nil {
				yield(Recorded{}, s.unknown(ctx, tenant, r.Person, err))
				return
			}
			now := gate.State().First
			gate.Release()
			if now != first[r.Person] {
				yield(Recorded{}, ErrFenced)
				return
			}
		}
	}
}

// unknown tells a person who never was from one whose key was lost.
func (s *Store) unknown(ctx context.Context, tenant TenantID, person PersonID, err error) error {
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	switch n, counting := s.c.Log.Count(ctx, tenant, person); {
	case counting != nil:
		return counting
	case n > 0:
		return ErrKeyLost
	}
	return err
}

// turn opens one message under its person's gate. There is none if the person's keys no longer reach it. ErrFenced if a part of the person was
// erased since the read began: what stays of them stands elsewhere now.
func (s *Store) turn(ctx context.Context, tenant TenantID, m Stored, first uint64) (r Recorded, there bool, err error) {
	gate, err := s.c.Keys.Gate(ctx, tenant, m.Person)
	switch {
	case errors.Is(err, ErrNotFound):
		return r, false, ErrKeyLost
	case err != nil:
		return r, false, err
	}
	defer gate.Release()
	switch now := gate.State().First; {
	case now != first:
		return r, false, ErrFenced
	case m.Sequence < first:
		return r, false, nil
	}
	r, err = s.recorded(ctx, tenant, gate, m)
	if errors.Is(err, ErrExpired) {
		return r, false, nil
	}
	return r, err == nil, err
}

// merged yields the messages of several persons by sequence, one of each in memory.
func (s *Store) merged(ctx context.Context, tenant TenantID, persons []PersonID, after uint64) iter.Seq2[Stored, error] {
	if len(persons) == 1 {
		return s.c.Log.Read(ctx, tenant, persons[0], after)
	}
	return func(yield func(Stored, error) bool) {
		type source struct {
			head Stored
			next func() (Stored, error, bool)
		}
		var sources []*source
		for _, p := range persons {
			next, stop := iter.Pull2(s.c.Log.Read(ctx, tenant, p, after))
			defer stop()
			sources = append(sources, &source{next: next})
		}
		// advance fills the head of a source, or takes the source out.
		advance := func(i int) error {
			m, err, ok := sources[i].next()
			switch {
			case !ok:
				sources = append(sources[:i], sources[i+1:]...)
			case err != nil:
				return err
			default:
				sources[i].head = m
			}
			return nil
		}
		for i := len(sources) - 1; i >= 0; i-- {
			if err := advance(i); err != nil {
				yield(Stored{}, err)
				return
			}
		}
		for len(sources) > 0 {
			first := 0
			for i, src := range sources {
				if src.head.Sequence < sources[first].head.Sequence {
					first = i
				}
			}
			if !yield(sources[first].head, nil) {
				return
			}
			if err := advance(first); err != nil {
				yield(Stored{}, err)
				return
			}
		}
	}
}
