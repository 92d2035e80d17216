package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/access"
	"github.com/oubli-store/oubli/eventstore"
)

// canary stands in everything that is sent; it must come back nowhere.
const canary = "Zanzibar77"

const good = `{"identity":{"namespace":"email","id":"` + canary + `@example.com"},"conversation":"` + canary + `","type":"message","author":"user","text":"` + canary + `"}`

// TestBadEvents: each is a problem of a stable type that repeats nothing, and nothing of it is stored.
func TestBadEvents(t *testing.T) {
	h := newHarness(t)
	with := func(members string) string {
		return `{"conversation":"` + canary + `","type":"message",` + members + `}`
	}
	ahead := h.clock.now().Add(time.Hour).Format(time.RFC3339)
	for name, test := range map[string]struct {
		body   string
		kind   eventstore.Kind
		status int
	}{
		"not JSON":             {canary, eventstore.KindInvalid, 400},
		"empty":                {" ", eventstore.KindInvalid, 400},
		"two documents":        {good + good, eventstore.KindInvalid, 400},
		"an array":             {"[" + good + "]", eventstore.KindInvalid, 400},
		"unknown field":        {with(`"` + canary + `":1`), eventstore.KindInvalid, 400},
		"wrong type":           {with(`"text":{"` + canary + `":1}`), eventstore.KindInvalid, 400},
		"missing conversation": {`{"type":"message","text":"` + canary + `"}`, eventstore.KindInvalid, 400},
		"long conversation":    {`{"conversation":"` + strings.Repeat(canary, 60) + `","type":"message"}`, eventstore.KindInvalid, 400},
		"invalid UTF-8":        {with(`"text":"` + canary + "\xff" + `"`), eventstore.KindInvalid, 400},
		"NUL byte":             {with(`"text":"` + canary + "\x00" + `"`), eventstore.KindInvalid, 400},
		"deep nesting":         {with(`"data":` + strings.Repeat(`{"`+canary+`":`, 5000) + "1" + strings.Repeat("}", 5000)), eventstore.KindInvalid, 400},
		"malformed time":       {with(`"time":"` + canary + `"`), eventstore.KindInvalid, 400},
		"time far ahead":       {with(`"time":"` + ahead + `","text":"` + canary + `"`), eventstore.KindInvalid, 400},
		"another bot":          {with(`"text":"x","bot":"` + canary + `"`), eventstore.KindForbidden, 403},
		"too large":            {with(`"text":"` + strings.Repeat(canary, eventstore.MaxEvent/10) + `"`), eventstore.KindTooLarge, 413},
	} {
		t.Run(name, func(t *testing.T) {
			h.T = t
			h.problem(h.do(request{method: "POST", path: "/v1/events", token: h.tokens["default/bot"], body: test.body}), test.kind, test.status, canary)
		})
	}
	h.T = t
	if len(h.store.all) > 0 {
		t.Errorf("%d of the bad events were stored", len(h.store.all))
	}
}

// TestContentType: only what a route takes, not encoded.
func TestContentType(t *testing.T) {
	h := newHarness(t)
	for _, path := range []string{"/v1/events", "/v1/persons/lookup", "/v1/conversations/read", "/v1/import/rasa"} {
		token := h.tokens["default/bot"]
		if strings.Contains(path, "lookup") {
			token = h.tokens["default/dpo"]
		}
		for _, header := range []map[string]string{
			{"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": canary + "/x"}, {"Content-Type": ";" + canary},
			{"Content-Type": "application/json; charset=latin1"}, {"Content-Encoding": "gzip"},
		} {
			h.problem(h.do(request{method: "POST", path: path, token: token, body: "{}", header: header}), eventstore.KindInvalid, 415, canary)
		}
	}
}

// TestHugeBodies: 64 MB are refused without being read, declared or not.
func TestHugeBodies(t *testing.T) {
	h := newHarness(t)
	for _, path := range []string{"/v1/events", "/v1/persons/lookup"} {
		token := h.tokens["default/bot"]
		if strings.Contains(path, "lookup") {
			token = h.tokens["default/dpo"]
		}
		for _, declared := range []bool{true, false} {
			var body io.Reader = strings.NewReader(`{"text":"` + strings.Repeat(canary[:8], 8<<20))
			if !declared {
				body = io.MultiReader(body) // hides the length
			}
			start := time.Now()
			r := h.do(request{method: "POST", path: path, token: token, reader: body})
			h.problem(r, eventstore.KindTooLarge, 413, canary[:8])
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("%s: refusing took %v", path, took)
			}
		}
	}
}

// TestIdempotency: the same key with the same body answers as before, with another body 409.
func TestIdempotency(t *testing.T) {
	h := newHarness(t)
	event := func(text string) response {
		return h.do(request{method: "POST", path: "/v1/events", token: h.tokens["default/bot"],
			body: `{"id":"` + canary + `","conversation":"c","type":"message","text":"` + text + `"}`})
	}
	var first, second eventstore.Receipt
	for _, to := range []*eventstore.Receipt{&first, &second} {
		r := event("hello")
		if r.StatusCode != 201 || json.Unmarshal([]byte(r.text), to) != nil {
			t.Fatalf("%d %s", r.StatusCode, r.text)
		}
	}
	if first.Duplicate || !second.Duplicate || first.ID != second.ID || first.Sequence != second.Sequence {
		t.Errorf("first %+v, second %+v", first, second)
	}
	h.problem(event("another"), eventstore.KindConflict, 409, canary)
}

// TestTokens: none, malformed, unknown, expired, revoked, rotated: one and the same answer.
func TestTokens(t *testing.T) {
	h := newHarness(t)
	tokens := h.api.Tokens.(*access.Tokens)
	ctx := t.Context()
	expired, text1, _ := tokens.Create(ctx, home, access.Token{Roles: roles(dpo), Expires: h.clock.now().Add(time.Minute)})
	revoked, text2, _ := tokens.Create(ctx, home, access.Token{Roles: roles(dpo)})
	rotated, text3, _ := tokens.Create(ctx, home, access.Token{Roles: roles(dpo)})
	if _, _, err := tokens.Rotate(ctx, home, rotated.ID); err != nil {
		t.Fatal(err)
	}
	if err := tokens.Revoke(ctx, home, revoked.ID); err != nil {
		t.Fatal(err)
	}
	h.clock.forward(time.Hour)
	unknown := strings.Replace(h.tokens["default/dpo"], "_default_", "_nowhere_", 1)
	var shape string
	for name, token := range map[string]string{"none": "", "malformed": canary, "unknown tenant": unknown, "expired " + string(expired.ID): string(text1.Reveal()),
		"revoked": string(text2.Reveal()), "rotated": string(text3.Reveal())} {
		r := h.do(request{method: "GET", path: "/v1/erasures", token: token})
		h.problem(r, eventstore.KindUnauthenticated, 401, canary)
		if shape == "" {
			shape = r.text
		}
		if r.text != shape || r.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: %s", name, r.text)
		}
	}
	for _, header := range []string{"Basic " + canary, "Bearer", "Bearer ", canary} {
		r := h.do(request{method: "GET", path: "/v1/erasures", header: map[string]string{"Authorization": header}})
		h.problem(r, eventstore.KindUnauthenticated, 401, canary)
	}
	h.vault.Fail(errors.New("a failing disk")) // is no refusal
	h.problem(h.do(request{method: "GET", path: "/v1/erasures", token: h.tokens["default/dpo"]}), eventstore.KindUnavailable, 503)
}

// TestUnknownTenant: a tenant that is not there, by the header.
func TestUnknownTenant(t *testing.T) {
	h := newHarness(t)
	name := strings.ToLower(canary)
	for header, kind := range map[string]eventstore.Kind{name: eventstore.KindNotFound, canary: eventstore.KindInvalid} {
		r := h.do(request{method: "GET", path: "/v1/tokens", token: h.tokens["instance"], header: map[string]string{TenantHeader: header}})
		h.problem(r, kind, statuses[kind], name, canary)
	}
	h.problem(h.do(request{method: "POST", path: "/v1/tenants/" + name + "/erase", token: h.tokens["instance"]}), eventstore.KindNotFound, 404, name)
}

// TestSmallBodies: what huma finds wrong has the one shape, and names a documented field at most.
func TestSmallBodies(t *testing.T) {
	h := newHarness(t)
	person := h.person("bob@example.com").String()
	for name, test := range map[string]struct {
		path, body, field string
		token             string
		kind              eventstore.Kind
	}{
		"not JSON":       {"/v1/persons/lookup", canary, "", "dpo", eventstore.KindInvalid},
		"empty":          {"/v1/persons/lookup", "", "", "dpo", eventstore.KindInvalid},
		"wrong type":     {"/v1/persons/lookup", `{"identities":"` + canary + `"}`, "identities", "dpo", eventstore.KindInvalid},
		"deeper":         {"/v1/persons/lookup", `{"identities":[{"namespace":{"x":"` + canary + `"},"id":"` + canary + `"}]}`, "identities.namespace", "dpo", eventstore.KindInvalid},
		"unknown":        {"/v1/persons/lookup", `{"identities":[{"namespace":"a","id":"b","` + canary + `":1}]}`, "", "dpo", eventstore.KindInvalid},
		"missing":        {"/v1/persons/lookup", `{}`, "identities", "dpo", eventstore.KindInvalid},
		"missing deeper": {"/v1/persons/lookup", `{"identities":[{"id":"` + canary + `"}]}`, "identities.namespace", "dpo", eventstore.KindInvalid},
		"invalid UTF-8":  {"/v1/persons/lookup", `{"identities":[{"namespace":"a","id":"` + canary + "\xff" + `"}]}`, "", "dpo", eventstore.KindInvalid},
		"deep":           {"/v1/persons/lookup", `{"` + canary + `":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}", "", "dpo", eventstore.KindInvalid},
		"reason":         {"/v1/persons/" + person + "/erase", `{"note":"` + canary + `"}`, "reason", "dpo", eventstore.KindInvalid},
		"long note":      {"/v1/persons/" + person + "/erase", `{"reason":"other","note":"` + strings.Repeat(canary, 900) + `"}`, "note", "dpo", eventstore.KindInvalid},
		"scope":          {"/v1/persons/" + person + "/erase", `{"reason":"other","scope":"` + canary + `"}`, "scope", "dpo", eventstore.KindInvalid},
		"scope's day":    {"/v1/persons/" + person + "/erase", `{"reason":"other","scope":{"before":"2026-02-30"}}`, "scope", "dpo", eventstore.KindInvalid},
		"half a scope":   {"/v1/persons/" + person + "/erase", `{"reason":"other","scope":{"conversation":"` + canary + `"}}`, "scope", "dpo", eventstore.KindInvalid},
		"two scopes":     {"/v1/persons/" + person + "/erase", `{"reason":"other","scope":{"conversation":"` + canary + `","bot":"b","before":"2026-01-31"}}`, "scope", "dpo", eventstore.KindInvalid},
		"bad person":     {"/v1/persons/" + canary + "/erase", `{"reason":"other"}`, "person", "dpo", eventstore.KindInvalid},
		"conversation":   {"/v1/conversations/read", `{"` + canary + `":1}`, "", "bot", eventstore.KindInvalid},
		"no body":        {"/v1/conversations/read", ``, "", "bot", eventstore.KindInvalid},
		"bot":            {"/v1/conversations/read", `{"conversation":"c","bot":"` + canary + `"}`, "bot", "bot", eventstore.KindForbidden},
		"no such":        {"/v1/conversations/read", `{"conversation":"` + canary + `"}`, "conversation", "bot", eventstore.KindNotFound},
		"roles":          {"/v1/tokens", `{"roles":["` + canary + `"]}`, "roles", "admin", eventstore.KindInvalid},
		"expires":        {"/v1/tokens", `{"roles":["dpo"],"expires":"` + canary + `"}`, "expires", "admin", eventstore.KindInvalid},
		"instance":       {"/v1/tokens", `{"roles":["admin"],"instance":true}`, "instance", "admin", eventstore.KindForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			h.T = t
			r := h.do(request{method: "POST", path: test.path, token: h.tokens["default/"+test.token], body: test.body, header: map[string]string{"Content-Type": jsonType}})
			if p := h.problem(r, test.kind, statuses[test.kind], canary); p.Field != test.field {
				t.Errorf("field %q, want %q (%s)", p.Field, test.field, p.Detail)
			}
		})
	}
}

// TestBadQueries: the query of a route, of both kinds of handlers.
func TestBadQueries(t *testing.T) {
	h := newHarness(t)
	person := h.person("bob@example.com").String()
	for path, token := range map[string]string{
		"/v1/persons/" + person + "/events?after=" + canary:              "dpo",
		"/v1/persons/" + person + "/events?limit=-" + canary:             "dpo",
		"/v1/persons/" + person + "/events?" + canary + "=1":             "dpo",
		"/v1/persons/" + person + "/events?limit=1&limit=" + canary:      "dpo",
		"/v1/persons/" + person + "/events?conversation=" + canary + ";": "dpo",
		"/v1/persons/" + person + "/events?conversation=%ff" + canary:    "dpo",
		"/v1/persons/" + person + "/export?" + canary:                    "dpo",
		"/v1/persons/" + person + "?" + canary + "=1":                    "dpo",
		"/v1/erasures?" + canary + "=1":                                  "dpo",
		"/v1/ledger?from=" + canary:                                      "dpo",
		"/v1/ledger?from=0&limit=" + canary:                              "dpo",
		"/v1/stats/activity?format=" + canary:                            "analyst",
		"/v1/stats/activity?from=" + canary:                              "analyst",
		"/v1/stats/activity?to=2026-02-30" + canary:                      "analyst",
		"/v1/stats/activity?by=" + canary:                                "analyst",
		"/v1/stats/activity?where=" + canary:                             "analyst",
	} {
		h.problem(h.do(request{method: "GET", path: path, token: h.tokens["default/"+token]}), eventstore.KindInvalid, 400, canary)
	}
	h.problem(h.do(request{method: "GET", path: "/v1/stats/" + canary, token: h.tokens["default/analyst"]}), eventstore.KindNotFound, 404, canary)
}

// TestErrors: every error of the rooms has its status and type, and an unexpected one shows nothing but is logged by its types.
func TestErrors(t *testing.T) {
	leaking := fmt.Errorf("the row of %s: %w", canary, &fs.PathError{Op: "write", Path: "/data/vault", Err: syscall.ENOSPC})
	for _, test := range []struct {
		err    error
		kind   eventstore.Kind
		status int
		logged string
	}{
		{eventstore.ErrFenced, eventstore.KindUnavailable, 503, ""},
		{fmt.Errorf("%s: %w", canary, eventstore.ErrUncertain), eventstore.KindUnavailable, 503, ""},
		{eventstore.ErrRate.RetryAfter(3 * time.Second), eventstore.KindRate, 429, ""},
		{eventstore.ErrErased, eventstore.KindErased, 410, ""},
		{eventstore.ErrExpired, eventstore.KindErased, 410, ""},
		{eventstore.ErrWithheld, eventstore.KindWithheld, 403, ""},
		{eventstore.ErrConsent, eventstore.KindConsent, 403, ""},
		{eventstore.ErrHold, eventstore.KindHold, 409, ""},
		{eventstore.ErrAmbiguous, eventstore.KindAmbiguous, 409, ""},
		{eventstore.ErrKeyLost, eventstore.KindNotFound, 404, ""},
		{fmt.Errorf("%s: %w", canary, eventstore.ErrDamaged), eventstore.KindUnavailable, 500, "damaged"},
		{eventstore.ErrUnavailable.Because(eventstore.ErrDamaged), eventstore.KindUnavailable, 500, "damaged"},
		{context.DeadlineExceeded, eventstore.KindUnavailable, 503, ""},
		{errors.New(canary), eventstore.KindUnavailable, 500, "errorString"},
		{leaking, eventstore.KindUnavailable, 500, "write /data/vault < no space left on device"},
	} {
		h := newHarness(t)
		h.store.fail = test.err
		event := request{method: "POST", path: "/v1/events", token: h.tokens["default/bot"], body: good}
		p := h.problem(h.do(event), test.kind, test.status, canary)
		if (test.status == 503 || test.status == 429) && p.RetryAfter == 0 {
			t.Errorf("%v: no retry_after", p)
		}
		h.store.fail, h.store.failWait = nil, test.err
		h.problem(h.do(event), test.kind, test.status, canary)
		h.rights.err = test.err // through huma
		h.problem(h.do(request{method: "GET", path: "/v1/erasures", token: h.tokens["default/dpo"]}), test.kind, test.status, canary)
		if !strings.Contains(h.log.String(), test.logged) {
			t.Errorf("the log does not say %q: %s", test.logged, h.log)
		}
	}
}

// TestPanics become a 500 without what was in them.
func TestPanics(t *testing.T) {
	h := newHarness(t)
	h.store.panics = true
	h.problem(h.do(request{method: "POST", path: "/v1/events", token: h.tokens["default/bot"], body: good}), eventstore.KindUnavailable, 500, canary, "alice")
	if log := h.log.String(); !strings.Contains(log, `"panic"`) || !strings.Contains(log, "fakeStore") {
		t.Errorf("the log does not say where: %s", log)
	}
	r := h.do(request{method: "POST", path: "/v1/events", token: h.tokens["default/bot"], body: good + "\n" + good + "\n", header: map[string]string{"Content-Type": linesType}})
	if r.StatusCode != 200 || !strings.Contains(r.text, `"status":500`) {
		t.Errorf("%d %s", r.StatusCode, r.text)
	}
	h.unseen(r, canary, "alice")
	if status, answer := h.api.Append(t.Context(), "Bearer "+h.tokens["default/bot"], []byte(good)); status != 500 || bytes.Contains(answer, []byte("alice")) {
		t.Errorf("%d %s", status, answer)
	}
}

// TestSlowClients: a header or a body that drips is ended.
func TestSlowClients(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Patience = 300 * time.Millisecond })
	conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\n", h.tokens["default/bot"], jsonType)
	stop := make(chan struct{})
	defer close(stop)
	go func() { // a byte now and then does not help
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				if _, err := conn.Write([]byte(" ")); err != nil {
					return
				}
			}
		}
	}()
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	text, _ := io.ReadAll(resp.Body)
	h.problem(response{resp, string(text)}, eventstore.KindInvalid, 408)
}

// TestMetricsAndLogAreClean runs good and bad requests and looks at the figures and the log.
func TestMetricsAndLogAreClean(t *testing.T) {
	h := newHarness(t)
	h.do(request{method: "POST", path: "/v1/events", token: h.tokens["default/bot"], body: good})
	h.do(request{method: "POST", path: "/v1/events", token: h.tokens["default/bot"], body: canary})
	h.do(request{method: "GET", path: "/v1/" + canary + "?x=" + canary, token: canary})
	r := h.do(request{method: "GET", path: "/metrics"})
	h.unseen(r, canary, h.tokens["default/bot"])
	for _, want := range []string{`oubli_events_total{result="stored"} 1`, `oubli_events_total{result="invalid"} 1`, `route="/v1/events"`} {
		if !strings.Contains(r.text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if !strings.Contains(h.log.String(), `"route":"/v1/events"`) {
		t.Errorf("log: %s", h.log)
	}
}

// TestBodyBreaksOff: a client that hangs up in the middle stores nothing.
func TestBodyBreaksOff(t *testing.T) {
	h := newHarness(t)
	conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\n%s", h.tokens["default/bot"], jsonType, good)
	conn.(*net.TCPConn).CloseWrite()
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil && resp.StatusCode < 400 {
		t.Errorf("%d", resp.StatusCode)
	} else if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server did not answer")
	}
	conn.Close()
	if len(h.store.all) > 0 {
		t.Error("half an event was stored")
	}
}

// TestSlowRefused: a client whose request is refused anyway cannot hold the connection with the rest of its body.
func TestSlowRefused(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Patience = 300 * time.Millisecond })
	conn, err := net.Dial("tcp", h.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\n", jsonType)
	conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection was not closed: %v", err)
	}
}
