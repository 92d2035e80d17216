package projections

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// MaxCells is how many cells a model may have in one period; what comes then counts under (other).
const MaxCells = 100_000

// kinds are the units in which events count. Only the first carries measures.
var kinds = [...]eventstore.PeriodKind{eventstore.Day, eventstore.Week, eventstore.Month}

// monthly is the place of the month among them.
const monthly = 2

// fold is a batch in the making: the effects of some messages, and the position behind them.
type fold struct {
	p        *Projections
	t        *tenant
	cache    *cache
	batch    *pebble.Batch
	cells    map[cellKey]*cell
	position uint64
	items    int

	// dirty are the rows of tags that the batch will write.
	dirty      map[tagKey]*tagRow
	dirtyBytes int
	// inCells are the numbers of tags of a mark in a cell that the batch will write.
	inCells map[inCell]uint64
	// talks are the histories of conversations that the batch changes.
	talks map[tagKey]*talks
	// received are the periods of which the batch notes when their events came in, lateEvents those that came too late for one.
	received   map[eventstore.Period]received
	lateEvents uint64
	scratch    []byte
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
	return &fold{p: p, t: t, cache: cache, batch: p.db.NewIndexedBatch(), cells: map[cellKey]*cell{}, position: position,
		dirty: map[tagKey]*tagRow{}, inCells: map[inCell]uint64{}, talks: map[tagKey]*talks{}, received: map[eventstore.Period]received{}}
}

func (f *fold) full() bool {
	return f.items >= batchItems || f.batch.Len()+f.dirtyBytes+inCellBytes*len(f.inCells) >= batchBytes
}

// discard drops what is not committed, also from the cache.
func (f *fold) discard() {
	for key := range f.dirty {
		f.cache.rows.drop(key)
	}
	for key := range f.talks {
		f.cache.talks.drop(key)
	}
	if len(f.cells) > 0 {
		clear(f.cache.cells)
	}
	if len(f.received) > 0 {
		clear(f.cache.received)
	}
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
	if err := f.revise(); err != nil {
		return err
	}
	// What nothing looks up in the batch goes into one without an index, behind what has one.
	b := f.p.db.NewBatch()
	err := errors.Join(dbError(b.Apply(f.batch, nil)), f.writeCells(b), f.writeInCells(b), f.writeRows(b), f.writeTalks(b), f.writeReceived(b))
	at := binary.BigEndian.AppendUint64(nil, f.position)
	if err = errors.Join(err, dbError(b.Set(f.t.key(tablePosition), at, nil))); err != nil {
		return errors.Join(err, dbError(b.Close()))
	}
	if err := b.Commit(pebble.Sync); err != nil {
		return dbError(err)
	}
	if err := b.Close(); err != nil {
		return dbError(err)
	}
	clear(f.inCells)
	clear(f.received)
	f.lateEvents = 0
	f.settleRows()
	f.settleTalks()
	clear(f.cells)
	f.discard()
	f.t.position.Store(f.position)
	f.batch, f.items = f.p.db.NewIndexedBatch(), 0
	return nil
}

func (f *fold) writeCells(b *pebble.Batch) error {
	for key, c := range f.cells {
		if err := f.writeCell(b, key, c); err != nil {
			return err
		}
	}
	return nil
}

func (f *fold) writeCell(b *pebble.Batch, key cellKey, c *cell) error {
	at := f.t.cellKey(key)
	if c.persons > 0 {
		value := appendNumbers(binary.AppendUvarint(nil, c.persons), c.sums)
		return dbError(b.Set(at, append(value, c.values...), nil))
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
	return dbError(b.Delete(at, nil))
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
	said, talks := readmodel.Talk(r)
	if len(todo) == 0 && !talks {
		return nil
	}
	who, err := f.whoIs(ctx, r, sequence, todo, talks)
	if err != nil || who == nil {
		return err
	}
	if talks && !who.out[monthly] {
		if err := f.say(who, said); err != nil {
			return err
		}
	}
	for i, key := range who.keys {
		if who.out[i] {
			continue
		}
		if err := f.receive(key.period, r.Received, sequence); err != nil {
			return err
		}
		for j, c := range todo {
			if who.shut[i]&(1<<j) != 0 {
				continue
			}
			if err := f.add(key, who.rows[i], c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fold) contributions(r *eventstore.Recorded) (out []contribution) {
	for _, m := range f.p.models {
		if m.Facts == nil {
			continue
		}
		for _, fact := range m.Facts(r) {
			id := f.name(m, fact.Values)
			if m.Worded() {
				hideWording(fact.Values)
			}
			out = append(out, contribution{model: m, values: fact.Values, id: id, sums: fact.Sums})
		}
	}
	return out
}

// add adds a contribution to a cell in one period.
func (f *fold) add(at tagKey, row *tagRow, c contribution) error {
	key, target, err := f.target(at.period, &c)
	if err != nil {
		return err
	}
	i, found := row.find(key.model, key.id)
	if !found {
		if target.values == nil {
			target.values = f.t.keys.sealValues(key, c.values)
			f.made(key, 1)
		}
		if err := f.enter(key, target, row.mark, row.alone); err != nil {
			return err
		}
		p := part{model: key.model, cell: key.id}
		if n := sumsOf(c.model, at.period.Kind); n > 0 {
			p.sums = make([]uint64, n)
		}
		f.touch(at, row)
		row.parts = slices.Insert(row.parts, i, p)
		f.dirtyBytes += len(row.parts[i].sums)*8 + 72
	}
	if at.period.Kind != eventstore.Day {
		if c.model.Conversations != nil {
			f.touch(at, row)
			row.parts[i].sums[0]++
		}
		return nil
	}
	f.touch(at, row)
	return f.addSums(at, &row.parts[i], target, c)
}

// target is the cell of a contribution in a period: its own, or when there are too many already, that of (other) in every dimension.
func (f *fold) target(period eventstore.Period, c *contribution) (cellKey, *cell, error) {
	key := cellKey{model: c.model.ID, period: period, id: c.id}
	cell, err := f.cell(key, c.model.Width())
	if err != nil || cell.values != nil {
		return key, cell, err
	}
	full, err := f.isFull(key)
	if err != nil || !full {
		return key, cell, err
	}
	c.values = otherValues(c.model)
	c.id = f.name(c.model, c.values)
	key.id = c.id
	cell, err = f.cell(key, c.model.Width())
	return key, cell, err
}

// isFull counts the cells of a model in a period, once, and then by what the batches make.
func (f *fold) isFull(key cellKey) (bool, error) {
	all := cellKey{model: key.model, period: key.period}
	n, known := f.cache.cells[all]
	if !known {
		var err error
		if n, err = count(f.p.db, f.t.key(tableCell, []byte{key.model}, periodBytes(key.period))); err != nil {
			return false, err
		}
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

// addSums adds the measures of a contribution to the tag's part and to the cell.
func (f *fold) addSums(at tagKey, p *part, target *cell, c contribution) error {
	for i, m := range c.model.Counters() {
		n := c.sums[i]
		if m.Kind == readmodel.Conversations {
			var err error
			if n, err = f.newConversation(at, p, p.sums[i], *c.conversation); err != nil {
				return err
			}
		}
		p.sums[i] += n
		target.sums[i] += n
	}
	return nil
}

// newConversation is 1 for a conversation that the tag did not have in the cell yet; it has counted some.
func (f *fold) newConversation(at tagKey, p *part, counted uint64, conversation eventstore.Mark) (uint64, error) {
	if slices.Contains(p.talks, conversation) {
		return 0, nil
	}
	key := f.t.talkKey(at, p.model, p.cell, conversation)
	complete := uint64(len(p.talks)) == counted
	if len(p.talks) >= maxTalks {
		p.talks = slices.Delete(p.talks, 0, 1)
	}
	p.talks = append(p.talks, conversation)
	if !complete {
		if _, found, err := get(f.batch, key); err != nil || found {
			return 0, err
		}
	}
	return 1, dbError(f.batch.Set(key, nil, nil))
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

// count counts the rows under a prefix.
func count(r pebble.Reader, prefix []byte) (n int, err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return 0, dbError(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	return n, dbError(errors.Join(it.Error(), it.Close()))
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
