package streams

import (
	"context"
	"slices"

	"github.com/oubli-store/oubli/streams/journal"
)

// surrender is what a step of a removal is about to destroy.
type surrender struct {
	// sequences ascend.
	sequences []uint64
	// floor: everything up to here (0: none); below says how many messages, those in doomed not counted, still stand between the present floor
	// and this one.
	floor, below uint64
	prefixes     [][8]byte
}

// giveUp notes in the journal, durably, that messages and rows go, moves the anchor off them, and drops the rows. It runs in the loop, for who
// holds w.removing; so the messages that it is given stand in the stream, and each is counted once: those in w.doomed were counted before.
func (w *writer) giveUp(ctx context.Context, g surrender) error {
	if err := w.upToDate(); err != nil {
		return err
	}
	next, err := w.without(ctx, g)
	if err != nil {
		return err
	}
	err = w.j.Remove(journal.Removal{
		Anchor: next.anchor, AnchorEvent: next.event, Total: next.removed, Floor: next.floor, Sequences: g.sequences, Prefixes: g.prefixes})
	if err == nil {
		err = w.j.Sync()
	}
	if err != nil {
		return unavailable(err)
	}
	w.dirty = true
	for _, at := range g.sequences {
		w.doomed[at] = struct{}{}
		if at >= w.j.First() {
			w.gone[at] = struct{}{}
		}
	}
	w.mark = next
	w.floor.Store(next.floor)
	w.recent.wipe(g.prefixes)
	if err := w.s.index.apply(change{spec: w.spec, mark: w.mark, wiped: g.prefixes}); err != nil {
		return unavailable(err)
	}
	w.recent.applied(w.generation.Add(1))
	return nil
}

// without is the mark once a surrender has come about. ErrDamaged if more is missing below the new floor than was ever given up.
func (w *writer) without(ctx context.Context, g surrender) (mark, error) {
	next := w.mark
	for _, at := range g.sequences {
		if _, counted := w.doomed[at]; !counted && at > next.floor {
			next.removed++
		}
	}
	if g.floor > next.floor {
		missing := g.floor - next.floor - g.below
		if missing > next.removedAbove() {
			return next, damaged("of the messages %d to %d of the stream %s %d are missing; only %d were ever removed",
				next.floor+1, g.floor, w.spec.stream(), missing, next.removedAbove())
		}
		next.floor = g.floor
		next.removed += g.below
	}
	var err error
	switch {
	case next.anchor <= next.floor:
		next.anchor, next.event = 0, [16]byte{}
	case slices.Contains(g.sequences, next.anchor):
		next.anchor, next.event, err = w.newAnchor(ctx, g.sequences)
	}
	return next, err
}

// newAnchor finds the newest message that stays, looking back from the present anchor in growing steps.
func (w *writer) newAnchor(ctx context.Context, going []uint64) (at uint64, event [16]byte, err error) {
	to := w.mark.anchor - 1
	for step := uint64(64); to > w.mark.floor; step *= 4 {
		from := to - min(step, to-w.mark.floor) + 1
		err = w.remote.each(ctx, everything, from, to, func(m message) bool {
			_, ours := w.spec.owner(m.subject)
			if _, found := slices.BinarySearch(going, m.sequence); ours && !found && !w.isGone(m.sequence) {
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

// isGone says that a message was given up for removal, as far as the journal still needs to know. It runs in the loop.
func (w *writer) isGone(at uint64) bool {
	_, gone := w.gone[at]
	return gone || at <= w.mark.floor
}
