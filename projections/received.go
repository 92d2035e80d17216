package projections

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
)

// received is when events of an open period came in, to the hour, and the first sequence at which one stands. Nothing finer is kept: it is nobody's in particular, and stays
// when a person goes.
type received struct {
	first, last time.Time
	sequence    uint64
}

func (r received) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(r.first.Unix()/3600))
	b = binary.BigEndian.AppendUint32(b, uint32(r.last.Unix()/3600))
	return binary.BigEndian.AppendUint64(b, r.sequence)
}

func parseReceived(b []byte) (r received, err error) {
	if len(b) != 16 {
		return r, damaged("the row of a period cannot be read")
	}
	hour := func(b []byte) time.Time { return time.Unix(int64(binary.BigEndian.Uint32(b))*3600, 0).UTC() }
	return received{hour(b), hour(b[4:]), binary.BigEndian.Uint64(b[8:])}, nil
}

// receive notes that an event of a period came in.
func (f *fold) receive(period eventstore.Period, at time.Time, sequence uint64) error {
	r, known := f.cache.received[period]
	if !known {
		raw, found, err := get(f.p.db, f.t.key(tableReceived, periodBytes(period)))
		if err != nil {
			return err
		}
		if found {
			if r, err = parseReceived(raw); err != nil {
				return err
			}
		} else {
			r.sequence = sequence
		}
	}
	hour := at.UTC().Truncate(time.Hour)
	before := r
	if r.first.IsZero() || hour.Before(r.first) {
		r.first = hour
	}
	// Rounded up, so that a grace time is never shorter than it says.
	if up := hour.Add(time.Hour); up.After(r.last) {
		r.last = up
	}
	if !known || r != before {
		set(f.cache.received, period, r, cacheCounts)
		f.received[period] = r
	}
	return nil
}

// writeReceived puts what changed into a batch.
func (f *fold) writeReceived(b *pebble.Batch) error {
	for period, r := range f.received {
		if err := b.Set(f.t.key(tableReceived, periodBytes(period)), r.append(nil), nil); err != nil {
			return dbError(err)
		}
	}
	if f.lateEvents > 0 {
		n, err := f.t.late(f.p.db)
		if err != nil {
			return err
		}
		return dbError(b.Set(f.t.key(tableLate), binary.AppendUvarint(nil, n+f.lateEvents), nil))
	}
	return nil
}

// late is how many events came for periods that were closed already.
func (t *tenant) late(r pebble.Reader) (uint64, error) {
	raw, found, err := get(r, t.key(tableLate))
	if err != nil || !found {
		return 0, err
	}
	n, size := binary.Uvarint(raw)
	if size != len(raw) {
		return 0, damaged("the number of late events cannot be read")
	}
	return n, nil
}

// openPeriods lists the periods in which anybody stands, with when their events came in.
func (p *Projections) openPeriods(t *tenant) (out []openPeriod, err error) {
	from := t.key(tableGroup)
	it, err := p.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: successor(from)})
	if err != nil {
		return nil, dbError(err)
	}
	for ok := it.First(); ok; {
		if len(it.Key()) < len(from)+periodSize {
			return nil, errors.Join(damaged("the row of a mark cannot be read"), dbError(it.Close()))
		}
		period := append([]byte(nil), it.Key()[len(from):len(from)+periodSize]...)
		out = append(out, openPeriod{Period: parsePeriod(period)})
		ok = it.SeekGE(successor(t.key(tableGroup, period)))
	}
	if err := dbError(errors.Join(it.Error(), it.Close())); err != nil {
		return nil, err
	}
	for i := range out {
		raw, found, err := get(p.db, t.key(tableReceived, periodBytes(out[i].Period)))
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, damaged("an open period does not say when its events came in")
		}
		if out[i].received, err = parseReceived(raw); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// openPeriod is a period in which somebody stands.
type openPeriod struct {
	eventstore.Period
	received
}
