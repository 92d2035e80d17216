package rasa

import (
	"encoding/json"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

// event is one event of a tracker. What it does not name is not kept.
type event struct {
	Event     string          `json:"event"`
	Timestamp json.RawMessage `json:"timestamp"`
	Name      string          `json:"name"`
	Value     json.RawMessage `json:"value"`
	Text      json.RawMessage `json:"text"`
	Data      json.RawMessage `json:"data"`
	Channel   string          `json:"input_channel"`
	Metadata  metadata        `json:"metadata"`
	Parse     *parse          `json:"parse_data"`
}

type parse struct {
	Intent *struct {
		// id is not kept: it is a signed 64-bit number without meaning outside of Rasa.
		Name       string          `json:"name"`
		Confidence json.RawMessage `json:"confidence"`
	} `json:"intent"`
	Entities []entity `json:"entities"`
	Language string   `json:"language"`
}

type entity struct {
	Entity string          `json:"entity"`
	Value  json.RawMessage `json:"value"`
	Start  *int            `json:"start"`
	End    *int            `json:"end"`
}

// metadata is what channels and kairon add; each member may be anything.
type metadata map[string]json.RawMessage

// UnmarshalJSON takes what is not an object as empty.
func (m *metadata) UnmarshalJSON(raw []byte) error {
	var members map[string]json.RawMessage
	if len(raw) > 0 && raw[0] == '{' {
		if err := json.Unmarshal(raw, &members); err != nil {
			return err
		}
	}
	*m = members
	return nil
}

func (m metadata) text(names ...string) string {
	for _, n := range names {
		if v, ok := record.Scalar(m[n]); ok && v != "" {
			return v
		}
	}
	return ""
}

// origin is the sender as the channel names it.
func (e *event) origin() string {
	if s := e.Metadata.text("sender_id", "from"); s != "" {
		return s
	}
	if e.Event == "slot" && e.Name == sessionSlot {
		var m metadata
		if json.Unmarshal(e.Value, &m) == nil {
			return m.text("sender_id", "from")
		}
	}
	return ""
}

const sessionSlot = "session_started_metadata"

// noise is the kind under which an event is skipped, or "".
func (e *event) noise() record.Kind {
	switch e.Event {
	case "user", "bot", "agent", "session_started", "restart", "pause":
		return ""
	case "slot":
		if e.Name == sessionSlot {
			return KindSession
		}
		return ""
	case "action":
		if e.Name == "action_listen" {
			return KindListen
		}
		return KindAction
	case "user_featurization":
		return KindFeaturization
	case "":
		return record.KindNoEvent
	case "followup", "reminder", "cancel_reminder", "resume", "export", "undo", "rewind", "active_loop", "form", "loop_interrupted",
		"form_validation", "action_execution_rejected", "entities", "stack", "flow_started", "flow_completed", "flow_interrupted",
		"flow_resumed", "flow_cancelled", "dialogue_stack_updated", "routing_session_ended", "session_ended":
		return KindControl
	}
	return record.KindOther
}

// event maps one event.
func (im *importer) event(who speaker, e *event, at record.Position) bool {
	if k := e.noise(); k != "" {
		return im.sink.Skip(k)
	}
	when, err := record.Time(e.Timestamp)
	if err != nil {
		return im.sink.Problem(err, at)
	}
	ev := eventstore.Event{
		Time:         when,
		Identity:     record.Handle(Name, who.sender),
		Conversation: eventstore.ConversationID(who.conversation),
		Bot:          im.botOf(e),
		Channel:      channel(e),
		Language:     record.Language(e.Metadata.text("language", "lang", "locale")),
	}
	if ev.Conversation == "" && im.options.Conversation == "" {
		ev.Conversation = eventstore.ConversationID(who.sender)
	}
	if !e.fill(&ev) {
		return im.sink.Problem(record.ErrType, at)
	}
	if ev.Type == "" {
		return im.sink.Skip(record.KindEmpty)
	}
	stamp := ""
	if !when.IsZero() {
		stamp = when.Format("2006-01-02T15:04:05.000000Z")
	}
	ev.Key = im.repeats.Distinct("rasa:" + record.Digest(who.sender, who.conversation, e.Event, stamp,
		e.Name, string(e.Value), string(e.Text), string(e.Data), e.Metadata.text("event_type")))
	return im.sink.Event(ev, at)
}

func (im *importer) botOf(e *event) eventstore.BotID {
	if v := e.Metadata.text("bot", "assistant_id"); v != "" {
		im.bot = eventstore.BotID(v)
	}
	return im.bot
}

// channel prefers the channel's own name to that of Rasa's connector class.
func channel(e *event) string {
	v := strings.ToLower(e.Metadata.text("out_channel", "channel_type"))
	if v == "" {
		v = strings.TrimSuffix(strings.ToLower(e.Channel), "handler")
	}
	switch v {
	case "rest", "socketio", "chat_client", "callback", "webchat":
		return "web"
	case "facebook":
		return "messenger"
	}
	return v
}

// fill sets what depends on the kind of event; it leaves the type empty when there is nothing to keep.
func (e *event) fill(ev *eventstore.Event) bool {
	switch e.Event {
	case "session_started":
		ev.Type, ev.ConversationState = eventstore.TypeConversation, &eventstore.ConversationState{State: "started"}
	case "restart":
		ev.Type, ev.ConversationState = eventstore.TypeConversation, &eventstore.ConversationState{State: "ended"}
	case "pause":
		ev.Type, ev.Author = eventstore.TypeHandoff, eventstore.AuthorBot
		ev.Handoff = &eventstore.Handoff{Reason: "paused"}
	case "slot":
		if e.Name != "" {
			ev.Type, ev.Slot = eventstore.TypeSlot, &eventstore.Slot{Name: e.Name, Value: e.Value}
		}
	case "user":
		return e.user(ev)
	case "bot", "agent":
		return e.bot(ev)
	}
	return true
}

func (e *event) user(ev *eventstore.Event) bool {
	text, ok := record.Scalar(e.Text)
	if !ok {
		return false
	}
	ev.Author, ev.Text = eventstore.AuthorUser, text
	if e.Parse != nil {
		if in := e.Parse.Intent; in != nil && in.Name != "" {
			ev.Intent = &eventstore.Intent{Name: in.Name, Confidence: confidence(in.Confidence), Fallback: in.Name == "nlu_fallback" || in.Name == "out_of_scope"}
		}
		if ev.Language == "" {
			ev.Language = record.Language(e.Parse.Language)
		}
		for _, n := range e.Parse.Entities {
			ev.Entities = append(ev.Entities, n.entity())
		}
	}
	switch {
	case text != "":
		ev.Type = eventstore.TypeMessage
	case ev.Intent != nil:
		ev.Type = eventstore.TypeIntent
	}
	return true
}

// entity counts spans in code points, as Python does. One without a span gets a span that the sink refuses.
func (n entity) entity() eventstore.Entity {
	out := eventstore.Entity{Type: n.Entity, Start: -1, End: -1}
	if n.Start != nil && n.End != nil {
		out.Start, out.End = *n.Start, *n.End
	}
	if v, ok := record.Scalar(n.Value); ok {
		out.Value = v
	} else {
		out.Value = string(n.Value)
	}
	return out
}

func confidence(raw json.RawMessage) float64 {
	var f float64
	if v, ok := record.Scalar(raw); !ok || json.Unmarshal([]byte(v), &f) != nil {
		return 0
	}
	return f
}

func (e *event) bot(ev *eventstore.Event) bool {
	text, ok := e.says()
	if !ok {
		return false
	}
	ev.Author, ev.Text = eventstore.AuthorBot, text
	if e.Event == "agent" {
		ev.Author = eventstore.AuthorOperator
	}
	ev.Data = payload(e.Data)
	if text != "" || ev.Data != nil {
		ev.Type = eventstore.TypeMessage
	}
	if e.Metadata.text("type") == "live_agent" {
		liveAgent(e.Metadata.text("event_type"), ev)
	}
	return true
}

// says is the text; kairon sometimes writes {"message": …}.
func (e *event) says() (string, bool) {
	if len(e.Text) > 0 && e.Text[0] == '{' {
		var m metadata
		if json.Unmarshal(e.Text, &m) != nil {
			return "", false
		}
		return record.Scalar(m["message"])
	}
	return record.Scalar(e.Text)
}

// payload keeps the members of a bot event's data that hold something.
func payload(raw json.RawMessage) json.RawMessage {
	var m metadata
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	for k, v := range m {
		switch string(v) {
		case "null", "[]", "{}", `""`:
			delete(m, k)
		}
	}
	if len(m) == 0 {
		return nil
	}
	out, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	return out
}

// liveAgent reads what kairon writes as bot events while a human agent is in the conversation: the person's and the agent's
// messages among them.
//
//	user_live_agent                  message by the user
//	agent_live_agent                 message by an operator
//	agent_request_live_agent         handoff, reason "requested"
//	agent_allocation_live_agent      handoff to the agent whose id is the text
//	conversation_close_live_agent…   conversation ended, handed off
func liveAgent(kind string, ev *eventstore.Event) {
	switch {
	case ev.Type == "":
	case kind == "user_live_agent":
		ev.Author = eventstore.AuthorUser
	case kind == "agent_live_agent":
		ev.Author = eventstore.AuthorOperator
	case kind == "agent_request_live_agent":
		ev.Type, ev.Handoff = eventstore.TypeHandoff, &eventstore.Handoff{Reason: "requested"}
	case kind == "agent_allocation_live_agent":
		ev.Type, ev.Handoff = eventstore.TypeHandoff, &eventstore.Handoff{To: ev.Text, Reason: "allocated"}
		ev.Text = ""
	case strings.HasPrefix(kind, "conversation_close_live_agent"):
		ev.Type = eventstore.TypeConversation
		ev.ConversationState = &eventstore.ConversationState{State: "ended", Outcome: "handed-off"}
	}
}
