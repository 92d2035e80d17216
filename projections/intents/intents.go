// Package intents counts what persons wanted, as the bots understood it: uses, fallbacks and confidence by bot, language and intent.
//
// Every event with an intent counts, whatever its type, drafts left out. The histogram of confidence has ten buckets, from 0.0 up to, but not including, 0.1, and so
// on; 1.0 falls into the last. An event that gives no confidence cannot be told from one with 0 and falls into the first.
package intents

import (
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// Buckets is the number of buckets of the histogram of confidence.
const Buckets = 10

// firstBucket is the place of the histogram among the measures.
const firstBucket = 2

// Model is the read model.
var Model = readmodel.Model{
	ID: 2, Name: "intents", Version: 1,
	Meaning: "what persons wanted, as the bots understood it",
	Dimensions: []readmodel.Dimension{
		{Name: "bot", Meaning: "the bot"},
		{Name: "language", Meaning: "the language of the message"},
		{Name: "intent", Meaning: "the name of the intent"},
	},
	Measures: []readmodel.Measure{
		{Name: "uses", Meaning: "how often the intent was understood"},
		{Name: "fallbacks", Meaning: "how often it was only the bot's fallback"},
		{Name: "confidence_00", Meaning: "uses with a confidence from 0.0 up to 0.1, or none given"},
		{Name: "confidence_10", Meaning: "uses with a confidence from 0.1 up to 0.2"},
		{Name: "confidence_20", Meaning: "uses with a confidence from 0.2 up to 0.3"},
		{Name: "confidence_30", Meaning: "uses with a confidence from 0.3 up to 0.4"},
		{Name: "confidence_40", Meaning: "uses with a confidence from 0.4 up to 0.5"},
		{Name: "confidence_50", Meaning: "uses with a confidence from 0.5 up to 0.6"},
		{Name: "confidence_60", Meaning: "uses with a confidence from 0.6 up to 0.7"},
		{Name: "confidence_70", Meaning: "uses with a confidence from 0.7 up to 0.8"},
		{Name: "confidence_80", Meaning: "uses with a confidence from 0.8 up to 0.9"},
		{Name: "confidence_90", Meaning: "uses with a confidence from 0.9 to 1.0"},
	},
	Facts: facts,
	UnknownDimension: eventstore.Refuse(eventstore.KindInvalid, "where",
		"intents has no such dimension; there are: bot, language, intent"),
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
	sums[firstBucket+bucket(e.Intent.Confidence)] = 1
	return []readmodel.Fact{{
		Values: []string{readmodel.Value(string(e.Bot)), readmodel.Value(e.Language), readmodel.Value(e.Intent.Name)},
		Sums:   sums,
	}}
}

// bucket is the bucket of a confidence. The comparison is with tenths, so that 0.3 falls into the bucket that begins with it.
func bucket(confidence float64) int {
	for i := Buckets - 1; i > 0; i-- {
		if confidence >= float64(i)/Buckets {
			return i
		}
	}
	return 0
}
