// Package feedback counts what persons answered when they were asked how it went.
//
// Scales differ: thumbs, three faces, five stars, ten points. A score is put on five classes by its place between the ends of its scale: the lowest score
// falls into the first class, the highest into the fifth, and between them the nearest of five places counts, the better one of two that are equally near. So
// five stars are what they were; of three faces the middle one is the third class; of ten points 1 is the first class and 10 the fifth.
//
// The lower end of a scale is taken to be 1, as an event does not say it, and a score below 1 counts as the lowest: on a scale from 0 to 10 the
// scores 0 and 1 are one class. On a scale to 1 (thumbs: 0 or 1) it is 0.
//
// What this cannot do is make scales comparable: people answer three faces otherwise than ten points. Compare a bot with itself, on one scale.
package feedback

import (
	"math"
	"strconv"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// Classes is how many classes there are.
const Classes = 5

// Model is the read model.
var Model = readmodel.New(readmodel.Model{
	ID: 5, Name: "feedback", Version: 1,
	Meaning: readmodel.Text{EN: "how persons rated it", FR: "comment les personnes l'ont noté"},
	Dimensions: []readmodel.Dimension{
		{Name: "channel", Meaning: readmodel.Text{EN: "the channel of the rating", FR: "le canal de la note"}},
		{Name: "bot", Meaning: readmodel.Text{EN: "the bot", FR: "le bot"}},
	},
	Measures: []readmodel.Measure{
		{Name: "answers", Meaning: readmodel.Text{EN: "ratings", FR: "notes"}},
		{Name: "score", Kind: readmodel.Distribution, Buckets: classes(), Meaning: readmodel.Text{
			EN: "ratings by their place on the scale that they were asked on", FR: "notes selon leur place sur l'échelle proposée"}},
	},
	Facts: facts,
	UnknownDimension: eventstore.Refuse(eventstore.KindInvalid, "where",
		"feedback has no such dimension; there are: channel, bot"),
})

func classes() (out []readmodel.Bucket) {
	meanings := [Classes]readmodel.Text{
		{EN: "1 of 5, the lowest", FR: "1 sur 5, la plus basse"}, {EN: "2 of 5", FR: "2 sur 5"}, {EN: "3 of 5", FR: "3 sur 5"}, {EN: "4 of 5", FR: "4 sur 5"},
		{EN: "5 of 5, the highest", FR: "5 sur 5, la plus haute"},
	}
	for i, m := range meanings {
		out = append(out, readmodel.Bucket{Label: strconv.Itoa(i + 1), Meaning: m})
	}
	return out
}

func facts(r *eventstore.Recorded) []readmodel.Fact {
	e := &r.Event
	if e.Type != eventstore.TypeFeedback || e.Feedback == nil || e.Status == "draft" {
		return nil
	}
	sums := make([]uint64, 1+Classes)
	sums[0] = 1
	sums[1+class(e.Feedback)] = 1
	return []readmodel.Fact{{Values: []string{readmodel.Value(e.Channel), readmodel.Value(string(e.Bot))}, Sums: sums}}
}

// class is the class of a score, from 0.
func class(f *eventstore.Feedback) int {
	low := 1.0
	if f.Scale <= 1 {
		low = 0
	}
	place := (f.Score - low) / (f.Scale - low)
	return int(math.Floor(max(0, min(1, place))*(Classes-1) + 0.5))
}
