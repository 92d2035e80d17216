package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
	"github.com/oubli-store/oubli/projections"
)

// decodeInto reads a good answer.
func (h *harness) decodeInto(r response, status int, v any) {
	h.Helper()
	if r.StatusCode != status {
		h.Fatalf("%d %s", r.StatusCode, r.text)
	}
	if err := json.Unmarshal([]byte(r.text), v); err != nil {
		h.Fatalf("%v: %s", err, r.text)
	}
}

// TestPersonEvents: NDJSON in order; after and limit; an error before the first event has its status, a later one is the last line.
func TestPersonEvents(t *testing.T) {
	h := newHarness(t)
	person := h.person("alice@example.com")
	for range 4 {
		h.person("ALICE@example.com")
	}
	path := "/v1/persons/" + person.String() + "/events"
	ask := func(query string) response {
		return h.do(request{method: "GET", path: path + query, token: h.tokens["default/support"]})
	}
	sequences := func(r response) (out []uint64) {
		for l := range strings.Lines(r.text) {
			var e eventstore.Recorded
			if err := json.Unmarshal([]byte(l), &e); err != nil {
				t.Fatal(err)
			}
			out = append(out, e.Sequence)
		}
		return out
	}
	for query, want := range map[string][]uint64{"": {1, 2, 3, 4, 5}, "?after=3": {4, 5}, "?after=1&limit=2": {2, 3}, "?conversation=c1&limit=1": {1}, "?conversation=c9": nil} {
		r := ask(query)
		if got := sequences(r); r.StatusCode != 200 || r.Header.Get("Content-Type") != linesType || !slices.Equal(got, want) {
			t.Errorf("%s: %d %v, want %v", query, r.StatusCode, got, want)
		}
	}
	if _, said := ask("").Header[expiredHeader]; said {
		t.Error("it says that something has expired")
	}
	h.rights.expiredBefore = "2024-11-01"
	if got := ask("?limit=1").Header.Get(expiredHeader); got != "2024-11-01" {
		t.Errorf("expired before %q", got)
	}
	h.store.failRead = fmt.Errorf("%s: %w", canary, eventstore.ErrFenced)
	h.problem(ask(""), eventstore.KindUnavailable, 503, canary)
	h.store.readAfter = 2
	r := ask("")
	lines := strings.Split(strings.TrimSpace(r.text), "\n")
	if r.StatusCode != 200 || len(lines) != 3 || !strings.HasPrefix(lines[2], `{"error":{"type":"urn:oubli:unavailable"`) {
		t.Errorf("%d %s", r.StatusCode, r.text)
	}
	h.unseen(r, canary)
}

// TestConversation: a bot reads its own conversations, with an identity and without; a later error breaks the document off.
func TestConversation(t *testing.T) {
	h := newHarness(t)
	h.person("alice@example.com")
	anonymous := h.do(request{method: "POST", path: "/v1/events", token: h.tokens["default/bot"], body: `{"conversation":"c2","type":"message","author":"user","text":"hidden"}`})
	if anonymous.StatusCode != 201 {
		t.Fatal(anonymous.text)
	}
	ask := func(body string) response {
		return h.do(request{method: "POST", path: "/v1/conversations/read", token: h.tokens["default/bot"], body: body})
	}
	for _, body := range []string{`{"conversation":"c1","identity":{"namespace":"email","id":"Alice@example.com"}}`, `{"conversation":"c2"}`} {
		var got conversation
		h.decodeInto(ask(body), 200, &got)
		if len(got.Events) != 1 || !got.Complete {
			t.Errorf("%+v", got)
		}
	}
	h.problem(ask(`{"conversation":"c1"}`), eventstore.KindNotFound, 404)
	h.problem(ask(`{"conversation":"c2","identity":{"namespace":"email","id":"alice@example.com"}}`), eventstore.KindNotFound, 404)
	if n := len(h.ledger.entries); n != 3 || h.ledger.entries[0].Act != eventstore.ActConversation || len(h.ledger.entries[0].References) != 1 {
		t.Errorf("%d ledger entries: %+v", n, h.ledger.entries)
	}
	h.ledger.err = eventstore.ErrUnavailable // no entry, no answer
	r := ask(`{"conversation":"c2"}`)
	h.problem(r, eventstore.KindUnavailable, 503, "hidden")
	h.do(request{method: "POST", path: "/v1/events", token: h.tokens["default/bot"], body: `{"conversation":"c2","type":"message","author":"user","text":"more"}`})
	h.ledger.err, h.store.failRead, h.store.readAfter = nil, eventstore.ErrFenced, 1
	resp, err := h.server.Client().Do(h.request("POST", "/v1/conversations/read", h.tokens["default/bot"], `{"conversation":"c2"}`))
	if err == nil {
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(new(any)); err == nil && resp.StatusCode == 200 {
			t.Error("half a document looks whole")
		}
	}
}

// TestRestricted: a bot does not read a restricted person's conversation.
func TestRestricted(t *testing.T) {
	h := newHarness(t)
	person := h.person("alice@example.com")
	if err := h.vault.SetState(t.Context(), home, person, func(s eventstore.State) eventstore.State { s.Restricted = true; return s }); err != nil {
		t.Fatal(err)
	}
	h.problem(h.do(request{method: "POST", path: "/v1/conversations/read", token: h.tokens["default/bot"],
		body: `{"conversation":"c1","identity":{"namespace":"email","id":"alice@example.com"}}`}), eventstore.KindWithheld, 403)
}

func (h *harness) request(method, path, token, body string) *http.Request {
	r, err := http.NewRequest(method, h.server.URL+path, strings.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", jsonType)
	return r
}

// TestEraseRefuseFor: how long handles are refused is read as days, shown in the preview, and passed on; anything else is refused before it does anything.
func TestEraseRefuseFor(t *testing.T) {
	h := newHarness(t)
	path := "/v1/persons/" + h.person("alice@example.com").String() + "/erase"
	erase := func(body string) response {
		return h.do(request{method: "POST", path: path, token: h.tokens["default/support"], body: body})
	}
	for _, bad := range []string{"1000d", "0d", "733d", "30", "-1d", "1h"} {
		h.problem(erase(`{"reason":"person-request","refuse_for":"`+bad+`"}`), eventstore.KindInvalid, 400)
	}
	in := func(until, from time.Time, days int) bool {
		return until.Sub(from.AddDate(0, 0, days)).Abs() < 24*time.Hour
	}
	var preview struct{ Preview rights.Preview }
	h.decodeInto(erase(`{"dry_run":true,"refuse_for":"30d"}`), 200, &preview)
	if !in(preview.Preview.RefusedUntil, h.api.now(), 30) {
		t.Errorf("the preview says %v", preview.Preview.RefusedUntil)
	}
	var done rights.Erasure
	h.decodeInto(erase(`{"reason":"person-request","refuse_for":"365d"}`), 200, &done)
	if !in(done.RefusedUntil, h.api.now(), 365) {
		t.Errorf("the erasure says %v", done.RefusedUntil)
	}
}

// TestErase: a preview changes nothing; an erasure answers, and afterwards everything is gone for good.
func TestErase(t *testing.T) {
	h := newHarness(t)
	person := h.person("alice@example.com")
	path := "/v1/persons/" + person.String()
	erase := func(body string) response {
		return h.do(request{method: "POST", path: path + "/erase", token: h.tokens["default/dpo"], body: body})
	}
	var preview struct {
		Preview struct{ Person string }
		Erasure string
	}
	h.decodeInto(erase(`{"dry_run":true}`), 200, &preview)
	if preview.Preview.Person != person.String() || preview.Erasure != "" {
		t.Errorf("%+v", preview)
	}
	for _, scope := range []string{`"all"`, `{"conversation":"c-1","bot":"shop"}`, `{"before":"2026-01-31"}`} {
		if r := erase(`{"dry_run":true,"scope":` + scope + `}`); r.StatusCode != 200 || !strings.Contains(r.text, `"scope":`+scope) {
			t.Errorf("the scope %s: %d %s", scope, r.StatusCode, r.text)
		}
	}
	var done struct {
		Erasure, Person string
		Preview         any
	}
	h.decodeInto(erase(`{"reason":"person-request","ticket":"T1"}`), 200, &done)
	if done.Erasure != "e1" || done.Person != person.String() || done.Preview != nil {
		t.Errorf("%+v", done)
	}
	for _, p := range []string{path, path + "/events", path + "/export"} {
		h.problem(h.do(request{method: "GET", path: p, token: h.tokens["default/dpo"]}), eventstore.KindErased, 410)
	}
	var found lookupOutput
	h.decodeInto(h.do(request{method: "POST", path: "/v1/persons/lookup", token: h.tokens["default/dpo"],
		body: `{"identities":[{"namespace":"email","id":"alice@example.com"}]}`}), 200, &found)
	if found.Persons == nil || len(found.Persons) != 0 {
		t.Errorf("%+v", found)
	}
	var list erasuresOutput
	h.decodeInto(h.do(request{method: "GET", path: "/v1/erasures", token: h.tokens["default/support"]}), 200, &list)
	if h.decodeInto(h.do(request{method: "GET", path: "/v1/erasures?ticket=T1", token: h.tokens["default/support"]}), 200, &list); list.Erasures[0].ID != "e-T1" {
		t.Errorf("%+v", list)
	}
	h.problem(h.do(request{method: "GET", path: "/v1/erasures/nothing", token: h.tokens["default/support"]}), eventstore.KindNotFound, 404)
}

// TestStats: JSON and CSV, by Accept and by format; the query is understood; formulas are disarmed.
func TestStats(t *testing.T) {
	h := newHarness(t)
	ask := func(query, accept string) response {
		return h.do(request{method: "GET", path: "/v1/stats/activity" + query, token: h.tokens["default/analyst"], header: map[string]string{"Accept": accept}})
	}
	want := "period,intent,persons\n2026-11-22,'=1+1,20\n2026-11-23,,1.5\n"
	for _, r := range []response{ask("?format=csv", "application/json"), ask("", "text/csv"), ask("", "text/csv;q=1, application/json")} {
		if r.text != want || !strings.HasPrefix(r.Header.Get("Content-Type"), csvType) {
			t.Errorf("%q %s", r.text, r.Header.Get("Content-Type"))
		}
	}
	for _, r := range []response{ask("", ""), ask("?format=json", "text/csv"), ask("", "application/json, text/csv")} {
		var got struct{ Rows [][]any }
		h.decodeInto(r, 200, &got)
		if len(got.Rows) != 2 {
			t.Errorf("%s", r.text)
		}
	}
	csv := ask("?format=csv", "")
	if csv.Header.Get("Oubli-Provisional") != "false" || csv.Header.Get("Oubli-Note") != "fewer than 10 persons: hidden" || csv.Header.Get("Oubli-Parameters") != "by=day; k=10; timezone=Europe/Paris; bound=0; grace=; noise=false" {
		t.Errorf("%v", csv.Header)
	}
	for _, r := range []response{ask("?format=parquet", "text/csv"), ask("", "application/vnd.apache.parquet")} {
		f, err := parquet.OpenFile(strings.NewReader(r.text), int64(len(r.text)))
		if err != nil || f.NumRows() != 2 || r.Header.Get("Content-Type") != parquetType {
			t.Fatalf("%v %v", err, r.Header)
		}
		if note, _ := f.Lookup("oubli.note"); note != "fewer than 10 persons: hidden" {
			t.Errorf("%q", note)
		}
	}
	ask("?from=2026-11-01&to=2026-11-30&by=week&where=bot=shop&where=language=fr", "")
	if q := h.stats.query; q.From.Day() != 1 || q.To.Day() != 30 || q.By != eventstore.Week || !maps.Equal(q.Where, map[string]string{"bot": "shop", "language": "fr"}) {
		t.Errorf("%+v", q)
	}
	if r := h.do(request{method: "GET", path: "/v1/stats", token: h.tokens["default/analyst"]}); !strings.Contains(r.text, `"activity"`) {
		t.Errorf("%s", r.text)
	}
}

// TestSQL: an answer in each form; an error says where, and repeats nothing.
func TestSQL(t *testing.T) {
	h := newHarness(t)
	ask := func(path, body string) response {
		return h.do(request{method: "POST", path: path, body: body, token: h.tokens["default/analyst"], header: map[string]string{"Content-Type": "application/json"}})
	}
	var got projections.Result
	h.decodeInto(ask("/v1/sql", `{"query":"SELECT 1"}`), 200, &got)
	if got.K != 10 || len(got.Rows) != 1 || len(got.Notes) != 1 || got.Columns[0].Name != "=1" {
		t.Errorf("%+v", got)
	}
	if r := ask("/v1/sql?format=csv", `{"query":"SELECT 1"}`); r.text != "'=1\n1\n" {
		t.Errorf("%q", r.text)
	}
	if r := ask("/v1/sql?format=parquet", `{"query":"SELECT 1"}`); !strings.HasPrefix(r.text, "PAR1") {
		t.Errorf("%q", r.text)
	}
	const canary = "canary_7731"
	r := ask("/v1/sql", `{"query":"SELECT `+canary+`"}`)
	h.problem(r, eventstore.KindInvalid, 400, canary)
	if !strings.Contains(r.text, `"line":1,"column":8`) {
		t.Errorf("%s", r.text)
	}
	for _, body := range []string{``, `{}x`, `{"query":1}`, `{"sql":"SELECT 1"}`, `{"query":"SELECT 1","` + canary + `":1}`} {
		h.problem(ask("/v1/sql", body), eventstore.KindInvalid, 400, canary)
	}
	h.problem(ask("/v1/sql?format="+canary, `{"query":"SELECT 1"}`), eventstore.KindInvalid, 400, canary)
}

// TestLedger: pages of JSON, and NDJSON.
func TestLedger(t *testing.T) {
	h := newHarness(t)
	for range 5 {
		h.ledger.Record(t.Context(), home, eventstore.Entry{Act: eventstore.ActShown, Token: "t", References: []eventstore.LedgerReference{{1}}})
	}
	ask := func(query, accept string) response {
		return h.do(request{method: "GET", path: "/v1/ledger" + query, token: h.tokens["default/dpo"], header: map[string]string{"Accept": accept}})
	}
	var page ledgerOutput
	h.decodeInto(ask("?from=2&limit=3", ""), 200, &page)
	if len(page.Entries) != 3 || page.Entries[0].Number != 2 || page.Next != 5 || page.Entries[0].References[0][:2] != "01" {
		t.Errorf("%+v", page)
	}
	page = ledgerOutput{}
	if h.decodeInto(ask("?from=5", ""), 200, &page); len(page.Entries) != 1 || page.Next != 0 {
		t.Errorf("%+v", page)
	}
	if r := ask("?from=2&limit=2", linesType); strings.Count(r.text, "\n") != 2 || r.Header.Get("Content-Type") != linesType {
		t.Errorf("%s", r.text)
	}
}

// TestManagement: tokens and tenants from their making to their end, each act recorded before it has an effect.
func TestManagement(t *testing.T) {
	h := newHarness(t)
	ask := func(method, path, body string, tenant eventstore.TenantID) response {
		q := request{method: method, path: path, body: body, token: h.tokens["instance"], header: map[string]string{}}
		if tenant != "" {
			q.header[TenantHeader] = string(tenant)
		}
		return h.do(q)
	}
	var made tenantOutput
	h.decodeInto(ask("POST", "/v1/tenants", `{"tenant":"acme"}`, ""), 201, &made)
	h.problem(ask("POST", "/v1/tenants", `{"tenant":"acme"}`, ""), eventstore.KindConflict, 409)
	h.problem(ask("POST", "/v1/tenants", `{"tenant":"`+canary+`"}`, ""), eventstore.KindInvalid, 400, canary)
	var token tokenOutput
	h.decodeInto(ask("POST", "/v1/tokens", `{"roles":["dpo"],"owner":"Zoé","expires":"2027-01-01T00:00:00Z"}`, "acme"), 201, &token)
	if token.Text == "" || token.Tenant != "acme" || token.Owner != "Zoé" {
		t.Errorf("%+v", token)
	}
	works := func(text string) bool {
		return h.do(request{method: "GET", path: "/v1/erasures", token: text}).StatusCode == 200
	}
	if !works(token.Text) {
		t.Error("the new token does not work")
	}
	var rotated tokenOutput
	h.decodeInto(ask("POST", "/v1/tokens/"+string(token.ID)+"/rotate", "", "acme"), 200, &rotated)
	if works(token.Text) || !works(rotated.Text) {
		t.Error("rotation did not replace the text")
	}
	h.problem(ask("POST", "/v1/tokens/"+string(token.ID)+"/revoke", "", ""), eventstore.KindNotFound, 404) // another tenant's
	var ended struct{ Revoked string }
	h.decodeInto(ask("POST", "/v1/tokens/"+string(token.ID)+"/revoke", "", "acme"), 200, &ended)
	if works(rotated.Text) || ended.Revoked == "" {
		t.Error("a revoked token works")
	}
	var tokens tokensOutput
	r := ask("GET", "/v1/tokens", "", "acme")
	h.decodeInto(r, 200, &tokens)
	if len(tokens.Tokens) != 1 || strings.Contains(r.text, "oubli_") {
		t.Errorf("%s", r.text)
	}
	var tenants tenantsOutput
	if h.decodeInto(ask("GET", "/v1/tenants", "", ""), 200, &tenants); len(tenants.Tenants) != 3 {
		t.Errorf("%+v", tenants)
	}
	if h.decodeInto(h.do(request{method: "GET", path: "/v1/tenants", token: h.tokens["other/admin"]}), 200, &tenants); len(tenants.Tenants) != 1 {
		t.Errorf("%+v", tenants)
	}
	h.problem(ask("POST", "/v1/tenants/default/erase", "", ""), eventstore.KindConflict, 409)
	if r := ask("POST", "/v1/tenants/acme/erase", "", ""); r.StatusCode != 200 {
		t.Errorf("%d %s", r.StatusCode, r.text)
	}
	var acts []eventstore.Act
	for _, e := range h.ledger.entries {
		if e.Token == "" || e.Role != admin {
			t.Errorf("%+v", e)
		}
		acts = append(acts, e.Act)
	}
	for _, want := range []eventstore.Act{eventstore.ActTenantCreated, eventstore.ActTokenCreated, eventstore.ActTokenRotated, eventstore.ActTokenRevoked, eventstore.ActTenantErased} {
		if !slices.Contains(acts, want) {
			t.Errorf("no entry %s", want)
		}
	}
	h.ledger.err = eventstore.ErrUnavailable
	h.problem(ask("POST", "/v1/tokens", `{"roles":["dpo"]}`, ""), eventstore.KindUnavailable, 503)
	if h.decodeInto(ask("GET", "/v1/tokens", "", ""), 200, &tokens); len(tokens.Tokens) != 6 {
		t.Errorf("a token was made without an entry: %d", len(tokens.Tokens))
	}
}

// TestSettings: what is sent changes, what is not allowed is refused before the ledger hears of it.
func TestSettings(t *testing.T) {
	h := newHarness(t)
	put := func(body string) response {
		return h.do(request{method: "PUT", path: "/v1/settings", token: h.tokens["default/admin"], body: body})
	}
	var s settings.Tenant
	h.decodeInto(put(`{"k":20,"controller":"Example SARL","dpo_contact":"dpo@example.com"}`), 200, &s)
	if s.K != 20 || s.Timezone != "Europe/Paris" {
		t.Errorf("%+v", s)
	}
	if h.decodeInto(put(`{"k":null}`), 200, &s); s.K != 10 || s.Controller != "Example SARL" {
		t.Errorf("%+v", s)
	}
	for _, body := range []string{`{"k":1}`, `{"` + canary + `":1}`, `{"timezone":"` + canary + `"}`, `{"k":["` + canary + `"]}`, `[]`, `{"k":1.5}`} {
		h.problem(put(body), eventstore.KindInvalid, 400, canary)
	}
	if len(h.ledger.entries) != 2 {
		t.Errorf("%d entries", len(h.ledger.entries))
	}
	var p privacyOutput
	h.decodeInto(h.do(request{method: "GET", path: "/v1/privacy", token: h.tokens["default/bot"]}), 200, &p)
	if p.Controller != "Example SARL" || p.DPOContact != "dpo@example.com" || p.Storage != "always" || p.Purposes == nil || p.Recipients == nil || p.Notices == nil {
		t.Errorf("%+v", p)
	}
	h.decodeInto(put(`{"storage":"after-consent","purposes":"support:contract, analytics:consent","recipients":"nlu","place":"Paris","keep_sensitive":true,
		"notices":[{"version":"v3","language":"fr","text":"Vos messages sont gardés <ici>."}]}`), 200, &s)
	h.decodeInto(h.do(request{method: "GET", path: "/v1/privacy", token: h.tokens["default/bot"]}), 200, &p)
	want := privacyOutput{Controller: "Example SARL", DPOContact: "dpo@example.com", Language: "en", Storage: "after-consent", Place: "Paris",
		Purposes:   []settings.Purpose{{Name: "support", Basis: settings.BasisContract}, {Name: "analytics", Basis: settings.BasisConsent}},
		Recipients: []string{"nlu"}, Notices: []settings.NoticeText{{Version: "v3", Language: "fr", Text: "Vos messages sont gardés <ici>."}}}
	if !reflect.DeepEqual(p, want) || !s.KeepSensitive {
		t.Errorf("%+v\nwant %+v", p, want)
	}
}

// TestReady: the reasons are told.
func TestReady(t *testing.T) {
	var reasons []Reason
	h := newHarness(t, func(c *Config) { c.Ready = func(context.Context) []Reason { return reasons } })
	if r := h.do(request{method: "GET", path: "/readyz"}); r.StatusCode != 200 {
		t.Errorf("%d %s", r.StatusCode, r.text)
	}
	reasons = []Reason{{Part: "nats", Why: "not connected"}}
	r := h.do(request{method: "GET", path: "/readyz"})
	if r.StatusCode != 503 || !strings.Contains(r.text, "not connected") || r.Header.Get("Content-Type") != problemType {
		t.Errorf("%d %s", r.StatusCode, r.text)
	}
}

// TestDocumentedNames: what [problemFromHuma] may name is what the requests of /openapi.json have.
func TestDocumentedNames(t *testing.T) {
	h := newHarness(t)
	found := map[string]bool{}
	schemas := h.api.huma.OpenAPI().Components.Schemas
	var walk func(name string, depth int)
	walk = func(ref string, depth int) {
		s := schemas.SchemaFromRef(ref)
		if s == nil || depth > 5 {
			return
		}
		for name, p := range s.Properties {
			found[name] = true
			walk(p.Ref, depth+1)
			if p.Items != nil {
				walk(p.Items.Ref, depth+1)
			}
		}
	}
	for path, item := range h.api.huma.OpenAPI().Paths {
		if path == "/v1/events" {
			continue // read by eventstore.ParseEvent
		}
		if item.Post != nil && item.Post.RequestBody != nil {
			for _, m := range item.Post.RequestBody.Content {
				if m.Schema != nil {
					walk(m.Schema.Ref, 0)
				}
			}
		}
	}
	for name := range found {
		if !documented[name] && !strings.HasPrefix(name, "$") {
			t.Errorf("%s is a field of a request but cannot be named", name)
		}
	}
	if len(found) < 10 {
		t.Errorf("found only %v", found)
	}
}

// TestAppendWithoutHTTP: the way in for NATS has the same rules.
func TestAppendWithoutHTTP(t *testing.T) {
	h := newHarness(t)
	for name, test := range map[string]struct {
		authorization, body string
		status              int
	}{
		"good":      {"Bearer " + h.tokens["default/bot"], good, 201},
		"role":      {"Bearer " + h.tokens["default/dpo"], good, 403},
		"token":     {"Bearer " + canary, good, 401},
		"none":      {"", good, 401},
		"bad":       {"Bearer " + h.tokens["default/bot"], canary, 400},
		"too large": {"Bearer " + h.tokens["default/bot"], strings.Repeat(" ", eventstore.MaxEvent+1), 413},
	} {
		status, answer := h.api.Append(t.Context(), test.authorization, []byte(test.body))
		if status != test.status || !json.Valid(answer) || strings.Contains(string(answer), canary) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if len(h.store.all) != 1 {
		t.Errorf("%d stored", len(h.store.all))
	}
}
