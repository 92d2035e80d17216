package projections

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// Why a person is left out; both can be.
const (
	flagRestricted = 1 << iota
	flagObjected
)

// change applies what happened to a person. Applied twice it has the effect of once.
func (f *fold) change(ctx context.Context, e *eventstore.PersonEvent) error {
	defer f.cache.forget(e.Persons)
	switch e.Kind {
	case eventstore.PersonLinked:
		for _, m := range e.Marks {
			if m.To == (eventstore.Mark{}) || m.To == m.Mark {
				continue
			}
			if err := f.moveMark(m.Period, m.Mark, m.To); err != nil {
				return err
			}
		}
		return nil
	case eventstore.PersonErased:
		for _, id := range e.Persons {
			if err := f.flag(id, 0, flagRestricted|flagObjected); err != nil {
				return err
			}
		}
		return f.removeMarks(e.Marks)
	case eventstore.PersonResealed:
		return f.removeMarks(e.Marks)
	case eventstore.PersonRestricted:
		return f.leaveOut(ctx, e, flagRestricted)
	case eventstore.PersonObjected:
		return f.leaveOut(ctx, e, flagObjected)
	case eventstore.PersonUnrestricted:
		return f.takeIn(e.Persons, flagRestricted)
	case eventstore.PersonUnobjected:
		return f.takeIn(e.Persons, flagObjected)
	}
	return nil // What else happens to persons concerns no figure.
}

// leaveOut takes the rows of persons out and has their later events not counted.
//
// The rows are found by the tags of the persons, not by the marks that the event carries: when the vault is ahead (a rebuild, a lag), a person of the event
// may already stand under the mark of a set that they joined later, and another, who joined them later, under theirs. Only for a person whose secret is
// gone do the marks decide: their whole set is about to be erased further on.
func (f *fold) leaveOut(ctx context.Context, e *eventstore.PersonEvent, flag byte) error {
	periods, err := f.periods()
	if err != nil {
		return err
	}
	type place struct {
		period eventstore.Period
		tag    eventstore.Mark
	}
	var places []place
	gone := false
	for _, id := range e.Persons {
		tags, err := f.tags(ctx, id, periods)
		switch {
		case errors.Is(err, eventstore.ErrErased), errors.Is(err, eventstore.ErrNotFound), errors.Is(err, eventstore.ErrKeyLost):
			gone = true
		case err != nil:
			return err
		}
		for i, tag := range tags {
			places = append(places, place{periods[i], tag})
		}
	}
	for _, p := range places {
		if err := f.removeTag(p.period, p.tag); err != nil {
			return err
		}
	}
	if gone {
		if err := f.removeMarks(e.Marks); err != nil {
			return err
		}
	}
	for _, id := range e.Persons {
		if err := f.flag(id, flag, 0); err != nil {
			return err
		}
	}
	return nil
}

func (f *fold) takeIn(persons []eventstore.PersonID, flag byte) error {
	for _, id := range persons {
		if err := f.flag(id, 0, flag); err != nil {
			return err
		}
	}
	return nil
}

// tags are a person's tags in periods.
func (f *fold) tags(ctx context.Context, id eventstore.PersonID, periods []eventstore.Period) ([]eventstore.Mark, error) {
	gate, err := f.p.c.Keys.Gate(ctx, f.t.id, id)
	if err != nil {
		return nil, err
	}
	defer gate.Release()
	tags := make([]eventstore.Mark, len(periods))
	for i, p := range periods {
		if tags[i], err = gate.Mark(LabelTag, periodBytes(p)); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

// periods lists the periods in which anybody stands, by one seek each.
func (f *fold) periods() (out []eventstore.Period, err error) {
	from := f.t.key(tableTag)
	it, err := f.batch.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: successor(from)})
	if err != nil {
		return nil, dbError(err)
	}
	for ok := it.First(); ok; {
		period := it.Key()[len(from) : len(from)+periodSize]
		out = append(out, parsePeriod(period))
		ok = it.SeekGE(successor(f.t.key(tableTag, period)))
	}
	return out, dbError(errors.Join(it.Error(), it.Close()))
}

// flags says why a person is left out, if they are.
func (f *fold) flags(id eventstore.PersonID) (byte, error) {
	hash := f.t.keys.leftOut(id)
	raw, found, err := get(f.batch, f.t.key(tableLeftOut, hash[:]))
	if err != nil || !found {
		return 0, err
	}
	if len(raw) != 1 {
		return 0, damaged("the row of a person who is left out cannot be read")
	}
	return raw[0], nil
}

// flag adds flags and takes flags off.
func (f *fold) flag(id eventstore.PersonID, add, off byte) error {
	old, err := f.flags(id)
	if err != nil {
		return err
	}
	flags := (old | add) &^ off
	hash := f.t.keys.leftOut(id)
	at := f.t.key(tableLeftOut, hash[:])
	switch flags {
	case old:
		return nil
	case 0:
		return dbError(f.batch.Delete(at, nil))
	}
	return dbError(f.batch.Set(at, []byte{flags}, nil))
}

func (f *fold) removeMarks(marks []eventstore.PeriodMark) error {
	for _, m := range marks {
		tags, err := f.group(m.Period, m.Mark)
		if err != nil {
			return err
		}
		for _, tag := range tags {
			if err := f.removeTag(m.Period, tag); err != nil {
				return err
			}
		}
	}
	return nil
}

// group lists the tags that stand under a mark.
func (f *fold) group(period eventstore.Period, mark eventstore.Mark) (tags []eventstore.Mark, err error) {
	from := f.t.key(tableGroup, periodBytes(period), mark[:])
	keys, _, err := scan(f.batch, from)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if len(k) != len(from)+markSize {
			return nil, damaged("the row of a mark cannot be read")
		}
		tags = append(tags, eventstore.Mark(k[len(from):]))
	}
	return tags, nil
}

// tagRow is what a tag added to one cell; a conversation that was counted in it has a row of its own.
type tagRow struct {
	at             []byte
	cell           cellKey
	model          *readmodel.Model
	sums           []uint64
	isConversation bool
}

func (f *fold) rows(period eventstore.Period, tag eventstore.Mark) ([]tagRow, error) {
	from := f.t.key(tableRow, periodBytes(period), tag[:])
	keys, values, err := scan(f.batch, from)
	if err != nil {
		return nil, err
	}
	out := make([]tagRow, len(keys))
	for i, k := range keys {
		rest := k[len(from):]
		if len(rest) != 1+len(cellID{}) && len(rest) != 1+len(cellID{})+markSize {
			return nil, damaged("the row of a contribution cannot be read")
		}
		m := f.model(rest[0])
		if m == nil {
			return nil, damaged("a contribution belongs to a read model that does not exist")
		}
		r := tagRow{at: k, cell: cellKey{model: rest[0], period: period, id: cellID(rest[1:17])}, model: m, isConversation: len(rest) > 17}
		if !r.isConversation && period.Kind == eventstore.Day {
			if r.sums, _, err = parseNumbers(values[i], len(m.Measures)); err != nil {
				return nil, err
			}
		}
		out[i] = r
	}
	return out, nil
}

func (f *fold) model(id byte) *readmodel.Model {
	for _, m := range f.p.models {
		if m.ID == id {
			return m
		}
	}
	return nil
}

// removeTag takes out everything that a tag added in a period.
func (f *fold) removeTag(period eventstore.Period, tag eventstore.Mark) error {
	mark, found, err := f.markOf(period, tag)
	if err != nil || !found {
		return err
	}
	rows, err := f.rows(period, tag)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := dbError(f.batch.Delete(r.at, nil)); err != nil {
			return err
		}
		if r.isConversation {
			continue
		}
		c, err := f.cell(r.cell, len(r.model.Measures))
		if err != nil {
			return err
		}
		for i, n := range r.sums {
			if n > c.sums[i] {
				return damaged("a cell has less than was added to it")
			}
			c.sums[i] -= n
		}
		if err := f.leave(r.cell, c, mark); err != nil {
			return err
		}
	}
	return f.unsetMark(period, tag, mark)
}

// moveMark has everybody who stands under one mark stand under another.
func (f *fold) moveMark(period eventstore.Period, from, to eventstore.Mark) error {
	tags, err := f.group(period, from)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		rows, err := f.rows(period, tag)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if r.isConversation {
				continue
			}
			c, err := f.cell(r.cell, len(r.model.Measures))
			if err != nil {
				return err
			}
			if err := errors.Join(f.leave(r.cell, c, from), f.enter(r.cell, c, to)); err != nil {
				return err
			}
		}
		if err := errors.Join(f.unsetMark(period, tag, from), f.setMark(period, tag, to)); err != nil {
			return err
		}
	}
	return nil
}
