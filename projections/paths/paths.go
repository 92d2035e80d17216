// Package paths counts which intent follows which: the paths on which conversations go, and where they end.
//
// A transition is two intents, one behind the other by the events' own times, in the same stretch (package conversation); the same one twice is a
// transition too. The first intent of a stretch follows (start), and behind the last one stands (end). So a stretch with n intents has n + 1 transitions, and
// one without any has none. A transition counts on the day of its first intent; that from (start) on the day of the intent it leads to.
package paths

import (
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/conversation"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// What stands before the first intent of a stretch and behind the last one. No event can have an intent of that name.
const (
	Start = "(start)"
	End   = "(end)"
)

// Model is the read model.
var Model = readmodel.New(readmodel.Model{
	ID: 6, Name: "paths", Version: 1,
	Meaning: readmodel.Text{EN: "which intent follows which within a conversation", FR: "quelle intention suit quelle autre dans une conversation"},
	Dimensions: []readmodel.Dimension{
		{Name: "bot", Meaning: readmodel.Text{EN: "the bot", FR: "le bot"}},
		{Name: "intent", Meaning: readmodel.Text{
			EN: "the intent, or (start) before the first one of a conversation", FR: "l'intention, ou (start) avant la première d'une conversation"}},
		{Name: "next_intent", Meaning: readmodel.Text{
			EN: "the intent that follows, or (end) behind the last one", FR: "l'intention qui suit, ou (end) après la dernière"}},
	},
	Measures: []readmodel.Measure{
		{Name: "transitions", Meaning: readmodel.Text{EN: "how often the one followed the other", FR: "nombre de fois où l'une a suivi l'autre"}},
	},
	Conversations: facts,
	UnknownDimension: eventstore.Refuse(eventstore.KindInvalid, "where",
		"paths has no such dimension; there are: bot, intent, next_intent"),
})

func facts(bot string, all []conversation.Stretch) (out []readmodel.DatedFact) {
	step := func(at int64, from, to string) {
		out = append(out, readmodel.DatedFact{At: at, Fact: readmodel.Fact{Values: []string{bot, from, to}, Sums: []uint64{1}}})
	}
	for _, s := range all {
		last, lastAt := "", int64(0)
		for i := range s.Events {
			e := &s.Events[i]
			switch {
			case e.Intent == "":
				continue
			case last == "":
				step(e.At, Start, e.Intent)
			default:
				step(lastAt, last, e.Intent)
			}
			last, lastAt = e.Intent, e.At
		}
		if last != "" {
			step(lastAt, last, End)
		}
	}
	return out
}
