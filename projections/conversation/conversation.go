// Package conversation is what one person and one bot said to each other in a month, as far as statistics need it, cut into stretches. It is pure.
//
// # What is kept
//
// Of an event a [History] keeps its time, who spoke, the channel, the name of the intent, and a short mark of the conversation: no text, no
// handle, no id of a person or of a conversation. Only what is part of the talk is kept: messages but for drafts, intents, handoffs, and the beginning and end of
// a conversation. Slots, feedback, consent and the like neither begin a stretch nor keep it alive.
//
// # Stretches
//
// A stretch is a run of one conversation's events, in the order of their own times, without a silence of more than [Silence] between two of them. It also
// ends with the event that says that the conversation has ended, and before one that says that it has started. So a visitor who comes back the
// next morning under the same conversation id has two stretches, and statistics that speak of a conversation's outcome speak of a stretch.
//
// Time is the events' own, never a clock's: which stretches there are is a function of the set of events, whatever the order in which they arrive. An
// event that comes late can extend a stretch, join two, or make one of its own. While nothing more has come, the newest stretch stands as if it were over.
//
// # Bounds
//
// A history keeps [MaxEvents] events. When more come, the stretches that begin first are settled: they are not looked at again, and an event that
// comes late for one of them makes a stretch of its own. A stretch has at most [MaxStretch] events; another one begins then. A month begins a
// new history, so a talk over midnight of the first counts as two.
package conversation

import (
	"cmp"
	"slices"
	"time"
)

// The rules of stretches.
const (
	Silence    = 30 * time.Minute
	MaxEvents  = 512
	MaxStretch = 256
)

// Flags say what an event was.
type Flags uint16

// What an event can be; several at once.
const (
	// User, Bot and Operator: a message of theirs.
	User Flags = 1 << iota
	Bot
	Operator
	// Handoff: it says that a human takes over.
	Handoff
	Started
	Ended
	// Resolved and Abandoned are outcomes that came with the end.
	Resolved
	Abandoned
	// Fallback: the intent was only the bot's fallback.
	Fallback
)

// Message is any message.
const Message = User | Bot | Operator

// Mark stands for a conversation id. It is short: two conversations that one person had with one bot in one month meet in it with probability 2^-64.
type Mark [8]byte

// Event is what is kept of one event.
type Event struct {
	// At is its own time, in milliseconds since 1970.
	At           int64
	Flags        Flags
	Conversation Mark
	// Channel and Intent are the names as they stand in cells; Intent is empty for an event without one.
	Channel, Intent string
}

// Is says whether the event is any of what the flags say.
func (e *Event) Is(f Flags) bool { return e.Flags&f != 0 }

// History is what is kept, in order of time; what is of one millisecond as it came.
type History struct{ Events []Event }

// Add puts an event in its place.
func (h *History) Add(e Event) {
	i := len(h.Events)
	for i > 0 && h.Events[i-1].At > e.At {
		i--
	}
	h.Events = slices.Insert(h.Events, i, e)
}

// Settle drops the stretches that begin first until there are no more events than may be. What the others say stays as it is.
func (h *History) Settle() {
	if len(h.Events) <= MaxEvents {
		return
	}
	all := h.Stretches()
	n := len(h.Events)
	for n > MaxEvents {
		n -= len(all[0].Events)
		all = all[1:]
	}
	var kept []Event
	for _, s := range all {
		kept = append(kept, s.Events...)
	}
	slices.SortStableFunc(kept, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	h.Events = kept
}

// Stretch is one run of events, in order; it has at least one.
type Stretch struct{ Events []Event }

// Start and End are the times of the first and the last event, in milliseconds.
func (s *Stretch) Start() int64 { return s.Events[0].At }

// End is the time of the last event.
func (s *Stretch) End() int64 { return s.Events[len(s.Events)-1].At }

// Any is all that any of the events is.
func (s *Stretch) Any() (f Flags) {
	for i := range s.Events {
		f |= s.Events[i].Flags
	}
	return f
}

// Channel is the first that an event of the stretch names, or none.
func (s *Stretch) Channel(none string) string {
	for i := range s.Events {
		if c := s.Events[i].Channel; c != none {
			return c
		}
	}
	return none
}

// Stretches cuts the history, in the order in which they begin; what begins in one millisecond in an order of the events' own.
func (h *History) Stretches() (out []Stretch) {
	open := map[Mark]int{}
	for _, e := range h.Events {
		i, found := open[e.Conversation]
		if !found || out[i].cut(&e) {
			i = len(out)
			out = append(out, Stretch{})
			open[e.Conversation] = i
		}
		out[i].Events = append(out[i].Events, e)
	}
	return out
}

// cut says whether an event begins another stretch.
func (s *Stretch) cut(e *Event) bool {
	last := &s.Events[len(s.Events)-1]
	return e.At-last.At > Silence.Milliseconds() || last.Is(Ended) || e.Is(Started) || len(s.Events) >= MaxStretch
}
