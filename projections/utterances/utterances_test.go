package utterances_test

import (
	"fmt"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/utterances"
)

func TestFacts(t *testing.T) {
	message := eventstore.Event{Type: eventstore.TypeMessage, Author: eventstore.AuthorUser, Bot: "shop", Language: "fr", Text: "Où est A17 ?"}
	change := func(by func(*eventstore.Event)) eventstore.Event {
		e := message
		by(&e)
		return e
	}
	for _, c := range []struct {
		event eventstore.Event
		want  string
	}{
		{message, "[{[shop fr où est a#] [1 0]}]"},
		{change(func(e *eventstore.Event) { e.Author = "" }), "[{[shop fr où est a#] [1 0]}]"},
		{change(func(e *eventstore.Event) { e.Intent = &eventstore.Intent{Name: "x", Fallback: true} }), "[{[shop fr où est a#] [1 1]}]"},
		{change(func(e *eventstore.Event) { e.Author = eventstore.AuthorBot }), "[]"},
		{change(func(e *eventstore.Event) { e.Author = eventstore.AuthorOperator }), "[]"},
		{change(func(e *eventstore.Event) { e.Status = "draft" }), "[]"},
		{change(func(e *eventstore.Event) { e.Text = "" }), "[]"},
		{change(func(e *eventstore.Event) { e.Type = eventstore.TypeCustom }), "[]"},
	} {
		if got := fmt.Sprint(utterances.Model.Facts(&eventstore.Recorded{Event: c.event})); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
