package streams

import (
	"context"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// housekeeping is done every now and then: a look at the stream after a reconnection, answers that are overdue, closing a segment and
// trimming.
func (w *writer) housekeeping() {
	w.settlePending()
	if w.err() != nil {
		return
	}
	// A server that was started anew may have lost what it had not synced.
	if n := w.s.c.Conn.Stats().Reconnects; n != w.reconnects && w.s.c.Conn.IsConnected() {
		w.reconnects = n
		w.tryCatchUp()
	}
	if !w.deadline.IsZero() && time.Now().After(w.deadline) {
		w.disappoint(errBehind)
	}
	w.syncLate()
	now := w.s.c.Now()
	if w.dirty && (w.j.Segment().Size >= segmentBytes || now.Sub(w.rolledAt) >= w.s.c.Settle) {
		w.roll()
	}
	w.trim(now)
}

// roll closes the open segment if something stands in it.
func (w *writer) roll() {
	w.syncLate()
	if !w.dirty || w.j.Failed() != nil || w.orphan != nil {
		return
	}
	if err := w.j.Roll(w.journalled + 1); err != nil {
		w.s.c.Logger.Error("a new segment of the journal cannot be started", "stream", w.spec.stream(), "error", err)
		return
	}
	w.rolled()
}

// trim unlinks the closed segments all of whose messages the server has had on disk for long enough. The index is flushed before: it has nothing
// else to be rebuilt from.
func (w *writer) trim(now time.Time) {
	var upTo uint64
	whole := true
	for _, seg := range w.j.Closed() {
		if seg.Last > w.published {
			break
		}
		since, ok := w.settled[seg.Number]
		if !ok {
			w.settled[seg.Number] = now
			since = now
		}
		if whole = whole && now.Sub(since) >= w.s.c.Settle; whole {
			upTo = seg.Number
		}
	}
	if upTo == 0 || w.trimming || w.pending != nil {
		return
	}
	w.trimming = true
	w.helpers.Go(func() {
		err := w.s.index.flush()
		_ = w.do(w.ctx, func() error {
			w.trimming = false
			// A server that could not write says so when it is asked again: it no longer has what it acknowledged.
			w.tryCatchUp()
			if w.behind() || w.err() != nil {
				return nil
			}
			if err == nil {
				err = w.j.Trim(upTo)
			}
			if err != nil {
				w.s.c.Logger.Error("the journal cannot be trimmed", "stream", w.spec.stream(), "error", err)
			}
			w.forgetTrimmed()
			return nil
		})
	})
}

func (w *writer) forgetTrimmed() {
	first := w.j.First()
	for at := range w.gone {
		if at < first {
			delete(w.gone, at)
		}
	}
	kept := map[uint64]time.Time{}
	for _, seg := range w.j.Closed() {
		if t, ok := w.settled[seg.Number]; ok {
			kept[seg.Number] = t
		}
	}
	w.settled = kept
}

// AwaitTrim blocks until the journal of a tenant's conversations has dropped everything that stands in it now. After [Streams.Remove] this is when
// the last ciphertext of the removed messages has left log/, about [Config.Settle] later.
func (s *Streams) AwaitTrim(ctx context.Context, tenant eventstore.TenantID) error {
	return s.awaitTrim(ctx, convSpec(tenant))
}

func (s *Streams) awaitTrim(ctx context.Context, sp spec) error {
	w, err := s.writer(sp)
	if err != nil {
		return err
	}
	var number uint64
	err = w.do(ctx, func() error {
		number = w.j.Segment().Number
		if !w.dirty {
			number--
		}
		w.roll()
		return w.err()
	})
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for err == nil {
		left := false
		err = w.do(ctx, func() error {
			closed := w.j.Closed()
			left = w.j.Segment().Number <= number || len(closed) > 0 && closed[0].Number <= number
			return w.err()
		})
		if !left || err != nil {
			return err
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}
