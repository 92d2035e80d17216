package streams

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/journal"
)

// repair starts a new segment after a failed write or sync, and writes the orphan to it.
func (w *writer) repair() error {
	if err := w.j.Roll(w.journalled + 1); err != nil {
		return err
	}
	w.rolled()
	if w.orphan == nil {
		return nil
	}
	if err := w.j.Append(w.orphan.group); err != nil {
		return err
	}
	if err := w.j.Sync(); err != nil {
		return err
	}
	w.noteJournalled(w.orphan)
	w.orphan = nil
	return nil
}

func (w *writer) rolled() {
	w.rolledAt = w.s.c.Now()
	w.dirty = false
}

// fallBehind keeps the callers of a group that is journalled and did not all reach the stream, and tries at once to catch up.
func (w *writer) fallBehind(p *plan, cause error) {
	for _, pr := range p.promises {
		w.hold(pr)
	}
	if cause != nil {
		w.s.c.Logger.Warn("the stream did not take everything; catching up", "stream", w.spec.stream(), "error", cause)
		w.tryCatchUp()
	}
}

// hold keeps a caller until the stream has caught up.
func (w *writer) hold(pr promise) {
	if pr.item.answered {
		return
	}
	w.waiting = append(w.waiting, pr)
	if w.deadline.IsZero() {
		w.deadline = time.Now().Add(w.s.c.AnswerWithin / 2)
	}
}

// disappoint answers those that wait for the stream: it is not certain that it will have their messages.
func (w *writer) disappoint(cause error) {
	for _, pr := range w.waiting {
		pr.item.answer(eventstore.Appended{}, uncertain(cause))
	}
	w.waiting, w.deadline = nil, time.Time{}
}

// tryCatchUp catches up with the stream, or sets the time of the next attempt.
func (w *writer) tryCatchUp() {
	if w.err() != nil {
		return
	}
	var err error
	if w.j.Failed() != nil {
		err = w.repair()
	}
	if err == nil {
		err = w.catchUp(w.ctx)
	}
	switch {
	case err == nil:
		if w.retryPause != 0 {
			w.s.c.Logger.Info("the stream has caught up", "stream", w.spec.stream())
		}
		w.retryPause = 0
		for _, pr := range w.waiting {
			pr.item.answer(pr.out, nil)
		}
		w.waiting, w.deadline = nil, time.Time{}
	case errors.Is(err, eventstore.ErrDamaged):
		w.die(err)
		w.disappoint(err)
	default:
		w.retryPause = min(max(2*w.retryPause, firstRetry), lastRetry)
		w.retryAt = time.Now().Add(w.retryPause)
		if !w.deadline.IsZero() && time.Now().After(w.deadline) {
			w.disappoint(err)
		}
	}
}

// catchUp compares the stream with the journal and publishes what it lacks, under the same sequences. ErrDamaged if it is not the stream that
// was written.
func (w *writer) catchUp(ctx context.Context) error {
	if st := w.s.c.Conn.Status(); st != nats.CONNECTED {
		return unavailable(errBehind)
	}
	short, cancel := context.WithTimeout(ctx, w.s.c.AnswerWithin/2)
	st, err := w.remote.state(short)
	cancel()
	if errors.Is(err, errNoStream) {
		return damaged("the stream %s is gone", w.spec.stream())
	}
	if err != nil {
		return err
	}
	if err := w.sameStream(st); err != nil {
		return err
	}
	if st.last > w.journalled {
		return damaged("the stream %s holds messages up to %d that were not written here (up to %d): there is a second writer",
			w.spec.stream(), st.last, w.journalled)
	}
	if st.last+1 < w.j.First() {
		return damaged("the stream %s ends at %d; messages up to %d were acknowledged, and the journal has them from %d only: %d to %d are missing",
			w.spec.stream(), st.last, w.journalled, w.j.First(), st.last+1, w.j.First()-1)
	}
	if st.count > 0 && st.first <= w.mark.floor { // the server lost a purge; the next Expire repeats it
		w.unpurged.Store(true)
	}
	w.published = min(w.published, st.last)
	if err := w.compare(ctx, st.last); err != nil {
		return err
	}
	w.published = st.last
	w.advance()
	if w.published == w.journalled {
		return nil
	}
	return w.republish(ctx, st.last)
}

// sameStream checks what a stream says of itself against the mark.
func (w *writer) sameStream(st state) error {
	switch {
	case st.vault != w.mark.vault.String():
		return damaged("the stream %s belongs to another vault", w.spec.stream())
	case st.created != w.mark.created:
		return damaged("the stream %s was created anew at %s; the one that was acknowledged is of %s", w.spec.stream(),
			time.Unix(0, st.created).UTC().Format(time.RFC3339Nano), time.Unix(0, w.mark.created).UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// compare checks that the stream's message at a sequence is the one that the journal has there, if it still has it.
func (w *writer) compare(ctx context.Context, at uint64) error {
	if at == 0 || at < w.j.First() {
		return nil
	}
	if w.isGone(at) {
		return nil
	}
	var want *[16]byte
	err := w.j.Scan(at, func(rec any) error {
		if g, ok := rec.(journal.Group); ok && g.First <= at && at <= g.Last() {
			id := w.spec.event(g.Entries[at-g.First].Data)
			want = &id
		}
		return nil
	})
	if err != nil {
		return journalError(err)
	}
	if want == nil {
		return nil
	}
	return w.expectAt(ctx, at, *want)
}

// expectAt checks that a message stands in the stream.
func (w *writer) expectAt(ctx context.Context, at uint64, event [16]byte) error {
	m, err := w.remote.get(ctx, at)
	if errors.Is(err, errNoMessage) {
		return damaged("the message %d of the stream %s is missing", at, w.spec.stream())
	}
	if err != nil {
		return err
	}
	if w.spec.event(m.data) != event {
		return damaged("the message %d of the stream %s is not the one that was acknowledged: the stream was rolled back or has a second writer",
			at, w.spec.stream())
	}
	return nil
}

// republish publishes what the journal has behind a sequence. Where a removed message was, an empty one takes its sequence and is deleted.
func (w *writer) republish(ctx context.Context, behind uint64) error {
	next := behind + 1
	err := w.j.Scan(next, func(rec any) error {
		g, ok := rec.(journal.Group)
		if !ok || g.Last() < next {
			return nil
		}
		if g.First > next {
			return damaged("the entries %d to %d are missing in the journal of %s", next, g.First-1, w.spec.stream())
		}
		g.Entries = g.Entries[next-g.First:]
		g.First = next
		for len(g.Entries) > 0 {
			n, err := w.republishRun(ctx, g)
			if err != nil {
				return err
			}
			g.Entries = g.Entries[n:]
			g.First += uint64(n)
			w.published = g.First - 1
			w.advance()
		}
		next = g.First
		return nil
	})
	if err != nil {
		return journalError(err)
	}
	if w.published != w.journalled {
		return damaged("the entries %d to %d are missing in the journal of %s", w.published+1, w.journalled, w.spec.stream())
	}
	return nil
}

// republishRun publishes the first entries of a group, up to the next removed one, or that one.
func (w *writer) republishRun(ctx context.Context, g journal.Group) (int, error) {
	if w.isGone(g.First) {
		win := w.pub.begin(g.First, 1)
		if err := w.pub.send(win, w.spec.filler(), nil); err != nil {
			return 0, unavailable(err)
		}
		if err := w.pub.wait(ctx, win, w.s.c.AnswerWithin); err != nil {
			return 0, unavailable(err)
		}
		return 1, w.remote.destroy(ctx, g.First)
	}
	n := 1
	for n < len(g.Entries) && n < batchCount {
		if w.isGone(g.First + uint64(n)) {
			break
		}
		n++
	}
	g.Entries = g.Entries[:n]
	win, err := w.send(g)
	if err == nil {
		err = w.pub.wait(ctx, win, w.s.c.AnswerWithin)
	}
	if err != nil {
		return 0, unavailable(err)
	}
	return n, nil
}

// journalError turns the journal's errors into the contract's.
func journalError(err error) error {
	switch {
	case errors.Is(err, journal.ErrDamaged):
		return fmt.Errorf("%w: %w", eventstore.ErrDamaged, err)
	case errors.Is(err, journal.ErrVersion):
		return fmt.Errorf("%w: %w", eventstore.ErrNewerVersion, err)
	}
	return err
}
