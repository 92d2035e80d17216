package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/cmd/internal/access"
	"github.com/oubli-store/oubli/eventstore"
)

// at fills in a route's parameters.
func at(r Route, person string) string {
	return strings.NewReplacer("{person}", person, "{id}", "nothing", "{format}", "oubli", "{projection}", "activity").Replace(r.Path)
}

// bodyOf is a body that the route may take.
func bodyOf(r Route) string {
	if r.Body == NoBody {
		return ""
	}
	return "{}"
}

// TestEveryRouteByRole walks every route with every role, with no token, with another tenant's tokens, and with the header that names
// another tenant, through the real handler.
func TestEveryRouteByRole(t *testing.T) {
	h := newHarness(t)
	person := h.person("alice@example.com").String()
	ask := func(route Route, token string, tenant eventstore.TenantID) int {
		q := request{method: route.Method, path: at(route, person), token: token, body: bodyOf(route), header: map[string]string{}}
		if tenant != "" {
			q.header[TenantHeader] = string(tenant)
		}
		if route.Open == OnLoopback {
			q.header["X-Forwarded-For"] = "192.0.2.1"
		}
		r := h.do(q)
		if r.StatusCode == http.StatusInternalServerError {
			t.Errorf("%s: %s", route.pattern(), r.text)
		}
		return r.StatusCode
	}
	for _, route := range Routes {
		if route.Open == Everybody {
			if got := ask(route, "", ""); got != http.StatusOK {
				t.Errorf("%s: %d without a token", route.pattern(), got)
			}
			continue
		}
		if got := ask(route, "", ""); got != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", route.pattern(), got)
		}
		for _, role := range access.Roles() {
			may := slices.Contains(route.Roles, role) && !route.Instance
			for _, tenant := range []string{"default", "other"} {
				got := ask(route, h.tokens[tenant+"/"+string(role)], "")
				if refused := got == http.StatusForbidden || got == http.StatusUnauthorized; refused == may {
					t.Errorf("%s as %s of %s: %d", route.pattern(), role, tenant, got)
				}
			}
			if got := ask(route, h.tokens["default/"+string(role)], other); got != http.StatusForbidden {
				t.Errorf("%s as %s naming another tenant: %d", route.pattern(), role, got)
			}
		}
		if got := ask(route, h.tokens["instance"], ""); (got != http.StatusForbidden) != slices.Contains(route.Roles, admin) {
			t.Errorf("%s as admin of the instance: %d", route.pattern(), got)
		}
		if got := ask(route, h.tokens["instance"], other); (got != http.StatusForbidden) != route.forAdmin() {
			t.Errorf("%s as admin of the instance naming another tenant: %d", route.pattern(), got)
		}
	}
}

// TestNoRouteOfAdminReachesAPerson holds the table against the promise.
func TestNoRouteOfAdminReachesAPerson(t *testing.T) {
	for _, r := range Routes {
		personal := strings.Contains(r.Path, "person") || strings.Contains(r.Path, "events") || strings.Contains(r.Path, "conversation") ||
			strings.Contains(r.Path, "erasures") || strings.Contains(r.Path, "import")
		if personal && slices.Contains(r.Roles, admin) {
			t.Errorf("%s is open to admin", r.pattern())
		}
		if len(r.Roles) == 0 && r.Open != Everybody {
			t.Errorf("%s can be reached by nobody", r.pattern())
		}
	}
}

// TestOtherTenantsPersonIsNotThere: what one tenant holds does not exist for another.
func TestOtherTenantsPersonIsNotThere(t *testing.T) {
	h := newHarness(t)
	person := h.person("alice@example.com").String()
	for _, path := range []string{"", "/events", "/export"} {
		h.problem(h.do(request{method: "GET", path: "/v1/persons/" + person + path, token: h.tokens["other/dpo"]}), eventstore.KindNotFound, 404)
		if r := h.do(request{method: "GET", path: "/v1/persons/" + person + path, token: h.tokens["default/dpo"]}); r.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.text)
		}
	}
	h.problem(h.do(request{method: "POST", path: "/v1/persons/" + person + "/erase", token: h.tokens["other/dpo"], body: `{"reason":"other"}`}), eventstore.KindNotFound, 404)
}

// TestDenyByDefault registers a route that is not in the table: it cannot be reached.
func TestDenyByDefault(t *testing.T) {
	h := newHarness(t)
	reached := false
	h.api.mux.HandleFunc("GET /v1/secret", func(http.ResponseWriter, *http.Request) { reached = true })
	for _, token := range append(slices.Collect(maps.Values(h.tokens)), "") {
		h.problem(h.do(request{method: "GET", path: "/v1/secret", token: token}), eventstore.KindNotFound, 404)
	}
	if reached {
		t.Error("a route outside the table was reached")
	}
}

// TestTableIsServed: every line of the table has a handler, and /openapi.json describes exactly the table.
func TestTableIsServed(t *testing.T) {
	h := newHarness(t)
	r := h.do(request{method: "GET", path: "/openapi.json"})
	var doc struct {
		OpenAPI string                               `json:"openapi"`
		Paths   map[string]map[string]map[string]any `json:"paths"`
		Schemas map[string]any                       `json:"components"`
	}
	if err := json.Unmarshal([]byte(r.text), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("OpenAPI %s", doc.OpenAPI)
	}
	described := 0
	for path, operations := range doc.Paths {
		for method := range operations {
			described++
			if table[strings.ToUpper(method)+" "+path] == nil {
				t.Errorf("%s %s is described but not in the table", method, path)
			}
		}
	}
	if described != len(Routes)-1 { // all but /openapi.json itself
		t.Errorf("%d routes are described, %d in the table", described, len(Routes))
	}
	for _, route := range Routes {
		probe := &http.Request{Method: route.Method}
		probe.URL, _ = probe.URL.Parse("http://host" + at(route, "x"))
		if h.api.lookup(probe, route.Method) == nil {
			t.Errorf("%s has no handler", route.pattern())
		}
	}
}

// TestLoopback: health needs no token on the machine itself, and one behind a proxy.
func TestLoopback(t *testing.T) {
	h := newHarness(t)
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if r := h.do(request{method: "GET", path: path}); r.StatusCode != 200 {
			t.Errorf("%s on loopback: %d", path, r.StatusCode)
		}
		for _, header := range proxyHeaders {
			r := h.do(request{method: "GET", path: path, header: map[string]string{header: "192.0.2.1"}})
			h.problem(r, eventstore.KindUnauthenticated, 401)
		}
		r := h.do(request{method: "GET", path: path, token: h.tokens["instance"], header: map[string]string{"Via": "1.1 proxy"}})
		if r.StatusCode != 200 {
			t.Errorf("%s with an admin token: %d", path, r.StatusCode)
		}
	}
}

// TestWrongMethodAndRoute: 404 and 405 have the one shape and repeat nothing; no redirect repeats a path.
func TestWrongMethodAndRoute(t *testing.T) {
	h := newHarness(t)
	token := h.tokens["default/dpo"]
	for _, path := range []string{"/", "/v1", "/v1/alice@example.com", "/v1//alice/../events", "/v1/persons/x/events/", "/v1/demands", "/docs", "/schemas/x"} {
		h.problem(h.do(request{method: "GET", path: path, token: token}), eventstore.KindNotFound, 404, "alice")
	}
	r := h.do(request{method: "DELETE", path: "/v1/events", token: token})
	h.problem(r, eventstore.KindInvalid, 405)
	if r.Header.Get("Allow") != "POST" {
		t.Errorf("Allow: %q", r.Header.Get("Allow"))
	}
	h.problem(h.do(request{method: "ALICE", path: "/v1/events", token: token}), eventstore.KindInvalid, 405, "ALICE")
	if r := h.do(request{method: "HEAD", path: "/v1/persons/x", token: token}); r.StatusCode != 405 {
		t.Errorf("HEAD: %d", r.StatusCode)
	}
}
