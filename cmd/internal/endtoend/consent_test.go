package endtoend

import (
	"context"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/logtest"
	"github.com/oubli-store/oubli/projections"
)

// TestConsentForStatistics: where a tenant asks for consent, a person counts from their yes on, under all handles that are known to be theirs, and not at
// all once anyone of these has taken it back; where it does not, only a no takes somebody out.
func TestConsentForStatistics(t *testing.T) {
	for _, asks := range []bool{true, false} {
		ctx, keys := context.Background(), keystest.New()
		store := eventstore.New(eventstore.Config{Keys: keys, Log: logtest.New(), Door: door.New(door.Rules{}), Ledger: &counted{}})
		if err := keys.CreateTenant(ctx, shop); err != nil {
			t.Fatal(err)
		}
		if err := store.Open(ctx, shop, true); err != nil {
			t.Fatal(err)
		}
		c := projections.Config{Store: store, Keys: keys, Settings: func(eventstore.TenantID) projections.Settings { return projections.Settings{Consent: asks} }}
		live := filepath.Join(t.TempDir(), "live")
		web, mail := eventstore.Identity{Namespace: "web", ID: "visitor"}, eventstore.Identity{Namespace: "email", ID: "alice@example.com"}
		say := func(e eventstore.Event, who eventstore.Identity, also ...eventstore.Identity) {
			t.Helper()
			e.Identity, e.Also, e.Conversation = &who, also, "c"
			if _, err := store.Append(ctx, eventstore.Caller{Tenant: shop, Bot: "shop"}, e); err != nil {
				t.Fatal(err)
			}
		}
		message := eventstore.Event{Type: eventstore.TypeMessage, Author: eventstore.AuthorUser, Text: "text"}
		answer := func(granted bool) eventstore.Event {
			return eventstore.Event{Type: eventstore.TypeConsent, Consent: &eventstore.Consent{Purpose: eventstore.PurposeAnalytics, Granted: granted}}
		}
		messages := func(when string, withConsent, withOptOut uint64) {
			t.Helper()
			want := withOptOut
			if asks {
				want = withConsent
			}
			for _, dir := range []string{live, filepath.Join(t.TempDir(), "fresh")} {
				got := uint64(0)
				for _, cell := range follow(rapid.TB(t), dir, c)["activity"] {
					got += cell.Sums[1]
				}
				if got != want {
					t.Errorf("%s: %d messages count, want %d (asking for consent: %v)", when, got, want, asks)
				}
			}
		}
		say(message, web)
		messages("before any answer", 0, 1)
		say(answer(true), web)
		say(message, web)
		say(message, mail)
		messages("with the visitor's yes", 1, 3)
		say(message, web, mail)
		say(message, mail)
		messages("once the visitor has logged in", 3, 5)
		say(answer(false), mail)
		say(message, web)
		messages("taken back under the other handle", 0, 0)
		say(answer(true), web)
		say(message, mail)
		messages("given again", 1, 1)
	}
}
