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

// Event is one fact in a conversation, as bots send it and as readers get it back. Its JSON is fixed.
// It is personal data from end to end: it prints as [redacted] under every verb and in slog; only JSON shows it.
type Event struct {
	// Key is the caller's idempotency key ("id" in JSON). Empty: a retry is a second event.
	Key string `json:"id,omitempty"`
	// Time is the event's own time. Zero means the receive time.
	Time         time.Time      `json:"time,omitzero"`
	Identity     *Identity      `json:"identity,omitempty"`
	Also         []Identity     `json:"also,omitempty"`
	Conversation ConversationID `json:"conversation"`
	Type         EventType      `json:"type"`
	Author       Author         `json:"author,omitempty"`
	Operator     string         `json:"operator,omitempty"`
	Bot          BotID          `json:"bot,omitempty"`
	BotVersion   string         `json:"bot_version,omitempty"`
	Channel      string         `json:"channel,omitempty"`
	Language     string         `json:"language,omitempty"`
	Text         string         `json:"text,omitempty"`

	Intent            *Intent            `json:"intent,omitempty"`
	Entities          []Entity           `json:"entities,omitempty"`
	Slot              *Slot              `json:"slot,omitempty"`
	Handoff           *Handoff           `json:"handoff,omitempty"`
	ConversationState *ConversationState `json:"conversation_state,omitempty"`
	Feedback          *Feedback          `json:"feedback,omitempty"`
	Consent           *Consent           `json:"consent,omitempty"`
	Notice            *Notice            `json:"notice,omitempty"`
	Disclosure        *Disclosure        `json:"disclosure,omitempty"`
	Status            string             `json:"status,omitempty"`
	Approver          string             `json:"approver,omitempty"`
	Data              json.RawMessage    `json:"data,omitempty"`

	// ExpectedSequence makes the append conditional on the person's last sequence; 0 means that there is none yet.
	ExpectedSequence *uint64 `json:"expected_sequence,omitempty"`
}

// Identity is a handle by which a bot knows a person. It prints as [redacted]; only JSON shows it.
type Identity struct {
	Namespace string `json:"namespace"`
	ID        string `json:"id"`
}

// Intent is what a classifier understood. Confidence is between 0 and 1.
type Intent struct {
	Name       string  `json:"name"`
	Confidence float64 `json:"confidence,omitempty"`
	Fallback   bool    `json:"fallback,omitempty"`
}

// Entity is a span of the text, counted in Unicode code points, end exclusive.
type Entity struct {
	Type      string `json:"type"`
	Value     string `json:"value,omitempty"`
	Start     int    `json:"start"`
	End       int    `json:"end"`
	Sensitive bool   `json:"sensitive,omitempty"`
}

// Slot is a value that the bot remembers within a conversation. Value is any JSON.
type Slot struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Handoff says that a human takes over.
type Handoff struct {
	To     string `json:"to,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// ConversationState marks the start or the end of a conversation.
type ConversationState struct {
	State   string `json:"state"`
	Outcome string `json:"outcome,omitempty"`
}

// Feedback is a score on a scale from 1 (or 0) to Scale.
type Feedback struct {
	Score float64 `json:"score"`
	Scale float64 `json:"scale"`
}

// Consent is given or withdrawn for one purpose.
type Consent struct {
	Purpose string `json:"purpose"`
	Granted bool   `json:"granted"`
	Method  string `json:"method,omitempty"`
	Source  string `json:"source,omitempty"`
	Notice  string `json:"notice,omitempty"`
}

// Notice says which privacy notice was shown.
type Notice struct {
	Version  string `json:"version"`
	Language string `json:"language,omitempty"`
}

// Disclosure says that data went to a recipient.
type Disclosure struct {
	Recipient  string   `json:"recipient"`
	Categories []string `json:"categories,omitempty"`
}
