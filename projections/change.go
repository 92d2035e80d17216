package projections

import (
	"bytes"
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// Why a person is left out, or not; several can be.
const (
	flagRestricted = 1 << iota
	flagObjected
	// flagRefused and flagGranted are the last answer about statistics; at most one of them.
	flagRefused
	flagGranted

	allFlags = flagRestricted | flagObjected | flagRefused | flagGranted
)

// leftOut says whether a person with these flags is left out: who is restricted or objected, and who said no; where the tenant asks for consent also who
// did not say yes.
func (t *tenant) leftOut(flags byte) bool {
	return flags&(flagRestricted|flagObjected|flagRefused) != 0 || t.header.Consent && flags&flagGranted == 0
}

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
			if err := f.flag(id, 0, allFlags); err != nil {
				return err
			}
		}
		return f.removeMarks(e.Marks)
	case eventstore.PersonResealed:
		return f.removeMarks(e.Marks)
	case eventstore.PersonRestricted:
		return f.leaveOut(ctx, e, flagRestricted, 0)
	case eventstore.PersonObjected:
		return f.leaveOut(ctx, e, flagObjected, 0)
	case eventstore.PersonAnalyticsRefused:
		return f.leaveOut(ctx, e, flagRefused, flagGranted)
	case eventstore.PersonUnrestricted:
		return f.takeIn(e.Persons, 0, flagRestricted)
	case eventstore.PersonUnobjected:
		return f.takeIn(e.Persons, 0, flagObjected)
	case eventstore.PersonAnalyticsGranted:
		return f.takeIn(e.Persons, flagGranted, flagRefused)
	case eventstore.PersonExpired:
		return f.expire(e.Before)
	}
	return nil // What else happens to persons concerns no figure.
}

// leaveOut takes the rows of persons out and has their later events not counted.
//
// The rows are found by the tags of the persons, not by the marks that the event carries: when the vault is ahead (a rebuild, a lag), a person of the event
// may already stand under the mark of a set that they joined later, and another, who joined them later, under theirs. Only for a person whose secret is
// gone do the marks decide: their whole set is about to be erased further on.
func (f *fold) leaveOut(ctx context.Context, e *eventstore.PersonEvent, flag, off byte) error {
	periods, err := f.periods()
	if err != nil {
		return err
	}
	var places []tagKey
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
			places = append(places, tagKey{periods[i], tag})
		}
	}
	if err := f.removeTags(places); err != nil {
		return err
	}
	if gone {
		if err := f.removeMarks(e.Marks); err != nil {
			return err
		}
	}
	for _, id := range e.Persons {
		if err := f.flag(id, flag, off); err != nil {
			return err
		}
	}
	return nil
}

func (f *fold) takeIn(persons []eventstore.PersonID, flag, off byte) error {
	for _, id := range persons {
		if err := f.flag(id, flag, off); err != nil {
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
	from := f.t.key(tableGroup)
	it, err := f.batch.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: successor(from)})
	if err != nil {
		return nil, dbError(err)
	}
	for ok := it.First(); ok; {
		period := it.Key()[len(from) : len(from)+periodSize]
		out = append(out, parsePeriod(period))
		ok = it.SeekGE(successor(f.t.key(tableGroup, period)))
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
	tags, err := f.groups(marks)
	if err != nil {
		return err
	}
	return f.removeTags(tags)
}

// groups lists the tags that stand under marks.
func (f *fold) groups(marks []eventstore.PeriodMark) (tags []tagKey, err error) {
	if len(marks) == 0 {
		return nil, nil
	}
	all := f.t.key(tableGroup)
	it, err := f.batch.NewIter(&pebble.IterOptions{LowerBound: all, UpperBound: successor(all)})
	if err != nil {
		return nil, dbError(err)
	}
	for _, m := range marks {
		from := f.t.key(tableGroup, periodBytes(m.Period), m.Mark[:])
		for ok := it.SeekGE(from); ok && bytes.HasPrefix(it.Key(), from); ok = it.Next() {
			tag := it.Key()[len(from):]
			if len(tag) != markSize {
				return nil, errors.Join(damaged("the row of a mark cannot be read"), it.Close())
			}
			tags = append(tags, tagKey{m.Period, eventstore.Mark(tag)})
		}
		if err := it.Error(); err != nil { // the next seek would forget it
			return nil, dbError(errors.Join(err, it.Close()))
		}
	}
	return tags, dbError(it.Close())
}

func (f *fold) model(id byte) *readmodel.Model {
	for _, m := range f.p.models {
		if m.ID == id {
			return m
		}
	}
	return nil
}

// removeTags takes out everything that tags added.
func (f *fold) removeTags(tags []tagKey) error {
	var days, months []tagKey
	for _, at := range tags {
		row, err := f.row(at)
		if err != nil {
			return err
		}
		if row == nil {
			continue
		}
		if err := f.removeRow(at, row); err != nil {
			return err
		}
		switch at.period.Kind {
		case eventstore.Day:
			days = append(days, at)
		case eventstore.Month:
			months = append(months, at)
			f.forgetTalks(at)
		}
	}
	return errors.Join(f.removeUnder(tableTalk, days), f.removeUnder(tableHistory, months))
}

func (f *fold) removeRow(at tagKey, row *tagRow) error {
	f.touch(at, row)
	for _, p := range row.parts {
		key := cellKey{model: p.model, period: at.period, id: p.cell}
		m := f.model(p.model)
		c, err := f.cell(key, m.Width())
		if err != nil {
			return err
		}
		if at.period.Kind == eventstore.Day {
			if err := c.subtract(p.sums); err != nil {
				return err
			}
		}
		if err := f.leave(key, c, row.mark, row.alone); err != nil {
			return err
		}
	}
	row.parts, row.gone = nil, true
	return f.unjoin(at, row.mark)
}

// removeUnder removes the rows of a table that stand under tags, by one walk.
func (f *fold) removeUnder(table byte, tags []tagKey) error {
	if len(tags) == 0 {
		return nil
	}
	all := f.t.key(table)
	it, err := f.batch.NewIter(&pebble.IterOptions{LowerBound: all, UpperBound: successor(all)})
	if err != nil {
		return dbError(err)
	}
	var keys [][]byte
	for _, at := range tags {
		from := f.t.key(table, periodBytes(at.period), at.tag[:])
		for ok := it.SeekGE(from); ok && bytes.HasPrefix(it.Key(), from); ok = it.Next() {
			keys = append(keys, bytes.Clone(it.Key()))
		}
		if err := it.Error(); err != nil { // the next seek would forget it
			return dbError(errors.Join(err, it.Close()))
		}
	}
	if err := it.Close(); err != nil {
		return dbError(err)
	}
	for _, k := range keys {
		if err := f.batch.Delete(k, nil); err != nil {
			return dbError(err)
		}
	}
	return nil
}

// moveMark has everybody who stands under one mark stand under another.
func (f *fold) moveMark(period eventstore.Period, from, to eventstore.Mark) error {
	tags, err := f.groups([]eventstore.PeriodMark{{Period: period, Mark: from}})
	if err != nil {
		return err
	}
	if len(tags) > 0 {
		if _, err := f.meet(period, to); err != nil {
			return err
		}
	}
	for _, at := range tags {
		row, err := f.row(at)
		if err != nil {
			return err
		}
		if row == nil || row.mark != from {
			return damaged("a tag does not stand where its mark says")
		}
		f.touch(at, row)
		for _, p := range row.parts {
			key := cellKey{model: p.model, period: period, id: p.cell}
			c, err := f.cell(key, f.model(p.model).Width())
			if err != nil {
				return err
			}
			if err := errors.Join(f.leave(key, c, from, false), f.enter(key, c, to, false)); err != nil {
				return err
			}
		}
		row.mark, row.alone = to, false
		if err := errors.Join(f.unjoin(at, from), f.join(at, to)); err != nil {
			return err
		}
	}
	return nil
}
