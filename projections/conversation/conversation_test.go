package conversation_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/projections/conversation"
)

func draw(t *rapid.T) conversation.Event {
	return conversation.Event{
		At:           rapid.Int64Range(-1000, 300_000_000).Draw(t, "at"),
		Flags:        conversation.Flags(rapid.SampledFrom([]int{1, 1, 1, 2, 2, 4, 8, 16, 32, 96, 160, 257}).Draw(t, "flags")),
		Conversation: conversation.Mark{rapid.Byte().Draw(t, "conversation") % 3},
		Channel:      rapid.SampledFrom([]string{"web", "voice", "(none)"}).Draw(t, "channel"),
		Intent:       rapid.SampledFrom([]string{"", "order", "refund"}).Draw(t, "intent"),
	}
}

func history(events []conversation.Event) *conversation.History {
	h := &conversation.History{}
	for _, e := range events {
		h.Add(e)
	}
	return h
}

// TestAnyOrder: the stretches are those of the set of events, whatever order they come in; a history is read back as it was written.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfNDistinct(rapid.Custom(draw), 0, 40, func(e conversation.Event) int64 { return e.At }).Draw(t, "events")
		h := history(events)
		want := h.Stretches()
		shuffled := slices.Clone(events)
		seed := rapid.Uint64().Draw(t, "seed")
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := history(shuffled).Stretches(); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\nwant %v", got, want)
		}
		again, err := conversation.Parse(h.Append(nil))
		if err != nil || !slices.Equal(again.Events, h.Events) {
			t.Fatalf("%v, %v\nwant %v", again, err, h)
		}
	})
}

// TestStretches: every event is in one stretch, of its own conversation, and two stretches of a conversation are apart for one of the reasons there are.
func TestStretches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := history(rapid.SliceOfN(rapid.Custom(draw), 0, 60).Draw(t, "events"))
		last := map[conversation.Mark]conversation.Event{}
		n := 0
		for _, s := range h.Stretches() {
			for i, e := range s.Events {
				n++
				before, found := last[e.Conversation]
				apart := e.At-before.At > (30*time.Minute).Milliseconds() || before.Is(conversation.Ended) || e.Is(conversation.Started)
				switch {
				case e.Conversation != s.Events[0].Conversation:
					t.Fatal("two conversations in one stretch")
				case i > 0 && apart:
					t.Fatalf("%v and %v in one stretch", before, e)
				case i == 0 && found && !apart:
					t.Fatalf("%v and %v in two stretches", before, e)
				}
				last[e.Conversation] = e
			}
		}
		if n != len(h.Events) {
			t.Fatalf("%d events in stretches of %d", n, len(h.Events))
		}
	})
}

// TestSettle: what is settled was the beginning; what is kept says what it said before.
func TestSettle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed, n := rapid.Uint64().Draw(t, "seed"), rapid.IntRange(conversation.MaxEvents-10, 2*conversation.MaxEvents).Draw(t, "n")
		random := rand.New(rand.NewPCG(seed, 2))
		h := &conversation.History{}
		for range n {
			h.Add(conversation.Event{At: random.Int64N(int64(n) * 400_000), Flags: conversation.User, Conversation: conversation.Mark{byte(random.IntN(2))}})
		}
		all := h.Stretches()
		h.Settle()
		kept := h.Stretches()
		if len(h.Events) > conversation.MaxEvents || len(h.Events) < conversation.MaxEvents-conversation.MaxStretch && n > conversation.MaxEvents {
			t.Fatalf("%d events are kept of %d", len(h.Events), n)
		}
		if !reflect.DeepEqual(kept, all[len(all)-len(kept):]) {
			t.Fatal("what is kept says something else")
		}
	})
}

// FuzzParse: whatever the bytes are, they are refused or read as something that is written and read again as the same.
func FuzzParse(f *testing.F) {
	f.Add(history([]conversation.Event{{At: 5, Flags: 1, Channel: "web", Intent: "order"}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := conversation.Parse(b)
		if err != nil {
			return
		}
		if again, err := conversation.Parse(h.Append(nil)); err != nil || !slices.Equal(again.Events, h.Events) {
			t.Fatalf("%v, %v", again, err)
		}
	})
}
