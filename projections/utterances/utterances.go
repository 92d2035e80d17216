// Package utterances counts what many persons wrote in the same words: how wordings that the bot does not understand are found.
//
// Every message of a person counts that has a text, under its normalised wording ([readmodel.Normalise]); a message whose text is too long, or has nothing but
// punctuation, counts under (other) or (none). A fallback is a message whose intent is only the bot's fallback.
//
// The wordings are texts, so they do not stand in the database: a cell is named by a keyed hash of its wording, and when a period is closed the wordings of
// those cells that enough persons share are read back from the stream. Nothing is shown before. A wording of fewer persons never leaves the stream. What is
// shown is what many persons wrote alike; that it says nothing of one person is likely and not certain: a group can write one person's name.
package utterances

import (
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// Model is the read model.
var Model = readmodel.New(readmodel.Model{
	ID: 7, Name: "utterances", Version: 1,
	Meaning: readmodel.Text{EN: "what many persons wrote in the same words", FR: "ce que beaucoup de personnes ont écrit dans les mêmes mots"},
	Dimensions: []readmodel.Dimension{
		{Name: "bot", Meaning: readmodel.Text{EN: "the bot", FR: "le bot"}},
		{Name: "language", Meaning: readmodel.Text{EN: "the language of the message", FR: "la langue du message"}},
		{Name: "wording", Wording: true, Meaning: readmodel.Text{
			EN: "the text in lower case, numbers as #, without punctuation at the ends",
			FR: "le texte en minuscules, les nombres remplacés par #, sans ponctuation aux extrémités"}},
	},
	Measures: []readmodel.Measure{
		{Name: "uses", Meaning: readmodel.Text{EN: "how often it was written", FR: "nombre de fois où il a été écrit"}},
		{Name: "fallbacks", Meaning: readmodel.Text{
			EN: "how often the bot did not understand it", FR: "nombre de fois où le bot ne l'a pas compris"}},
	},
	Facts: facts,
	UnknownDimension: eventstore.Refuse(eventstore.KindInvalid, "where",
		"utterances has no such dimension; there are: bot, language, wording"),
})

func facts(r *eventstore.Recorded) []readmodel.Fact {
	e := &r.Event
	if e.Type != eventstore.TypeMessage || e.Text == "" || e.Status == "draft" || e.Author == eventstore.AuthorBot || e.Author == eventstore.AuthorOperator {
		return nil
	}
	sums := []uint64{1, 0}
	if e.Intent != nil && e.Intent.Fallback {
		sums[1] = 1
	}
	return []readmodel.Fact{{
		Values: []string{readmodel.Value(string(e.Bot)), readmodel.Value(e.Language), readmodel.Normalise(e.Text)},
		Sums:   sums,
	}}
}
