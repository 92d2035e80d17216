package eventstore

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestScopeJSON: a scope reads back from its JSON, and what is no scope is refused without being repeated.
func TestScopeJSON(t *testing.T) {
	for s, want := range map[Scope]string{
		ScopeAll:                           `"all"`,
		{Conversation: "c-1", Bot: "shop"}: `{"conversation":"c-1","bot":"shop"}`,
		{Before: "2026-01-31"}:             `{"before":"2026-01-31"}`,
	} {
		b, err := json.Marshal(s)
		if string(b) != want || err != nil {
			t.Errorf("%s, %v, want %s", b, err, want)
		}
		back := Scope{Before: "x"}
		if err := json.Unmarshal(b, &back); back != s || err != nil {
			t.Errorf("%s reads as %+v, %v", b, back, err)
		}
	}
	for _, in := range []string{
		`"secretpart"`, `{}`, `7`, `null1`, `{"conversation":"secret"}`, `{"bot":"secret"}`, `{"before":"secret"}`, `{"before":"2026-02-30"}`, `{"before":"1969-12-31"}`,
		`{"before":"2026-01-31","bot":"secret","conversation":"c"}`, `{"secret":1}`, `{"conversation":"` + strings.Repeat("c", MaxConversation+1) + `","bot":"b"}`,
	} {
		var s Scope
		err := s.UnmarshalJSON([]byte(in))
		if err == nil {
			err = s.Check()
		}
		if !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.40s: %v", in, err)
		}
	}
}

// TestScopeTakes: a day begins at midnight of its zone, daylight saving or not, and a conversation is its bot's.
func TestScopeTakes(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(0, 2e9).Draw(t, "time"), 0)
		day := time.Unix(rapid.Int64Range(86400, 2e9).Draw(t, "day"), 0).UTC().Format(time.DateOnly)
		s := Scope{Before: day}
		cutoff, err := s.Cutoff(paris)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.Takes(&Event{Time: at}, cutoff), at.In(paris).Format(time.DateOnly) < day; got != want {
			t.Errorf("an event of %v and the day %s: %v", at.In(paris), day, got)
		}
		e := Event{Bot: BotID(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "bot")), Conversation: ConversationID(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "conversation"))}
		if got := (Scope{Bot: "a", Conversation: "b"}).Takes(&e, time.Time{}); got != (e.Bot == "a" && e.Conversation == "b") {
			t.Errorf("the event %+v: %v", e, got)
		}
		if !ScopeAll.Takes(&e, time.Time{}) {
			t.Error("all does not take everything")
		}
	})
}
