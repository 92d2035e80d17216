// Package latency counts how long persons waited for the bot's answers.
//
// An answer is the bot's first message behind a message of the person in the same stretch (package conversation). The wait begins with the first message
// of the person that has no answer yet, so of three in a row the first counts; it is taken from the events' own times, to the millisecond. A message of a
// human operator ends the wait, and no answer is counted. What the bot never answers is not here: see abandoned in package outcomes. Drafts count
// once they are sent. An answer counts on the day of the message that it answers, in that message's channel.
//
// Percentiles are read from the histogram, as if waits lay evenly within a bucket; above five minutes all that is known is that it was longer. Clocks of
// bots that stamp question and answer alike show as waits of nothing.
package latency

import (
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/conversation"
	"github.com/oubli-store/oubli/projections/readmodel"
)

var wait = readmodel.Measure{
	Name: "answer_time", Kind: readmodel.Histogram, Unit: "s", Percentiles: []int{50, 95},
	Meaning: readmodel.Text{EN: "answers by how long the person waited", FR: "réponses selon l'attente de la personne"},
	Buckets: []readmodel.Bucket{
		{Label: "lt0_5s", Below: 0.5}, {Label: "lt1s", Below: 1}, {Label: "lt2s", Below: 2}, {Label: "lt3s", Below: 3}, {Label: "lt5s", Below: 5},
		{Label: "lt10s", Below: 10}, {Label: "lt30s", Below: 30}, {Label: "lt1m", Below: 60}, {Label: "lt5m", Below: 300}, {Label: "ge5m", Below: readmodel.Open},
	},
}

// Model is the read model.
var Model = readmodel.New(readmodel.Model{
	ID: 4, Name: "latency", Version: 1,
	Meaning: readmodel.Text{EN: "how long persons waited for the bots' answers", FR: "combien de temps les personnes ont attendu les réponses des bots"},
	Dimensions: []readmodel.Dimension{
		{Name: "channel", Meaning: readmodel.Text{EN: "the channel of the message", FR: "le canal du message"}},
		{Name: "bot", Meaning: readmodel.Text{EN: "the bot", FR: "le bot"}},
	},
	Measures: []readmodel.Measure{
		{Name: "answers", Meaning: readmodel.Text{
			EN: "first messages of the bot behind a message of the person", FR: "premiers messages du bot après un message de la personne"}},
		wait,
	},
	Conversations: facts,
	UnknownDimension: eventstore.Refuse(eventstore.KindInvalid, "where",
		"latency has no such dimension; there are: channel, bot"),
})

func facts(bot string, all []conversation.Stretch) (out []readmodel.DatedFact) {
	for _, s := range all {
		var asked *conversation.Event
		for i := range s.Events {
			e := &s.Events[i]
			switch {
			case e.Is(conversation.User):
				if asked == nil {
					asked = e
				}
			case e.Is(conversation.Bot) && asked != nil:
				sums := make([]uint64, 1+len(wait.Buckets))
				sums[0] = 1
				sums[1+wait.Bucket(float64(e.At-asked.At)/1000)] = 1
				out = append(out, readmodel.DatedFact{At: asked.At, Fact: readmodel.Fact{Values: []string{asked.Channel, bot}, Sums: sums}})
				asked = nil
			case e.Is(conversation.Operator):
				asked = nil
			}
		}
	}
	return out
}
