package projections

import (
	"context"
	"errors"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// LabelTag is the label of tags: the mark of one person id in one period, under the person's own secret.
const LabelTag eventstore.MarkLabel = "projections/tag"

// Bounds of the cache, whose parts are dropped whole when they are full.
const (
	cachePersons       = 50_000
	cacheTags          = 64
	cacheConversations = 64
	cacheCounts        = 1_000
)

// cache remembers what the vault and the database said of persons. It belongs to one runner. A person event takes its persons out, as their secrets
// or flags may have changed; marks are not in it, since the database has them and person events change them there.
type cache struct {
	young, old map[eventstore.PersonID]*person
	// cells counts the cells of a model in a period.
	cells map[cellKey]int
}

// person is what is remembered of one.
type person struct {
	leftOut       bool
	tags          map[eventstore.Period]eventstore.Mark
	conversations map[conversation]eventstore.Mark
}

type conversation struct {
	bot eventstore.BotID
	id  eventstore.ConversationID
}

func newCache() *cache {
	return &cache{young: map[eventstore.PersonID]*person{}, cells: map[cellKey]int{}}
}

func (c *cache) get(id eventstore.PersonID) *person {
	if p := c.young[id]; p != nil {
		return p
	}
	p := c.old[id]
	if p != nil {
		c.put(id, p)
	}
	return p
}

func (c *cache) put(id eventstore.PersonID, p *person) {
	if len(c.young) >= cachePersons {
		c.old, c.young = c.young, map[eventstore.PersonID]*person{}
	}
	c.young[id] = p
}

func (c *cache) forget(ids []eventstore.PersonID) {
	for _, id := range ids {
		delete(c.young, id)
		delete(c.old, id)
	}
}

// set puts a value into a bounded map.
func set[K comparable, V any](m map[K]V, key K, value V, bound int) {
	if len(m) >= bound {
		clear(m)
	}
	m[key] = value
}

// standing is where an event's person stands in its periods.
type standing struct {
	periods [len(kinds)]eventstore.Period
	tags    [len(kinds)]eventstore.Mark
	marks   [len(kinds)]eventstore.Mark
	// isNew says that the tag did not stand anywhere in the period.
	isNew [len(kinds)]bool
}

// person finds what is remembered, or asks the database whether the person is left out.
func (f *fold) person(id eventstore.PersonID) (*person, error) {
	if p := f.cache.get(id); p != nil {
		return p, nil
	}
	flags, err := f.flags(id)
	if err != nil {
		return nil, err
	}
	p := &person{
		leftOut: flags != 0, tags: map[eventstore.Period]eventstore.Mark{}, conversations: map[conversation]eventstore.Mark{},
	}
	f.cache.put(id, p)
	return p, nil
}

// whoIs finds the marks that an event counts under, and fills in the conversation of its contributions. It is nil for an event that does not
// count: its person is left out, was erased, or was re-sealed behind it.
func (f *fold) whoIs(ctx context.Context, r *eventstore.Recorded, sequence uint64, todo []contribution) (*standing, error) {
	p, err := f.person(r.Person)
	if err != nil || p.leftOut {
		return nil, err
	}
	at := readmodel.Time(r)
	var s standing
	complete := true
	for i, kind := range kinds {
		s.periods[i] = eventstore.PeriodOf(kind, at, f.t.zone)
		tag, known := p.tags[s.periods[i]]
		if known {
			s.tags[i] = tag
			if s.marks[i], known, err = f.markOf(s.periods[i], tag); err != nil {
				return nil, err
			}
		}
		complete = complete && known
	}
	spoken := conversation{r.Event.Bot, r.Event.Conversation}
	mark, known := p.conversations[spoken]
	if !complete || !known && countsConversations(todo) {
		ok, err := f.ask(ctx, r, sequence, p, &s, spoken)
		if err != nil || !ok {
			return nil, err
		}
		mark = p.conversations[spoken]
	}
	for i := range todo {
		todo[i].conversation = &mark
	}
	return &s, f.stand(&s)
}

func countsConversations(todo []contribution) bool {
	for _, c := range todo {
		for _, m := range c.model.Measures {
			if m.Kind == readmodel.Conversations {
				return true
			}
		}
	}
	return false
}

// ask asks the vault, with the person's gate held so that tags, marks and the re-seal's sequence belong together. It is false for an event that does
// not count.
func (f *fold) ask(ctx context.Context, r *eventstore.Recorded, sequence uint64, p *person, s *standing, spoken conversation) (bool, error) {
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
	for i, period := range s.periods {
		err := f.askPeriod(ctx, gate, period, i, p, s)
		if errors.Is(err, eventstore.ErrErased) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	mark, err := gate.Mark(eventstore.MarkConversation, []byte(spoken.bot), []byte(spoken.id))
	if errors.Is(err, eventstore.ErrErased) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	set(p.conversations, spoken, mark, cacheConversations)
	return true, nil
}

func (f *fold) askPeriod(ctx context.Context, gate eventstore.Gate, period eventstore.Period, i int, p *person, s *standing) error {
	tag, err := gate.Mark(LabelTag, periodBytes(period))
	if err != nil {
		return err
	}
	mark, found, err := f.markOf(period, tag)
	if err != nil {
		return err
	}
	if !found {
		if mark, err = f.p.c.Keys.PeriodMark(ctx, f.t.id, gate.Person(), period); err != nil {
			return err
		}
	}
	s.tags[i], s.marks[i], s.isNew[i] = tag, mark, !found
	set(p.tags, period, tag, cacheTags)
	return nil
}

// markOf reads under which mark a tag stands.
func (f *fold) markOf(period eventstore.Period, tag eventstore.Mark) (mark eventstore.Mark, found bool, err error) {
	raw, found, err := get(f.batch, f.t.key(tableTag, periodBytes(period), tag[:]))
	if err != nil || !found {
		return mark, false, err
	}
	if len(raw) != markSize {
		return mark, false, damaged("the row of a tag cannot be read")
	}
	return eventstore.Mark(raw), true, nil
}

// stand writes down where new tags stand.
func (f *fold) stand(s *standing) error {
	for i, period := range s.periods {
		if s.isNew[i] {
			if err := f.setMark(period, s.tags[i], s.marks[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fold) setMark(period eventstore.Period, tag, mark eventstore.Mark) error {
	at := periodBytes(period)
	return dbError(errors.Join(
		f.batch.Set(f.t.key(tableTag, at, tag[:]), mark[:], nil),
		f.batch.Set(f.t.key(tableGroup, at, mark[:], tag[:]), nil, nil),
	))
}

func (f *fold) unsetMark(period eventstore.Period, tag, mark eventstore.Mark) error {
	at := periodBytes(period)
	return dbError(errors.Join(
		f.batch.Delete(f.t.key(tableTag, at, tag[:]), nil),
		f.batch.Delete(f.t.key(tableGroup, at, mark[:], tag[:]), nil),
	))
}
