// Package rasa reads what Rasa's event brokers and tracker stores write.
//
// # Input
//
// One JSON array or NDJSON of documents, each of them one of
//
//	{"sender_id": …, "event": "user", …}                        an event broker's message
//	{"sender_id": …, "conversation_id": …, "event": {…}}        a tracker store with one event per document
//	{"sender_id": …, "events": [{…}, …]}                        a tracker dump
//	{"event": "user", …}                                        one session's events; the sender is in the metadata
//
// Numbers and ids may be in MongoDB's extended JSON.
//
// # Mapping
//
//	user                      message by the user, with intent (fallback: nlu_fallback, out_of_scope) and entities
//	bot                       message by the bot; buttons, attachments and custom payloads in data
//	agent                     message by an operator
//	slot                      slot; not Rasa's own session_started_metadata, which repeats the channel's message
//	session_started           conversation started
//	restart                   conversation ended
//	pause                     handoff, reason "paused"
//	bot, live_agent metadata  what kairon writes for human agents: see liveAgent
//	action, action_listen, user_featurization, … and documents without an event: skipped, counted by kind
//
// A person's sentence stands two to four times in one event (text, parse_data.text, the channel's metadata): only text is kept.
// No metadata is kept for the same reason; channel, language and bot are taken from it.
//
// The identity is sender_id, under "email" or "phone" if it looks like one and under "rasa" otherwise; without one, the
// last metadata.from (events before the first are held back until it comes, at most 1,000 documents). The
// conversation is conversation_id or else the sender id. An event without a bot's name has that of the last that said one.
//
// # Idempotency keys
//
// Rasa events have no id. The key is a hash of sender, conversation, event, timestamp (to the microsecond) and content; exact
// repeats are numbered in the order of the input. The same file gives the same keys each time.
package rasa

import (
	"encoding/json"
	"io"
	"iter"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

// Name is the format's name.
const Name = "rasa"

// maxHeld bounds how many documents wait for the first that names the sender.
const maxHeld = 1000

// What is skipped, by kind.
const (
	KindAction        record.Kind = "action"
	KindListen        record.Kind = "action_listen"
	KindFeaturization record.Kind = "user_featurization"
	KindSession       record.Kind = "session_started_metadata"
	KindFlattened     record.Kind = "flattened"
	KindControl       record.Kind = "control" // reminders, forms, flows and other inner workings
)

var errSender = eventstore.Refuse(eventstore.KindInvalid, "identity", "no event names its sender; name the identity to import under")

// Read is the [record.Format] of Rasa.
func Read(r io.Reader, o record.Options, counts *record.Counts) iter.Seq2[record.Item, error] {
	return record.Documents(r, o, counts, func(sink *record.Sink) record.Reader {
		return &importer{sink: sink, options: o}
	})
}

// document is any of the four shapes.
type document struct {
	Sender       json.RawMessage   `json:"sender_id"`
	Conversation json.RawMessage   `json:"conversation_id"`
	Event        json.RawMessage   `json:"event"`
	Events       []json.RawMessage `json:"events"`
	Type         json.RawMessage   `json:"type"`
}

// speaker is who the next events are about.
type speaker struct{ sender, conversation string }

type importer struct {
	sink    *record.Sink
	options record.Options
	repeats record.Repeats
	// last is the sender that metadata last named; held are events that came before any.
	last string
	held []held
	bot  eventstore.BotID
}

type held struct {
	raw json.RawMessage
	at  record.Position
}

// Document implements [record.Reader].
func (im *importer) Document(raw []byte, at record.Position) bool {
	var d document
	if err := record.Decode(raw, &d); err != nil {
		return im.sink.Problem(err, at)
	}
	sender, ok1 := record.Scalar(d.Sender)
	conversation, ok2 := record.Scalar(d.Conversation)
	if !ok1 || !ok2 {
		return im.sink.Problem(record.ErrType, at)
	}
	who := speaker{sender, conversation}
	switch {
	case d.Events != nil:
		for _, e := range d.Events {
			if !im.from(who, e, at) {
				return false
			}
		}
		return true
	case len(d.Event) > 0 && d.Event[0] == '{':
		return im.from(who, d.Event, at)
	case len(d.Event) > 0 && d.Event[0] == '"':
		return im.from(who, raw, at)
	case string(d.Type) == `"flattened"`:
		return im.sink.Skip(KindFlattened)
	default:
		return im.sink.Skip(record.KindNoEvent)
	}
}

// from finds the speaker of an event whose document does not say.
func (im *importer) from(who speaker, raw json.RawMessage, at record.Position) bool {
	var e event
	if err := record.Decode(raw, &e); err != nil {
		return im.sink.Problem(err, at)
	}
	if who.sender == "" {
		if s := e.origin(); s != "" {
			im.last = s
		}
		if im.last == "" && who.conversation == "" && im.options.Identity == nil {
			if len(im.held) < maxHeld {
				im.held = append(im.held, held{append(json.RawMessage(nil), raw...), at})
				return true
			}
			return im.sink.Problem(errSender, at)
		}
		who.sender = im.last
	}
	return im.release() && im.event(who, &e, at)
}

// End implements [record.Reader].
func (im *importer) End() { im.release() }

// release lets go of the events that waited for a sender.
func (im *importer) release() bool {
	waiting := im.held
	im.held = nil
	for _, h := range waiting {
		var e event
		if err := record.Decode(h.raw, &e); err != nil {
			return false
		}
		if im.last == "" {
			if e.Event == "" || e.noise() != "" {
				im.sink.Skip(e.noise())
			} else if !im.sink.Problem(errSender, h.at) {
				return false
			}
			continue
		}
		if !im.event(speaker{sender: im.last}, &e, h.at) {
			return false
		}
	}
	return true
}
