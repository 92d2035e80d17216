// Package readmodel is what a read model is: its dimensions, its measures, and the facts that it draws from an event. It does no I/O.
//
// A read model is a package with one [Model] value; adding one is adding that package and a line in the registry of package projections.
// It sees an opened event and answers with facts: the values of its dimensions, and what to add to its measures. When it counts, for whom, and
// whether the result may be shown is not its business.
//
// The values of dimensions are vocabulary that a bot's builders declared (a channel, a language, the name of an intent), never what a person
// wrote: [Value] bounds them.
package readmodel

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/oubli-store/oubli/eventstore"
)

// Values that no event can have.
const (
	// Other stands for values that are not told one by one: too rare, too long, or not of the form of a name.
	Other = "(other)"
	// None stands for a value that the event did not have.
	None = "(none)"
)

// MaxValue bounds a value of a dimension, in bytes; a longer one counts as [Other].
const MaxValue = 64

// Kind says how a measure adds up.
type Kind byte

// The kinds of measures.
const (
	// Sum adds what the facts say.
	Sum Kind = iota
	// Conversations counts the distinct conversations of the facts; what a fact says for it is ignored. It is counted for each person id: one
	// conversation that two of them share counts twice, also when they are one human.
	Conversations
)

// Dimension is one way in which a model's cells differ.
type Dimension struct{ Name, Meaning string }

// Measure is one thing that is counted in a cell.
type Measure struct {
	Name, Meaning string
	Kind          Kind
}

// Model is one read model. Beside its dimensions every cell has a period, and beside its measures the number of distinct persons.
type Model struct {
	// ID is the model's name in stored keys. It is never given to another model.
	ID byte
	// Name is the name of the table.
	Name, Meaning string
	// Version is raised when Facts, Dimensions or Measures change; what is stored is then made anew from the stream.
	Version int
	// Dimensions stand in the order of folding: the last one is folded first.
	Dimensions []Dimension
	Measures   []Measure
	// Facts draws facts from an event. It must be a pure function. It may not keep r.
	Facts func(r *eventstore.Recorded) []Fact
	// UnknownDimension answers a question about a dimension that the model does not have; it names those that exist.
	UnknownDimension *eventstore.Problem
}

// Fact says what to add to which cell. Values and Sums are as long as the model's dimensions and measures.
type Fact struct {
	Values []string
	Sums   []uint64
}

// Dimension finds a dimension by its name; -1 if there is none.
func (m *Model) Dimension(name string) int {
	for i, d := range m.Dimensions {
		if d.Name == name {
			return i
		}
	}
	return -1
}

// Value is what an event's value is called in a cell: itself, [None] when it is empty, [Other] when it is too long, not printable text, or
// has the form of a reserved value.
func Value(s string) string {
	switch {
	case s == "":
		return None
	case len(s) > MaxValue || strings.HasPrefix(s, "(") || !utf8.ValidString(s):
		return Other
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return Other
		}
	}
	return s
}

// Time is when an event counts: at its own time, or when it was received if it has none or is ahead. So it counts in its key month.
func Time(r *eventstore.Recorded) time.Time {
	if r.Event.Time.IsZero() || r.Event.Time.After(r.Received) {
		return r.Received
	}
	return r.Event.Time
}
