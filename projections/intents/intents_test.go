package intents_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/intents"
)

func facts(e eventstore.Event) (values []string, sums []uint64) {
	for _, f := range intents.Model.Facts(&eventstore.Recorded{Event: e}) {
		return f.Values, f.Sums
	}
	return nil, nil
}

func TestFacts(t *testing.T) {
	e := eventstore.Event{Type: eventstore.TypeIntent, Bot: "shop", Language: "fr", Intent: &eventstore.Intent{Name: "order", Confidence: 0.93}}
	values, sums := facts(e)
	if !slices.Equal(values, []string{"shop", "fr", "order"}) || !slices.Equal(sums, []uint64{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}) {
		t.Fatalf("%v %v", values, sums)
	}
	if len(sums) != intents.Model.Width() {
		t.Fatal("the facts are not as wide as the model")
	}
	e.Intent.Fallback = true
	if _, sums := facts(e); sums[1] != 1 {
		t.Fatal("a fallback does not count")
	}
	if values, _ := facts(eventstore.Event{Type: eventstore.TypeMessage}); values != nil {
		t.Fatal("a message without an intent counts")
	}
	e.Status = "draft"
	if values, _ := facts(e); values != nil {
		t.Fatal("a draft counts")
	}
}

// TestBuckets: every tenth begins its own bucket, also where a tenth is no exact binary fraction.
func TestBuckets(t *testing.T) {
	for i := range 100 {
		c := float64(i) / 100
		_, sums := facts(eventstore.Event{Intent: &eventstore.Intent{Name: "x", Confidence: c}})
		if got := slices.Index(sums[2:], 1); got != i/10 {
			t.Errorf("%v is in bucket %d", c, got)
		}
		if want := fmt.Sprintf("confidence_%d0", i/10); intents.Model.Counters()[2+i/10].Name != want {
			t.Errorf("bucket %d is not called %s", i/10, want)
		}
	}
	if _, sums := facts(eventstore.Event{Intent: &eventstore.Intent{Name: "x", Confidence: 1}}); sums[11] != 1 {
		t.Error("1.0 is not in the last bucket")
	}
}
