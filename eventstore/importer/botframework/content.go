package botframework

import (
	"encoding/json"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

// Limits of what is kept of cards, in bytes of text.
const (
	maxCard    = 8 << 10
	maxCards   = 32 << 10
	maxAddress = 2 << 10
	maxValue   = 16 << 10
	maxTitles  = 64
)

// content is an event's data. Its JSON is what readers of the event get.
type content struct {
	Activity    string          `json:"activity,omitempty"`
	Name        string          `json:"name,omitempty"`
	Value       json.RawMessage `json:"value,omitempty"`
	ValueBytes  int             `json:"value_bytes,omitempty"` // of a value too large to keep
	Speak       string          `json:"speak,omitempty"`
	Cards       []card          `json:"cards,omitempty"`
	Attachments []file          `json:"attachments,omitempty"`
	Suggested   []string        `json:"suggested_actions,omitempty"`
	Reactions   []string        `json:"reactions,omitempty"`
	Added       int             `json:"members_added,omitempty"`
	Removed     int             `json:"members_removed,omitempty"`
}

type card struct {
	Type    string   `json:"type"`
	Texts   []string `json:"texts,omitempty"`
	Omitted int      `json:"omitted,omitempty"` // texts beyond the limit
}

type file struct {
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
	URL  string `json:"url,omitempty"`
}

type attachment struct {
	ContentType string          `json:"contentType"`
	ContentURL  string          `json:"contentUrl"`
	Name        string          `json:"name"`
	Content     json.RawMessage `json:"content"`
}

// fill sets what depends on the activity's type. It leaves the event's type empty when there is nothing to keep, and reports
// false for a type that is not known.
func (im *importer) fill(a *activity, ev *eventstore.Event, bot string) bool {
	ev.Text = a.Text
	var c content
	switch a.Type {
	case "message", "messageUpdate":
		c = im.message(a)
		if ev.Text != "" || !c.isZero() {
			ev.Type = eventstore.TypeMessage
		}
		if a.Type == "messageUpdate" {
			c.Activity = a.Type
		}
	case "event":
		ev.Type, c.Name = eventstore.TypeCustom, a.Name
		c.Value, c.ValueBytes = im.value(a.Value)
		if a.Name == "handoff.initiate" {
			ev.Type, ev.Handoff = eventstore.TypeHandoff, &eventstore.Handoff{Reason: "requested"}
		}
	case "handoff":
		ev.Type, ev.Handoff = eventstore.TypeHandoff, &eventstore.Handoff{}
		c.Value, c.ValueBytes = im.value(a.Value)
	case "endOfConversation":
		ev.Type = eventstore.TypeConversation
		ev.ConversationState = &eventstore.ConversationState{State: "ended", Outcome: outcome(a.Code)}
	case "conversationUpdate":
		c = im.members(a, ev, bot)
	case "messageReaction":
		ev.Type, c.Activity = eventstore.TypeCustom, a.Type
		for _, r := range a.ReactionsAdded[:min(len(a.ReactionsAdded), maxTitles)] {
			c.Reactions = append(c.Reactions, r.Type)
		}
	case "invoke", "messageDelete":
		ev.Type, c.Activity, c.Name = eventstore.TypeCustom, a.Type, a.Name
	default:
		return false
	}
	if !c.isZero() && ev.Type != "" {
		ev.Data, _ = json.Marshal(c)
	}
	return true
}

func (c *content) isZero() bool {
	return c.Activity == "" && c.Name == "" && c.Value == nil && c.ValueBytes == 0 && c.Speak == "" && c.Cards == nil &&
		c.Attachments == nil && c.Suggested == nil && c.Reactions == nil && c.Added == 0 && c.Removed == 0
}

func outcome(code string) string {
	switch code {
	case "completedSuccessfully":
		return "resolved"
	case "userCancelled", "botTimedOut":
		return "abandoned"
	}
	return ""
}

// members maps a conversationUpdate. The bot's own coming and going is custom. Nobody's names are kept.
func (im *importer) members(a *activity, ev *eventstore.Event, bot string) content {
	person := func(list []account) bool {
		for _, m := range list {
			if id := m.id(); id != bot && !im.bots[id] {
				return true
			}
		}
		return false
	}
	ev.Author = ""
	switch {
	case person(a.Added):
		ev.Type, ev.ConversationState = eventstore.TypeConversation, &eventstore.ConversationState{State: "started"}
		return content{}
	case person(a.Removed):
		ev.Type, ev.ConversationState = eventstore.TypeConversation, &eventstore.ConversationState{State: "ended"}
		return content{}
	}
	ev.Type = eventstore.TypeCustom
	return content{Activity: a.Type, Added: len(a.Added), Removed: len(a.Removed)}
}

// message gathers what a message says beside its text.
func (im *importer) message(a *activity) (c content) {
	c.Value, c.ValueBytes = im.value(a.Value)
	if a.Text == "" && len(a.Speak) <= maxCard {
		c.Speak = a.Speak
	}
	left := maxCards
	for _, t := range a.Attachments {
		if len(c.Cards)+len(c.Attachments) == maxTitles {
			im.sink.Cut(KindCard)
			break
		}
		if len(t.Content) > 0 && t.Content[0] == '{' {
			c.Cards = append(c.Cards, im.card(t, &left))
			continue
		}
		f := file{Type: clip(t.ContentType), Name: clip(t.Name)}
		if len(t.ContentURL) <= maxAddress && !strings.HasPrefix(t.ContentURL, "data:") {
			f.URL = t.ContentURL
		}
		c.Attachments = append(c.Attachments, f)
	}
	for _, s := range a.Suggested.Actions[:min(len(a.Suggested.Actions), maxTitles)] {
		title := s.Title
		if title == "" {
			title, _ = record.Scalar(s.Value)
		}
		if title != "" {
			c.Suggested = append(c.Suggested, clip(title))
		}
	}
	return c
}

// value keeps a submitted value unless it is too large.
func (im *importer) value(raw json.RawMessage) (kept json.RawMessage, size int) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, 0
	case len(raw) > maxValue:
		im.sink.Cut(record.KindData)
		return nil, len(raw)
	}
	return raw, 0
}

// card keeps a card's texts as far as they fit.
func (im *importer) card(t attachment, left *int) card {
	c := card{Type: clip(t.ContentType)}
	room := min(*left, maxCard)
	var v any
	if json.Unmarshal(t.Content, &v) != nil {
		return c
	}
	texts(v, func(s string) {
		if c.Omitted > 0 || len(s) > room {
			c.Omitted++
			return
		}
		room -= len(s)
		*left -= len(s)
		c.Texts = append(c.Texts, s)
	})
	if c.Omitted > 0 {
		im.sink.Cut(KindCard)
	}
	return c
}

// visible are a card's members that a person reads, in reading order; inner are those that hold further elements.
var (
	visible = []string{"title", "subtitle", "text", "altText", "placeholder"}
	inner   = []string{"body", "inlines", "columns", "items", "rows", "cells", "images", "facts", "choices", "card", "actions", "buttons", "tap"}
)

// texts calls f for each visible text of a card. Nesting is bounded by the splitter.
func texts(v any, f func(string)) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			texts(e, f)
		}
	case string: // an inline of a rich text block
		if v != "" {
			f(v)
		}
	case map[string]any:
		for _, k := range visible {
			if s, ok := v[k].(string); ok && s != "" {
				f(s)
			}
		}
		if s, ok := v["value"].(string); ok && v["title"] != nil && v["type"] == nil { // a fact, or a choice
			f(s)
		}
		for _, k := range inner {
			switch e := v[k].(type) {
			case map[string]any, []any:
				texts(e, f)
			}
		}
	}
}

// clip bounds a short string.
func clip(v string) string { return record.Clip(v, eventstore.MaxName) }
