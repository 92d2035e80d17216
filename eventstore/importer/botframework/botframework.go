// Package botframework reads transcripts of the Bot Framework: JSON arrays (or NDJSON) of Activity, with or without a byte
// order mark, as the Emulator and the transcript loggers write them.
//
// # Mapping
//
//	message, messageUpdate         message; cards, suggested actions, submitted values in data (see below)
//	event                          custom, name and value in data; the name handoff.initiate: handoff
//	handoff                        handoff
//	conversationUpdate             a person came: conversation started; a person left: ended; otherwise custom
//	endOfConversation              conversation ended; completedSuccessfully: resolved, userCancelled and botTimedOut: abandoned
//	messageReaction, invoke,
//	messageDelete                  custom, without a reaction's or invoke's inner workings
//	typing, trace                  skipped, counted: traces repeat the person's text inside language understanding
//	anything else                  skipped, counted as "other"
//
// The person is whoever is not the bot: by role; without roles, a bot is whoever a conversationUpdate or another activity of
// the same input has shown to be one. The identity's namespace is the channel's name (emulator, directline, …); on the
// channels email, sms and whatsapp an id that is an address or a number is under "email" or "phone". The bot's name is that
// of its account. An event's language is the activity's locale.
//
// # Attachments
//
// Of a card its visible texts are kept in data.cards, in order and without layout and pictures, at most 8 KiB a card and
// 32 KiB a message; what is beyond is counted as "card", and data.cards says how many texts were left out. Of any other
// attachment its type, name and (unless it is inline) address are kept. Of suggested actions the titles are kept. What is spoken (speak) is
// kept in data only when there is no text.
//
// # Idempotency keys
//
// A hash of channel, conversation and activity id; without an id, of the activity's content, exact repeats numbered.
package botframework

import (
	"encoding/json"
	"io"
	"iter"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

// Name is the format's name.
const Name = "botframework"

// What is skipped or cut, by kind.
const (
	KindTyping record.Kind = "typing"
	KindTrace  record.Kind = "trace"
	KindCard   record.Kind = "card"
)

// maxBots bounds how many bot accounts are remembered for transcripts without roles.
const maxBots = 1024

var errConversation = eventstore.Refuse(eventstore.KindInvalid, "conversation", "the activity names no conversation")

// Read is the [record.Format] of Bot Framework transcripts.
func Read(r io.Reader, o record.Options, counts *record.Counts) iter.Seq2[record.Item, error] {
	return record.Documents(r, o, counts, func(sink *record.Sink) record.Reader {
		return &importer{sink: sink, options: o, bots: map[string]bool{}}
	})
}

type importer struct {
	sink    *record.Sink
	options record.Options
	repeats record.Repeats
	bots    map[string]bool
}

type account struct {
	ID   json.RawMessage `json:"id"`
	Name string          `json:"name"`
	Role string          `json:"role"`
}

func (a account) id() string {
	id, _ := record.Scalar(a.ID)
	return id
}

func (a account) isUser() bool { return strings.EqualFold(a.Role, "user") }
func (a account) isBot() bool {
	return strings.EqualFold(a.Role, "bot") || strings.EqualFold(a.Role, "skill")
}

// activity is one document. What it does not name is not kept.
type activity struct {
	Type         string          `json:"type"`
	ID           json.RawMessage `json:"id"`
	Timestamp    json.RawMessage `json:"timestamp"`
	Channel      string          `json:"channelId"`
	From         account         `json:"from"`
	Recipient    account         `json:"recipient"`
	Conversation struct {
		ID json.RawMessage `json:"id"`
	} `json:"conversation"`
	Locale         string          `json:"locale"`
	Text           string          `json:"text"`
	Speak          string          `json:"speak"`
	Name           string          `json:"name"`
	Code           string          `json:"code"`
	Value          json.RawMessage `json:"value"`
	Added          []account       `json:"membersAdded"`
	Removed        []account       `json:"membersRemoved"`
	ReactionsAdded []struct {
		Type string `json:"type"`
	} `json:"reactionsAdded"`
	Attachments []attachment `json:"attachments"`
	Suggested   struct {
		Actions []struct {
			Title string          `json:"title"`
			Value json.RawMessage `json:"value"`
		} `json:"actions"`
	} `json:"suggestedActions"`
}

// End implements [record.Reader].
func (im *importer) End() {}

// Document implements [record.Reader].
func (im *importer) Document(raw []byte, at record.Position) bool {
	var a activity
	if err := record.Decode(raw, &a); err != nil {
		return im.sink.Problem(err, at)
	}
	im.learn(&a)
	switch a.Type {
	case "typing":
		return im.sink.Skip(KindTyping)
	case "trace":
		return im.sink.Skip(KindTrace)
	case "":
		return im.sink.Skip(record.KindNoEvent)
	}
	when, err := record.Time(a.Timestamp)
	if err != nil {
		return im.sink.Problem(err, at)
	}
	conversation, ok := record.Scalar(a.Conversation.ID)
	if !ok || conversation == "" && im.options.Conversation == "" && im.options.Identity == nil {
		return im.sink.Problem(errConversation, at)
	}
	person, bot, author := im.parties(&a)
	ev := eventstore.Event{
		Time:         when,
		Identity:     identity(a.Channel, person.id()),
		Conversation: eventstore.ConversationID(conversation),
		Author:       author,
		Bot:          eventstore.BotID(bot.Name),
		Channel:      channel(a.Channel),
		Language:     record.Language(a.Locale),
	}
	if ev.Bot == "" {
		ev.Bot = eventstore.BotID(bot.id())
	}
	switch known := im.fill(&a, &ev, bot.id()); {
	case !known:
		return im.sink.Skip(record.KindOther)
	case ev.Type == "":
		return im.sink.Skip(record.KindEmpty)
	}
	ev.Key = im.key(&a, conversation, raw)
	return im.sink.Event(ev, at)
}

// key is the activity's idempotency key.
func (im *importer) key(a *activity, conversation string, raw []byte) string {
	id, _ := record.Scalar(a.ID)
	if id == "" {
		return im.repeats.Distinct("bf:" + record.Digest(a.Channel, conversation, "", string(raw)))
	}
	if a.Type == "messageUpdate" || a.Type == "messageDelete" { // they carry the id of the message that they change
		id += "\x00" + a.Type + "\x00" + string(a.Timestamp)
	}
	return "bf:" + record.Digest(a.Channel, conversation, id)
}

// learn remembers which accounts are bots.
func (im *importer) learn(a *activity) {
	note := func(c account) {
		if id := c.id(); id != "" && len(im.bots) < maxBots {
			im.bots[id] = true
		}
	}
	if a.From.isBot() {
		note(a.From)
	}
	if a.Recipient.isBot() || a.Type == "conversationUpdate" && !a.Recipient.isUser() {
		note(a.Recipient)
	}
}

// parties tells the person from the bot.
func (im *importer) parties(a *activity) (person, bot account, author eventstore.Author) {
	fromBot := a.From.isBot()
	if !fromBot && !a.From.isUser() {
		fromBot = a.Recipient.isUser() || !a.Recipient.isBot() && im.bots[a.From.id()]
	}
	if fromBot {
		return a.Recipient, a.From, eventstore.AuthorBot
	}
	return a.From, a.Recipient, eventstore.AuthorUser
}

func identity(channel, id string) *eventstore.Identity {
	if id == "" {
		return nil
	}
	ns := record.Namespace(channel, Name)
	switch ns {
	case "sms", "whatsapp", Name:
		return record.Handle(ns, id)
	}
	return &eventstore.Identity{Namespace: ns, ID: id}
}

// channel names the channel as the other formats do.
func channel(id string) string {
	switch id = strings.ToLower(id); id {
	case "webchat", "directline", "directlinespeech":
		return "web"
	case "facebook":
		return "messenger"
	}
	return id
}
