package projections

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// MaxCells is how many cells a model may have in one period; what comes then counts under (other).
const MaxCells = 100_000

// kinds are the units in which events count. Only the first carries measures.
var kinds = [...]eventstore.PeriodKind{eventstore.Day, eventstore.Week, eventstore.Month}

// fold is a batch in the making: the effects of some messages, and the position behind them.
type fold struct {
	p        *Projections
	t        *tenant
	cache    *cache
	batch    *pebble.Batch
	cells    map[cellKey]*cell
	position uint64
	items    int
}

// cell is one cell as stored, and as changed by the batch.
type cell struct {
	persons uint64
	sums    []uint64
	values  []byte
	// stored says that the database has it.
	stored bool
}

func (p *Projections) newFold(t *tenant, cache *cache, position uint64) *fold {
	return &fold{p: p, t: t, cache: cache, batch: p.db.NewIndexedBatch(), cells: map[cellKey]*cell{}, position: position}
}

func (f *fold) full() bool { return f.items >= batchItems || f.batch.Len() >= batchBytes }

func (f *fold) discard() {
	if f.batch != nil {
		_ = f.batch.Close()
		f.batch = nil
	}
}

// commit makes the batch durable with its position and begins the next one.
func (f *fold) commit() error {
	if f.position == f.t.position.Load() {
		return nil
	}
	for key, c := range f.cells {
		if err := f.writeCell(key, c); err != nil {
			return err
		}
	}
	at := binary.BigEndian.AppendUint64(nil, f.position)
	if err := f.batch.Set(f.t.key(tablePosition), at, nil); err != nil {
		return dbError(err)
	}
	if err := f.batch.Commit(pebble.Sync); err != nil {
		return dbError(err)
	}
	f.discard()
	f.t.position.Store(f.position)
	f.batch, f.cells, f.items = f.p.db.NewIndexedBatch(), map[cellKey]*cell{}, 0
	return nil
}

func (f *fold) writeCell(key cellKey, c *cell) error {
	at := f.t.cellKey(key)
	if c.persons > 0 {
		value := appendNumbers(binary.AppendUvarint(nil, c.persons), c.sums)
		return dbError(f.batch.Set(at, append(value, c.values...), nil))
	}
	for _, n := range c.sums {
		if n != 0 {
			return damaged("a cell without persons has figures")
		}
	}
	if c.values != nil {
		f.made(key, -1)
	}
	if !c.stored {
		return nil
	}
	return dbError(f.batch.Delete(at, nil))
}

// contribution is what one event adds to one cell, for all periods.
type contribution struct {
	model  *readmodel.Model
	values []string
	id     cellID
	sums   []uint64
	// conversation is set if the model counts conversations.
	conversation *eventstore.Mark
}

// event counts an opened event. Everything is asked of the vault before anything is written, so that an error leaves nothing half counted.
func (f *fold) event(ctx context.Context, r *eventstore.Recorded, sequence uint64) error {
	todo := f.contributions(r)
	if len(todo) == 0 {
		return nil
	}
	who, err := f.whoIs(ctx, r, sequence, todo)
	if err != nil || who == nil {
		return err
	}
	for i, period := range who.periods {
		for _, c := range todo {
			if err := f.add(period, who.tags[i], who.marks[i], c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fold) contributions(r *eventstore.Recorded) (out []contribution) {
	for _, m := range f.p.models {
		for _, fact := range m.Facts(r) {
			out = append(out, contribution{model: m, values: fact.Values, id: f.t.keys.cell(m.ID, fact.Values), sums: fact.Sums})
		}
	}
	return out
}

// add adds a contribution to a cell in one period.
func (f *fold) add(period eventstore.Period, tag, mark eventstore.Mark, c contribution) error {
	key, target, err := f.target(period, &c)
	if err != nil {
		return err
	}
	at := f.t.rowKey(period, tag, c.model.ID, key.id)
	row, found, err := get(f.batch, at)
	if err != nil {
		return err
	}
	if !found {
		if target.values == nil {
			target.values = f.t.keys.sealValues(key, c.values)
			f.made(key, 1)
		}
		if err := f.enter(key, target, mark); err != nil {
			return err
		}
	}
	var value []byte
	if period.Kind == eventstore.Day {
		sums := make([]uint64, len(c.sums))
		if found {
			if sums, _, err = parseNumbers(row, len(c.sums)); err != nil {
				return err
			}
		}
		if err := f.addSums(at, target, sums, c); err != nil {
			return err
		}
		value = appendNumbers(nil, sums)
	} else if found {
		return nil
	}
	return dbError(f.batch.Set(at, value, nil))
}

// target is the cell of a contribution in a period: its own, or when there are too many already, that of (other) in every dimension.
func (f *fold) target(period eventstore.Period, c *contribution) (cellKey, *cell, error) {
	key := cellKey{model: c.model.ID, period: period, id: c.id}
	cell, err := f.cell(key, len(c.model.Measures))
	if err != nil || cell.values != nil {
		return key, cell, err
	}
	full, err := f.isFull(key)
	if err != nil || !full {
		return key, cell, err
	}
	c.values = make([]string, len(c.model.Dimensions))
	for i := range c.values {
		c.values[i] = readmodel.Other
	}
	c.id = f.t.keys.cell(c.model.ID, c.values)
	key.id = c.id
	cell, err = f.cell(key, len(c.model.Measures))
	return key, cell, err
}

// isFull counts the cells of a model in a period, once, and then by what the batches make.
func (f *fold) isFull(key cellKey) (bool, error) {
	all := cellKey{model: key.model, period: key.period}
	n, known := f.cache.cells[all]
	if !known {
		keys, _, err := scan(f.p.db, f.t.key(tableCell, []byte{key.model}, periodBytes(key.period)))
		if err != nil {
			return false, err
		}
		n = len(keys)
		for k, c := range f.cells {
			if !c.stored && c.values != nil && k.model == key.model && k.period == key.period {
				n++
			}
		}
		set(f.cache.cells, all, n, cacheCounts)
	}
	return n >= f.p.maxCells, nil
}

// made counts a new cell, or one that is gone.
func (f *fold) made(key cellKey, n int) {
	all := cellKey{model: key.model, period: key.period}
	if have, known := f.cache.cells[all]; known {
		f.cache.cells[all] = have + n
	}
}

// addSums adds the measures of a contribution to the tag's row and to the cell.
func (f *fold) addSums(at []byte, target *cell, sums []uint64, c contribution) error {
	for i, m := range c.model.Measures {
		n := c.sums[i]
		if m.Kind == readmodel.Conversations {
			var err error
			if n, err = f.newConversation(at, *c.conversation); err != nil {
				return err
			}
		}
		sums[i] += n
		target.sums[i] += n
	}
	return nil
}

// newConversation is 1 for a conversation that the tag did not have in the cell yet.
func (f *fold) newConversation(row []byte, conversation eventstore.Mark) (uint64, error) {
	at := append(row[:len(row):len(row)], conversation[:]...)
	_, found, err := get(f.batch, at)
	if err != nil || found {
		return 0, err
	}
	return 1, dbError(f.batch.Set(at, nil, nil))
}

// cell reads a cell into the batch.
func (f *fold) cell(key cellKey, measures int) (*cell, error) {
	if c := f.cells[key]; c != nil {
		return c, nil
	}
	c := &cell{sums: make([]uint64, measures)}
	raw, found, err := get(f.p.db, f.t.cellKey(key))
	if err != nil {
		return nil, err
	}
	if found {
		if c, err = parseCell(raw, measures); err != nil {
			return nil, err
		}
	}
	f.cells[key] = c
	return c, nil
}

func parseCell(raw []byte, measures int) (*cell, error) {
	numbers, rest, err := parseNumbers(raw, 1+measures)
	if err != nil {
		return nil, err
	}
	return &cell{persons: numbers[0], sums: numbers[1:], values: append([]byte(nil), rest...), stored: true}, nil
}

// enter counts one more tag of a mark in a cell, leave one less; the cell's persons are its distinct marks.
func (f *fold) enter(key cellKey, c *cell, mark eventstore.Mark) error {
	at := f.t.personKey(key, mark[:])
	n, err := f.count(at)
	if err != nil {
		return err
	}
	if n == 0 {
		c.persons++
	}
	return dbError(f.batch.Set(at, binary.AppendUvarint(nil, n+1), nil))
}

func (f *fold) leave(key cellKey, c *cell, mark eventstore.Mark) error {
	at := f.t.personKey(key, mark[:])
	n, err := f.count(at)
	if err != nil {
		return err
	}
	if n == 0 || c.persons == 0 {
		return damaged("a person stands in a cell that does not know them")
	}
	if n > 1 {
		return dbError(f.batch.Set(at, binary.AppendUvarint(nil, n-1), nil))
	}
	c.persons--
	return dbError(f.batch.Delete(at, nil))
}

func (f *fold) count(at []byte) (uint64, error) {
	raw, found, err := get(f.batch, at)
	if err != nil || !found {
		return 0, err
	}
	n, size := binary.Uvarint(raw)
	if size <= 0 || n == 0 {
		return 0, damaged("the row of a person in a cell cannot be read")
	}
	return n, nil
}

// scan copies the rows under a prefix, as the batch sees them.
func scan(r pebble.Reader, prefix []byte) (keys, values [][]byte, err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return nil, nil, dbError(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, nil, errors.Join(dbError(err), it.Close())
		}
		keys = append(keys, append([]byte(nil), it.Key()...))
		values = append(values, append([]byte(nil), value...))
	}
	return keys, values, dbError(errors.Join(it.Error(), it.Close()))
}
