package console

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
)

const (
	alice    = "0000000000R6N2KX9ZQ4V1T8WB"
	erased   = "0000000000R6N2KX9ZQ4V1T8WC"
	onHold   = "0000000000R6N2KX9ZQ4V1T8WD"
	restrict = "0000000000R6N2KX9ZQ4V1T8WE"
)

// fake answers as contract.md says, with what a real server gives only after some effort.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string // method and URL of each request
	bodies []string
	routes map[string]func(http.ResponseWriter, *http.Request)
}

func newFake(t *testing.T) *fake {
	f := &fake{routes: map[string]func(http.ResponseWriter, *http.Request){}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	for _, name := range []string{"OUBLI_LANG", "OUBLI_CONFIG", "OUBLI_TOKEN_FILE", "OUBLI_TENANT", "OUBLI_DATA"} {
		unset(t, name)
	}
	t.Setenv("TZ", "UTC")
	t.Setenv("OUBLI_SERVER", f.URL)
	t.Setenv("OUBLI_TOKEN", "good")
	f.persons()
	return f
}

func unset(t *testing.T, name string) {
	t.Setenv(name, "")
	os.Unsetenv(name)
}

// on sets the answer of a route.
func (f *fake) on(route string, status int, answer string) {
	f.routes[route] = func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case status >= 300:
			w.Header().Set("Content-Type", "application/problem+json")
		default:
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}
}

func problemDoc(kind, detail string) string {
	b, _ := json.Marshal(map[string]any{"type": "urn:oubli:" + kind, "title": kind, "detail": detail})
	return string(b)
}

func (f *fake) persons() {
	f.routes["POST /v1/persons/lookup"] = func(w http.ResponseWriter, r *http.Request) {
		body := f.bodies[len(f.bodies)-1]
		if strings.Contains(body, "alice@example.com") {
			io.WriteString(w, `{"persons":[{"person":"`+alice+`","identities":[],"state":"active","created":"2026-11-01T10:00:00Z","events":3}]}`)
			return
		}
		io.WriteString(w, `{"persons":[]}`)
	}
	f.on("GET /v1/persons/"+alice, 200, `{"person":"`+alice+`","persons":["`+alice+`","`+restrict+`"],"identities":[{"namespace":"email","id":"alice@example.com"},
		{"namespace":"web","id":"v\u001b[31m77"}],"ambiguous":[{"namespace":"web","id":"kiosk"}],"state":"active","created":"2026-11-01T10:00:00Z","events":3,"consents":{"analytics":false}}`)
	f.on("GET /v1/persons/"+erased, 410, problemDoc("erased", "the person was erased"))
	f.on("GET /v1/persons/"+restrict, 403, problemDoc("withheld", "the person's data is restricted"))
	f.on("GET /v1/persons/"+restrict+"/export", 403, problemDoc("forbidden", "the access token's role does not allow this"))
	f.on("GET /v1/persons/"+alice+"/export", 200, "{\"format\":\"oubli-export/1\",\"events\":[\n{\"text\":\"a\u009b31m\"}\n],\"complete\":true}\n")
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.asked = append(f.asked, r.Method+" "+r.URL.String())
	f.bodies = append(f.bodies, string(body))
	f.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer good" {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(401)
		io.WriteString(w, problemDoc("unauthenticated", "no valid access token was given"))
		return
	}
	answer, ok := f.routes[r.Method+" "+r.URL.Path]
	if !ok {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(404)
		io.WriteString(w, problemDoc("not-found", "there is no such route"))
		return
	}
	answer(w, r)
}

// run runs one command.
func run(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Main(context.Background(), "test", args, Streams{In: strings.NewReader(stdin), Out: &out, Err: &err})
	return code, out.String(), err.String()
}

// want fails unless s contains all parts.
func want(t *testing.T, what, s string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(s, p) {
			t.Errorf("%s does not contain %q:\n%s", what, p, s)
		}
	}
}

// never fails if s contains one of the parts.
func never(t *testing.T, what, s string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(s, p) {
			t.Errorf("%s contains %q:\n%s", what, p, s)
		}
	}
}
