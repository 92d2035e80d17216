// Package intents counts what persons wanted, as the bots understood it: uses, fallbacks and confidence by bot, language and intent.
//
// Every event with an intent counts, whatever its type, drafts left out. The histogram of confidence has ten buckets, from 0.0 up to, but not including, 0.1, and so
// on; 1.0 falls into the last. An event that gives no confidence cannot be told from one with 0 and falls into the first.
package intents

import (
	"fmt"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// Buckets is the number of buckets of the histogram of confidence.
const Buckets = 10

// firstBucket is the place of the histogram among the measures.
const firstBucket = 2

// Model is the read model.
var Model = readmodel.New(readmodel.Model{
	ID: 2, Name: "intents", Version: 1,
	Meaning: readmodel.Text{EN: "what persons wanted, as the bots understood it", FR: "ce que les personnes voulaient, tel que les bots l'ont compris"},
	Dimensions: []readmodel.Dimension{
		{Name: "bot", Meaning: readmodel.Text{EN: "the bot", FR: "le bot"}},
		{Name: "language", Meaning: readmodel.Text{EN: "the language of the message", FR: "la langue du message"}},
		{Name: "intent", Meaning: readmodel.Text{EN: "the name of the intent", FR: "le nom de l'intention"}},
	},
	Measures: []readmodel.Measure{
		{Name: "uses", Meaning: readmodel.Text{EN: "how often the intent was understood", FR: "nombre de fois où l'intention a été comprise"}},
		{Name: "fallbacks", Meaning: readmodel.Text{
			EN: "how often it was only the bot's fallback", FR: "nombre de fois où ce n'était que la réponse par défaut du bot"}},
		{Name: "confidence", Kind: readmodel.Histogram, Buckets: tenths(), Meaning: readmodel.Text{
			EN: "uses by confidence, 1 in the last bucket, none given in the first", FR: "usages par confiance, 1 dans la dernière tranche, sans valeur dans la première"}},
	},
	Facts: facts,
	UnknownDimension: eventstore.Refuse(eventstore.KindInvalid, "where",
		"intents has no such dimension; there are: bot, language, intent"),
})

// confidence is the histogram.
var confidence = &readmodel.Measure{Buckets: tenths()}

// tenths are divisions, so that 0.3 falls into the bucket that begins with it.
func tenths() (out []readmodel.Bucket) {
	for i := range Buckets {
		out = append(out, readmodel.Bucket{Label: fmt.Sprintf("%d0", i), Below: float64(i+1) / Buckets})
	}
	out[Buckets-1].Below = readmodel.Open
	return out
}

func facts(r *eventstore.Recorded) []readmodel.Fact {
	e := &r.Event
	if e.Intent == nil || e.Status == "draft" {
		return nil
	}
	sums := make([]uint64, firstBucket+Buckets)
	sums[0] = 1
	if e.Intent.Fallback {
		sums[1] = 1
	}
	sums[firstBucket+confidence.Bucket(e.Intent.Confidence)] = 1
	return []readmodel.Fact{{
		Values: []string{readmodel.Value(string(e.Bot)), readmodel.Value(e.Language), readmodel.Value(e.Intent.Name)},
		Sums:   sums,
	}}
}
