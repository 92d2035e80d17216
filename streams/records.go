package streams

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/journal"
)

// recordStreams are the kinds that [eventstore.Records] knows.
var recordStreams = []eventstore.RecordStream{eventstore.RecordsLedger, eventstore.RecordsStats}

func recordSpec(tenant eventstore.TenantID, stream eventstore.RecordStream) (spec, error) {
	if !slices.Contains(recordStreams, stream) {
		return spec{}, errors.New("streams: there is no such record stream")
	}
	return spec{tenant, string(stream)}, nil
}

// OpenRecords implements [eventstore.Records]. What the stream holds beyond the journal is taken in: whoever reads the records checks them.
func (s *Streams) OpenRecords(ctx context.Context, tenant eventstore.TenantID, stream eventstore.RecordStream, vault eventstore.VaultID, create bool) error {
	sp, err := recordSpec(tenant, stream)
	if err != nil {
		return err
	}
	return s.open(ctx, sp, vault, create, func(context.Context, message) (row, error) { return row{}, nil })
}

// AppendRecord implements [eventstore.Records].
func (s *Streams) AppendRecord(ctx context.Context, tenant eventstore.TenantID, stream eventstore.RecordStream, record []byte) (uint64, error) {
	sp, err := recordSpec(tenant, stream)
	if err != nil {
		return 0, err
	}
	w, err := s.writer(sp)
	if err != nil {
		return 0, err
	}
	if s.tooLarge(len(record)) {
		return 0, eventstore.ErrTooLarge
	}
	it := &item{entry: journal.Entry{Data: bytes.Clone(record)}, journalled: true, done: make(chan struct{})}
	if err := w.enqueue(ctx, it); err != nil {
		return 0, err
	}
	out, err := it.Wait(ctx)
	return out.Sequence, err
}

// ReadRecords implements [eventstore.Records]: up to the last record that was acknowledged when it is called. What the stream does not have
// yet comes from the journal.
func (s *Streams) ReadRecords(ctx context.Context, tenant eventstore.TenantID, stream eventstore.RecordStream, from uint64) iter.Seq2[eventstore.Record, error] {
	return func(yield func(eventstore.Record, error) bool) {
		sp, err := recordSpec(tenant, stream)
		var w *writer
		if err == nil {
			w, err = s.writer(sp)
		}
		if err == nil {
			err = w.err()
		}
		var to uint64
		var tail []eventstore.Record
		if err == nil {
			err = w.do(ctx, func() error {
				to, tail, err = w.unpublished()
				return err
			})
		}
		if err != nil {
			yield(eventstore.Record{}, err)
			return
		}
		next := max(from, 1)
		stopped := false
		give := func(r eventstore.Record) bool {
			if r.Number != next {
				err = damaged("the record %d of the stream %s is missing", next, sp.stream())
				return false
			}
			next++
			stopped = !yield(r, nil)
			return !stopped
		}
		if readErr := w.remote.each(ctx, sp.control(), next, to, func(m message) bool {
			return give(eventstore.Record{Number: m.sequence, Data: m.data})
		}); readErr != nil {
			err = readErr
		}
		if err == nil && !stopped && next <= to {
			err = damaged("the record %d of the stream %s is missing", next, sp.stream())
		}
		for _, r := range tail {
			if err != nil || stopped {
				break
			}
			if r.Number >= next {
				give(r)
			}
		}
		if err != nil && !stopped {
			yield(eventstore.Record{}, err)
		}
	}
}

// unpublished says up to where the stream has the records, and copies those that only the journal has. It runs in the loop.
func (w *writer) unpublished() (published uint64, tail []eventstore.Record, err error) {
	if w.published >= w.journalled {
		return w.journalled, nil, nil
	}
	err = w.j.Scan(w.published+1, func(rec any) error {
		g, ok := rec.(journal.Group)
		if !ok {
			return nil
		}
		for i, e := range g.Entries {
			if at := g.First + uint64(i); at > w.published && at <= w.journalled {
				tail = append(tail, eventstore.Record{Number: at, Data: bytes.Clone(e.Data)})
			}
		}
		return nil
	})
	return w.published, tail, journalError(err)
}
