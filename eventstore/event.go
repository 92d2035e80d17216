package eventstore

import (
	"encoding/json"
	"time"
)

// Limits of an event as it is sent, in bytes.
const (
	MaxIdempotencyKey = 128
	MaxConversation   = 256
	MaxIdentity       = 512
	MaxText           = 64 << 10
	MaxData           = 64 << 10
	MaxEvent          = 256 << 10
	MaxAlso           = 16
	MaxEntities       = 256
	// MaxName bounds every other short string: bot, channel, intent name, slot name, outcome, …
	MaxName = 256
	// MaxDepth bounds the nesting of an event's JSON.
	MaxDepth = 32
	// MaxAhead is how far an event's own time may lie ahead of the receive time.
	MaxAhead = 5 * time.Minute
)

// EventType says what an event is.
type EventType string

// The types of events.
const (
	TypeMessage      EventType = "message"
	TypeIntent       EventType = "intent"
	TypeSlot         EventType = "slot"
	TypeHandoff      EventType = "handoff"
	TypeFeedback     EventType = "feedback"
	TypeConsent      EventType = "consent"
	TypeNotice       EventType = "notice"
	TypeConversation EventType = "conversation"
	TypeAttachment   EventType = "attachment"
	TypeDisclosure   EventType = "disclosure"
	TypeCustom       EventType = "custom"
)

// Author says who spoke.
type Author string

// The authors of events.
const (
	AuthorUser     Author = "user"
	AuthorBot      Author = "bot"
	AuthorOperator Author = "operator"
)

// Event is one fact in a conversation, as bots send it and as readers get it back. Its JSON is fixed; the tags doc, enum, minimum and so on describe
// it to the outside, and [Event.Check] is what holds it to them.
// It is personal data from end to end: it prints as [redacted] under every verb and in slog; only JSON shows it.
type Event struct {
	// Key is the caller's idempotency key ("id" in JSON). Empty: a retry is a second event.
	Key string `json:"id,omitempty" cbor:"2,keyasint,omitempty" doc:"The caller's idempotency key, at most 128 bytes; without it a retry is a second event"`
	// Time is the event's own time. Zero means the receive time.
	Time         time.Time      `json:"time,omitzero" cbor:"-" doc:"The event's own time, at most 5 minutes ahead; now if left out"`
	Identity     *Identity      `json:"identity,omitempty" cbor:"3,keyasint,omitempty" doc:"The end user's, whoever speaks; left out for an anonymous conversation"`
	Also         []Identity     `json:"also,omitempty" cbor:"4,keyasint,omitempty" maxItems:"16" nullable:"false" doc:"Further handles of the same human"`
	Conversation ConversationID `json:"conversation" cbor:"5,keyasint,omitempty" minLength:"1" doc:"The bot's own conversation id, at most 256 bytes"`
	Type         EventType      `json:"type" cbor:"6,keyasint,omitempty" enum:"message,intent,slot,handoff,feedback,consent,notice,conversation,attachment,disclosure,custom"`
	Author       Author         `json:"author,omitempty" cbor:"7,keyasint,omitempty" enum:"user,bot,operator"`
	Operator     string         `json:"operator,omitempty" cbor:"8,keyasint,omitempty" doc:"The operator's staff id, at most 256 bytes"`
	Bot          BotID          `json:"bot,omitempty" cbor:"9,keyasint,omitempty" doc:"Filled from a bot's access token; at most 256 bytes, no slash"`
	BotVersion   string         `json:"bot_version,omitempty" cbor:"10,keyasint,omitempty" doc:"At most 256 bytes"`
	Channel      string         `json:"channel,omitempty" cbor:"11,keyasint,omitempty" doc:"web, email, voice, whatsapp, messenger, …; at most 256 bytes"`
	Language     string         `json:"language,omitempty" cbor:"12,keyasint,omitempty" doc:"The language of the text, such as fr; at most 256 bytes"`
	Text         string         `json:"text,omitempty" cbor:"13,keyasint,omitempty" doc:"At most 64 KiB; required for a message without data"`

	Intent            *Intent            `json:"intent,omitempty" cbor:"14,keyasint,omitempty"`
	Entities          []Entity           `json:"entities,omitempty" cbor:"15,keyasint,omitempty" maxItems:"256" nullable:"false"`
	Slot              *Slot              `json:"slot,omitempty" cbor:"16,keyasint,omitempty"`
	Handoff           *Handoff           `json:"handoff,omitempty" cbor:"17,keyasint,omitempty"`
	ConversationState *ConversationState `json:"conversation_state,omitempty" cbor:"18,keyasint,omitempty"`
	Feedback          *Feedback          `json:"feedback,omitempty" cbor:"19,keyasint,omitempty"`
	Consent           *Consent           `json:"consent,omitempty" cbor:"20,keyasint,omitempty"`
	Notice            *Notice            `json:"notice,omitempty" cbor:"21,keyasint,omitempty"`
	Disclosure        *Disclosure        `json:"disclosure,omitempty" cbor:"22,keyasint,omitempty"`
	Status            string             `json:"status,omitempty" cbor:"23,keyasint,omitempty" enum:"draft,sent"`
	Approver          string             `json:"approver,omitempty" cbor:"24,keyasint,omitempty" doc:"The staff id of who approved it, at most 256 bytes"`
	Data              json.RawMessage    `json:"data,omitempty" cbor:"25,keyasint,omitempty" doc:"Any JSON, at most 64 KiB"`

	// Attachment is set by [Store.Attach] alone.
	Attachment *File `json:"attachment,omitempty" cbor:"26,keyasint,omitempty" readOnly:"true" doc:"The file of an event that came with one (POST /v1/attachments)"`

	// ExpectedSequence makes the append conditional on the person's last sequence; 0 means that there is none yet.
	ExpectedSequence *uint64 `json:"expected_sequence,omitempty" cbor:"-" doc:"The append is refused (409) unless this is the person's last sequence; 0 for none"`

	// unknown holds what a newer version wrote into the body, as a CBOR map, so that it survives being sealed anew.
	unknown []byte
}

// Identity is a handle by which a bot knows a person. It prints as [redacted]; only JSON shows it.
type Identity struct {
	Namespace string `json:"namespace" cbor:"1,keyasint" doc:"A lower-case letter, then at most 31 letters, digits, hyphens or underscores; conversation is reserved"`
	ID        string `json:"id" cbor:"2,keyasint" doc:"At most 512 bytes; an e-mail address for email, a number such as +33612345678 for phone"`
}

// Intent is what a classifier understood. Confidence is between 0 and 1.
type Intent struct {
	Name       string  `json:"name" cbor:"1,keyasint" minLength:"1"`
	Confidence float64 `json:"confidence,omitempty" cbor:"2,keyasint,omitempty" minimum:"0" maximum:"1"`
	Fallback   bool    `json:"fallback,omitempty" cbor:"3,keyasint,omitempty"`
}

// Entity is a span of the text, counted in Unicode code points, end exclusive.
type Entity struct {
	Type      string `json:"type" cbor:"1,keyasint"`
	Value     string `json:"value,omitempty" cbor:"2,keyasint,omitempty"`
	Start     int    `json:"start" cbor:"3,keyasint" minimum:"0" doc:"In Unicode code points"`
	End       int    `json:"end" cbor:"4,keyasint" minimum:"0" doc:"Exclusive; not before start"`
	Sensitive bool   `json:"sensitive,omitempty" cbor:"5,keyasint,omitempty"`
}

// Slot is a value that the bot remembers within a conversation. Value is any JSON.
type Slot struct {
	Name  string          `json:"name" cbor:"1,keyasint"`
	Value json.RawMessage `json:"value,omitempty" cbor:"2,keyasint,omitempty" doc:"Any JSON, at most 64 KiB"`
}

// Handoff says that a human takes over.
type Handoff struct {
	To     string `json:"to,omitempty" cbor:"1,keyasint,omitempty"`
	Reason string `json:"reason,omitempty" cbor:"2,keyasint,omitempty"`
}

// ConversationState marks the start or the end of a conversation.
type ConversationState struct {
	State   string `json:"state" cbor:"1,keyasint" enum:"started,ended"`
	Outcome string `json:"outcome,omitempty" cbor:"2,keyasint,omitempty" enum:"resolved,abandoned,handed-off"`
}

// Feedback is a score on a scale from 1 (or 0) to Scale.
type Feedback struct {
	Score float64 `json:"score" cbor:"1,keyasint" minimum:"0" doc:"From 0 to the scale"`
	Scale float64 `json:"scale" cbor:"2,keyasint" minimum:"1" maximum:"1000"`
}

// Consent is given or withdrawn for one purpose.
type Consent struct {
	Purpose string `json:"purpose" cbor:"1,keyasint"`
	Granted bool   `json:"granted" cbor:"2,keyasint"`
	Method  string `json:"method,omitempty" cbor:"3,keyasint,omitempty" enum:"message,button,banner,voice"`
	Source  string `json:"source,omitempty" cbor:"4,keyasint,omitempty"`
	Notice  string `json:"notice,omitempty" cbor:"5,keyasint,omitempty"`
}

// Notice says which privacy notice was shown.
type Notice struct {
	Version  string `json:"version" cbor:"1,keyasint"`
	Language string `json:"language,omitempty" cbor:"2,keyasint,omitempty"`
}

// Disclosure says that data went to a recipient.
type Disclosure struct {
	Recipient  string   `json:"recipient" cbor:"1,keyasint"`
	Categories []string `json:"categories,omitempty" cbor:"2,keyasint,omitempty" maxItems:"256" nullable:"false"`
}
