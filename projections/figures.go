package projections

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
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
	// released says that the period is closed and these figures are final; else they are provisional.
	released bool
	// k is that of the release.
	k int
}

// figures are what is published of the periods of a kind between two, inclusive, in order: releases, and provisional figures of what is open.
func (p *Projections) figures(ctx context.Context, t *tenant, m *readmodel.Model, from, to eventstore.Period, k int) ([]dated, error) {
	s, err := p.settings(t.id)
	if err != nil {
		return nil, err
	}
	var out []dated
	if s.Epsilon == 0 { // with noise, what is shown without it would tell what the noise hides
		if out, err = p.provisional(ctx, t, m, from, to, k); err != nil {
			return nil, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	final, err := p.released(t, m, from, to)
	if err != nil {
		return nil, err
	}
	// A period that was closed in between is not told twice.
	out = slices.DeleteFunc(out, func(d dated) bool {
		return slices.ContainsFunc(final, func(r release.Release) bool { return r.Period == d.period })
	})
	for _, r := range final {
		if f, ok := asNow(m, r); ok {
			out = append(out, dated{period: r.Period, Figures: f, released: true, k: r.Rules.K})
		}
	}
	slices.SortFunc(out, func(a, b dated) int { return cmp.Compare(a.period.First, b.period.First) })
	return out, nil
}

// asNow are the figures of a release in the columns that its projection has now; false if its dimensions were others. A measure that it did not have reads 0.
func asNow(m *readmodel.Model, r release.Release) (release.Figures, bool) {
	if !slices.EqualFunc(m.Dimensions, r.Dimensions, func(d readmodel.Dimension, name string) bool { return d.Name == name }) {
		return release.Figures{}, false
	}
	counters := m.Counters()
	if r.Period.Kind != eventstore.Day || slices.EqualFunc(counters, r.Measures, func(c readmodel.Counter, name string) bool { return c.Name == name }) {
		return r.Figures, true
	}
	out := r.Figures
	out.Rows = slices.Clone(r.Rows)
	for i, row := range out.Rows {
		out.Rows[i].Sums = make([]uint64, len(counters))
		for j, c := range counters {
			if at := slices.Index(r.Measures, c.Name); at >= 0 {
				out.Rows[i].Sums[j] = row.Sums[at]
			}
		}
	}
	return out, true
}

// provisional are the provisional figures of the periods of a kind between two, inclusive, that have cells, in order. They are made under the tenant's
// lock, so that they are made once.
func (p *Projections) provisional(ctx context.Context, t *tenant, m *readmodel.Model, from, to eventstore.Period, k int) (out []dated, err error) {
	if m.Worded() {
		return nil, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	snapshot := p.db.NewSnapshot()
	defer func() { err = errors.Join(err, dbError(snapshot.Close())) }()
	cells, err := t.newCells(snapshot, m, from, to)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cells.close()) }()
	now := p.c.Now()
	for ok := cells.it.First(); ok; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		period, err := cells.period()
		if err != nil {
			return nil, err
		}
		if _, done := t.closed.at[released{m.ID, period}]; done {
			ok = cells.it.SeekGE(successor(t.key(tableCell, []byte{m.ID}, periodBytes(period))))
			continue
		}
		key := figuresKey{model: m.ID, period: period, k: k}
		f, made := t.made[key]
		if age := now.Sub(f.made); made && age < renewal && age >= 0 {
			ok = cells.it.SeekGE(successor(t.key(tableCell, []byte{m.ID}, periodBytes(period))))
		} else {
			var counted []release.Cell
			if counted, ok, err = cells.release(period, k); err != nil {
				return nil, err
			}
			f = figures{Figures: release.Provisional(release.Fold(counted, k), k), made: now}
			t.made[key] = f
		}
		out = append(out, dated{period: period, Figures: f.Figures})
	}
	return out, dbError(cells.it.Error())
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

// storedCell is a cell with its name and values.
type storedCell struct {
	key    cellKey
	values []string
	*cell
}

// eachCell reads the cells of a model.
func (t *tenant) eachCell(r pebble.Reader, m *readmodel.Model, yield func(storedCell) error) error {
	table := t.key(tableCell, []byte{m.ID})
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: table, UpperBound: successor(table)})
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
	if s.cell, err = parseCell(raw, m.Width()); err != nil {
		return s, err
	}
	s.values, err = t.keys.openValues(s.key, s.cell.values, len(m.Dimensions))
	if err == nil && m.Worded() {
		nameWording(s.values, s.key.id)
	}
	return s, err
}

// cells walks over the cells of a model in a range of periods, and over the marks that stand in them.
type cells struct {
	t           *tenant
	m           *readmodel.Model
	table       []byte
	it, members *pebble.Iterator
}

func (t *tenant) newCells(r pebble.Reader, m *readmodel.Model, from, to eventstore.Period) (*cells, error) {
	c := &cells{t: t, m: m, table: t.key(tableCell, []byte{m.ID})}
	bounds := func(table byte) *pebble.IterOptions {
		return &pebble.IterOptions{LowerBound: t.key(table, []byte{m.ID}, periodBytes(from)), UpperBound: successor(t.key(table, []byte{m.ID}, periodBytes(to)))}
	}
	var err error
	if c.it, err = r.NewIter(bounds(tableCell)); err != nil {
		return nil, dbError(err)
	}
	if c.members, err = r.NewIter(bounds(tablePerson)); err != nil {
		return nil, dbError(errors.Join(err, c.it.Close()))
	}
	return c, nil
}

func (c *cells) close() error { return dbError(errors.Join(c.it.Close(), c.members.Close())) }

// period is that of the cell where the walk stands.
func (c *cells) period() (eventstore.Period, error) {
	if len(c.it.Key()) < len(c.table)+periodSize {
		return eventstore.Period{}, damaged("the row of a cell cannot be read")
	}
	return parsePeriod(c.it.Key()[len(c.table):]), nil
}

// release reads the cells of a period as the rules of package release want them. It stops at the first cell behind them and says whether there is one.
func (c *cells) release(period eventstore.Period, k int) (out []release.Cell, ok bool, err error) {
	for ok = true; ok; ok = c.it.Next() {
		s, err := c.t.parseStored(c.m, c.it.Key()[len(c.table):], c.it)
		if err != nil {
			return nil, false, err
		}
		if s.key.period != period {
			break
		}
		r := release.Cell{Values: s.values, Persons: s.persons, Sums: s.sums}
		if release.NeedsMembers(r.Values, r.Persons, k) {
			if r.Members, err = c.membersOf(s); err != nil {
				return nil, false, err
			}
		}
		out = append(out, r)
	}
	return out, ok, nil
}

// membersOf are the marks that stand in a cell.
func (c *cells) membersOf(s storedCell) ([]release.Member, error) {
	from := c.t.personKey(s.key, nil)
	out := make([]release.Member, 0, min(s.persons, 1024))
	for ok := c.members.SeekGE(from); ok && bytes.HasPrefix(c.members.Key(), from); ok = c.members.Next() {
		mark := c.members.Key()[len(from):]
		if len(mark) != markSize {
			return nil, damaged("the row of a person in a cell cannot be read")
		}
		out = append(out, release.Member(mark))
	}
	if err := c.members.Error(); err != nil {
		return nil, dbError(err)
	}
	if uint64(len(out)) != s.persons {
		return nil, damaged("a cell does not have as many persons as it says")
	}
	return out, nil
}
