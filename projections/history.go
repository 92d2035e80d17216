package projections

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/conversation"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// LabelHistory is the label of what the histories of a person's conversations are named and sealed by, under the person's own secret.
const LabelHistory eventstore.MarkLabel = "projections/history"

// access is what leads to the histories of one person with one bot: the name of their rows, and the key that seals them.
type access struct {
	row eventstore.Mark
	key [32]byte
	bot string
}

func accessTo(gate eventstore.Gate, bot eventstore.BotID) (*access, error) {
	a := &access{bot: readmodel.Value(string(bot))}
	var marks [3]eventstore.Mark
	for i := range marks {
		var err error
		if marks[i], err = gate.Mark(LabelHistory, []byte{byte(i)}, []byte(bot)); err != nil {
			return nil, err
		}
	}
	a.row = marks[0]
	copy(a.key[:], marks[1][:])
	copy(a.key[len(marks[1]):], marks[2][:])
	return a, nil
}

func (a *access) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(a.key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// talks are the histories of one tag in one month, by the names of their rows.
type talks map[eventstore.Mark]*talk

// talk is the history of one person with one bot in one month, and the facts of it that are counted.
type talk struct {
	*access
	history conversation.History
	// tags are those of the days and weeks of its events.
	tags []tagKey
	// counted are the facts that stand in cells, by model.
	counted [][]readmodel.DatedFact
	changed bool
}

// say adds an event to the history of its person with its bot. What follows for the cells is settled once a batch.
func (f *fold) say(who *standing, said conversation.Event) error {
	at := who.keys[monthly]
	t, err := f.talk(at, who.access)
	if err != nil {
		return err
	}
	copy(said.Conversation[:], who.conversation[:])
	t.history.Add(said)
	for i, key := range who.keys[:monthly] {
		if !who.out[i] && !slices.Contains(t.tags, key) {
			t.tags = append(t.tags, key)
		}
	}
	if !t.changed {
		t.changed = true
		f.dirtyBytes += t.size()
	}
	return nil
}

// talk finds a history, as the batch has it, and takes it into the batch.
func (f *fold) talk(at tagKey, a *access) (*talk, error) {
	all := f.talks[at]
	if all == nil {
		var cached bool
		if all, cached = f.cache.talks.get(at); !cached {
			all = &talks{}
		}
		f.talks[at] = all
	}
	if t := (*all)[a.row]; t != nil {
		return t, nil
	}
	t := &talk{access: a}
	key := f.historyKey(at, a.row)
	sealed, found, err := get(f.batch, key)
	if err == nil && found {
		err = t.open(sealed, key)
		t.counted = f.facts(t)
	}
	if err != nil {
		return nil, err
	}
	(*all)[a.row] = t
	return t, nil
}

func (f *fold) historyKey(at tagKey, row eventstore.Mark) []byte {
	return f.t.key(tableHistory, periodBytes(at.period), at.tag[:], row[:])
}

// seal writes a row: the tags, and the history.
func (t *talk) seal(key []byte) ([]byte, error) {
	aead, err := t.aead()
	if err != nil {
		return nil, err
	}
	b := binary.AppendUvarint(nil, uint64(len(t.tags)))
	for _, tag := range t.tags {
		b = append(append(b, periodBytes(tag.period)...), tag.tag[:]...)
	}
	return aead.Seal(nil, nil, t.history.Append(b), key), nil
}

func (t *talk) open(sealed, key []byte) error {
	aead, err := t.aead()
	if err != nil {
		return err
	}
	b, err := aead.Open(nil, nil, sealed, key)
	if err != nil {
		return damaged("a history of conversations does not open")
	}
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)/(periodSize+markSize)) {
		return damaged("a history of conversations cannot be read")
	}
	b = b[size:]
	for range n {
		t.tags = append(t.tags, tagKey{parsePeriod(b), eventstore.Mark(b[periodSize:])})
		b = b[periodSize+markSize:]
	}
	h, err := conversation.Parse(b)
	if err != nil {
		return damaged("a history of conversations cannot be read")
	}
	t.history = *h
	return nil
}

// size is about what the history takes in memory.
func (t *talk) size() int {
	n := 256 + 64*len(t.history.Events) + 24*len(t.tags)
	for _, facts := range t.counted {
		n += 128 * len(facts)
	}
	return n
}

// tag is the tag under which an event of the history stands in a period.
func (t *talk) tag(at tagKey, period eventstore.Period) (tagKey, bool) {
	if at.period == period {
		return at, true
	}
	for _, key := range t.tags {
		if key.period == period {
			return key, true
		}
	}
	return tagKey{}, false
}

// forgetTalks drops the histories of a tag that stands in its month no more.
func (f *fold) forgetTalks(at tagKey) {
	delete(f.talks, at)
	f.cache.talks.drop(at)
}

// writeTalks puts the changed histories into a batch.
func (f *fold) writeTalks(b *pebble.Batch) error {
	for at, all := range f.talks {
		for row, t := range *all {
			if !t.changed {
				continue
			}
			key := f.historyKey(at, row)
			sealed, err := t.seal(key)
			if err != nil {
				return err
			}
			if err := b.Set(key, sealed, nil); err != nil {
				return dbError(err)
			}
		}
	}
	return nil
}

// settleTalks has the cache know what was committed.
func (f *fold) settleTalks() {
	for at, all := range f.talks {
		size := 0
		for _, t := range *all {
			t.changed = false
			size += t.size()
		}
		f.cache.talks.put(at, all, size)
	}
	clear(f.talks)
}
