// Package sample generates conversations between customers and the bots of a shop that does not exist: the input of
// `oubli demo`, of tests and of benchmarks.
//
// It is deterministic (the same [Options] give the same events, with the same idempotency keys), streams (memory is two bytes
// a person) and is as long as asked. The conversations are in French (two persons of three) and in English, were written for
// this project, and look like real ones: persons come by web, WhatsApp, Messenger, e-mail and telephone, first as an unknown visitor and
// later by the e-mail address with which they log in; bots misunderstand, remember, hand over to humans, show a privacy notice and ask for
// consent, and are rated. Bots change their version each month.
//
// Nobody in it exists: names are invented, e-mail addresses are at example domains, telephone numbers are in ranges that
// regulators keep for fiction.
//
// Events come conversation by conversation; within one, time only grows. Conversations begin in the order in which they come and may
// overlap in time.
package sample

import (
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/oubli-store/oubli/eventstore"
)

// perConversation is about how many events a conversation has, and perPerson how many conversations a person.
const (
	perConversation = 8
	perPerson       = 4
)

// Options say what to generate. Equal options give equal events.
type Options struct {
	// Seed chooses one of many samples.
	Seed uint64
	// Persons is how many people there are (0: one for each 32 events, or 100).
	Persons int
	// Events is when to stop (0: when each person has had four conversations on average).
	Events int
	// Start is when the first conversation begins (zero: 1 September 2026) and Days how long it goes on (0: 30). No conversation
	// begins behind the last day.
	Start time.Time
	Days  int
}

// Generator generates one sample. It is safe for concurrent use: each call of Events begins anew.
type Generator struct{ o Options }

// New makes a generator.
func New(o Options) *Generator {
	if o.Persons <= 0 {
		o.Persons = max(20, o.Events/(perConversation*perPerson))
		if o.Events == 0 {
			o.Persons = 100
		}
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	}
	o.Start = o.Start.UTC()
	if o.Days <= 0 {
		o.Days = 30
	}
	return &Generator{o}
}

// Options returns the options with what was left open filled in.
func (g *Generator) Options() Options { return g.o }

// Events yields the sample's events.
func (g *Generator) Events() iter.Seq[eventstore.Event] {
	return func(yield func(eventstore.Event) bool) {
		for _, e := range g.all() {
			if !yield(e) {
				return
			}
		}
	}
}

// all yields the events, each with the index of its person.
func (g *Generator) all() iter.Seq2[int, eventstore.Event] {
	return func(yield func(int, eventstore.Event) bool) {
		w := &writer{g: g, met: make([]bool, g.o.Persons), known: make([]bool, g.o.Persons)}
		conversations := g.o.Persons * perPerson
		if g.o.Events > 0 {
			conversations = g.o.Events/perConversation + 1
		}
		for k, n := 0, 0; ; k++ {
			if g.o.Events == 0 && k == conversations {
				return
			}
			w.conversation(k, g.start(k, conversations))
			for _, e := range w.events {
				if !yield(w.person.index, e) {
					return
				}
				if n++; n == g.o.Events {
					return
				}
			}
		}
	}
}

// start is when the k-th of n conversations begins: by day, between seven and twenty-two o'clock. Those beyond n, if the average
// was missed, are in the last day.
func (g *Generator) start(k, n int) time.Time {
	at := min(float64(k)/float64(n), 0.999999) * float64(g.o.Days)
	day := int(at)
	within := time.Duration((at - float64(day)) * float64(15*time.Hour))
	return g.o.Start.AddDate(0, 0, day).Add(7*time.Hour + within).Truncate(time.Millisecond)
}

// Person is someone in the sample.
type Person struct {
	// Name is first and last name, Language "fr" or "en".
	Name     string
	Language string
	// Identities are the handles that the person has used, in the order of their first use.
	Identities []eventstore.Identity
	// Events and Conversations count what the sample has of them.
	Events        int
	Conversations int

	index       int
	language    int
	first, last string
	email       string
	phone       string
	used        map[eventstore.Identity]bool
}

// draw makes a random source for one purpose.
func (g *Generator) draw(purpose, n int) *rand.Rand {
	return rand.New(rand.NewPCG(g.o.Seed, uint64(purpose)<<48^uint64(n)))
}

const (
	forPerson = iota + 1
	forConversation
)

// person makes the i-th person. It uses no state, so that nobody has to be remembered.
func (g *Generator) person(i int) (p Person) {
	r := g.draw(forPerson, i)
	p.index = i
	if r.IntN(3) == 0 {
		p.language = english
	}
	p.Language = languageTags[p.language]
	p.first = pick(r, firstNames[p.language])
	p.last = pick(r, lastNames[p.language])
	p.Name = p.first + " " + p.last
	p.email = ascii(p.first) + "." + ascii(p.last) + strconv.Itoa(i+11) + "@" + pick(r, domains[p.language])
	p.phone = phone(p.language, i)
	return p
}

// phone is a number of its own for each of the first persons, and "" for those behind: the ranges for fiction are small.
func phone(language, i int) string {
	ranges, each, digits := frenchNumbers, 10_000, 4
	if language == english {
		ranges, each, digits = englishNumbers, 1_000, 3
	}
	if i >= len(ranges)*each {
		return ""
	}
	n := (i + 4242) * 7919 % (len(ranges) * each) // 7919 is prime to both sizes, so that no two meet
	tail := strconv.Itoa(n % each)
	return ranges[n/each] + strings.Repeat("0", digits-len(tail)) + tail
}

// ascii makes a name fit for the front of an e-mail address.
func ascii(name string) string {
	return strings.Map(func(r rune) rune {
		if r = unicode.ToLower(r); r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, norm.NFD.String(name))
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// candidates is how many of the first persons Demo chooses among.
const candidates = 200

// Demo finds a person to demonstrate with: of the first two hundred, the one with the most handles, then with the most
// events. It generates the sample once, and needs a generator whose Events come to an end.
func (g *Generator) Demo() Person {
	people := make([]Person, min(candidates, g.o.Persons))
	for i := range people {
		people[i] = g.person(i)
		people[i].used = map[eventstore.Identity]bool{}
	}
	var previous eventstore.ConversationID
	for i, e := range g.all() {
		if i < len(people) {
			p := &people[i]
			p.Events++
			if e.Conversation != previous {
				p.Conversations++
			}
			p.use(*e.Identity)
			for _, id := range e.Also {
				p.use(id)
			}
		}
		previous = e.Conversation
	}
	best := &people[0]
	for i := range people {
		p := &people[i]
		if len(p.Identities) > len(best.Identities) || len(p.Identities) == len(best.Identities) && p.Events > best.Events {
			best = p
		}
	}
	return *best
}

func (p *Person) use(id eventstore.Identity) {
	if !p.used[id] {
		p.used[id] = true
		p.Identities = append(p.Identities, id)
	}
}
