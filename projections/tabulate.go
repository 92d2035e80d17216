package projections

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/release"
)

// tabulation brings what one model counted in one open period into the form in which package release takes it: person by person.
type tabulation struct {
	f      *fold
	m      *readmodel.Model
	period eventstore.Period
	table  *release.Table
	// places are the numbers of the cells in the table.
	places map[cellID]int
}

// tabulate reads a period for a model, a mark at a time. Memory grows with the cells, and with the persons of those that may be folded.
func (f *fold) tabulate(ctx context.Context, m *readmodel.Model, period eventstore.Period, rules release.Rules) (*release.Table, error) {
	t := &tabulation{f: f, m: m, period: period, places: map[cellID]int{}}
	var err error
	if t.table, err = release.NewTable(rules, period.Kind, len(m.Dimensions), t.width()); err != nil {
		return nil, err
	}
	if err := t.cells(); err != nil {
		return nil, err
	}
	return t.table, t.marks(ctx)
}

// width is how many measures a release of the period has.
func (t *tabulation) width() int { return width(t.m, t.period.Kind) }

func width(m *readmodel.Model, kind eventstore.PeriodKind) int {
	if kind != eventstore.Day {
		return 0
	}
	return m.Width()
}

// cells reads the values of the cells.
func (t *tabulation) cells() error {
	tenant := t.f.t
	table := tenant.key(tableCell, []byte{t.m.ID}, periodBytes(t.period))
	it, err := t.f.p.db.NewIter(&pebble.IterOptions{LowerBound: table, UpperBound: successor(table)})
	if err != nil {
		return dbError(err)
	}
	model := len(tenant.key(tableCell, []byte{t.m.ID}))
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var s storedCell
		if s, err = tenant.parseStored(t.m, it.Key()[model:], it); err == nil {
			t.places[s.key.id] = t.table.Cell(s.values)
		}
	}
	return errors.Join(err, dbError(errors.Join(it.Error(), it.Close())))
}

// marks adds person by person: the tags that stand under one mark are one person.
func (t *tabulation) marks(ctx context.Context) error {
	from := t.f.t.key(tableGroup, periodBytes(t.period))
	it, err := t.f.p.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: successor(from)})
	if err != nil {
		return dbError(err)
	}
	var mark []byte
	sums := map[cellID][]uint64{}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		rest := it.Key()[len(from):]
		if len(rest) != 2*markSize {
			err = damaged("the row of a mark cannot be read")
			break
		}
		if err = ctx.Err(); err != nil {
			break
		}
		if !bytes.Equal(mark, rest[:markSize]) {
			t.add(mark, sums)
			mark = append(mark[:0], rest[:markSize]...)
			clear(sums)
		}
		err = t.tag(eventstore.Mark(rest[markSize:]), sums)
	}
	t.add(mark, sums)
	return errors.Join(err, dbError(errors.Join(it.Error(), it.Close())))
}

// tag adds what a tag contributed to what its person did.
func (t *tabulation) tag(tag eventstore.Mark, sums map[cellID][]uint64) error {
	row, err := t.f.row(tagKey{t.period, tag})
	if err != nil {
		return err
	}
	if row == nil {
		return damaged("a tag stands under a mark and has no row")
	}
	for _, p := range row.parts {
		if p.model != t.m.ID {
			continue
		}
		all := sums[p.cell]
		if all == nil {
			all = make([]uint64, t.width())
			sums[p.cell] = all
		}
		for i := range all {
			all[i] += p.sums[i]
		}
		if _, known := t.places[p.cell]; !known {
			return damaged("a person stands in a cell that does not exist")
		}
	}
	return nil
}

// add hands a person over. Their cells are ordered by their keyed names, so by nothing that says what they are.
func (t *tabulation) add(mark []byte, sums map[cellID][]uint64) {
	if len(sums) == 0 {
		return
	}
	ids := make([]cellID, 0, len(sums))
	for id := range sums {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b cellID) int { return bytes.Compare(a[:], b[:]) })
	parts := make([]release.Part, len(ids))
	for i, id := range ids {
		parts[i] = release.Part{Cell: t.places[id], Sums: sums[id]}
	}
	t.table.Add(release.Member(mark), parts)
}
