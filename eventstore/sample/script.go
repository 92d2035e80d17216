package sample

import (
	_ "embed" // for the scripts
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// The scripts, one text for each language. An empty line ends a script; its lines are
//
//	# NAME WEIGHT OUTCOME CHANNEL …      the head
//	u INTENT CONFIDENCE: text | text     the user says one of these
//	login INTENT CONFIDENCE: text | …    the user says who they are: links the e-mail address
//	b: text | …     o: text | …          the bot, an operator says
//	s NAME VARIABLE                      the bot remembers
//	h QUEUE REASON                       a human takes over
//	f SCORE …                            feedback on a scale of five
//
// A line that begins with a question mark is left out now and then. {variables} stand for values; in what the user says, those
// listed in entityOf are entities.
var (
	//go:embed scripts_fr.txt
	frenchScripts string
	//go:embed scripts_en.txt
	englishScripts string
)

// variable is a place in a text for a value.
type variable int

const (
	literal variable = iota
	first
	last
	order
	item
	city
	date
	clock
	amount
	email
	agent
	variables
)

var variableNames = map[string]variable{
	"first": first, "last": last, "order": order, "item": item, "city": city, "date": date, "time": clock, "amount": amount,
	"email": email, "agent": agent,
}

// entityOf is the entity type of a variable in the user's words; sensitive ones are those that name the person.
var entityOf = [variables]struct {
	name      string
	sensitive bool
}{
	first: {"person_name", true}, last: {"person_name", true}, order: {name: "order"}, item: {name: "product"}, city: {name: "city"},
	amount: {name: "amount"}, email: {"email", true},
}

// part is a piece of a text: a literal with its length in code points, or a variable.
type part struct {
	v     variable
	text  string
	runes int
}

type variant struct {
	parts []part
	emoji bool
}

// step is one line of a script.
type step struct {
	kind       byte // 'u', 'l' (login), 'b', 'o', 's', 'h', 'f'
	optional   bool
	intent     string
	confidence float64
	variants   []variant
	a, b       string // slot name; queue and reason
	v          variable
	scores     []float64
}

type script struct {
	name     string
	weight   int
	outcome  string
	channels []string
	steps    []step
}

// library is a language's scripts with the sum of their weights.
type library struct {
	scripts []script
	weight  int
}

var libraries = sync.OnceValue(func() *[2]library {
	return &[2]library{compile(frenchScripts), compile(englishScripts)}
})

// compile reads the scripts. They are part of the program: a mistake in them panics, and the tests compile them.
func compile(text string) (l library) {
	for _, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		lines := strings.Split(block, "\n")
		head := strings.Fields(lines[0])
		weight, err := strconv.Atoi(head[2])
		if err != nil || head[0] != "#" {
			panic("sample: bad head of a script: " + lines[0])
		}
		s := script{name: head[1], weight: weight, outcome: head[3], channels: head[4:]}
		for _, line := range lines[1:] {
			s.steps = append(s.steps, parseStep(line))
		}
		l.scripts = append(l.scripts, s)
		l.weight += weight
	}
	return l
}

func parseStep(line string) (s step) {
	line, s.optional = strings.CutPrefix(line, "?")
	head, texts, said := strings.Cut(line, ": ")
	words := strings.Fields(head)
	s.kind = words[0][0]
	if said {
		for _, t := range strings.Split(texts, " | ") {
			s.variants = append(s.variants, parseVariant(strings.TrimSpace(t)))
		}
	}
	ok := true
	switch {
	case said && (s.kind == 'u' || s.kind == 'l') && len(words) == 3:
		var err error
		s.intent = words[1]
		s.confidence, err = strconv.ParseFloat(words[2], 64)
		ok = err == nil
	case said && (s.kind == 'b' || s.kind == 'o') && len(words) == 1:
	case s.kind == 's' && len(words) == 3:
		s.a, s.v = words[1], variableNames[words[2]]
		ok = s.v != literal
	case s.kind == 'h' && len(words) == 3:
		s.a, s.b = words[1], words[2]
	case s.kind == 'f':
		for _, w := range words[1:] {
			n, err := strconv.Atoi(w)
			ok = ok && err == nil
			s.scores = append(s.scores, float64(n))
		}
	default:
		ok = false
	}
	if !ok {
		panic("sample: bad line of a script: " + line)
	}
	return s
}

func parseVariant(text string) (v variant) {
	v.emoji = strings.IndexFunc(text, func(r rune) bool { return r > 0xffff }) >= 0
	for text != "" {
		lit, rest, found := strings.Cut(text, "{")
		if lit != "" {
			v.parts = append(v.parts, part{text: lit, runes: utf8.RuneCountInString(lit)})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		known, ok := variableNames[name]
		if !ok || !closed {
			panic(fmt.Sprintf("sample: unknown variable in a script: %s", name))
		}
		v.parts = append(v.parts, part{v: known})
		text = after
	}
	return v
}

// pick draws a script that can be played on the channel.
func (l *library) pick(draw func(int) int, channel string) *script {
	for range 64 {
		n := draw(l.weight)
		for i := range l.scripts {
			s := &l.scripts[i]
			if n -= s.weight; n >= 0 {
				continue
			}
			if slices.Contains(s.channels, channel) {
				return s
			}
			break
		}
	}
	return &l.scripts[0] // order_status can be played everywhere
}
