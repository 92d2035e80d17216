package api

import (
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// TestPseudonyms: stable for a person and a recipient, different for each, none for a stranger or a recipient that is not named, and none of it minted.
func TestPseudonyms(t *testing.T) {
	h := newHarness(t)
	ask := func(id, recipient string) response {
		return h.do(request{method: "POST", path: "/v1/pseudonyms", token: h.tokens["default/bot"],
			body: `{"identity":{"namespace":"email","id":"` + id + `"},"recipient":"` + recipient + `"}`})
	}
	h.problem(ask(canary, "nlu"), eventstore.KindNotFound, 404, canary)
	if n, err := h.vault.Count(t.Context(), home); err != nil || n != 0 {
		t.Errorf("%d persons were made known by asking, %v", n, err)
	}
	h.person("alice")
	h.person("bob")
	seen := map[string]bool{}
	for _, who := range []string{"alice", "bob"} {
		for _, recipient := range []string{"nlu", "nlu2", "translator"} {
			var first, again pseudonymOutput
			h.decodeInto(ask(who, recipient), 200, &first)
			h.decodeInto(ask(who, recipient), 200, &again)
			if first != again || len(first.Pseudonym) != 32 || seen[first.Pseudonym] {
				t.Errorf("%s for %s: %v, then %v", who, recipient, first, again)
			}
			seen[first.Pseudonym] = true
		}
	}
	h.problem(ask("alice", ""), eventstore.KindInvalid, 400)
	h.problem(ask("alice", canary+"\\n"), eventstore.KindInvalid, 400, canary)
	h.decodeInto(h.do(request{method: "PUT", path: "/v1/settings", token: h.tokens["default/admin"], body: `{"recipients":"nlu, translator"}`}), 200, new(map[string]any))
	h.problem(ask("alice", canary), eventstore.KindInvalid, 400, canary)
	h.decodeInto(ask("alice", "nlu"), 200, new(pseudonymOutput))
}
