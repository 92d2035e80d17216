package projections

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/release"
)

// released names a release.
type released struct {
	model  byte
	period eventstore.Period
}

// closedAt is what must be known of a release to count beside it.
type closedAt struct {
	sequence uint64
	zone     string
}

// closed are the periods of which nothing is counted any more. It belongs to the runner; readers hold the tenant's lock.
type closed struct {
	at map[released]closedAt
	// zones are those of the releases; a release closes the instants of its period in its zone.
	zones map[string]*time.Location
	// last is the latest period of a kind that is closed, in days since 1970.
	last map[eventstore.PeriodKind]int32
	// before is the civil day before which every period that ended is closed, and its releases are gone (zero: none).
	before time.Time
	// number is the last record of STATS_<tenant> that is known here.
	number uint64
}

func newClosed() *closed {
	return &closed{at: map[released]closedAt{}, zones: map[string]*time.Location{}, last: map[eventstore.PeriodKind]int32{}}
}

func (c *closed) add(key released, at closedAt) error {
	if c.zones[at.zone] == nil {
		zone, err := time.LoadLocation(at.zone)
		if err != nil {
			return damaged("a release has a time zone that does not exist")
		}
		c.zones[at.zone] = zone
	}
	if last, any := c.last[key.period.Kind]; !any || key.period.First > last {
		c.last[key.period.Kind] = key.period.First
	}
	c.at[key] = at
	return nil
}

// verdict says where an event or a fact stands with a period.
type verdict byte

const (
	// counts: the period is open.
	counts verdict = iota
	// counted: it is in the release already, or was before that expired.
	counted
	// late: it came behind what the release counts.
	late
)

// of is the verdict over what has an instant, for a model in a period of the present time zone that holds the instant; sequence is where it stands in the stream.
//
// A release closes the instants of its period in the time zone of that time. So after a change of the zone nothing counts twice; and no period is published twice under one
// name: what only the new zone brings into a released period is late.
func (c *closed) of(model byte, period eventstore.Period, at time.Time, sequence uint64) verdict {
	if !c.before.IsZero() && !period.Next().Date().After(c.before) {
		return counted
	}
	last, any := c.last[period.Kind]
	if !any || period.First > (eventstore.Period{Kind: period.Kind, First: last}).Next().First {
		return counts // no zone is so far from another that it could be otherwise
	}
	for name, zone := range c.zones {
		was, ok := c.at[released{model, eventstore.PeriodOf(period.Kind, at, zone)}]
		switch {
		case !ok || was.zone != name:
		case sequence <= was.sequence:
			return counted
		default:
			return late
		}
	}
	if _, ok := c.at[released{model, period}]; ok {
		return late
	}
	return counts
}

// everything says whether a period is closed for every model.
func (c *closed) everything(models []*readmodel.Model, period eventstore.Period) bool {
	for _, m := range models {
		if _, ok := c.at[released{m.ID, period}]; !ok {
			return false
		}
	}
	return true
}

// The value of a row of table Z: sequence ‖ length of the zone's name ‖ the name ‖ the record.
func appendReleaseRow(at closedAt, record []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, at.sequence)
	b = append(append(b, byte(len(at.zone))), at.zone...)
	return append(b, record...)
}

func parseReleaseRow(b []byte) (at closedAt, record []byte, err error) {
	if len(b) < 9 || len(b) < 9+int(b[8]) {
		return at, nil, damaged("the row of a release cannot be read")
	}
	n := 9 + int(b[8])
	return closedAt{sequence: binary.BigEndian.Uint64(b), zone: string(b[9:n])}, b[n:], nil
}

func (t *tenant) releaseKey(key released) []byte {
	return t.key(tableRelease, []byte{key.model}, periodBytes(key.period))
}

// loadClosed reads which periods are closed.
func (p *Projections) loadClosed(t *tenant) error {
	c := newClosed()
	raw, found, err := get(p.db, t.key(tableRecords))
	if err != nil {
		return err
	}
	if found {
		if len(raw) != 12 {
			return damaged("the number of the last release cannot be read")
		}
		c.number = binary.BigEndian.Uint64(raw)
		if day := int32(binary.BigEndian.Uint32(raw[8:])); day != 0 {
			c.before = time.Unix(int64(day)*86400, 0).UTC()
		}
	}
	table := t.key(tableRelease)
	it, err := p.db.NewIter(&pebble.IterOptions{LowerBound: table, UpperBound: successor(table)})
	if err != nil {
		return dbError(err)
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		rest := it.Key()[len(table):]
		var value []byte
		var at closedAt
		if value, err = it.ValueAndErr(); err != nil {
			break
		}
		if len(rest) != 1+periodSize {
			err = damaged("the row of a release cannot be read")
			break
		}
		if at, _, err = parseReleaseRow(value); err == nil {
			err = c.add(released{rest[0], parsePeriod(rest[1:])}, at)
		}
	}
	if err := errors.Join(err, dbError(errors.Join(it.Error(), it.Close()))); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = c
	return nil
}

func (c *closed) recordsRow() []byte {
	day := int32(0)
	if !c.before.IsZero() {
		day = int32(c.before.Unix() / 86400)
	}
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, c.number), uint32(day))
}

// absorb takes in the records of STATS_<tenant> that are not known here yet: the periods that they close are closed, and once that is so for all models of a
// period its rows go. It makes the same of them whatever was counted before.
func (p *Projections) absorb(ctx context.Context, t *tenant, cache *cache) error {
	if p.c.Records == nil {
		return nil
	}
	for r, err := range p.c.Records.ReadRecords(ctx, t.id, eventstore.RecordsStats, t.closed.number+1) {
		if err != nil {
			return err
		}
		record, err := release.Decode(r.Data)
		if err != nil {
			return fmt.Errorf("projections: the record %d of the releases: %w", r.Number, err)
		}
		if record.Release != nil {
			err = p.absorbRelease(t, cache, r, record.Release)
		} else {
			err = p.absorbExpired(t, r.Number, record.Expired.Before)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// changeClosed makes a change of what is closed durable, and then known.
func (t *tenant) changeClosed(b *pebble.Batch, change func(*closed)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := *t.closed
	change(&next)
	if err := errors.Join(b.Set(t.key(tableRecords), next.recordsRow(), nil), b.Commit(pebble.Sync)); err != nil {
		return errors.Join(dbError(err), dbError(b.Close()))
	}
	*t.closed = next
	clear(t.made)
	return dbError(b.Close())
}

// absorbRelease closes a period for a model. A release of what is closed already changes nothing: it is the first one, appended again.
func (p *Projections) absorbRelease(t *tenant, cache *cache, r eventstore.Record, rel *release.Release) error {
	b := p.db.NewBatch()
	passed := func(c *closed) { c.number = r.Number }
	m, err := modelNamed(rel.Projection)
	if err != nil { // of a read model that there is no more
		return t.changeClosed(b, passed)
	}
	key, at := released{m.ID, rel.Period}, closedAt{rel.Sequence, rel.Zone}
	if old, ok := t.closed.at[key]; ok {
		if err := p.sameRelease(t, key, old, at, r.Data); err != nil {
			return errors.Join(err, dbError(b.Close()))
		}
		return t.changeClosed(b, passed)
	}
	t.mu.Lock()
	err = t.closed.add(key, at)
	everything := t.closed.everything(p.models, rel.Period)
	t.mu.Unlock()
	if err == nil {
		err = errors.Join(dbError(b.Set(t.releaseKey(key), appendReleaseRow(at, r.Data), nil)), dbError(b.Delete(t.key(tableDraft, []byte{key.model}, periodBytes(key.period)), nil)))
	}
	if err == nil && everything {
		err = p.dropPeriod(t, b, rel.Period)
	}
	if err == nil {
		err = t.changeClosed(b, passed)
	}
	if err != nil {
		t.mu.Lock()
		delete(t.closed.at, key)
		t.mu.Unlock()
		return err
	}
	if everything {
		cache.clear()
	}
	return nil
}

// sameRelease refuses a second release of a period that says something else.
func (p *Projections) sameRelease(t *tenant, key released, old, at closedAt, record []byte) error {
	value, found, err := get(p.db, t.releaseKey(key))
	if err != nil || !found {
		return err
	}
	_, first, err := parseReleaseRow(value)
	if err == nil && (old != at || string(first) != string(record)) {
		err = damaged("two releases of one period differ")
	}
	return err
}

// dropPeriod removes everything that is kept of a period while it is open.
func (p *Projections) dropPeriod(t *tenant, b *pebble.Batch, period eventstore.Period) error {
	return p.dropRange(t, b, period, eventstore.Period{Kind: period.Kind, First: period.First + 1})
}

// dropRange removes what is kept of the periods of a kind from one up to, but not including, another.
func (p *Projections) dropRange(t *tenant, b *pebble.Batch, from, end eventstore.Period) error {
	for _, table := range openTables {
		if err := b.DeleteRange(t.key(table, periodBytes(from)), t.key(table, periodBytes(end)), nil); err != nil {
			return dbError(err)
		}
	}
	for _, m := range p.models {
		for _, table := range []byte{tablePerson, tableCell} {
			if err := b.DeleteRange(t.key(table, []byte{m.ID}, periodBytes(from)), t.key(table, []byte{m.ID}, periodBytes(end)), nil); err != nil {
				return dbError(err)
			}
		}
	}
	return nil
}

// absorbExpired removes releases whose time is over.
func (p *Projections) absorbExpired(t *tenant, number uint64, before time.Time) error {
	b := p.db.NewBatch()
	var gone []released
	for key := range t.closed.at {
		if !key.period.Next().Date().After(before) {
			gone = append(gone, key)
			if err := b.Delete(t.releaseKey(key), nil); err != nil {
				return errors.Join(dbError(err), dbError(b.Close()))
			}
		}
	}
	// What is open of that time, as it was imported lately, goes as well: it could be published under no name.
	for _, kind := range kinds {
		end := eventstore.PeriodOf(kind, before, time.UTC)
		if err := p.dropRange(t, b, eventstore.Period{Kind: kind, First: math.MinInt32}, end); err != nil {
			return errors.Join(err, dbError(b.Close()))
		}
	}
	return t.changeClosed(b, func(c *closed) {
		for _, key := range gone {
			delete(c.at, key)
		}
		c.number = number
		if before.After(c.before) {
			c.before = before
		}
	})
}

// isOpen says whether an event has anything to do in one of its periods, and notes what that is shut to, and whether the event came too late for a release.
func (f *fold) isOpen(r *eventstore.Recorded, sequence uint64, s *standing, i int, todo []contribution, talks bool) (open bool) {
	at, period := readmodel.Time(r), s.keys[i].period
	counted := func(model byte) bool {
		v := f.t.closed.of(model, period, at, sequence)
		s.late = s.late || v == late
		return v != counts
	}
	for j, c := range todo {
		if counted(c.model.ID) {
			s.shut[i] |= 1 << j
		} else {
			open = true
		}
	}
	for _, m := range f.p.models {
		if talks && m.Conversations != nil && !counted(m.ID) {
			open = true
		}
	}
	return open
}

// takes says whether a fact of a conversation counts for a model in a period that holds its instant.
func (f *fold) takes(m *readmodel.Model, period eventstore.Period, at time.Time) bool {
	return f.t.counts(period) && f.t.closed.of(m.ID, period, at, math.MaxUint64) == counts
}

// isClosed says whether a period is closed for a model.
func (t *tenant) isClosed(m *readmodel.Model, period eventstore.Period) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.closed.at[released{m.ID, period}]
	return ok || !t.closed.before.IsZero() && !period.Next().Date().After(t.closed.before)
}
