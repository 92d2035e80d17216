package projections

import (
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// revise brings the cells to what the changed histories say now: the facts that a history no longer gives are taken out, new ones added. So a cell counts
// what the events say that are known, whatever the order they came in.
func (f *fold) revise() error {
	for at, all := range f.talks {
		for _, t := range *all {
			if !t.changed {
				continue
			}
			if err := f.reviseOne(at, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fold) reviseOne(at tagKey, t *talk) error {
	now := f.facts(t)
	for i, m := range f.p.models {
		var before []readmodel.DatedFact
		if t.counted != nil {
			before = t.counted[i]
		}
		gone, come := differ(before, now[i])
		for j := range come {
			if err := f.count(at, t, m, &come[j]); err != nil {
				return err
			}
		}
		for j := range gone {
			if err := f.discount(at, t, m, &gone[j]); err != nil {
				return err
			}
		}
	}
	n := len(t.history.Events)
	if t.history.Settle(); len(t.history.Events) < n {
		now = f.facts(t)
		f.tidyTags(t)
	}
	t.counted = now
	return nil
}

// facts are what all models say of a history, by model.
func (f *fold) facts(t *talk) [][]readmodel.DatedFact {
	out := make([][]readmodel.DatedFact, len(f.p.models))
	stretches := t.history.Stretches()
	for i, m := range f.p.models {
		if m.Conversations != nil {
			out[i] = m.Conversations(t.bot, stretches)
		}
	}
	return out
}

// tidyTags drops the tags of periods in which the history has no event any more.
func (f *fold) tidyTags(t *talk) {
	there := map[eventstore.Period]bool{}
	for _, e := range t.history.Events {
		for _, kind := range kinds {
			there[eventstore.PeriodOf(kind, time.UnixMilli(e.At), f.t.zone)] = true
		}
	}
	t.tags = slices.DeleteFunc(t.tags, func(key tagKey) bool { return !there[key.period] })
}

// differ leaves out the facts that two lists have in common at the beginning and at the end.
func differ(before, now []readmodel.DatedFact) (gone, come []readmodel.DatedFact) {
	same := func(a, b *readmodel.DatedFact) bool {
		return a.At == b.At && slices.Equal(a.Sums, b.Sums) && slices.Equal(a.Values, b.Values)
	}
	for len(before) > 0 && len(now) > 0 && same(&before[0], &now[0]) {
		before, now = before[1:], now[1:]
	}
	for len(before) > 0 && len(now) > 0 && same(&before[len(before)-1], &now[len(now)-1]) {
		before, now = before[:len(before)-1], now[:len(now)-1]
	}
	return before, now
}

// places visits the rows of the periods in which a fact counts for a model: those that are open.
func (f *fold) places(at tagKey, t *talk, m *readmodel.Model, fact *readmodel.DatedFact, visit func(tagKey, *tagRow) error) error {
	when := time.UnixMilli(fact.At)
	for _, kind := range kinds {
		period := eventstore.PeriodOf(kind, when, f.t.zone)
		if !f.takes(m, period, when) {
			continue
		}
		key, found := t.tag(at, period)
		if !found {
			return damaged("a history of conversations does not know where its person stands")
		}
		row, err := f.row(key)
		if err != nil {
			return err
		}
		if row == nil {
			return damaged("a history of conversations stands where its person does not")
		}
		if err := visit(key, row); err != nil {
			return err
		}
	}
	return nil
}

func (f *fold) count(at tagKey, t *talk, m *readmodel.Model, fact *readmodel.DatedFact) error {
	c := contribution{model: m, values: fact.Values, id: f.name(m, fact.Values), sums: fact.Sums}
	return f.places(at, t, m, fact, func(key tagKey, row *tagRow) error { return f.add(key, row, c) })
}

func (f *fold) discount(at tagKey, t *talk, m *readmodel.Model, fact *readmodel.DatedFact) error {
	return f.places(at, t, m, fact, func(key tagKey, row *tagRow) error {
		sums := fact.Sums
		if key.period.Kind != eventstore.Day {
			sums = fact.Sums[:1]
		}
		return f.take(key, row, m, f.name(m, fact.Values), sums)
	})
}

// take takes a fact out of the part of a row that it was counted in: that of its cell, or where there were too many cells, that of (other). In that one what
// belongs to which fact may be mixed up; then no more is taken than there is.
func (f *fold) take(at tagKey, row *tagRow, m *readmodel.Model, id cellID, sums []uint64) error {
	i, found := row.find(m.ID, id)
	if !found || !covers(row.parts[i].sums, sums) {
		if i, found = row.find(m.ID, f.name(m, otherValues(m))); !found {
			return damaged("a fact is taken out that was not counted")
		}
	}
	f.touch(at, row)
	sums = shared(row.parts[i].sums, sums)
	p := &row.parts[i]
	key := cellKey{model: m.ID, period: at.period, id: p.cell}
	c, err := f.cell(key, m.Width())
	if err != nil {
		return err
	}
	for j, n := range sums {
		p.sums[j] -= n
	}
	if at.period.Kind == eventstore.Day {
		if err := c.subtract(sums); err != nil {
			return err
		}
	}
	if p.sums[0] > 0 {
		return nil
	}
	row.parts = slices.Delete(row.parts, i, i+1)
	return f.leave(key, c, row.mark, row.alone)
}

// shared is what a part can give of sums: what it has, and if that is its last fact, all of it.
func shared(have, sums []uint64) []uint64 {
	if have[0] <= sums[0] {
		return slices.Clone(have)
	}
	out := make([]uint64, len(sums))
	for i := range sums {
		out[i] = min(have[i], sums[i])
	}
	return out
}

// covers says whether there is enough of everything.
func covers(have, sums []uint64) bool {
	for i, n := range sums {
		if have[i] < n {
			return false
		}
	}
	return true
}

// subtract takes what was added to a cell out of it.
func (c *cell) subtract(sums []uint64) error {
	if !covers(c.sums, sums) {
		return damaged("a cell has less than was added to it")
	}
	for i, n := range sums {
		c.sums[i] -= n
	}
	return nil
}

func otherValues(m *readmodel.Model) []string {
	return slices.Repeat([]string{readmodel.Other}, len(m.Dimensions))
}
