package streams

import (
	"context"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
)

const (
	// blockBytes is above the size of the server's block files. A purge unlinks the files that it empties, and may leave the bytes in
	// the one that it ends in: the messages of that much before the end are destroyed one by one.
	blockBytes = 9 << 20
	// purgeBytes bounds what one purge takes, so that the server can answer others in between.
	purgeBytes = 32 << 20
	// floorCount is how many messages one raising of the floor takes in.
	floorCount = 20_000
	// rowCount is how many idempotency rows go in one change.
	rowCount = 1000
	// sparedCache bounds how many persons' answers a run remembers.
	sparedCache = 1 << 16
)

// Expire implements [eventstore.Log].
//
//	survey      walk the stream once: how much will go, and which of the old messages are spared
//	rows        of old months, but for those of spared messages; then the index is flushed
//	the head    everything up to the first message that stays is given up by raising the floor; its last 9 MiB are destroyed one by one,
//	            so that no bytes are left in the block file in which the purge ends; the rest is purged
//	the rest    in steps, as Remove does
//
// Each part can be repeated, and finds what a part that was cut off left. The memory that it takes is bounded but for 8 bytes for each spared
// message.
func (s *Streams) Expire(ctx context.Context, tenant eventstore.TenantID, before eventstore.KeyMonth, spared func(eventstore.PersonID) bool,
	progress func(done, left uint64)) error {
	return s.expire(ctx, convSpec(tenant), before, spared, progress)
}

func (s *Streams) expire(ctx context.Context, sp spec, before eventstore.KeyMonth, spared func(eventstore.PersonID) bool,
	progress func(done, left uint64)) error {
	w, err := s.writer(sp)
	if err != nil {
		return err
	}
	if uint16(before) == envelope.ControlMonth {
		return eventstore.Refuse(eventstore.KindInvalid, "before", "there is no such month")
	}
	if err := w.err(); err != nil {
		return err
	}
	e := &expiry{removalRun: newRemovalRun(w, progress), before: uint16(before), spared: spared, known: map[eventstore.PersonID]bool{}}
	for _, part := range []func(context.Context) error{e.survey, e.rows, e.head, e.rest, e.end} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

type expiry struct {
	*removalRun
	before uint16
	spared func(eventstore.PersonID) bool
	known  map[eventstore.PersonID]bool
	last   uint64 // committed when it began
	stay   []uint64
}

// old says whether a message is of an expired month, and if so whether it stays all the same.
func (e *expiry) old(m message) (old, stays bool) {
	owner, ours := e.w.spec.owner(m.subject)
	if !ours || owner.IsZero() || len(m.data) < envelope.HeaderSize || monthOf(m.data) >= e.before {
		return false, true
	}
	if e.spared == nil {
		return true, false
	}
	stays, ok := e.known[owner]
	if !ok {
		if len(e.known) >= sparedCache {
			clear(e.known)
		}
		stays = e.spared(owner)
		e.known[owner] = stays
	}
	return true, stays
}

func (e *expiry) survey(ctx context.Context) error {
	e.last = e.w.committed.now()
	return e.w.remote.each(ctx, everything, e.w.floor.Load()+1, e.last, func(m message) bool {
		switch old, stays := e.old(m); {
		case old && stays:
			e.stay = append(e.stay, m.sequence)
		case old:
			e.left++
		}
		return true
	})
}

func (e *expiry) rows(ctx context.Context) error {
	tenant := e.w.spec.tenant
	if !e.w.spec.hasRows() {
		return nil
	}
	// The rows of the last group enter the index after their callers were answered.
	if err := e.w.do(ctx, e.w.upToDate); err != nil {
		return err
	}
	doomed := func(r rowAt) bool {
		_, stays := slices.BinarySearch(e.stay, r.sequence)
		return r.month < e.before && r.sequence <= e.last && !stays
	}
	var from row
	for {
		rows, next, err := e.w.s.index.find(tenant, from, rowCount, doomed)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			if err := e.w.do(ctx, func() error { return e.w.dropRows(rows) }); err != nil {
				return err
			}
		}
		if next == nil {
			return e.w.s.index.flush()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		from = *next
	}
}

// dropRows takes rows out of the index and the memory. Nothing notes it in the journal: the index is flushed before Expire goes on, and later
// starts do not go back behind that. It runs in the loop.
func (w *writer) dropRows(rows []rowAt) error {
	if err := w.upToDate(); err != nil {
		return err
	}
	if err := w.s.index.apply(change{spec: w.spec, mark: w.mark, dropped: rows}); err != nil {
		return unavailable(err)
	}
	w.recent.drop(rows)
	w.recent.applied(w.generation.Add(1))
	return nil
}

// head raises the floor up to the first message that stays, and has the server purge what is below.
func (e *expiry) head(ctx context.Context) error {
	for {
		more := false
		err := e.w.turn(ctx, func() (err error) {
			more, err = e.raise(ctx)
			return err
		})
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	return e.w.turn(ctx, func() error { return e.purge(ctx) })
}

// raise gives up the next messages behind the floor, if they are old. more: all that it looked at were.
func (e *expiry) raise(ctx context.Context) (more bool, err error) {
	floor := e.w.floor.Load()
	g := surrender{floor: floor}
	stays, seen := false, 0
	err = e.w.remote.each(ctx, everything, floor+1, e.last, func(m message) bool {
		if _, stays = e.old(m); stays {
			return false
		}
		g.floor, seen = m.sequence, seen+1
		if _, counted := e.w.doomed[m.sequence]; !counted {
			g.below++
		}
		return seen < floorCount
	})
	if err != nil || seen == 0 {
		return false, err
	}
	e.w.unpurged.Store(true)
	return !stays && g.floor < e.last, e.w.do(ctx, func() error { return e.w.giveUp(ctx, g) })
}

// purge destroys what the server still has up to the floor.
func (e *expiry) purge(ctx context.Context) error {
	if !e.w.unpurged.Load() {
		return nil
	}
	floor := e.w.floor.Load()
	tail, err := e.tail(ctx, floor)
	if err != nil {
		return err
	}
	if err := e.destroy(ctx, tail, e.did); err != nil {
		return err
	}
	var size, count uint64
	var to uint64
	var failed error
	err = e.w.remote.each(ctx, everything, 1, floor, func(m message) bool {
		count, size, to = count+1, size+m.size(), m.sequence
		if size >= purgeBytes {
			failed = e.purgeTo(ctx, to, count)
			size, count = 0, 0
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		err = e.purgeTo(ctx, floor, count)
	}
	if err == nil {
		e.w.unpurged.Store(false)
		for at := range e.w.doomed {
			if at <= floor {
				delete(e.w.doomed, at)
			}
		}
	}
	return err
}

// finishPurge ends what an Expire of an earlier process began.
func (w *writer) finishPurge() {
	e := &expiry{removalRun: newRemovalRun(w, nil)}
	if err := w.turn(w.ctx, func() error { return e.purge(w.ctx) }); err != nil && w.ctx.Err() == nil {
		w.s.c.Logger.Warn("expired messages wait to be deleted", "stream", w.spec.stream(), "error", err)
	}
}

func (e *expiry) purgeTo(ctx context.Context, to, count uint64) error {
	if err := e.w.remote.purge(ctx, to); err != nil {
		return err
	}
	e.did(count)
	return nil
}

// tail lists the last messages up to the floor that fill a block file.
func (e *expiry) tail(ctx context.Context, floor uint64) (sequences []uint64, err error) {
	type sized struct{ sequence, size uint64 }
	var kept []sized
	var total uint64
	err = e.w.remote.each(ctx, everything, 1, floor, func(m message) bool {
		kept = append(kept, sized{m.sequence, m.size()})
		total += m.size()
		for total-kept[0].size >= blockBytes {
			total -= kept[0].size
			kept = kept[1:]
		}
		return true
	})
	for _, k := range kept {
		sequences = append(sequences, k.sequence)
	}
	return sequences, err
}

// rest removes the old messages between those that stay.
func (e *expiry) rest(ctx context.Context) error {
	from := uint64(1)
	for {
		last, err := e.step(ctx, func() (found []uint64, err error) {
			err = e.w.remote.each(ctx, everything, max(from, e.w.floor.Load()+1), e.last, func(m message) bool {
				if old, stays := e.old(m); old && !stays {
					found = append(found, m.sequence)
				}
				return len(found) < removeCount
			})
			return found, err
		})
		if err != nil || last == 0 {
			return err
		}
		from = last + 1
	}
}
