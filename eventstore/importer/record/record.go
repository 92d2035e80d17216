// Package record is what the importers of all formats share: the item that an importer yields, the counts that it
// keeps, a splitter of JSON input with bounded memory, and the fitting of foreign values into an event's limits.
//
// # Input
//
// [Split] accepts one JSON array, or a sequence of JSON values (NDJSON, or one pretty-printed document), with or
// without a byte order mark. It holds one document at a time, at most [MaxDocument] bytes of it, nested at most
// [MaxNesting] deep. A document that is broken in itself is reported with its line and skipped; input that ends
// within a document, or an array that loses its commas, ends the import.
//
// # Errors
//
// Every error but one of the reader itself is an [*eventstore.Problem] that names a line and never a value. An
// importer's sequence goes on behind a document's problem for as long as the consumer does; an error of the whole
// input comes last.
//
// # Fitting
//
// [Sink.Event] yields only events within the limits of the event contract. Nothing is lost in silence: a message
// text over 64 KiB is split at code points into several events (the first keeps the idempotency key and the
// annotations that lie within it, the further ones get ".2", ".3" … behind the key); names that are too long are
// cut; data too large or nested too deeply is replaced by its size. Each of these is counted under [Counts.Cut].
package record

import (
	"io"
	"iter"
	"maps"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Format reads one foreign format as a pure function from bytes to events. Memory is bounded whatever the length
// of r. counts may be nil; otherwise it is kept up to date while the sequence is consumed. A sequence can be
// consumed once.
type Format func(r io.Reader, o Options, counts *Counts) iter.Seq2[Item, error]

// Options say what the input does not.
type Options struct {
	// Identity is whose conversations these are. It wins over what the input says.
	Identity *eventstore.Identity
	// Conversation names the conversation of input that does not.
	Conversation eventstore.ConversationID
	// Bot wins over what the input says.
	Bot eventstore.BotID
	// Channel and Language are for events that do not say.
	Channel  string
	Language string
	// Own are the addresses and numbers that the bot speaks under, Staff those of people who answer in its place.
	// They tell who wrote, where the input only says from and to.
	Own, Staff []string
	// StatusHeader and ApproverHeader name the headers of a mail that say "draft" or "sent", and who approved it.
	StatusHeader, ApproverHeader string
	// Region is the country (FR) whose numbers are written without a country code; Zone that of times without one, nil: UTC.
	Region string
	Zone   *time.Location
}

// Position says where in the input something stands.
type Position struct {
	// Line is where the document begins, from 1.
	Line int
	// Document counts the input's documents (array elements or NDJSON lines), from 1.
	Document int
}

// Item is one event and where it came from. An item that comes with an error has a position only.
type Item struct {
	Event eventstore.Event
	At    Position
}

// Kind is the constant name of a class of input that is skipped or cut. It is never taken from the input.
type Kind string

// Kinds that several formats share.
const (
	KindEmpty   Kind = "empty"   // nothing in it to keep
	KindOther   Kind = "other"   // a kind of document that the format's table does not know
	KindNoEvent Kind = "noevent" // a document without an event

	KindText     Kind = "text"     // a text that was split
	KindName     Kind = "name"     // a name that was cut
	KindData     Kind = "data"     // data that was replaced by its size
	KindSlot     Kind = "slot"     // a slot's value that was dropped
	KindEntities Kind = "entities" // entities that do not fit the text or the limits
	KindHandle   Kind = "handle"   // a conversation or person id that was replaced by its hash
)

// Counts says what became of the input.
type Counts struct {
	// Documents were found, Events yielded, Problems reported.
	Documents int `json:"documents"`
	Events    int `json:"events"`
	Problems  int `json:"problems"`
	// Skipped counts what is not an event here, Cut what did not fit.
	Skipped map[Kind]int `json:"skipped,omitempty"`
	Cut     map[Kind]int `json:"cut,omitempty"`
}

// Add adds the counts of another input.
func (c *Counts) Add(d Counts) {
	c.Documents += d.Documents
	c.Events += d.Events
	c.Problems += d.Problems
	addAll(&c.Skipped, d.Skipped)
	addAll(&c.Cut, d.Cut)
}

func addAll(to *map[Kind]int, from map[Kind]int) {
	if *to == nil {
		*to = maps.Clone(from)
		return
	}
	for k, n := range from {
		(*to)[k] += n
	}
}

func count(to *map[Kind]int, k Kind) {
	if *to == nil {
		*to = map[Kind]int{}
	}
	(*to)[k]++
}
