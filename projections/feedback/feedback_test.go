package feedback_test

import (
	"slices"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/feedback"
)

// TestClasses: on every scale the lowest is the first class and the highest the fifth, and what is between them is spread evenly.
func TestClasses(t *testing.T) {
	for _, c := range []struct {
		scale  float64
		scores []float64
		want   []int
	}{
		{1, []float64{0, 1}, []int{1, 5}},
		{2, []float64{1, 2}, []int{1, 5}},
		{3, []float64{0, 1, 2, 3}, []int{1, 1, 3, 5}},
		{5, []float64{0, 1, 2, 3, 4, 5, 4.5}, []int{1, 1, 2, 3, 4, 5, 5}},
		{10, []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, []int{1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5}},
	} {
		for i, score := range c.scores {
			e := eventstore.Event{Type: eventstore.TypeFeedback, Bot: "shop", Feedback: &eventstore.Feedback{Score: score, Scale: c.scale}}
			facts := feedback.Model.Facts(&eventstore.Recorded{Event: e})
			if len(facts) != 1 || len(facts[0].Sums) != feedback.Model.Width() || facts[0].Sums[0] != 1 {
				t.Fatalf("%v", facts)
			}
			if got := 1 + slices.Index(facts[0].Sums[1:], 1); got != c.want[i] {
				t.Errorf("%v of %v is class %d, want %d", score, c.scale, got, c.want[i])
			}
		}
	}
}
