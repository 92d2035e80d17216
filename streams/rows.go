package streams

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
)

// find collects a tenant's rows from a key on for which want says yes, at most n of them. next is where to go on, nil at the end.
func (x *index) find(tenant eventstore.TenantID, from row, n int, want func(rowAt) bool) (rows []rowAt, next *row, err error) {
	prefix := rowKey(nil, tenant, nil)
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: rowKey(nil, tenant, from[:]), UpperBound: after(prefix)})
	if err != nil {
		return nil, nil, fmt.Errorf("reading log/%s: %w", indexDir, err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for it.First(); it.Valid(); it.Next() {
		r, err := decodeRow(it.Key()[len(prefix):], it.Value())
		if err != nil {
			return nil, nil, err
		}
		if !want(r) {
			continue
		}
		if len(rows) == n {
			return rows, &r.row, nil
		}
		rows = append(rows, r)
	}
	if err := it.Error(); err != nil {
		return nil, nil, fmt.Errorf("reading log/%s: %w", indexDir, err)
	}
	return rows, nil, nil
}

func decodeRow(key, value []byte) (r rowAt, err error) {
	if len(key) != len(r.row) || len(value) != 10 {
		return r, damaged("a row in log/%s has %d and %d bytes", indexDir, len(key), len(value))
	}
	copy(r.row[:], key)
	r.sequence, r.month = binary.BigEndian.Uint64(value), binary.BigEndian.Uint16(value[8:])
	return r, nil
}
