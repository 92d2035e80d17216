package projections

import (
	"context"
	"errors"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// LabelTag is the label of tags: the mark of one person id in one period, under the person's own secret.
const LabelTag eventstore.MarkLabel = "projections/tag"

// standing is where an event's person stands in its periods.
type standing struct {
	keys [len(kinds)]tagKey
	rows [len(kinds)]*tagRow
	// isNew says that the tag did not stand anywhere in the period, out that the period counts no more.
	isNew, out [len(kinds)]bool
	// conversation and access are there for an event that is part of a talk.
	conversation eventstore.Mark
	access       *access
	// shut are the contributions, a bit each, to which the period is closed.
	shut [len(kinds)]uint64
	// late says that it came too late for a release.
	late bool
}

// person finds what is remembered, or asks the database whether the person is left out.
func (f *fold) person(id eventstore.PersonID) (*person, error) {
	if p, ok := f.cache.persons.get(id); ok {
		return p, nil
	}
	flags, err := f.flags(id)
	if err != nil {
		return nil, err
	}
	p := &person{
		leftOut: f.t.leftOut(flags), tags: map[eventstore.Period]eventstore.Mark{}, conversations: map[spokenIn]eventstore.Mark{},
		bots: map[eventstore.BotID]*access{},
	}
	f.cache.persons.put(id, p, 1)
	return p, nil
}

// whoIs finds the marks that an event counts under, and fills in the conversation of its contributions. It is nil for an event that does not
// count: its person is left out, was erased, or was re-sealed behind it.
func (f *fold) whoIs(ctx context.Context, r *eventstore.Recorded, sequence uint64, todo []contribution, talks bool) (*standing, error) {
	p, err := f.person(r.Person)
	if err != nil || p.leftOut {
		return nil, err
	}
	at := readmodel.Time(r)
	var s standing
	complete := true
	for i, kind := range kinds {
		period := eventstore.PeriodOf(kind, at, f.t.zone)
		s.keys[i].period = period
		if s.out[i] = !f.t.counts(period) || !f.isOpen(r, sequence, &s, i, todo, talks); s.out[i] {
			continue
		}
		if tag, known := p.tags[period]; known {
			s.keys[i].tag = tag
			if s.rows[i], err = f.row(s.keys[i]); err != nil {
				return nil, err
			}
		}
		complete = complete && s.rows[i] != nil
	}
	if !slices.Contains(s.out[:], false) {
		f.late(r, &s)
		return nil, nil
	}
	spoken := spokenIn{r.Event.Bot, r.Event.Conversation}
	s.conversation = p.conversations[spoken]
	unknown := s.conversation == (eventstore.Mark{}) && (talks || countsConversations(todo))
	if s.access = p.bots[spoken.bot]; !complete || unknown || talks && s.access == nil {
		ok, err := f.ask(ctx, r, sequence, p, &s, spoken)
		if err != nil || !ok {
			return nil, err
		}
	}
	for i := range todo {
		todo[i].conversation = &s.conversation
	}
	f.late(r, &s)
	return &s, f.stand(&s)
}

// late counts an event that came too late for a release. A copy stands for an event that came before.
func (f *fold) late(r *eventstore.Recorded, s *standing) {
	if s.late && !r.Copy {
		f.lateEvents++
	}
}

func countsConversations(todo []contribution) bool {
	for _, c := range todo {
		for _, m := range c.model.Counters() {
			if m.Kind == readmodel.Conversations {
				return true
			}
		}
	}
	return false
}

// ask asks the vault, with the person's gate held so that tags, marks and the re-seal's sequence belong together. It is false for an event that does
// not count.
func (f *fold) ask(ctx context.Context, r *eventstore.Recorded, sequence uint64, p *person, s *standing, spoken spokenIn) (bool, error) {
	gate, err := f.p.c.Keys.Gate(ctx, f.t.id, r.Person)
	if errors.Is(err, eventstore.ErrErased) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer gate.Release()
	if sequence < gate.State().First {
		return false, nil
	}
	for i := range s.keys {
		if s.out[i] {
			continue
		}
		err := f.askPeriod(ctx, gate, i, p, s)
		if errors.Is(err, eventstore.ErrErased) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	s.conversation, err = gate.Mark(eventstore.MarkConversation, []byte(spoken.bot), []byte(spoken.id))
	if err == nil {
		s.access, err = accessTo(gate, spoken.bot)
	}
	if errors.Is(err, eventstore.ErrErased) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	set(p.conversations, spoken, s.conversation, cacheConversations)
	set(p.bots, spoken.bot, s.access, cacheBots)
	return true, nil
}

func (f *fold) askPeriod(ctx context.Context, gate eventstore.Gate, i int, p *person, s *standing) error {
	key := &s.keys[i]
	tag, err := gate.Mark(LabelTag, periodBytes(key.period))
	if err != nil {
		return err
	}
	key.tag = tag
	if s.rows[i], err = f.row(*key); err != nil {
		return err
	}
	if s.rows[i] == nil {
		s.isNew[i], s.rows[i] = true, &tagRow{}
		if s.rows[i].mark, err = f.p.c.Keys.PeriodMark(ctx, f.t.id, gate.Person(), key.period); err != nil {
			return err
		}
	}
	set(p.tags, key.period, tag, cacheTags)
	return nil
}

// stand writes down where new tags stand.
func (f *fold) stand(s *standing) error {
	for i, key := range s.keys {
		if !s.isNew[i] {
			continue
		}
		f.touch(key, s.rows[i])
		var err error
		if s.rows[i].alone, err = f.meet(key.period, s.rows[i].mark); err != nil {
			return err
		}
		if err := f.join(key, s.rows[i].mark); err != nil {
			return err
		}
	}
	return nil
}

// meet says whether nobody stands under a mark; who does is not alone any more.
func (f *fold) meet(period eventstore.Period, mark eventstore.Mark) (nobody bool, err error) {
	there, err := f.groups([]eventstore.PeriodMark{{Period: period, Mark: mark}})
	if err != nil {
		return false, err
	}
	for _, at := range there {
		row, err := f.row(at)
		if err != nil {
			return false, err
		}
		if row != nil {
			row.alone = false
		}
	}
	return len(there) == 0, nil
}

// join and unjoin note which tags stand under a mark.
func (f *fold) join(key tagKey, mark eventstore.Mark) error {
	return dbError(f.batch.Set(f.t.key(tableGroup, periodBytes(key.period), mark[:], key.tag[:]), nil, nil))
}

func (f *fold) unjoin(key tagKey, mark eventstore.Mark) error {
	return dbError(f.batch.Delete(f.t.key(tableGroup, periodBytes(key.period), mark[:], key.tag[:]), nil))
}
