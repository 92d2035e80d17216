// Package readmodel is what a read model is: its dimensions, its measures, and the facts that it draws from events. It does no I/O.
//
// A read model is a package with one [Model] value; adding one is adding that package and a line in the registry of package projections.
// It sees an opened event ([Model.Facts]), or all that a person and a bot said to each other ([Model.Conversations]), and answers with facts: the values of its
// dimensions, and what to add to its counters. When it counts, for whom, and whether the result may be shown is not its business.
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
	"github.com/oubli-store/oubli/projections/conversation"
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

// Dimension is one way in which a model's cells differ.
type Dimension struct {
	Name    string
	Meaning Text
	// Wording says that the values are what persons wrote, normalised ([Normalise]). Then they are not vocabulary: they stand in the database as keyed
	// hashes only, and are read back from the stream when a period is closed, for the cells that may be published. Until then nothing of the model is shown.
	Wording bool
}

// Model is one read model. Beside its dimensions every cell has a period, and beside its measures the number of distinct persons. Make one with [New].
type Model struct {
	// ID is the model's name in stored keys. It is never given to another model.
	ID byte
	// Name is the name of the table.
	Name    string
	Meaning Text
	// Version is raised when Facts, Dimensions or Measures change; what is stored is then made anew from the stream.
	Version int
	// Dimensions stand in the order of folding: the last one is folded into [Other] first.
	Dimensions []Dimension
	// Measures stand in the order of the table's columns, behind the distinct persons.
	Measures []Measure
	// Facts draws facts from an event. It must be a pure function. It may not keep r. Nil: the model has none of this kind.
	Facts func(r *eventstore.Recorded) []Fact
	// Conversations draws facts from all that one person and one bot said to each other in a month, as far as it is known. It is asked again when more is
	// known, and what it said before is taken back; so it must be a pure function, and what it says of a stretch may depend on that stretch and on those that begin
	// later, not on earlier ones. The first counter of the model counts these facts: each of them adds 1 to it. Nil: the model has none of this kind.
	Conversations func(bot string, stretches []conversation.Stretch) []DatedFact
	// UnknownDimension answers a question about a dimension that the model does not have; it names those that exist.
	UnknownDimension *eventstore.Problem

	counters []Counter
}

// Fact says what to add to which cell: Values as many as the model's dimensions, Sums as many as its counters.
type Fact struct {
	Values []string
	Sums   []uint64
}

// DatedFact is a fact that counts at a time of its own, in milliseconds since 1970: that of an event of a stretch.
type DatedFact struct {
	At int64
	Fact
}

// New checks a model's declaration and makes it ready. It panics over a declaration that cannot work, which is a mistake of its author.
func New(m Model) *Model {
	seen := map[string]bool{"period": true, DistinctPersons.Name: true, "status": true}
	name := func(n string, meaning Text) {
		if n == "" || seen[n] || meaning.EN == "" || meaning.FR == "" {
			panic("readmodel: " + m.Name + ": the column " + n + " has no name, no meaning in both languages, or is there twice")
		}
		seen[n] = true
	}
	name("table "+m.Name, m.Meaning)
	for _, d := range m.Dimensions {
		name(d.Name, d.Meaning)
	}
	for i := range m.Measures {
		if m.Measures[i].Kind == Persons {
			panic("readmodel: " + m.Name + ": persons are counted without being declared")
		}
		for _, c := range m.Measures[i].counters(i) {
			name(c.Name, c.Meaning)
			m.counters = append(m.counters, c)
		}
	}
	return &m
}

// Counters lists what a cell counts, in the order of its sums. The slice is the model's own.
func (m *Model) Counters() []Counter { return m.counters }

// Width is how many sums a cell has.
func (m *Model) Width() int { return len(m.counters) }

// Offset is the place of a measure's first counter among the sums.
func (m *Model) Offset(measure string) int {
	for i, c := range m.counters {
		if m.Measures[c.Measure].Name == measure {
			return i
		}
	}
	panic("readmodel: " + m.Name + " has no measure " + measure)
}

// Worded says whether the values of a dimension are wordings.
func (m *Model) Worded() bool {
	return len(m.Dimensions) > 0 && m.Dimensions[len(m.Dimensions)-1].Wording
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

// Talk is what a history of conversations keeps of an event, but for the mark of its conversation; false for an event that is no part of the talk.
func Talk(r *eventstore.Recorded) (conversation.Event, bool) {
	e := &r.Event
	if e.Status == "draft" {
		return conversation.Event{}, false
	}
	var flags conversation.Flags
	switch e.Type {
	case eventstore.TypeMessage:
		flags = spoke(e.Author)
	case eventstore.TypeHandoff:
		flags = conversation.Handoff
	case eventstore.TypeConversation:
		if e.ConversationState != nil {
			flags = state(e.ConversationState)
		}
	}
	intent := ""
	if e.Intent != nil {
		intent = Value(e.Intent.Name)
		if e.Intent.Fallback {
			flags |= conversation.Fallback
		}
	}
	return conversation.Event{At: Time(r).UnixMilli(), Flags: flags, Channel: Value(e.Channel), Intent: intent}, flags != 0 || intent != ""
}

// spoke says whose a message is; one without an author is the user's.
func spoke(a eventstore.Author) conversation.Flags {
	switch a {
	case eventstore.AuthorBot:
		return conversation.Bot
	case eventstore.AuthorOperator:
		return conversation.Operator
	}
	return conversation.User
}

func state(s *eventstore.ConversationState) (f conversation.Flags) {
	switch s.State {
	case "started":
		return conversation.Started
	case "ended":
		f = conversation.Ended
	}
	switch s.Outcome {
	case "resolved":
		f |= conversation.Resolved
	case "abandoned":
		f |= conversation.Abandoned
	case "handed-off":
		f |= conversation.Handoff
	}
	return f
}
