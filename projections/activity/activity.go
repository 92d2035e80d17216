// Package activity counts who wrote how much: persons, conversations and messages by channel, bot, version and language.
//
// Only messages count, and no drafts: a person was active in a cell if a message of theirs, or one to them, stands in it. A message without an
// author is the user's. A conversation counts in every daily cell in which a message of it stands.
package activity

import (
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// measures is how many measures there are.
const measures = 4

// Model is the read model.
var Model = readmodel.Model{
	ID: 1, Name: "activity", Version: 1,
	Meaning: "who wrote how much: persons, conversations and messages",
	Dimensions: []readmodel.Dimension{
		{Name: "channel", Meaning: "the channel, as the bot names it"},
		{Name: "bot", Meaning: "the bot"},
		{Name: "version", Meaning: "the bot's version"},
		{Name: "language", Meaning: "the language of the message"},
	},
	Measures: []readmodel.Measure{
		{Name: "conversations", Meaning: "conversations with at least one message on the day", Kind: readmodel.Conversations},
		{Name: "messages_user", Meaning: "messages that persons wrote"},
		{Name: "messages_bot", Meaning: "messages that bots wrote"},
		{Name: "messages_operator", Meaning: "messages that human operators wrote"},
	},
	Facts: facts,
	UnknownDimension: eventstore.Refuse(eventstore.KindInvalid, "where",
		"activity has no such dimension; there are: channel, bot, version, language"),
}

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
