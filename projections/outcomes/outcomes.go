// Package outcomes counts how conversations ended: contained, handed off or abandoned, how long they took, and whether the person came back.
//
// A conversation is here a stretch of one (package conversation): it ends when the bot says so, or with 30 minutes of silence by the events' own times. It
// counts if the person wrote in it: a greeting that nobody answers is no conversation. It counts on the day on which it began, in the channel that it
// first named, and in one of three ways:
//
//   - handed off: it holds a handoff, a message of a human operator, or an end with the outcome handed-off;
//   - abandoned: it was not handed off, and it ended with the outcome abandoned; or with no outcome while the person's last message had no
//     answer, or while the last intent was only the bot's fallback;
//   - contained: all others. The bot dealt with it alone; whether well, only the person knows.
//
// So contained, handed off and abandoned add up to conversations. Its duration is the time from its first event to its last.
//
// The person is back within 24 hours if another of their conversations with the same bot, under whatever conversation id, begins no later than 24 hours after
// the end of this one. That is counted with the conversation that they came back from, and known once they came: until 24 hours have passed it can
// only grow. It is not seen over the end of a month, nor when the person comes back under another person id.
package outcomes

import (
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/conversation"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// Back is how soon somebody must come back to be counted as back.
const Back = 24 * time.Hour

// The places of the counters.
const (
	conversations = iota
	contained
	handedOff
	abandoned
	back
	durations
)

var duration = readmodel.Measure{
	Name: "duration", Kind: readmodel.Histogram, Unit: "s", Percentiles: []int{50, 95},
	Meaning: readmodel.Text{EN: "conversations by duration", FR: "conversations par durée"},
	Buckets: []readmodel.Bucket{
		{Label: "lt30s", Below: 30}, {Label: "lt1m", Below: 60}, {Label: "lt2m", Below: 120}, {Label: "lt5m", Below: 300}, {Label: "lt10m", Below: 600},
		{Label: "lt20m", Below: 1200}, {Label: "lt1h", Below: 3600}, {Label: "ge1h", Below: readmodel.Open},
	},
}

// Model is the read model.
var Model = readmodel.New(readmodel.Model{
	ID: 3, Name: "outcomes", Version: 1,
	Meaning: readmodel.Text{EN: "how conversations ended", FR: "comment les conversations se sont terminées"},
	Dimensions: []readmodel.Dimension{
		{Name: "channel", Meaning: readmodel.Text{EN: "the channel of the conversation", FR: "le canal de la conversation"}},
		{Name: "bot", Meaning: readmodel.Text{EN: "the bot", FR: "le bot"}},
	},
	Measures: []readmodel.Measure{
		{Name: "conversations", Meaning: readmodel.Text{
			EN: "conversations in which the person wrote, cut by 30 minutes of silence, on the day they began",
			FR: "conversations où la personne a écrit, coupées par 30 minutes de silence, le jour de leur début"}},
		{Name: "contained", Meaning: readmodel.Text{
			EN: "neither handed off nor abandoned: the bot dealt with it alone", FR: "ni transférées ni abandonnées : le bot les a traitées seul"}},
		{Name: "handed_off", Meaning: readmodel.Text{
			EN: "with a handoff, a message of a human operator, or the outcome handed-off",
			FR: "avec un transfert, un message d'un conseiller humain ou l'issue handed-off"}},
		{Name: "abandoned", Meaning: readmodel.Text{
			EN: "not handed off, and ended as abandoned, or without an outcome after an unanswered message or a fallback",
			FR: "non transférées, terminées comme abandonnées, ou sans issue après un message sans réponse ou une réponse par défaut"}},
		{Name: "back_24h", Meaning: readmodel.Text{
			EN: "after which the person began another one with the same bot within 24 hours",
			FR: "après lesquelles la personne en a commencé une autre avec le même bot dans les 24 heures"}},
		duration,
	},
	Conversations: facts,
	UnknownDimension: eventstore.Refuse(eventstore.KindInvalid, "where",
		"outcomes has no such dimension; there are: channel, bot"),
})

func facts(bot string, all []conversation.Stretch) (out []readmodel.DatedFact) {
	counted := all[:0:0]
	for _, s := range all {
		if s.Any()&conversation.User != 0 {
			counted = append(counted, s)
		}
	}
	for i, s := range counted {
		sums := make([]uint64, durations+len(duration.Buckets))
		sums[conversations], sums[outcome(&s)] = 1, 1
		if returned(&s, counted[i+1:]) {
			sums[back] = 1
		}
		sums[durations+duration.Bucket(float64(s.End()-s.Start())/1000)] = 1
		out = append(out, readmodel.DatedFact{At: s.Start(), Fact: readmodel.Fact{Values: []string{s.Channel(readmodel.None), bot}, Sums: sums}})
	}
	return out
}

// outcome is the place of the counter of how a stretch ended.
func outcome(s *conversation.Stretch) int {
	switch all := s.Any(); {
	case all&(conversation.Handoff|conversation.Operator) != 0:
		return handedOff
	case all&conversation.Abandoned != 0:
		return abandoned
	case all&conversation.Resolved != 0:
		return contained
	}
	answered, fallback := true, false
	for i := range s.Events {
		e := &s.Events[i]
		if e.Is(conversation.Message) {
			answered = !e.Is(conversation.User)
		}
		if e.Intent != "" {
			fallback = e.Is(conversation.Fallback)
		}
	}
	if !answered || fallback {
		return abandoned
	}
	return contained
}

// returned says whether one of the stretches that begin later begins soon enough after the end of s. Those that began before s ended, under another
// conversation id, are no return.
func returned(s *conversation.Stretch, later []conversation.Stretch) bool {
	for i := range later {
		if after := later[i].Start() - s.End(); after > 0 {
			return after <= Back.Milliseconds()
		}
	}
	return false
}
