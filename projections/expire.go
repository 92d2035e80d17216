package projections

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
)

// expire takes out everything that was added to periods that begin before a month, of whomever, and has nothing be added to them any more. What stood
// in the batch before is committed first; the change is durable before the position that says so, as it can be made again.
func (f *fold) expire(before eventstore.KeyMonth) error {
	if before <= f.t.expired {
		return nil
	}
	if err := f.commit(); err != nil {
		return err
	}
	b := f.p.db.NewBatch()
	for _, kind := range kinds {
		first, end := []byte{byte(kind)}, periodBytes(firstKept(kind, before, f.t.zone))
		for _, table := range openTables {
			if err := b.DeleteRange(f.t.key(table, first), f.t.key(table, end), nil); err != nil {
				return errors.Join(dbError(err), b.Close())
			}
		}
		for _, m := range f.p.models {
			for _, table := range []byte{tablePerson, tableCell} {
				if err := b.DeleteRange(f.t.key(table, []byte{m.ID}, first), f.t.key(table, []byte{m.ID}, end), nil); err != nil {
					return errors.Join(dbError(err), b.Close())
				}
			}
		}
	}
	if err := b.Set(f.t.key(tableExpired), binary.BigEndian.AppendUint16(nil, uint16(before)), nil); err != nil {
		return errors.Join(dbError(err), b.Close())
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return dbError(err)
	}
	f.t.expired = before
	f.cache.clear()
	f.t.forgetAll()
	return dbError(b.Close())
}

// firstKept is the first period of a kind that does not begin before a month.
func firstKept(kind eventstore.PeriodKind, month eventstore.KeyMonth, zone *time.Location) eventstore.Period {
	p := eventstore.PeriodOf(kind, month.Start(), zone)
	if begin(p, zone).Before(month.Start()) {
		return p.Next()
	}
	return p
}

// begin is the first instant of a period in a zone.
func begin(p eventstore.Period, zone *time.Location) time.Time {
	year, month, day := p.Date().Date()
	return time.Date(year, month, day, 0, 0, 0, 0, zone)
}

// counts says whether anything may be added to a period.
func (t *tenant) counts(p eventstore.Period) bool {
	return t.expired == 0 || !begin(p, t.zone).Before(t.expired.Start())
}

// loadExpired reads the month below which nothing counts.
func (p *Projections) loadExpired(t *tenant) error {
	raw, found, err := get(p.db, t.key(tableExpired))
	if err != nil || !found {
		return err
	}
	if len(raw) != 2 {
		return damaged("the month of retention cannot be read")
	}
	t.expired = eventstore.KeyMonth(binary.BigEndian.Uint16(raw))
	return nil
}

// forgetAll drops all figures as last made.
func (t *tenant) forgetAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.made)
}
