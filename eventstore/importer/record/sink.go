package record

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/oubli-store/oubli/eventstore"
)

// maxEntityValue bounds an entity's value in bytes; the text has the rest.
const maxEntityValue = 4 << 10

// Sink hands items to the consumer of a sequence, fitted and counted. Its methods report whether to go on.
type Sink struct {
	yield   func(Item, error) bool
	options Options
	counts  *Counts
	stopped bool
}

// NewSink makes the sink of one sequence. counts may be nil.
func NewSink(o Options, counts *Counts, yield func(Item, error) bool) *Sink {
	if counts == nil {
		counts = new(Counts)
	}
	return &Sink{yield: yield, options: o, counts: counts}
}

// Skip counts a document, or a part of one, that is no event.
func (s *Sink) Skip(k Kind) bool {
	count(&s.counts.Skipped, k)
	return !s.stopped
}

// Cut counts something that did not fit.
func (s *Sink) Cut(k Kind) { count(&s.counts.Cut, k) }

// Problem reports an error. The problem is given its line.
func (s *Sink) Problem(err error, at Position) bool {
	if s.stopped {
		return false
	}
	s.counts.Problems++
	if p, ok := err.(*eventstore.Problem); ok && p.Line() == 0 {
		err = p.AtLine(at.Line)
	}
	s.stopped = !s.yield(Item{At: at}, err)
	return !s.stopped
}

// Event yields an event, fitted into the limits and completed by the options.
func (s *Sink) Event(e eventstore.Event, at Position) bool {
	if s.stopped {
		return false
	}
	s.complete(&e)
	s.fit(&e)
	if len(e.Text) <= eventstore.MaxText {
		return s.put(e, at)
	}
	s.Cut(KindText)
	rest, key := e.Text, e.Key
	e.Text, rest = cutText(rest, eventstore.MaxText)
	s.entities(&e)
	for part := 2; ; part++ {
		if !s.put(e, at) || rest == "" {
			return !s.stopped
		}
		e.Intent, e.Entities, e.Data, e.Handoff, e.ConversationState = nil, nil, nil, nil, nil
		if key != "" {
			e.Key = key + "." + strconv.Itoa(part)
		}
		e.Type = eventstore.TypeMessage
		e.Text, rest = cutText(rest, eventstore.MaxText)
	}
}

// put yields an event that keeps the contract; one that cannot be made to (a NUL in a text, say) is a problem.
func (s *Sink) put(e eventstore.Event, at Position) bool {
	if err := e.Check(); err != nil {
		return s.Problem(err, at)
	}
	s.counts.Events++
	s.stopped = !s.yield(Item{Event: e, At: at}, nil)
	return !s.stopped
}

// complete applies the options.
func (s *Sink) complete(e *eventstore.Event) {
	if s.options.Identity != nil {
		id := *s.options.Identity
		e.Identity = &id
	}
	if e.Conversation == "" {
		e.Conversation = s.options.Conversation
	}
	if s.options.Bot != "" {
		e.Bot = s.options.Bot
	} else { // a slash would make the handle of an anonymous conversation ambiguous
		e.Bot = eventstore.BotID(strings.ReplaceAll(string(e.Bot), "/", "_"))
	}
	if e.Channel == "" {
		e.Channel = s.options.Channel
	}
	if e.Language == "" {
		e.Language = s.options.Language
	}
}

// fit brings everything but the text within the limits.
func (s *Sink) fit(e *eventstore.Event) {
	if len(e.Conversation) > eventstore.MaxConversation {
		e.Conversation = eventstore.ConversationID("sha256-" + Digest(string(e.Conversation)))
		s.Cut(KindHandle)
	}
	if e.Identity != nil && len(e.Identity.ID) > eventstore.MaxIdentity {
		e.Identity = &eventstore.Identity{Namespace: e.Identity.Namespace, ID: "sha256-" + Digest(e.Identity.ID)}
		s.Cut(KindHandle)
	}
	e.Bot = eventstore.BotID(s.name(string(e.Bot)))
	for _, p := range []*string{&e.BotVersion, &e.Channel, &e.Language, &e.Operator} {
		*p = s.name(*p)
	}
	if e.Intent != nil {
		in := *e.Intent
		in.Name = s.name(in.Name)
		if in.Confidence = min(in.Confidence, 1); !(in.Confidence >= 0) {
			in.Confidence = 0
		}
		e.Intent = &in
	}
	if e.Handoff != nil {
		e.Handoff = &eventstore.Handoff{To: s.name(e.Handoff.To), Reason: s.name(e.Handoff.Reason)}
	}
	if e.Slot != nil {
		e.Slot = &eventstore.Slot{Name: s.name(e.Slot.Name), Value: e.Slot.Value}
		if tooMuch(e.Slot.Value) {
			e.Slot.Value = nil
			s.Cut(KindSlot)
		}
	}
	if tooMuch(e.Data) {
		e.Data = json.RawMessage(`{"omitted_bytes":` + strconv.Itoa(len(e.Data)) + `}`)
		s.Cut(KindData)
	}
	s.entities(e)
}

// name cuts a short string.
func (s *Sink) name(v string) string {
	if len(v) <= eventstore.MaxName {
		return v
	}
	s.Cut(KindName)
	v, _ = cutText(v, eventstore.MaxName)
	return v
}

// entities drops those that do not fit the text, and repeats.
func (s *Sink) entities(e *eventstore.Event) {
	if len(e.Entities) == 0 {
		return
	}
	length := utf8.RuneCountInString(e.Text)
	seen := map[eventstore.Entity]bool{}
	kept := make([]eventstore.Entity, 0, min(len(e.Entities), eventstore.MaxEntities))
	for _, n := range e.Entities {
		n.Type = s.name(n.Type)
		if seen[n] {
			continue // two extractors found the same
		}
		if n.Type == "" || n.Start < 0 || n.End < n.Start || n.End > length || len(n.Value) > maxEntityValue || len(kept) == eventstore.MaxEntities {
			s.Cut(KindEntities)
			continue
		}
		seen[n] = true
		kept = append(kept, n)
	}
	if e.Entities = kept; len(kept) == 0 {
		e.Entities = nil
	}
}

// tooMuch reports whether raw JSON is larger or deeper than an event's data may be.
func tooMuch(raw json.RawMessage) bool {
	if len(raw) > eventstore.MaxData {
		return true
	}
	depth, inString, escaped := 0, false, false
	for _, b := range raw {
		switch {
		case escaped:
			escaped = false
		case inString && b == '\\':
			escaped = true
		case b == '"':
			inString = !inString
		case inString:
		case b == '{' || b == '[':
			if depth++; depth > eventstore.MaxDepth-2 {
				return true
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return false
}

// cutText cuts v at a code point, at most n bytes into it.
func cutText(v string, n int) (head, rest string) {
	if len(v) <= n {
		return v, ""
	}
	for n > 0 && !utf8.RuneStart(v[n]) {
		n--
	}
	return v[:n], v[n:]
}
