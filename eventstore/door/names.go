package door

import (
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/text/unicode/norm"

	"github.com/oubli-store/oubli/eventstore"
)

const (
	// maxConversations bounds the dictionaries, maxNames the entries of one, nameLife how long after its last use one is kept.
	maxConversations = 16384
	maxNames         = 64
	nameLife         = time.Hour
	// leastName is the shortest value that is masked wherever it occurs: a shorter one is part of too many words.
	leastName = 3
)

// talk names a conversation of a bot.
type talk struct {
	tenant       eventstore.TenantID
	bot          eventstore.BotID
	conversation eventstore.ConversationID
}

// dictionary holds, for each conversation, the values that its bot has marked as sensitive, so that they are masked in what comes later without a mark. It is in memory
// alone, bounded, and forgets a conversation an hour after its last use: whoever uses any of it puts out what is over.
type dictionary struct {
	mu    sync.Mutex
	talks *simplelru.LRU[talk, *names]
}

type names struct {
	all  []name
	used time.Time
}

// name is a value in NFC and lower case, and the label that takes its place.
type name struct{ value, label string }

func newDictionary() *dictionary {
	talks, err := simplelru.NewLRU[talk, *names](maxConversations, nil)
	if err != nil {
		panic(err) // a constant size
	}
	return &dictionary{talks: talks}
}

// learn adds values to a conversation's dictionary and gives all of it.
func (d *dictionary) learn(t talk, more []name, now time.Time) []name {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(now)
	n, found := d.talks.Get(t)
	if !found {
		if len(more) == 0 {
			return nil
		}
		n = &names{}
		d.talks.Add(t, n)
	}
	n.used = now
	for _, m := range more {
		if !n.has(m.value) && len(n.all) < maxNames {
			n.all = append(n.all, m)
		}
	}
	return n.all[:len(n.all):len(n.all)]
}

// forget puts out what was not used for too long.
func (d *dictionary) forget(now time.Time) {
	for {
		t, n, ok := d.talks.GetOldest()
		if !ok || now.Sub(n.used) < nameLife {
			return
		}
		d.talks.Remove(t)
	}
}

func (n *names) has(value string) bool {
	for _, x := range n.all {
		if x.value == value {
			return true
		}
	}
	return false
}

// newName makes an entry of a value; ok is false if it is too short to look for, or is a label already.
func newName(value, label string) (n name, ok bool) {
	v := strings.TrimSpace(norm.NFC.String(value))
	if utf8.RuneCountInString(v) < leastName || len(v) > eventstore.MaxName || isLabel(v) {
		return n, false
	}
	return name{strings.ToLower(v), label}, true
}

// find gives the places of a text where a name stands as a word of its own, whatever its case.
func find(text string, all []name) (out []hidden) {
	if len(all) == 0 || text == "" {
		return nil
	}
	for i := 0; i < len(text); {
		for _, n := range all {
			if end := prefixed(text[i:], n.value); end > 0 && startsWord(text, i) && endsWord(text, i+end) {
				out = append(out, hidden{i, i + end, n.label})
				break
			}
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		i += size
	}
	return out
}

// prefixed says how many bytes of text spell a value, 0 if they do not. Characters that compose are compared as they compose.
func prefixed(text, value string) int {
	at := 0
	for value != "" {
		if at == len(text) {
			return 0
		}
		size := norm.NFC.NextBoundaryInString(text[at:], true)
		if size <= 0 {
			return 0
		}
		piece := strings.ToLower(norm.NFC.String(text[at : at+size]))
		rest, ok := strings.CutPrefix(value, piece)
		if !ok {
			return 0
		}
		value, at = rest, at+size
	}
	return at
}

func startsWord(text string, i int) bool {
	r, _ := utf8.DecodeLastRuneInString(text[:i])
	return i == 0 || !inWord(r)
}

func endsWord(text string, i int) bool {
	r, _ := utf8.DecodeRuneInString(text[i:])
	return i == len(text) || !inWord(r)
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }
