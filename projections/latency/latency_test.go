package latency_test

import (
	"slices"
	"testing"

	"github.com/oubli-store/oubli/projections/conversation"
	"github.com/oubli-store/oubli/projections/latency"
)

// TestWait: the wait is from the first message without an answer to the bot's next one.
func TestWait(t *testing.T) {
	type event struct {
		ms    int64
		flags conversation.Flags
	}
	const user, bot, operator = conversation.User, conversation.Bot, conversation.Operator
	for name, c := range map[string]struct {
		events []event
		want   []string
	}{
		"one":                        {[]event{{0, user}, {700, bot}, {800, bot}}, []string{"answer_time_lt1s"}},
		"three in a row":             {[]event{{0, user}, {4000, user}, {8000, user}, {9000, bot}}, []string{"answer_time_lt10s"}},
		"two":                        {[]event{{0, user}, {499, bot}, {1000, user}, {1500, bot}}, []string{"answer_time_lt0_5s", "answer_time_lt1s"}},
		"a human answered":           {[]event{{0, user}, {10, operator}, {20, bot}}, nil},
		"nobody":                     {[]event{{0, user}}, nil},
		"a greeting":                 {[]event{{0, bot}, {10, user}}, nil},
		"too late to be of one talk": {[]event{{0, user}, {31 * 60_000, bot}}, nil},
		"long":                       {[]event{{0, user}, {300_000, bot}}, []string{"answer_time_ge5m"}},
	} {
		h := &conversation.History{}
		for _, e := range c.events {
			h.Add(conversation.Event{At: e.ms, Flags: e.flags, Channel: "web"})
		}
		var got []string
		for _, f := range latency.Model.Conversations("shop", h.Stretches()) {
			if len(f.Sums) != latency.Model.Width() || f.Sums[0] != 1 {
				t.Errorf("%s: %v", name, f)
			}
			got = append(got, latency.Model.Counters()[1+slices.Index(f.Sums[1:], 1)].Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
