package eventstore

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Namespaces with a meaning of their own.
const (
	// NamespaceConversation is for conversations without an identity. Bots cannot send it.
	NamespaceConversation = "conversation"
	// NamespaceEmail and NamespacePhone are strong: such a handle belongs to one human alone.
	NamespaceEmail = "email"
	NamespacePhone = "phone"
)

// ConversationIdentity is the handle of a conversation whose events name no identity.
func ConversationIdentity(bot BotID, id ConversationID) Identity {
	return Identity{Namespace: NamespaceConversation, ID: string(bot) + "/" + string(id)}
}

// firstTime and lastTime bound an event's own time: what a [KeyMonth] and a count of nanoseconds can hold.
var (
	firstTime = time.Unix(0, 0).UTC()
	lastTime  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Check holds an event to the rules that need nothing but the event: what is required for its type, ranges, lengths, and that every
// text is UTF-8 without NUL. ErrInvalid, ErrTooLarge.
func (e *Event) Check() error { return e.check(true) }

// check is Check; raw asks to look into raw JSON, which a parser has done already.
func (e *Event) check(raw bool) error {
	var c checker
	c.short("id", e.Key, MaxIdempotencyKey)
	if !e.Time.IsZero() && (e.Time.Before(firstTime) || !e.Time.Before(lastTime)) {
		c.refuse("time", "the time is out of range; it must lie after 1970")
	}
	if e.Identity != nil {
		c.identity("identity", "identity.namespace", "identity.id", *e.Identity)
	}
	if len(e.Also) > MaxAlso {
		c.refuse("also", "too many handles; at most 16 are taken")
	}
	for _, id := range e.Also {
		c.identity("also", "also.namespace", "also.id", id)
	}
	c.required("conversation", string(e.Conversation), MaxConversation)
	c.oneOf("author", string(e.Author), "", string(AuthorUser), string(AuthorBot), string(AuthorOperator))
	c.short("operator", e.Operator, MaxName)
	c.short("bot", string(e.Bot), MaxName)
	if strings.Contains(string(e.Bot), "/") {
		c.refuse("bot", "a bot's name has no slash")
	}
	c.short("bot_version", e.BotVersion, MaxName)
	c.short("channel", e.Channel, MaxName)
	c.short("language", e.Language, MaxName)
	if len(e.Text) > MaxText {
		c.fail(KindTooLarge, "text", "the text is longer than 64 KiB")
	}
	c.short("text", e.Text, MaxText)
	c.oneOf("status", e.Status, "", "draft", "sent")
	c.short("approver", e.Approver, MaxName)
	c.parts(e)
	c.raw("data", e.Data, raw)
	if e.Slot != nil {
		c.raw("slot.value", e.Slot.Value, raw)
	}
	c.forType(e)
	return c.err()
}

// checker keeps the first problem.
type checker struct{ problem *Problem }

func (c *checker) err() error {
	if c.problem == nil {
		return nil // not a nil *Problem in an error
	}
	return c.problem
}

func (c *checker) fail(kind Kind, field, what text) {
	if c.problem == nil {
		c.problem = Refuse(kind, field, what)
	}
}

func (c *checker) refuse(field, what text) { c.fail(KindInvalid, field, what) }

func (c *checker) short(field text, s string, limit int) {
	switch {
	case len(s) > limit:
		c.refuse(field, "the value is too long")
	case strings.IndexByte(s, 0) >= 0:
		c.refuse(field, "the value holds a NUL byte")
	case !utf8.ValidString(s):
		c.refuse(field, "the value is not valid UTF-8")
	}
}

func (c *checker) required(field text, s string, limit int) {
	if s == "" {
		c.refuse(field, "a value is required")
	}
	c.short(field, s, limit)
}

func (c *checker) oneOf(field text, s string, values ...string) {
	for _, v := range values {
		if s == v {
			return
		}
	}
	c.refuse(field, "the value is none of those that exist")
}

// within refuses a number outside of its range, NaN too.
func (c *checker) within(field text, f, low, high float64) {
	if !(f >= low && f <= high) {
		c.refuse(field, "the number is out of its range")
	}
}

func (c *checker) identity(field, namespace, id text, i Identity) {
	switch {
	case i.Namespace == NamespaceConversation:
		c.refuse(namespace, "this namespace is reserved; leave the identity out for an anonymous conversation")
	case !ValidNamespace(i.Namespace):
		c.refuse(namespace, "a namespace is a lower-case letter followed by at most 31 letters, digits, hyphens or underscores")
	}
	c.required(id, i.ID, MaxIdentity)
}

// ValidNamespace reports whether s has the form of a namespace.
func ValidNamespace(s string) bool {
	if len(s) == 0 || len(s) > 32 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, b := range []byte(s) {
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' && b != '_' {
			return false
		}
	}
	return true
}

// ValidPurpose reports whether s has the form of a purpose of consent: a code, because the ledger keeps it for good.
func ValidPurpose(s string) bool { return ValidNamespace(s) }

// parts checks the parts that an event may have whatever its type.
func (c *checker) parts(e *Event) {
	if i := e.Intent; i != nil {
		c.required("intent.name", i.Name, MaxName)
		c.within("intent.confidence", i.Confidence, 0, 1)
	}
	c.entities(e)
	if s := e.Slot; s != nil {
		c.required("slot.name", s.Name, MaxName)
	}
	if h := e.Handoff; h != nil {
		c.short("handoff.to", h.To, MaxName)
		c.short("handoff.reason", h.Reason, MaxName)
	}
	if s := e.ConversationState; s != nil {
		c.oneOf("conversation_state.state", s.State, "started", "ended")
		c.oneOf("conversation_state.outcome", s.Outcome, "", "resolved", "abandoned", "handed-off")
	}
	if f := e.Feedback; f != nil {
		c.within("feedback.scale", f.Scale, 1, 1000)
		c.within("feedback.score", f.Score, 0, f.Scale)
	}
	if s := e.Consent; s != nil {
		if c.required("consent.purpose", s.Purpose, MaxName); s.Purpose != "" && !ValidPurpose(s.Purpose) {
			c.refuse("consent.purpose", "a purpose is a lower-case letter followed by at most 31 letters, digits, hyphens or underscores")
		}
		c.oneOf("consent.method", s.Method, "", "message", "button", "banner", "voice")
		c.short("consent.source", s.Source, MaxName)
		c.short("consent.notice", s.Notice, MaxName)
	}
	if n := e.Notice; n != nil {
		c.required("notice.version", n.Version, MaxName)
		c.short("notice.language", n.Language, MaxName)
	}
	if d := e.Disclosure; d != nil {
		c.required("disclosure.recipient", d.Recipient, MaxName)
		if len(d.Categories) > MaxEntities {
			c.refuse("disclosure.categories", "too many categories; at most 256 are taken")
		}
		for _, s := range d.Categories {
			c.required("disclosure.categories", s, MaxName)
		}
	}
}

func (c *checker) entities(e *Event) {
	if len(e.Entities) == 0 {
		return
	}
	if len(e.Entities) > MaxEntities {
		c.refuse("entities", "too many entities; at most 256 are taken")
		return
	}
	end := MaxText // where there is no text, the span is in one that was sent elsewhere
	if e.Text != "" {
		end = utf8.RuneCountInString(e.Text)
	}
	for _, n := range e.Entities {
		c.required("entities.type", n.Type, MaxName)
		c.short("entities.value", n.Value, MaxText)
		switch {
		case n.Start < 0:
			c.refuse("entities.start", "the start lies before the text")
		case n.End < n.Start:
			c.refuse("entities.end", "the end lies before the start")
		case n.End > end:
			c.refuse("entities.end", "the end lies behind the text; spans are counted in Unicode code points")
		}
	}
}

func (c *checker) raw(field text, v json.RawMessage, look bool) {
	if len(v) > MaxData {
		c.fail(KindTooLarge, field, "the value is longer than 64 KiB")
		return
	}
	if len(v) == 0 || !look || c.problem != nil {
		return
	}
	if p := checkJSON(field, v); p != nil {
		c.problem = p
	}
}

// forType checks what an event of its type must have.
func (c *checker) forType(e *Event) {
	need := func(there bool, field text) {
		if !there {
			c.refuse(field, "an event of this type needs this field")
		}
	}
	switch e.Type {
	case TypeMessage:
		need(e.Text != "" || len(e.Data) > 0, "text")
	case TypeIntent:
		need(e.Intent != nil, "intent")
	case TypeSlot:
		need(e.Slot != nil, "slot")
	case TypeHandoff:
		need(e.Handoff != nil, "handoff")
	case TypeFeedback:
		need(e.Feedback != nil, "feedback")
	case TypeConsent:
		need(e.Consent != nil, "consent")
	case TypeNotice:
		need(e.Notice != nil, "notice")
	case TypeConversation:
		need(e.ConversationState != nil, "conversation_state")
	case TypeDisclosure:
		need(e.Disclosure != nil, "disclosure")
	case TypeAttachment, TypeCustom:
	case "":
		c.refuse("type", "a value is required")
	default:
		c.refuse("type", "the value is none of those that exist")
	}
}
