package streams

import (
	"context"
	"errors"
	"slices"

	"github.com/oubli-store/oubli/streams/journal"
)

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
