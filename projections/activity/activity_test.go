package activity_test

import (
	"slices"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/activity"
)

func TestFacts(t *testing.T) {
	for _, c := range []struct {
		event  eventstore.Event
		values []string
		sums   []uint64
	}{
		{eventstore.Event{Type: eventstore.TypeMessage, Author: eventstore.AuthorUser, Channel: "web", Bot: "shop", BotVersion: "1", Language: "fr"},
			[]string{"web", "shop", "1", "fr"}, []uint64{0, 1, 0, 0}},
		{eventstore.Event{Type: eventstore.TypeMessage, Author: eventstore.AuthorBot, Bot: "shop"},
			[]string{"(none)", "shop", "(none)", "(none)"}, []uint64{0, 0, 1, 0}},
		{eventstore.Event{Type: eventstore.TypeMessage, Author: eventstore.AuthorOperator, Channel: "(web)", Bot: "shop"},
			[]string{"(other)", "shop", "(none)", "(none)"}, []uint64{0, 0, 0, 1}},
		{eventstore.Event{Type: eventstore.TypeMessage, Bot: "shop"}, []string{"(none)", "shop", "(none)", "(none)"}, []uint64{0, 1, 0, 0}},
		{event: eventstore.Event{Type: eventstore.TypeMessage, Status: "draft"}},
		{event: eventstore.Event{Type: eventstore.TypeSlot, Author: eventstore.AuthorUser}},
	} {
		facts := activity.Model.Facts(&eventstore.Recorded{Event: c.event})
		if c.values == nil {
			if len(facts) != 0 {
				t.Errorf("a %s counts: %v", c.event.Type, facts)
			}
			continue
		}
		if len(facts) != 1 || !slices.Equal(facts[0].Values, c.values) || !slices.Equal(facts[0].Sums, c.sums) {
			t.Errorf("%v, want %v %v", facts, c.values, c.sums)
		}
		if len(c.sums) != activity.Model.Width() {
			t.Error("the facts are not as wide as the model")
		}
	}
}
