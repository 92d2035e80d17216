package api

import (
	"encoding/json"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// TestRequestsOverHTTP: a bot files a request and learns nothing of the person; support sees it, verifies and refuses it; what is no decision is refused.
func TestRequestsOverHTTP(t *testing.T) {
	h := newHarness(t)
	person := h.person("alice@example.com")
	ask := func(method, path, role, body string) (r rights.PersonRequest) {
		t.Helper()
		got := h.do(request{method: method, path: path, token: h.tokens["default/"+role], body: body})
		if got.StatusCode != 200 || json.Unmarshal([]byte(got.text), &r) != nil {
			t.Fatalf("%s %s: %d %s", method, path, got.StatusCode, got.text)
		}
		return r
	}
	filed := ask("POST", "/v1/requests", "bot", `{"kind":"access","identity":{"namespace":"email","id":"alice@example.com"}}`)
	if !filed.Person.IsZero() || filed.Waiting != rights.WaitVerification {
		t.Errorf("a bot gets %+v", filed)
	}
	seen := ask("GET", "/v1/requests/"+filed.ID, "support", "")
	if seen.Person != person || seen.FiledBy != bot {
		t.Errorf("support gets %+v", seen)
	}
	decide := "/v1/requests/" + filed.ID + "/decide"
	if r := ask("POST", decide, "support", `{"decision":"verify"}`); r.Waiting != rights.WaitExecution {
		t.Errorf("verified: %+v", r)
	}
	for body, kind := range map[string]eventstore.Kind{`{"decision":"forget"}`: eventstore.KindInvalid, `{"decision":"approve"}`: eventstore.KindConflict} {
		r := h.do(request{method: "POST", path: decide, token: h.tokens["default/dpo"], body: body})
		h.problem(r, kind, statuses[kind])
	}
	for _, body := range []string{`{"kind":"erasure","person":"` + person.String() + `"}`, `{"kind":"access","verified":true,"identity":{"namespace":"email","id":"x@example.com"}}`} {
		h.problem(h.do(request{method: "POST", path: "/v1/requests", token: h.tokens["default/bot"], body: body}), eventstore.KindForbidden, 403)
	}
	h.problem(h.do(request{method: "GET", path: "/v1/requests/" + filed.ID, token: h.tokens["other/dpo"]}), eventstore.KindNotFound, 404)
	if r := ask("POST", decide, "dpo", `{"decision":"refuse","reason":"excessive"}`); r.Open() {
		t.Errorf("refused: %+v", r)
	}
}
