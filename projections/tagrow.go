package projections

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// maxTalks is how many conversations of a part are kept in memory.
const maxTalks = 16

// tagKey names a tag in a period.
type tagKey struct {
	period eventstore.Period
	tag    eventstore.Mark
}

// tagRow is the row of a tag in a period: the mark under which it stands, and what it added to which cells, in the order of model and cell.
type tagRow struct {
	mark  eventstore.Mark
	parts []part
	// alone says that no other tag stands under the mark, which spares asking who of it stands in a cell. Where it is not known it is false.
	alone bool
	// gone says that the tag stands nowhere any more.
	gone bool
}

// part is what a tag added to one cell.
type part struct {
	model byte
	cell  cellID
	// sums are the counters of a day. In weeks and months there is one for a model that draws its facts from conversations, the number of facts that count
	// here, and none for others.
	sums []uint64
	// talks are the last conversations that were counted in the cell; all of them as long as they are as many as were counted.
	talks []eventstore.Mark
}

// sumsOf is how many sums a part has in a kind of period.
func sumsOf(m *readmodel.Model, kind eventstore.PeriodKind) int {
	switch {
	case kind == eventstore.Day:
		return m.Width()
	case m.Conversations != nil:
		return 1
	}
	return 0
}

// find is the place of a part, and whether it is there.
func (r *tagRow) find(model byte, cell cellID) (int, bool) {
	return slices.BinarySearchFunc(r.parts, part{model: model, cell: cell}, func(a, b part) int {
		return cmp.Or(cmp.Compare(a.model, b.model), bytes.Compare(a.cell[:], b.cell[:]))
	})
}

// size is about what the row takes in memory.
func (r *tagRow) size() int {
	n := 160
	for i := range r.parts {
		n += 72 + 8*len(r.parts[i].sums) + markSize*cap(r.parts[i].talks)
	}
	return n
}

// append writes the row's value.
func (r *tagRow) append(b []byte) []byte {
	b = append(b, r.mark[:]...)
	for i := range r.parts {
		p := &r.parts[i]
		b = append(append(b, p.model), p.cell[:]...)
		b = appendNumbers(b, p.sums)
	}
	return b
}

// parseTagRow reads a row's value.
func (f *fold) parseTagRow(period eventstore.Period, b []byte) (*tagRow, error) {
	if len(b) < markSize {
		return nil, damaged("the row of a tag cannot be read")
	}
	r := &tagRow{mark: eventstore.Mark(b)}
	for b = b[markSize:]; len(b) > 0; {
		if len(b) < 1+len(cellID{}) {
			return nil, damaged("the row of a tag ends too early")
		}
		p := part{model: b[0], cell: cellID(b[1:])}
		b = b[1+len(p.cell):]
		m := f.model(p.model)
		if m == nil {
			return nil, damaged("a contribution belongs to a read model that does not exist")
		}
		if n := sumsOf(m, period.Kind); n > 0 {
			var err error
			if p.sums, b, err = parseNumbers(b, n); err != nil {
				return nil, err
			}
		}
		if at, found := r.find(p.model, p.cell); found || at != len(r.parts) {
			return nil, damaged("the contributions of a tag are out of order")
		}
		r.parts = append(r.parts, p)
	}
	return r, nil
}

// row finds the row of a tag in a period, as the batch has it; nil if the tag does not stand there.
func (f *fold) row(key tagKey) (*tagRow, error) {
	if r := f.dirty[key]; r != nil {
		if r.gone {
			return nil, nil
		}
		return r, nil
	}
	if r, ok := f.cache.rows.get(key); ok {
		return r, nil
	}
	raw, found, err := get(f.p.db, f.tagKey(key))
	if err != nil || !found {
		return nil, err
	}
	r, err := f.parseTagRow(key.period, raw)
	if err != nil {
		return nil, err
	}
	f.cache.rows.put(key, r, r.size())
	return r, nil
}

func (f *fold) tagKey(key tagKey) []byte {
	return f.t.key(tableTag, periodBytes(key.period), key.tag[:])
}

// touch says that a row is about to be changed. The batch writes it when it is committed, once.
func (f *fold) touch(key tagKey, r *tagRow) {
	if f.dirty[key] == r {
		return
	}
	f.dirty[key] = r
	f.dirtyBytes += r.size()
}

// writeRows puts the changed rows into the batch.
func (f *fold) writeRows(b *pebble.Batch) error {
	var value []byte
	for key, r := range f.dirty {
		at := f.tagKey(key)
		if r.gone {
			if err := b.Delete(at, nil); err != nil {
				return dbError(err)
			}
			continue
		}
		value = r.append(value[:0])
		if err := b.Set(at, value, nil); err != nil {
			return dbError(err)
		}
	}
	return nil
}

// settleRows has the cache know what was committed.
func (f *fold) settleRows() {
	for key, r := range f.dirty {
		if r.gone {
			f.cache.rows.drop(key)
			continue
		}
		f.cache.rows.put(key, r, r.size())
	}
	clear(f.dirty)
	f.dirtyBytes = 0
}
