package streams

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/journal"
)

// adopt takes messages up to the stream's last into the journal that reached the stream although their group did not reach the journal, each under the row that
// it was sent with, so that a retry finds it. Their callers were not told yes, unless answers rested on the cluster. It goes in groups; of each all are
// kept or all refused.
func (w *writer) adopt(ctx context.Context, last uint64, accept opens) error {
	first := w.journalled + 1
	for w.journalled < last {
		if err := w.adoptGroup(ctx, last, accept); err != nil {
			return err
		}
	}
	w.s.c.Logger.Warn("the stream was ahead of its journal; its messages were taken in", "stream", w.spec.stream(), "messages", last-first+1)
	w.published = w.journalled
	w.advance()
	return nil
}

func (w *writer) adoptGroup(ctx context.Context, last uint64, accept opens) error {
	p := &plan{group: journal.Group{First: w.journalled + 1}}
	g := &p.group
	size := 0
	var bad error
	err := w.remote.each(ctx, everything, g.First, last, func(m message) bool {
		var e journal.Entry
		if e, bad = w.adopted(ctx, p, m, accept); bad != nil {
			return false
		}
		g.Entries = append(g.Entries, e)
		size += len(m.data)
		return len(g.Entries) < groupCount && size < groupBytes
	})
	switch {
	case err != nil || bad != nil:
		return errors.Join(err, bad)
	case g.Last() < last && len(g.Entries) < groupCount && size < groupBytes:
		return damaged("the messages %d to %d of the stream %s are missing", g.Last()+1, last, w.spec.stream())
	}
	w.orphan = p
	if err := w.repair(); err != nil {
		return err
	}
	w.settlePending()
	return nil
}

// adopted is the entry of a message that is taken in.
func (w *writer) adopted(ctx context.Context, p *plan, m message, accept opens) (e journal.Entry, err error) {
	next := p.group.First + uint64(len(p.group.Entries))
	owner, ours := w.spec.owner(m.subject)
	switch {
	case m.sequence != next:
		return e, damaged("the message %d of the stream %s is missing", next, w.spec.stream())
	case !ours:
		return e, damaged("the message %d of the stream %s was not written here", m.sequence, w.spec.stream())
	}
	e = journal.Entry{Person: owner, Data: m.data}
	if e.Row, err = accept(ctx, m); err == nil {
		err = w.newRow(p, &e, m.sequence)
	}
	if err != nil {
		err = fmt.Errorf("%w: the message %d of the stream %s is not in the journal and was refused: %w", eventstore.ErrDamaged, m.sequence, w.spec.stream(), err)
	}
	return e, err
}

// newRow plans the row of an entry. A row that is there already keeps its message: the entry then has none.
func (w *writer) newRow(p *plan, e *journal.Entry, sequence uint64) error {
	if e.Row == (row{}) {
		return nil
	}
	at, err := w.s.index.row(w.spec.tenant, &e.Row)
	if err != nil {
		return err
	}
	if at != 0 && at != sequence || slices.ContainsFunc(p.rows, func(r rowAt) bool { return r.row == e.Row }) {
		e.Row = row{}
		return nil
	}
	p.rows = append(p.rows, rowAt{e.Row, sequence, monthOf(e.Data)})
	return nil
}
