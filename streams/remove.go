package streams

import (
	"context"
	"errors"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/journal"
)

// removeCount is how many messages are given up in one record of the journal.
const removeCount = 500

// Remove implements [eventstore.Log]. In steps of a few hundred messages: the journal notes what will go, so that nothing brings it back
// after a crash, and the watermark's anchor leaves it; then each message is destroyed, at a bounded rate. What is in the journal goes when
// its segment is trimmed: the segment is closed at the end, see [Streams.AwaitTrim].
func (s *Streams) Remove(ctx context.Context, tenant eventstore.TenantID, persons []eventstore.PersonID, control []uint64, prefixes [][8]byte,
	progress func(done, left uint64)) error {
	sp := convSpec(tenant)
	w, err := s.writer(sp)
	if err != nil {
		return err
	}
	r := removal{w: w, progress: progress}
	if progress == nil {
		r.progress = func(uint64, uint64) {}
	}
	for _, p := range persons {
		if p.IsZero() {
			return errors.New("streams: the zero person cannot be removed")
		}
		n, err := w.remote.count(ctx, sp.person(p))
		if err != nil {
			return err
		}
		r.left += n
	}
	listed := slices.Clone(control)
	slices.Sort(listed)
	listed = slices.Compact(listed)
	r.left += uint64(len(listed))
	if err := w.do(ctx, func() error { return w.giveUpMessages(ctx, nil, prefixes) }); err != nil {
		return err
	}
	if err := r.control(ctx, listed); err != nil {
		return err
	}
	for _, p := range persons {
		if err := r.person(ctx, sp.person(p)); err != nil {
			return err
		}
	}
	return w.do(ctx, func() error {
		w.roll()
		return w.err()
	})
}

type removal struct {
	w          *writer
	progress   func(done, left uint64)
	done, left uint64
}

// person removes the messages of a subject until there are none.
func (r *removal) person(ctx context.Context, subject string) error {
	from := uint64(1)
	for {
		var found []uint64
		err := r.w.remote.each(ctx, subject, from, r.w.committed.now(), func(m message) bool {
			found = append(found, m.sequence)
			return len(found) < removeCount
		})
		if err != nil || len(found) == 0 {
			return err
		}
		if err := r.messages(ctx, found); err != nil {
			return err
		}
		from = found[len(found)-1] + 1
	}
}

// control removes control messages. Those that are gone are passed over; a message of another kind is refused.
func (r *removal) control(ctx context.Context, listed []uint64) error {
	var found []uint64
	for _, at := range listed {
		m, err := r.w.remote.get(ctx, at)
		if errors.Is(err, errNoMessage) {
			r.left--
			continue
		}
		if err != nil {
			return err
		}
		if m.subject != r.w.spec.control() {
			return errors.New("streams: a message that is to be removed as control message is another")
		}
		found = append(found, at)
	}
	for chunk := range slices.Chunk(found, removeCount) {
		if err := r.messages(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

func (r *removal) messages(ctx context.Context, sequences []uint64) error {
	if err := r.w.do(ctx, func() error { return r.w.giveUpMessages(ctx, sequences, nil) }); err != nil {
		return err
	}
	for _, at := range sequences {
		if err := r.w.s.pace.wait(ctx); err != nil {
			return err
		}
		if err := r.w.remote.destroy(ctx, at); err != nil {
			return err
		}
		r.done++
		r.left -= min(r.left, 1)
		r.progress(r.done, r.left)
	}
	return nil
}

// giveUpMessages notes in the journal, durably, that messages and rows go, moves the anchor off them, and drops the rows. It runs in the
// loop.
func (w *writer) giveUpMessages(ctx context.Context, sequences []uint64, prefixes [][8]byte) error {
	if err := w.ready(); err != nil {
		return err
	}
	if w.settlePending(); w.pending != nil {
		return unavailable(errors.New("the index of the log cannot be written"))
	}
	next := w.mark
	next.removed += uint64(len(sequences))
	if slices.Contains(sequences, next.anchor) {
		var err error
		if next.anchor, next.event, err = w.newAnchor(ctx, sequences); err != nil {
			return err
		}
	}
	err := w.j.Remove(journal.Removal{
		Anchor: next.anchor, AnchorEvent: next.event, Total: next.removed, Sequences: sequences, Prefixes: prefixes})
	if err == nil {
		err = w.j.Sync()
	}
	if err != nil {
		return unavailable(err)
	}
	w.dirty = true
	for _, at := range sequences {
		if at >= w.j.First() {
			w.gone[at] = struct{}{}
		}
	}
	w.mark = next
	w.recent.wipe(prefixes)
	if err := w.s.index.apply(change{spec: w.spec, mark: w.mark, wiped: prefixes}); err != nil {
		return unavailable(err)
	}
	w.recent.applied(w.generation.Add(1))
	return nil
}

// newAnchor finds the newest message that stays, looking back from the present anchor in growing steps.
func (w *writer) newAnchor(ctx context.Context, going []uint64) (at uint64, event [16]byte, err error) {
	to := w.mark.anchor - 1
	for step := uint64(64); to > 0; step *= 4 {
		from := to - min(step, to) + 1
		err = w.remote.each(ctx, ">", from, to, func(m message) bool {
			_, gone := w.gone[m.sequence]
			_, ours := w.spec.owner(m.subject)
			if _, found := slices.BinarySearch(going, m.sequence); ours && !gone && !found {
				at, event = m.sequence, w.spec.event(m.data)
			}
			return true
		})
		if err != nil || at != 0 {
			return at, event, err
		}
		to = from - 1
	}
	return 0, event, nil
}
