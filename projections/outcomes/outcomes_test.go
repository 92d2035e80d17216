package outcomes_test

import (
	"slices"
	"testing"
	"time"

	"github.com/oubli-store/oubli/projections/conversation"
	"github.com/oubli-store/oubli/projections/outcomes"
)

// said makes a history of one conversation; minutes count from its beginning.
func said(h *conversation.History, id byte, minutes float64, flags conversation.Flags, intent string) {
	h.Add(conversation.Event{At: int64(minutes * 60_000), Flags: flags, Conversation: conversation.Mark{id}, Channel: "web", Intent: intent})
}

const user, bot = conversation.User, conversation.Bot

// TestOutcome: each stretch counts in one way, for the reason that the package comment gives.
func TestOutcome(t *testing.T) {
	type event struct {
		minutes float64
		flags   conversation.Flags
		intent  string
	}
	for name, c := range map[string]struct {
		events []event
		want   []int
	}{
		"answered":                     {[]event{{0, user, "order"}, {1, bot, ""}}, []int{1}},
		"unanswered":                   {[]event{{0, user, "order"}, {1, bot, ""}, {2, user, ""}}, []int{3}},
		"resolved, with thanks":        {[]event{{0, user, "order"}, {1, bot, ""}, {2, user, ""}, {2, conversation.Ended | conversation.Resolved, ""}}, []int{1}},
		"ended as abandoned":           {[]event{{0, user, "order"}, {1, bot, ""}, {2, conversation.Ended | conversation.Abandoned, ""}}, []int{3}},
		"last a fallback":              {[]event{{0, user, "order"}, {1, bot, ""}, {2, user | conversation.Fallback, "?"}, {3, bot, ""}}, []int{3}},
		"a fallback, then understood":  {[]event{{0, user | conversation.Fallback, "?"}, {1, bot, ""}, {2, user, "order"}, {3, bot, ""}}, []int{1}},
		"handed off":                   {[]event{{0, user, "order"}, {1, conversation.Handoff, ""}, {2, conversation.Ended | conversation.Abandoned, ""}}, []int{2}},
		"an operator":                  {[]event{{0, user, "order"}, {1, conversation.Operator, ""}}, []int{2}},
		"only a greeting":              {[]event{{0, bot, ""}}, nil},
		"two, as there was a silence":  {[]event{{0, user, "order"}, {30, bot, ""}, {60.1, user, ""}}, []int{1, 3}},
		"two, as the first had ended":  {[]event{{0, user, ""}, {1, conversation.Ended | conversation.Resolved, ""}, {2, user, ""}, {3, bot, ""}}, []int{1, 1}},
		"feedback keeps nothing alive": {[]event{{0, user, ""}, {1, bot, ""}}, []int{1}},
	} {
		h := &conversation.History{}
		for _, e := range c.events {
			said(h, 1, e.minutes, e.flags, e.intent)
		}
		var got []int
		for _, f := range outcomes.Model.Conversations("shop", h.Stretches()) {
			if len(f.Sums) != outcomes.Model.Width() || f.Sums[0] != 1 || f.Sums[1]+f.Sums[2]+f.Sums[3] != 1 || !slices.Equal(f.Values, []string{"web", "shop"}) {
				t.Errorf("%s: %v", name, f)
			}
			got = append(got, 1+slices.Index(f.Sums[1:4], 1))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestBack: somebody is back if they begin again within 24 hours of the end, in whatever conversation, and not while they still talk in the first.
func TestBack(t *testing.T) {
	day := (24 * time.Hour).Minutes()
	for _, c := range []struct {
		second float64
		want   uint64
	}{{40, 1}, {10 + day, 1}, {10 + day + 0.01, 0}, {5, 0}} {
		h := &conversation.History{}
		said(h, 1, 0, user, "")
		said(h, 1, 10, bot, "")
		said(h, 2, c.second, user, "")
		facts := outcomes.Model.Conversations("shop", h.Stretches())
		if back := outcomes.Model.Offset("back_24h"); len(facts) != 2 || facts[0].Sums[back] != c.want || facts[1].Sums[back] != 0 {
			t.Errorf("again after %v minutes: %v", c.second, facts)
		}
	}
}

func TestDuration(t *testing.T) {
	h := &conversation.History{}
	said(h, 1, 0, user, "")
	said(h, 1, 2, bot, "")
	sums := outcomes.Model.Conversations("shop", h.Stretches())[0].Sums
	if got := outcomes.Model.Counters()[slices.Index(sums[5:], 1)+5].Name; got != "duration_lt5m" {
		t.Errorf("two minutes count as %s", got)
	}
}
