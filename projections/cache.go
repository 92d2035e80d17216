package projections

import (
	"encoding/binary"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// Bounds of the cache.
const (
	cachePersons       = 50_000
	cacheRows          = 32 << 20
	cacheTags          = 64
	cacheConversations = 64
	cacheCounts        = 1_000
	cacheNames         = 10_000
	cacheTalks         = 16 << 20
	cacheBots          = 16
)

// recent remembers what was used last: two generations, of which the older goes when the younger has the weight of bound.
type recent[K comparable, V any] struct {
	young, old    map[K]held[V]
	weight, bound int
}

type held[V any] struct {
	value  V
	weight int
}

func newRecent[K comparable, V any](bound int) *recent[K, V] {
	return &recent[K, V]{young: map[K]held[V]{}, bound: bound}
}

func (c *recent[K, V]) get(key K) (v V, ok bool) {
	h, ok := c.young[key]
	if ok {
		return h.value, true
	}
	if h, ok = c.old[key]; ok {
		c.put(key, h.value, h.weight)
	}
	return h.value, ok
}

func (c *recent[K, V]) put(key K, v V, weight int) {
	c.weight += weight - c.young[key].weight
	c.young[key] = held[V]{v, weight}
	if c.weight >= c.bound {
		c.old, c.young, c.weight = c.young, map[K]held[V]{}, 0
	}
}

func (c *recent[K, V]) drop(key K) {
	c.weight -= c.young[key].weight
	delete(c.young, key)
	delete(c.old, key)
}

// cache remembers what the vault and the database said. It belongs to one runner. A person event takes its persons out, as their secrets
// or flags may have changed; the rows of tags stay, since person events change them here. What a batch changed and did not commit is not in it.
type cache struct {
	persons *recent[eventstore.PersonID, *person]
	rows    *recent[tagKey, *tagRow]
	// cells counts the cells of a model in a period.
	cells    map[cellKey]int
	names    map[string]cellID
	talks    *recent[tagKey, *talks]
	received map[eventstore.Period]received
}

// person is what is remembered of one.
type person struct {
	leftOut       bool
	tags          map[eventstore.Period]eventstore.Mark
	conversations map[spokenIn]eventstore.Mark
	bots          map[eventstore.BotID]*access
}

// spokenIn names a conversation.
type spokenIn struct {
	bot eventstore.BotID
	id  eventstore.ConversationID
}

func newCache() *cache {
	c := &cache{}
	c.clear()
	return c
}

// clear forgets everything.
func (c *cache) clear() {
	*c = cache{
		persons: newRecent[eventstore.PersonID, *person](cachePersons), rows: newRecent[tagKey, *tagRow](cacheRows),
		cells: map[cellKey]int{}, names: map[string]cellID{}, talks: newRecent[tagKey, *talks](cacheTalks), received: map[eventstore.Period]received{},
	}
}

func (c *cache) forget(ids []eventstore.PersonID) {
	for _, id := range ids {
		c.persons.drop(id)
	}
}

// set puts a value into a bounded map, which is dropped whole when it is full.
func set[K comparable, V any](m map[K]V, key K, value V, bound int) {
	if len(m) >= bound {
		clear(m)
	}
	m[key] = value
}

// name is the name of a fact's cell.
func (f *fold) name(m *readmodel.Model, values []string) cellID {
	if m.Worded() {
		return f.t.keys.cell(m.ID, values) // most wordings are there once
	}
	b := append(f.scratch[:0], m.ID)
	for _, v := range values {
		b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
	}
	f.scratch = b
	id, ok := f.cache.names[string(b)]
	if !ok {
		id = f.t.keys.cell(m.ID, values)
		set(f.cache.names, string(b), id, cacheNames)
	}
	return id
}
