package streams

import (
	"context"
	"errors"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
)

// removeCount is how many messages are given up in one record of the journal.
const removeCount = 500

// Remove implements [eventstore.Log]. In steps of a few hundred messages: the journal notes what will go, so that nothing brings it back
// after a crash, and the watermark's anchor leaves it; then each message is destroyed, at a bounded rate. What is in the journal goes when
// its segment is trimmed: the segment is closed at the end, see [Streams.AwaitTrim].
func (s *Streams) Remove(ctx context.Context, tenant eventstore.TenantID, what eventstore.Removal, progress func(done, left uint64)) error {
	return s.remove(ctx, convSpec(tenant), what, progress)
}

func (s *Streams) remove(ctx context.Context, sp spec, what eventstore.Removal, progress func(done, left uint64)) error {
	w, err := s.writer(sp)
	if err != nil {
		return err
	}
	if slices.Contains(what.Persons, eventstore.PersonID{}) {
		return eventstore.Refuse(eventstore.KindInvalid, "persons", "the zero person cannot be removed")
	}
	r := newRemovalRun(w, progress)
	control, err := r.controlLeft(ctx, what.Control)
	if err != nil {
		return err
	}
	r.left = uint64(len(control))
	subjects := sp.going(what)
	for _, subject := range subjects {
		n, err := r.countBelow(ctx, subject, what.Below)
		if err != nil {
			return err
		}
		r.left += n
	}
	if err := w.do(ctx, func() error { return w.giveUp(ctx, surrender{prefixes: what.Prefixes}) }); err != nil {
		return err
	}
	for chunk := range slices.Chunk(control, removeCount) {
		_, err := r.step(ctx, func() ([]uint64, error) { return r.controlLeft(ctx, chunk) })
		if err != nil {
			return err
		}
	}
	for _, subject := range subjects {
		if err := r.person(ctx, subject, what.Below); err != nil {
			return err
		}
	}
	return r.end(ctx)
}

// removalRun is one call of Remove or Expire. Several may run at once; they take turns, a step each.
type removalRun struct {
	w          *writer
	progress   func(done, left uint64)
	done, left uint64
}

func newRemovalRun(w *writer, progress func(done, left uint64)) *removalRun {
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	return &removalRun{w: w, progress: progress}
}

// turn runs a step of a removal while no other removes.
func (w *writer) turn(ctx context.Context, step func() error) error {
	select {
	case w.removing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-w.removing }()
	return step()
}

// step finds some messages, gives them up and destroys them. It returns the last sequence that was found, 0 if none was.
func (r *removalRun) step(ctx context.Context, find func() ([]uint64, error)) (last uint64, err error) {
	err = r.w.turn(ctx, func() error {
		found, err := find()
		if err != nil || len(found) == 0 {
			return err
		}
		last = found[len(found)-1]
		if err := r.w.do(ctx, func() error { return r.w.giveUp(ctx, surrender{sequences: found}) }); err != nil {
			return err
		}
		return r.destroy(ctx, found, r.did)
	})
	return last, err
}

// destroy destroys messages that were given up, at a bounded rate.
func (r *removalRun) destroy(ctx context.Context, sequences []uint64, each func(uint64)) error {
	for _, at := range sequences {
		if err := r.w.s.pace.wait(ctx); err != nil {
			return err
		}
		if err := r.w.remote.destroy(ctx, at); err != nil {
			return err
		}
		delete(r.w.doomed, at)
		each(1)
	}
	return nil
}

func (r *removalRun) did(n uint64) {
	r.done += n
	r.left -= min(r.left, n)
	r.progress(r.done, r.left)
}

// end closes the journal's segment, so that it is trimmed soon.
func (r *removalRun) end(ctx context.Context) error {
	return r.w.do(ctx, func() error {
		r.w.roll()
		return r.w.err()
	})
}

// to is the last sequence that a removal below a sequence (0: everything) reaches.
func (r *removalRun) to(below uint64) uint64 {
	to := r.w.committed.now()
	if below > 0 {
		to = min(to, below-1)
	}
	return to
}

// countBelow says how many messages of a subject a removal will find.
func (r *removalRun) countBelow(ctx context.Context, subject string, below uint64) (n uint64, err error) {
	if below == 0 {
		return r.w.count(ctx, subject)
	}
	err = r.w.remote.each(ctx, subject, r.w.floor.Load()+1, r.to(below), func(message) bool { n++; return true })
	return n, err
}

// person removes the messages of a subject below a sequence (0: all) until there are none.
func (r *removalRun) person(ctx context.Context, subject string, below uint64) error {
	from := uint64(1)
	for {
		last, err := r.step(ctx, func() (found []uint64, err error) {
			err = r.w.remote.each(ctx, subject, max(from, r.w.floor.Load()+1), r.to(below), func(m message) bool {
				found = append(found, m.sequence)
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

// controlLeft leaves out the control messages that are gone, and refuses a message of another kind.
func (r *removalRun) controlLeft(ctx context.Context, listed []uint64) (found []uint64, err error) {
	listed = slices.Clone(listed)
	slices.Sort(listed)
	for _, at := range slices.Compact(listed) {
		m, err := r.w.remote.get(ctx, at)
		if errors.Is(err, errNoMessage) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m.subject != r.w.spec.control() {
			return nil, eventstore.Refuse(eventstore.KindInvalid, "control", "a message that is to be removed as control message is another")
		}
		found = append(found, at)
	}
	return found, nil
}
