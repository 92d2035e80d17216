package paths_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/oubli-store/oubli/projections/conversation"
	"github.com/oubli-store/oubli/projections/paths"
)

// TestTransitions: n intents of a stretch are n+1 transitions, also when one comes twice; a silence ends the path.
func TestTransitions(t *testing.T) {
	h := &conversation.History{}
	for i, intent := range []string{"hello", "", "order", "order"} {
		h.Add(conversation.Event{At: int64(i), Flags: conversation.User, Intent: intent})
	}
	h.Add(conversation.Event{At: time.Hour.Milliseconds(), Flags: conversation.User, Intent: "bye"})
	h.Add(conversation.Event{At: 3 * time.Hour.Milliseconds(), Flags: conversation.User})
	var got []string
	for _, f := range paths.Model.Conversations("shop", h.Stretches()) {
		got = append(got, fmt.Sprint(f.At, " ", f.Values, f.Sums))
	}
	want := []string{"0 [shop (start) hello] [1]", "0 [shop hello order] [1]", "2 [shop order order] [1]", "3 [shop order (end)] [1]",
		"3600000 [shop (start) bye] [1]", "3600000 [shop bye (end)] [1]"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}
