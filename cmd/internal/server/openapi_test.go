package server

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// schemas are those of /openapi.json.
type schemas map[string]map[string]any

// misfit says where a value does not have the form of a schema: as much of JSON Schema as /openapi.json uses for its answers.
func (all schemas) misfit(s map[string]any, v any, at string) error {
	if ref, ok := s["$ref"].(string); ok {
		target := all[strings.TrimPrefix(ref, "#/components/schemas/")]
		if target == nil {
			return fmt.Errorf("%s: %s is not there", at, ref)
		}
		return all.misfit(target, v, at)
	}
	if choices, ok := s["oneOf"].([]any); ok {
		fit := 0
		for _, c := range choices {
			if all.misfit(c.(map[string]any), v, at) == nil {
				fit++
			}
		}
		if fit != 1 {
			return fmt.Errorf("%s: fits %d of %d forms", at, fit, len(choices))
		}
		return nil
	}
	if !isType(s["type"], v) {
		return fmt.Errorf("%s: %T is not %v", at, v, s["type"])
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		return fmt.Errorf("%s: not in the enum", at)
	}
	switch v := v.(type) {
	case []any:
		items, _ := s["items"].(map[string]any)
		for i, e := range v {
			if err := all.misfit(items, e, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		return all.misfitObject(s, v, at)
	}
	return nil
}

func (all schemas) misfitObject(s, v map[string]any, at string) error {
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Errorf("%s: %s is missing", at, name)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for name, e := range v {
		p, known := properties[name].(map[string]any)
		more, open := s["additionalProperties"].(map[string]any)
		switch {
		case !known && !open:
			return fmt.Errorf("%s: %s is not described", at, name)
		case !known:
			p = more
		}
		if err := all.misfit(p, e, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func isType(want, v any) bool {
	switch want := want.(type) {
	case nil:
		return true
	case []any:
		return slices.ContainsFunc(want, func(w any) bool { return isType(w, v) })
	default:
		got := map[string]bool{}
		switch n := v.(type) {
		case nil:
			got["null"] = true
		case bool:
			got["boolean"] = true
		case string:
			got["string"] = true
		case []any:
			got["array"] = true
		case map[string]any:
			got["object"] = true
		case float64:
			got["number"], got["integer"] = true, n == float64(int64(n))
		}
		return got[want.(string)]
	}
}

// exchange is a request: route is its pattern (empty: its path), send its content type (empty: JSON).
type exchange struct{ method, path, route, token, body, send, accept string }

// exchanges ask every kind of answer of the routes that answer JSON.
func exchanges(admin, bot, alice string) []exchange {
	const asAlice = `{"identity":{"namespace":"email","id":"alice@example.com"},"conversation":"c-alice@example.com"`
	return []exchange{
		{"POST", "/v1/events", "", bot, asAlice + `,"type":"feedback","feedback":{"score":4,"scale":5}}`, "", ""},
		{"POST", "/v1/events", "", bot, asAlice + `,"type":"nonsense"}`, "", ""},
		{"POST", "/v1/events", "", bot, "garbage\n" + asAlice + `,"type":"message","text":"x"}`, "application/x-ndjson", ""},
		{"POST", "/v1/import/oubli", "/v1/import/{format}", bot, "garbage\n" + asAlice + `,"type":"message","text":"y","id":"k"}`, "", ""},
		{"POST", "/v1/conversations/read", "", bot, asAlice + `}`, "", ""},
		{"GET", "/v1/privacy", "", bot, "", "", ""},
		{"POST", "/v1/pseudonyms", "", bot, `{"identity":{"namespace":"email","id":"alice@example.com"},"recipient":"nlu"}`, "", ""},
		{"POST", "/v1/pseudonyms", "", bot, `{"identity":{"namespace":"email","id":"nobody@example.com"},"recipient":"nlu"}`, "", ""},
		{"POST", "/v1/persons/lookup", "", admin, `{"identities":[{"namespace":"email","id":"alice@example.com"}]}`, "", ""},
		{"GET", "/v1/persons/" + alice, "/v1/persons/{person}", admin, "", "", ""},
		{"GET", "/v1/persons/" + alice + "/events", "/v1/persons/{person}/events", admin, "", "", ""},
		{"GET", "/v1/persons/" + alice + "/export", "/v1/persons/{person}/export", admin, "", "", ""},
		{"POST", "/v1/persons/" + alice + "/hold", "/v1/persons/{person}/hold", admin, `{"reason":"court-order"}`, "", ""},
		{"POST", "/v1/persons/" + alice + "/unhold", "/v1/persons/{person}/unhold", admin, `{}`, "", ""},
		{"POST", "/v1/persons/" + alice + "/erase", "/v1/persons/{person}/erase", admin, `{"dry_run":true}`, "", ""},
		{"POST", "/v1/persons/" + alice + "/erase", "/v1/persons/{person}/erase", admin, `{"reason":"person-request","refuse_for":"30d"}`, "", ""},
		{"POST", "/v1/persons/admit", "", admin, `{"identities":[{"namespace":"email","id":"alice@example.com"}]}`, "", ""},
		{"GET", "/v1/persons/" + alice, "/v1/persons/{person}", admin, "", "", ""},
		{"GET", "/v1/erasures", "", admin, "", "", ""},
		{"GET", "/v1/ledger", "", admin, "", "", ""},
		{"GET", "/v1/ledger", "", admin, "", "", "application/x-ndjson"},
		{"GET", "/v1/ledger/checkpoint", "", admin, "", "", "application/json"},
		{"GET", "/v1/ledger/proof/1", "/v1/ledger/proof/{n}", admin, "", "", ""},
		{"GET", "/v1/stats", "", admin, "", "", ""},
		{"GET", "/v1/stats/intents", "/v1/stats/{projection}", admin, "", "", ""},
		{"GET", "/v1/settings", "", admin, "", "", ""},
		{"PUT", "/v1/settings", "", admin, `{"k":11}`, "", ""},
		{"POST", "/v1/tokens", "", admin, `{"roles":["analyst"],"expires":"2199-01-01T00:00:00Z"}`, "", ""},
		{"GET", "/v1/tokens", "", admin, "", "", ""},
		{"POST", "/v1/tenants", "", admin, `{"tenant":"acme"}`, "", ""},
		{"GET", "/v1/tenants", "", admin, "", "", ""},
		{"POST", "/v1/tenants/acme/erase", "/v1/tenants/{id}/erase", admin, "", "", ""},
		{"GET", "/v1/vault/status", "", admin, "", "", ""},
		{"POST", "/v1/vault/expire", "", admin, `{"before":"2020-01-01"}`, "", ""},
		{"GET", "/v1/vault/expire", "", admin, "", "", ""},
		{"GET", "/v1/projections/status", "", admin, "", "", ""},
		{"GET", "/readyz", "", admin, "", "", ""},
	}
}

// TestAnswersAreAsDescribed: what the routes really answer has the form that /openapi.json gives it.
func TestAnswersAreAsDescribed(t *testing.T) {
	w := begin(t, config(t.TempDir()))
	_, text := w.ask("GET", "/openapi.json", "", "")
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct{ Schema map[string]any }
			}
		}
		Components struct{ Schemas schemas }
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	bot := w.token(`{"roles":["bot"],"bot":"shop"}`)
	alice := w.says(bot, "alice@example.com", "Bonjour")
	for _, test := range exchanges(w.admin, bot, alice) {
		if test.route == "" {
			test.route = test.path
		}
		header := []string{"Accept", test.accept}
		if test.send != "" {
			header = append(header, "Content-Type", test.send)
		}
		status, answer := w.ask(test.method, test.path, test.token, test.body, header...)
		responses := doc.Paths[test.route][strings.ToLower(test.method)].Responses
		response, ok := responses[fmt.Sprint(status)]
		if !ok && status >= 400 {
			response, ok = responses["default"]
		}
		if !ok || len(response.Content) == 0 {
			t.Errorf("%s %s: %d is not described", test.method, test.path, status)
			continue
		}
		documents := []string{answer}
		schema := response.Content["application/json"].Schema
		switch {
		case status >= 400:
			schema = response.Content["application/problem+json"].Schema
		case schema == nil || test.accept == "application/x-ndjson":
			schema, documents = response.Content["application/x-ndjson"].Schema, strings.Split(strings.TrimSpace(answer), "\n")
		case test.send != "":
			t.Errorf("%s %s: %d for lines", test.method, test.path, status)
		}
		if schema == nil {
			t.Errorf("%s %s: %d has no schema", test.method, test.path, status)
			continue
		}
		for _, d := range documents {
			var v any
			if err := json.Unmarshal([]byte(d), &v); err != nil {
				t.Errorf("%s %s: %v", test.method, test.path, err)
			} else if err := doc.Components.Schemas.misfit(schema, v, "answer"); err != nil {
				t.Errorf("%s %s: %d: %v: %s", test.method, test.path, status, err, d)
			}
		}
	}
}
