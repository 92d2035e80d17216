// Package openai reads chat messages in the form of OpenAI's chat completions, which many other programs write too.
//
// # Input
//
// One JSON array or NDJSON of
//
//	{"messages": [{"role": …, "content": …}, …]}     one conversation, as for fine-tuning or a request; further members below
//	{"choices": [{"message": {…}}, …]}               an answer
//	[{"role": …}, …]                                 one conversation
//	{"role": …, "content": …}                        one message; all of the input's are one conversation
//
// # Mapping
//
//	user                              message by the user
//	assistant                         message by the bot; its tool calls are a custom event of their own
//	tool, function                    custom by the bot, name and content in data
//	system, developer                 skipped, counted as "system"
//
// Content is a string or parts. Parts of text are joined by newlines; of others (images, sound, files) the types are kept in
// data. A refusal counts as text. The bot's version is the model.
//
// The identity is in user, metadata.user_id or metadata.user ("email" or "phone" if it looks like one, otherwise "openai"); without
// one the conversation is anonymous. The conversation is in conversation_id, metadata.conversation_id or id, otherwise it is named
// by a hash of its messages, repeats of a conversation numbered in the order of the input. Times are those of the messages
// (timestamp, created_at, create_time) or that of the conversation (created, created_at); there may be none.
//
// # Idempotency keys
//
// A hash of the conversation's name, the message's place in it and its content.
package openai

import (
	"encoding/json"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

// Name is the format's name.
const Name = "openai"

// KindSystem counts system and developer messages.
const KindSystem record.Kind = "system"

var errLong = eventstore.Refuse(eventstore.KindTooLarge, "", "the conversation's messages are longer than 32 MiB together")

// Read is the [record.Format] of chat messages.
func Read(r io.Reader, o record.Options, counts *record.Counts) iter.Seq2[record.Item, error] {
	return record.Documents(r, o, counts, func(sink *record.Sink) record.Reader {
		return &importer{sink: sink, options: o}
	})
}

type importer struct {
	sink    *record.Sink
	options record.Options
	repeats record.Repeats
	// loose are messages that stand by themselves: one conversation when the input ends.
	loose []json.RawMessage
	size  int
	at    record.Position
}

// conversation is a document with messages, or one message.
type conversation struct {
	Role         string                              `json:"role"`
	Messages     []json.RawMessage                   `json:"messages"`
	Choices      []struct{ Message json.RawMessage } `json:"choices"`
	ID           json.RawMessage                     `json:"id"`
	Conversation json.RawMessage                     `json:"conversation_id"`
	User         json.RawMessage                     `json:"user"`
	Model        string                              `json:"model"`
	Created      json.RawMessage                     `json:"created"`
	CreatedAt    json.RawMessage                     `json:"created_at"`
	Metadata     map[string]json.RawMessage          `json:"metadata"`
}

// Document implements [record.Reader].
func (im *importer) Document(raw []byte, at record.Position) bool {
	var c conversation
	if raw[0] == '[' {
		if err := record.Decode(raw, &c.Messages); err != nil {
			return im.sink.Problem(err, at)
		}
		return im.conversation(&c, at)
	}
	if err := record.Decode(raw, &c); err != nil {
		return im.sink.Problem(err, at)
	}
	for _, choice := range c.Choices {
		if len(choice.Message) > 0 {
			c.Messages = append(c.Messages, choice.Message)
		}
	}
	switch {
	case c.Messages != nil:
		return im.conversation(&c, at)
	case c.Role == "":
		return im.sink.Skip(record.KindNoEvent)
	}
	if im.size += len(raw); im.size > record.MaxDocument {
		im.size -= len(raw)
		return im.sink.Problem(errLong, at)
	}
	if im.loose == nil {
		im.at = at
	}
	im.loose = append(im.loose, append(json.RawMessage(nil), raw...))
	return true
}

// End implements [record.Reader].
func (im *importer) End() {
	if len(im.loose) > 0 {
		im.conversation(&conversation{Messages: im.loose}, im.at)
	}
}

// conversation maps a conversation's messages.
func (im *importer) conversation(c *conversation, at record.Position) bool {
	created, err := firstTime(c.Created, c.CreatedAt)
	if err != nil {
		return im.sink.Problem(err, at)
	}
	name := first(c.Conversation, c.Metadata["conversation_id"], c.ID)
	if name == "" {
		parts := make([]string, len(c.Messages))
		for i, m := range c.Messages {
			parts[i] = string(m)
		}
		name = im.repeats.Distinct("openai-" + record.Digest(parts...))
	}
	base := eventstore.Event{
		Time:         created,
		Identity:     record.Handle(Name, first(c.User, c.Metadata["user_id"], c.Metadata["user"])),
		Conversation: eventstore.ConversationID(name),
		BotVersion:   c.Model,
		Language:     record.Language(first(c.Metadata["language"])),
		Channel:      strings.ToLower(first(c.Metadata["channel"])),
	}
	if im.options.Conversation != "" {
		base.Conversation = im.options.Conversation
	}
	for i, raw := range c.Messages {
		if !im.message(base, name, i, raw, at) {
			return false
		}
	}
	return true
}

type message struct {
	Role      string            `json:"role"`
	Content   json.RawMessage   `json:"content"`
	Refusal   string            `json:"refusal"`
	Name      string            `json:"name"`
	ToolCall  string            `json:"tool_call_id"`
	ToolCalls []json.RawMessage `json:"tool_calls"`
	Function  json.RawMessage   `json:"function_call"`
	Timestamp json.RawMessage   `json:"timestamp"`
	CreatedAt json.RawMessage   `json:"created_at"`
	Create    json.RawMessage   `json:"create_time"`
}

// message maps the i-th message of a conversation.
func (im *importer) message(ev eventstore.Event, name string, i int, raw json.RawMessage, at record.Position) bool {
	var m message
	if err := record.Decode(raw, &m); err != nil {
		return im.sink.Problem(err, at)
	}
	when, err := firstTime(m.Timestamp, m.CreatedAt, m.Create)
	if err != nil {
		return im.sink.Problem(err, at)
	}
	if !when.IsZero() {
		ev.Time = when
	}
	text, others, ok := parts(m.Content)
	if !ok {
		return im.sink.Problem(record.ErrType, at)
	}
	if text == "" {
		text = m.Refusal
	}
	ev.Key = "openai:" + record.Digest(name, strconv.Itoa(i), m.Role, text, string(m.Content))
	ev.Type, ev.Author, ev.Text = eventstore.TypeMessage, eventstore.AuthorBot, text
	switch m.Role {
	case "system", "developer":
		return im.sink.Skip(KindSystem)
	case "tool", "function":
		ev.Type, ev.Text = eventstore.TypeCustom, ""
		ev.Data = data(map[string]any{"tool": m.Name, "call": m.ToolCall, "content": text})
		return im.sink.Event(ev, at)
	case "user":
		ev.Author = eventstore.AuthorUser
	case "assistant":
	default:
		return im.sink.Skip(record.KindOther)
	}
	if len(others) > 0 {
		ev.Data = data(map[string]any{"parts": others})
	}
	calls := m.calls()
	switch {
	case text != "" || len(others) > 0:
		if !im.sink.Event(ev, at) {
			return false
		}
	case len(calls) == 0:
		return im.sink.Skip(record.KindEmpty)
	}
	if len(calls) == 0 {
		return true
	}
	ev.Type, ev.Text, ev.Key = eventstore.TypeCustom, "", ev.Key+".calls"
	ev.Data = data(map[string]any{"tool_calls": calls})
	return im.sink.Event(ev, at)
}

func (m *message) calls() []json.RawMessage {
	calls := m.ToolCalls
	if len(m.Function) > 0 && string(m.Function) != "null" {
		calls = append(calls[:len(calls):len(calls)], m.Function)
	}
	return calls
}

// parts reads a message's content: the text, and the types of parts that are none.
func parts(raw json.RawMessage) (text string, others []string, ok bool) {
	if len(raw) == 0 || raw[0] != '[' {
		text, ok = record.Scalar(raw)
		return text, nil, ok
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return "", nil, false
	}
	var texts []string
	for _, item := range list {
		if len(item) > 0 && item[0] == '"' {
			s, _ := record.Scalar(item)
			texts = append(texts, s)
			continue
		}
		var p struct {
			Type    string          `json:"type"`
			Text    json.RawMessage `json:"text"`
			Refusal string          `json:"refusal"`
		}
		if json.Unmarshal(item, &p) != nil {
			return "", nil, false
		}
		switch s, isText := record.Scalar(p.Text); {
		case isText && s != "":
			texts = append(texts, s)
		case p.Refusal != "":
			texts = append(texts, p.Refusal)
		case p.Type != "" && p.Type != "text":
			others = append(others, record.Clip(p.Type, eventstore.MaxName))
		}
	}
	return strings.Join(texts, "\n"), others, true
}

// data marshals what is kept beside the text, without empty members.
func data(m map[string]any) json.RawMessage {
	for k, v := range m {
		if v == "" {
			delete(m, k)
		}
	}
	raw, _ := json.Marshal(m)
	return raw
}

func first(list ...json.RawMessage) string {
	for _, raw := range list {
		if v, ok := record.Scalar(raw); ok && v != "" {
			return v
		}
	}
	return ""
}

func firstTime(list ...json.RawMessage) (time.Time, error) {
	for _, raw := range list {
		if t, err := record.Time(raw); err != nil || !t.IsZero() {
			return t, err
		}
	}
	return time.Time{}, nil
}
