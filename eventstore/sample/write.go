package sample

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/oubli-store/oubli/eventstore"
)

// writer writes conversations one after another.
type writer struct {
	g *Generator
	// met and known say who was shown the notice, and whose visits are tied to their e-mail address.
	met, known []bool

	r       *rand.Rand
	person  Person
	channel string
	at      time.Time
	base    eventstore.Event
	prefix  string
	values  [variables]string
	events  []eventstore.Event
	text    []byte
}

// conversation writes the k-th conversation into w.events.
func (w *writer) conversation(k int, start time.Time) {
	w.r, w.events, w.at = w.g.draw(forConversation, k), w.events[:0], start
	u := math.Pow(w.r.Float64(), 1.25) // some people come again and again
	w.person = w.g.person(int(u * float64(w.g.o.Persons)))
	w.chooseChannel()
	s := libraries()[w.person.language].pick(w.r.IntN, w.channel)
	w.begin(k)
	for i := range s.steps {
		if st := &s.steps[i]; !st.optional || w.r.IntN(5) < 3 {
			w.step(st)
		}
	}
	w.add(time.Minute, eventstore.Event{Type: eventstore.TypeConversation,
		ConversationState: &eventstore.ConversationState{State: "ended", Outcome: w.outcome(s)}})
}

func (w *writer) outcome(s *script) string {
	if s.outcome == "resolved" && w.r.IntN(12) == 0 {
		return "abandoned"
	}
	return s.outcome
}

func (w *writer) chooseChannel() {
	w.channel = "web"
	switch n := w.r.IntN(100); {
	case n < 55:
	case n < 70 && w.person.phone != "":
		w.channel = "whatsapp"
	case n < 78:
		w.channel = "messenger"
	case n < 90:
		w.channel = "email"
	case w.person.phone != "":
		w.channel = "voice"
	}
}

// identity is the handle by which the channel knows the person.
func (w *writer) identity() *eventstore.Identity {
	p := &w.person
	n := strconv.FormatUint(uint64(p.index+4242)*2654435761%0xfffffffb, 36)
	switch w.channel {
	case "whatsapp", "voice":
		return &eventstore.Identity{Namespace: "phone", ID: p.phone}
	case "email":
		return &eventstore.Identity{Namespace: "email", ID: p.email}
	case "messenger":
		return &eventstore.Identity{Namespace: "messenger", ID: "psid-" + n}
	}
	if w.known[p.index] && w.r.IntN(2) == 0 { // still logged in
		return &eventstore.Identity{Namespace: "email", ID: p.email}
	}
	return &eventstore.Identity{Namespace: "web", ID: "visitor-" + n + "-" + strconv.Itoa(w.r.IntN(2))} // two browsers
}

// begin sets what a conversation's events have in common, and writes its first ones.
func (w *writer) begin(k int) {
	p, r, l := &w.person, w.r, w.person.language
	number := strconv.FormatInt(int64(k)+1, 10)
	w.prefix = "sample-" + strconv.FormatUint(w.g.o.Seed, 36) + "-" + number + "-"
	w.base = eventstore.Event{
		Identity:     w.identity(),
		Conversation: eventstore.ConversationID("c-" + number),
		Bot:          eventstore.BotID(bots[l][w.channel]),
		BotVersion:   w.at.Format("2006.01"),
		Channel:      w.channel,
		Language:     p.Language,
	}
	w.values = [variables]string{
		first: p.first, last: p.last, email: p.email,
		order: string(rune('A'+r.IntN(26))) + strconv.Itoa(10_000+r.IntN(90_000)),
		item:  pick(r, items[l]), city: pick(r, cities[l]), date: pick(r, dates[l]), clock: pick(r, clocks[l]),
		amount: pick(r, amounts[l]), agent: pick(r, agents[l]),
	}
	w.add(0, eventstore.Event{Type: eventstore.TypeConversation, ConversationState: &eventstore.ConversationState{State: "started"}})
	if w.met[p.index] {
		return
	}
	w.met[p.index] = true
	method := map[string]string{"web": "banner", "voice": "voice"}[w.channel]
	if method == "" {
		method = "message"
	}
	w.add(time.Second, eventstore.Event{Type: eventstore.TypeNotice, Author: eventstore.AuthorBot, Notice: &eventstore.Notice{Version: "v3", Language: p.Language}})
	w.add(w.pause(4*time.Second), eventstore.Event{Type: eventstore.TypeConsent, Author: eventstore.AuthorUser,
		Consent: &eventstore.Consent{Purpose: "storage", Granted: true, Method: method, Source: "widget", Notice: "v3"}})
	w.add(time.Second, eventstore.Event{Type: eventstore.TypeConsent, Author: eventstore.AuthorUser,
		Consent: &eventstore.Consent{Purpose: "analytics", Granted: r.IntN(5) > 0, Method: method, Source: "widget", Notice: "v3"}})
}

// add completes an event of the conversation and appends it.
func (w *writer) add(after time.Duration, e eventstore.Event) {
	if w.channel == "email" && after > 2*time.Second {
		after *= 20
	}
	w.at = w.at.Add(after.Truncate(time.Millisecond))
	e.Key = w.prefix + strconv.Itoa(len(w.events)+1)
	e.Time = w.at
	b := &w.base
	e.Identity, e.Conversation, e.Bot, e.BotVersion = b.Identity, b.Conversation, b.Bot, b.BotVersion
	e.Channel, e.Language = b.Channel, b.Language
	w.events = append(w.events, e)
}

// pause is a time around d.
func (w *writer) pause(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.4 + 1.6*w.r.Float64()))
}

// step writes one line of a script.
func (w *writer) step(s *step) {
	switch s.kind {
	case 'u', 'l':
		if w.r.IntN(25) == 0 {
			w.misunderstanding()
		}
		w.user(s)
	case 'b':
		w.add(w.pause(time.Second), eventstore.Event{Type: eventstore.TypeMessage, Author: eventstore.AuthorBot, Text: w.say(s, nil)})
	case 'o':
		w.add(w.pause(50*time.Second), eventstore.Event{Type: eventstore.TypeMessage, Author: eventstore.AuthorOperator,
			Operator: "staff-" + ascii(w.values[agent]), Text: w.say(s, nil)})
	case 's':
		value, _ := json.Marshal(w.values[s.v])
		w.add(20*time.Millisecond, eventstore.Event{Type: eventstore.TypeSlot, Author: eventstore.AuthorBot, Slot: &eventstore.Slot{Name: s.a, Value: value}})
	case 'h':
		w.add(w.pause(2*time.Second), eventstore.Event{Type: eventstore.TypeHandoff, Author: eventstore.AuthorBot, Handoff: &eventstore.Handoff{To: s.a, Reason: s.b}})
	case 'f':
		if w.r.IntN(2) == 0 {
			w.add(w.pause(15*time.Second), eventstore.Event{Type: eventstore.TypeFeedback, Author: eventstore.AuthorUser,
				Feedback: &eventstore.Feedback{Score: pick(w.r, s.scores), Scale: 5}})
		}
	}
}

// user writes what the user says, and what the bot understands of it.
func (w *writer) user(s *step) {
	e := eventstore.Event{Type: eventstore.TypeMessage, Author: eventstore.AuthorUser}
	e.Text = w.say(s, &e.Entities)
	e.Intent = &eventstore.Intent{Name: s.intent, Confidence: hundredths(s.confidence - 0.12*w.r.Float64())}
	if s.kind == 'l' && w.base.Identity.Namespace != "email" {
		e.Also = []eventstore.Identity{{Namespace: "email", ID: w.person.email}}
		w.known[w.person.index] = true
	}
	w.add(w.pause(18*time.Second), e)
}

// misunderstanding writes a message that the bot does not understand.
func (w *writer) misunderstanding() {
	l := w.person.language
	w.add(w.pause(10*time.Second), eventstore.Event{Type: eventstore.TypeMessage, Author: eventstore.AuthorUser, Text: pick(w.r, puzzles[l]),
		Intent: &eventstore.Intent{Name: "nlu_fallback", Confidence: hundredths(0.15 + 0.3*w.r.Float64()), Fallback: true}})
	w.add(w.pause(time.Second), eventstore.Event{Type: eventstore.TypeMessage, Author: eventstore.AuthorBot, Text: pick(w.r, sorries[l])})
}

func hundredths(f float64) float64 { return float64(int(f*100+0.5)) / 100 }

// say fills in one of a step's texts, and notes the entities in it if asked to.
func (w *writer) say(s *step, entities *[]eventstore.Entity) string {
	n := w.r.IntN(len(s.variants))
	for range s.variants { // nobody speaks emoji
		if w.channel != "voice" || !s.variants[n].emoji {
			break
		}
		n = (n + 1) % len(s.variants)
	}
	w.text = w.text[:0]
	runes := 0
	for _, p := range s.variants[n].parts {
		if p.v == literal {
			w.text = append(w.text, p.text...)
			runes += p.runes
			continue
		}
		value := w.values[p.v]
		w.text = append(w.text, value...)
		length := utf8.RuneCountInString(value)
		if of := entityOf[p.v]; entities != nil && of.name != "" {
			*entities = append(*entities, eventstore.Entity{Type: of.name, Value: value, Start: runes, End: runes + length, Sensitive: of.sensitive})
		}
		runes += length
	}
	return string(w.text)
}
