package projections

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
)

// inCell names a mark in a cell.
type inCell struct {
	cell cellKey
	mark eventstore.Mark
}

// enter counts one more tag of a mark in a cell, leave one less; the cell's persons are its distinct marks. alone says that no other tag stands under the mark.
func (f *fold) enter(key cellKey, c *cell, mark eventstore.Mark, alone bool) error {
	at := inCell{key, mark}
	n, err := f.tagsIn(at, alone, 0)
	if err != nil {
		return err
	}
	if n == 0 {
		c.persons++
	}
	f.inCells[at] = n + 1
	return nil
}

func (f *fold) leave(key cellKey, c *cell, mark eventstore.Mark, alone bool) error {
	at := inCell{key, mark}
	n, err := f.tagsIn(at, alone, 1)
	if err != nil {
		return err
	}
	if n == 0 || c.persons == 0 {
		return damaged("a person stands in a cell that does not know them")
	}
	if n == 1 {
		c.persons--
	}
	f.inCells[at] = n - 1
	return nil
}

// tagsIn is how many tags of a mark stand in a cell. For a tag that is alone under its mark it is known without asking the database.
func (f *fold) tagsIn(at inCell, alone bool, known uint64) (uint64, error) {
	if n, ok := f.inCells[at]; ok {
		return n, nil
	}
	if alone {
		return known, nil
	}
	raw, found, err := get(f.p.db, f.t.personKey(at.cell, at.mark[:]))
	if err != nil || !found {
		return 0, err
	}
	n, size := binary.Uvarint(raw)
	if size != len(raw) || n == 0 {
		return 0, damaged("the row of a person in a cell cannot be read")
	}
	return n, nil
}

// writeInCells puts the numbers into a batch; none is no row.
func (f *fold) writeInCells(b *pebble.Batch) error {
	for at, n := range f.inCells {
		key := f.t.personKey(at.cell, at.mark[:])
		if n == 0 {
			if err := b.Delete(key, nil); err != nil {
				return dbError(err)
			}
			continue
		}
		if err := b.Set(key, binary.AppendUvarint(nil, n), nil); err != nil {
			return dbError(err)
		}
	}
	return nil
}
