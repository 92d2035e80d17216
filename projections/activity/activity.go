// Package activity counts who wrote how much: persons, conversations and messages by channel, bot, version and language.
//
// Only messages count, and no drafts: a person was active in a cell if a message of theirs, or one to them, stands in it. A message without an
// author is the user's. A conversation counts in every daily cell in which a message of it stands.
package activity

import (
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// Model is the read model.
var Model = readmodel.New(readmodel.Model{
	ID: 1, Name: "activity", Version: 1,
	Meaning: readmodel.Text{EN: "who wrote how much: persons, conversations and messages", FR: "qui a écrit combien : personnes, conversations et messages"},
	Dimensions: []readmodel.Dimension{
		{Name: "channel", Meaning: readmodel.Text{EN: "the channel, as the bot names it", FR: "le canal, tel que le bot le nomme"}},
		{Name: "bot", Meaning: readmodel.Text{EN: "the bot", FR: "le bot"}},
		{Name: "version", Meaning: readmodel.Text{EN: "the bot's version", FR: "la version du bot"}},
		{Name: "language", Meaning: readmodel.Text{EN: "the language of the message", FR: "la langue du message"}},
	},
	Measures: []readmodel.Measure{
		{Name: "conversations", Kind: readmodel.Conversations, Meaning: readmodel.Text{
			EN: "conversations with at least one message on the day", FR: "conversations avec au moins un message dans la journée"}},
		{Name: "messages_user", Meaning: readmodel.Text{EN: "messages that persons wrote", FR: "messages écrits par les personnes"}},
		{Name: "messages_bot", Meaning: readmodel.Text{EN: "messages that bots wrote", FR: "messages écrits par les bots"}},
		{Name: "messages_operator", Meaning: readmodel.Text{EN: "messages that human operators wrote", FR: "messages écrits par des conseillers humains"}},
	},
	Facts: facts,
	UnknownDimension: eventstore.Refuse(eventstore.KindInvalid, "where",
		"activity has no such dimension; there are: channel, bot, version, language"),
})

// measures is how many measures there are.
const measures = 4

func facts(r *eventstore.Recorded) []readmodel.Fact {
	e := &r.Event
	if e.Type != eventstore.TypeMessage || e.Status == "draft" {
		return nil
	}
	sums := make([]uint64, measures)
	switch e.Author {
	case eventstore.AuthorBot:
		sums[2] = 1
	case eventstore.AuthorOperator:
		sums[3] = 1
	default:
		sums[1] = 1
	}
	return []readmodel.Fact{{
		Values: []string{readmodel.Value(e.Channel), readmodel.Value(string(e.Bot)), readmodel.Value(e.BotVersion), readmodel.Value(e.Language)},
		Sums:   sums,
	}}
}
