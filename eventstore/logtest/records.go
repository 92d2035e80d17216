package logtest

import (
	"bytes"
	"context"
	"iter"

	"github.com/oubli-store/oubli/eventstore"
)

type recordKey struct {
	tenant eventstore.TenantID
	stream eventstore.RecordStream
}

type records struct {
	vault eventstore.VaultID
	data  [][]byte
}

// OpenRecords implements [eventstore.Records].
func (f *Fake) OpenRecords(ctx context.Context, tenant eventstore.TenantID, stream eventstore.RecordStream, vault eventstore.VaultID, create bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := recordKey{tenant, stream}
	r := f.records[k]
	switch {
	case r == nil && create:
		f.records[k] = &records{vault: vault}
	case r == nil, r.vault != vault:
		return eventstore.ErrDamaged
	}
	return nil
}

// AppendRecord implements [eventstore.Records].
func (f *Fake) AppendRecord(ctx context.Context, tenant eventstore.TenantID, stream eventstore.RecordStream, record []byte) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.records[recordKey{tenant, stream}]
	if r == nil {
		return 0, eventstore.ErrNotFound
	}
	fail := f.writeErr
	f.writeErr = nil
	if fail != nil && !fail.stored {
		return 0, fail.err
	}
	r.data = append(r.data, bytes.Clone(record))
	if fail != nil {
		return 0, fail.err
	}
	return uint64(len(r.data)), nil
}

// ReadRecords implements [eventstore.Records].
func (f *Fake) ReadRecords(ctx context.Context, tenant eventstore.TenantID, stream eventstore.RecordStream, from uint64) iter.Seq2[eventstore.Record, error] {
	return func(yield func(eventstore.Record, error) bool) {
		for n := max(from, 1); ; n++ {
			record, err := f.record(ctx, recordKey{tenant, stream}, n)
			if err != nil {
				yield(eventstore.Record{}, err)
				return
			}
			if record == nil || !yield(eventstore.Record{Number: n, Data: record}, nil) {
				return
			}
		}
	}
}

// record is nil behind the last one.
func (f *Fake) record(ctx context.Context, k recordKey, n uint64) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.records[k]
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case f.readErr != nil:
		return nil, f.readErr
	case r == nil:
		return nil, eventstore.ErrNotFound
	case n > uint64(len(r.data)):
		return nil, nil
	}
	return append([]byte{}, r.data[n-1]...), nil
}
