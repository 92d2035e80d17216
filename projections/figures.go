package projections

import (
	"context"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/release"
)

// renewal is how long provisional figures stay as they are, so that nobody can watch one person come in.
const renewal = time.Minute

// figuresKey names the figures of one period.
type figuresKey struct {
	model  byte
	period eventstore.Period
	k      int
}

// figures are provisional figures as they were made.
type figures struct {
	release.Figures
	made time.Time
}

// dated are the figures of one period.
type dated struct {
	period eventstore.Period
	release.Figures
}

// figures are the provisional figures of the periods of a kind between two, inclusive, that have cells, in order. They are made under the tenant's
// lock, so that they are made once.
func (p *Projections) figures(ctx context.Context, t *tenant, m *readmodel.Model, from, to eventstore.Period, k int) ([]dated, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	snapshot := p.db.NewSnapshot()
	defer snapshot.Close()
	periods, err := t.periods(snapshot, m, from, to)
	if err != nil {
		return nil, err
	}
	now := p.c.Now()
	out := make([]dated, 0, len(periods))
	for _, period := range periods {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		key := figuresKey{model: m.ID, period: period, k: k}
		f, ok := t.made[key]
		if age := now.Sub(f.made); !ok || age >= renewal || age < 0 {
			cells, err := t.release(snapshot, m, period, k)
			if err != nil {
				return nil, err
			}
			f = figures{Figures: release.Provisional(release.Fold(cells, k), k), made: now}
			t.made[key] = f
		}
		out = append(out, dated{period, f.Figures})
	}
	return out, nil
}

// forget drops figures that would be made again anyway.
func (t *tenant) forget(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, f := range t.made {
		if now.Sub(f.made) >= renewal {
			delete(t.made, key)
		}
	}
}

// periods lists the periods of a kind between two, inclusive, in which the model has cells, by one seek each.
func (t *tenant) periods(r pebble.Reader, m *readmodel.Model, from, to eventstore.Period) (out []eventstore.Period, err error) {
	table := t.key(tableCell, []byte{m.ID})
	it, err := r.NewIter(&pebble.IterOptions{
		LowerBound: append(table[:len(table):len(table)], periodBytes(from)...),
		UpperBound: successor(append(table[:len(table):len(table)], periodBytes(to)...)),
	})
	if err != nil {
		return nil, dbError(err)
	}
	for ok := it.First(); ok; {
		period := it.Key()[len(table) : len(table)+periodSize]
		out = append(out, parsePeriod(period))
		ok = it.SeekGE(successor(append(table[:len(table):len(table)], period...)))
	}
	return out, dbError(errors.Join(it.Error(), it.Close()))
}

// storedCell is a cell with its name and values.
type storedCell struct {
	key    cellKey
	values []string
	*cell
}

// eachCell reads the cells of a model, those of one period or of all (nil).
func (t *tenant) eachCell(r pebble.Reader, m *readmodel.Model, period *eventstore.Period, yield func(storedCell) error) error {
	table := t.key(tableCell, []byte{m.ID})
	bound := table
	if period != nil {
		bound = append(table[:len(table):len(table)], periodBytes(*period)...)
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: bound, UpperBound: successor(bound)})
	if err != nil {
		return dbError(err)
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var s storedCell
		if s, err = t.parseStored(m, it.Key()[len(table):], it); err == nil {
			err = yield(s)
		}
	}
	return errors.Join(err, dbError(errors.Join(it.Error(), it.Close())))
}

func (t *tenant) parseStored(m *readmodel.Model, rest []byte, it *pebble.Iterator) (s storedCell, err error) {
	if len(rest) != periodSize+len(cellID{}) {
		return s, damaged("the row of a cell cannot be read")
	}
	s.key = cellKey{model: m.ID, period: parsePeriod(rest), id: cellID(rest[periodSize:])}
	raw, err := it.ValueAndErr()
	if err != nil {
		return s, dbError(err)
	}
	if s.cell, err = parseCell(raw, len(m.Measures)); err != nil {
		return s, err
	}
	s.values, err = t.keys.openValues(s.key, s.cell.values, len(m.Dimensions))
	return s, err
}

// release reads the cells of a period as the rules of package release want them.
func (t *tenant) release(r pebble.Reader, m *readmodel.Model, period eventstore.Period, k int) (out []release.Cell, err error) {
	err = t.eachCell(r, m, &period, func(s storedCell) error {
		c := release.Cell{Values: s.values, Persons: s.persons, Sums: s.sums}
		if release.NeedsMembers(c.Values, c.Persons, k) {
			from := t.personKey(s.key, nil)
			keys, _, err := scan(r, from)
			if err != nil {
				return err
			}
			for _, key := range keys {
				c.Members = append(c.Members, release.Member(key[len(from):]))
			}
		}
		out = append(out, c)
		return nil
	})
	return out, err
}
