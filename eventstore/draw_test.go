package eventstore

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// drawEvent draws any event that [Event.Check] takes, as a parser would give it.
func drawEvent(t *rapid.T) Event {
	str := func(label string) string {
		return rapid.StringMatching(`[^\x00]{0,12}`).Filter(utf8.ValidString).Draw(t, label)
	}
	some := func(label string) string { return "s" + str(label) }
	maybe := func(label string) bool { return rapid.Bool().Draw(t, label) }
	raw := func(label string) json.RawMessage {
		return json.RawMessage(rapid.SampledFrom([]string{`null`, `{"a":[1,2.50,{"b":"<é>"}]}`, `"x"`, `[]`, `-0`, `123456789012345678901234567890`}).Draw(t, label))
	}
	identity := func(label string) Identity {
		return Identity{rapid.SampledFrom([]string{"web", "email", "a-b_1"}).Draw(t, label), some(label)}
	}
	e := Event{
		Key: str("key"), Conversation: ConversationID(some("conversation")), Type: TypeCustom,
		Author:   rapid.SampledFrom([]Author{"", AuthorUser, AuthorBot, AuthorOperator}).Draw(t, "author"),
		Operator: str("operator"), Bot: BotID(rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "bot")), BotVersion: str("version"),
		Channel: str("channel"), Language: str("language"), Text: str("text"),
		Status: rapid.SampledFrom([]string{"", "draft", "sent"}).Draw(t, "status"), Approver: str("approver"),
	}
	if maybe("time") {
		e.Time = time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()
	}
	if maybe("identity") {
		i := identity("identity")
		e.Identity = &i
	}
	if maybe("also") {
		e.Also = []Identity{identity("also 1"), identity("also 2")}
	}
	if maybe("intent") {
		e.Intent = &Intent{some("intent"), rapid.Float64Range(0, 1).Draw(t, "confidence"), maybe("fallback")}
	}
	if maybe("entities") {
		n := utf8.RuneCountInString(e.Text)
		start := rapid.IntRange(0, n).Draw(t, "start")
		e.Entities = []Entity{{some("entity"), str("value"), start, rapid.IntRange(start, n).Draw(t, "end"), maybe("sensitive")}}
	}
	if maybe("slot") {
		e.Slot = &Slot{Name: some("slot")}
		if maybe("value") {
			e.Slot.Value = raw("slot value")
		}
	}
	if maybe("handoff") {
		e.Handoff = &Handoff{str("to"), str("reason")}
	}
	if maybe("state") {
		e.ConversationState = &ConversationState{"ended", rapid.SampledFrom([]string{"", "resolved", "handed-off"}).Draw(t, "outcome")}
	}
	if maybe("feedback") {
		e.Feedback = &Feedback{rapid.Float64Range(0, 5).Draw(t, "score"), 5}
	}
	if maybe("consent") {
		e.Consent = &Consent{rapid.StringMatching(`[a-z][a-z0-9_-]{0,31}`).Draw(t, "purpose"), maybe("granted"), "button", str("source"), str("notice")}
	}
	if maybe("notice") {
		e.Notice = &Notice{some("version"), str("notice language")}
	}
	if maybe("disclosure") {
		e.Disclosure = &Disclosure{Recipient: some("recipient")}
		if maybe("categories") {
			e.Disclosure.Categories = []string{some("category")}
		}
	}
	if maybe("data") {
		e.Data = raw("data")
	}
	if maybe("expected") {
		n := rapid.Uint64().Draw(t, "sequence")
		e.ExpectedSequence = &n
	}
	return e
}
