package endtoend

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// world is a running server and what it let out: its log and its error answers.
type world struct {
	*testing.T
	server *server.Server
	dir    string
	token  string
	log    safeBuffer
	errors safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) Bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.b.Bytes())
}

// begin starts a server in a new directory; change may alter its settings.
func begin(t *testing.T, change ...func(*settings.Server)) *world {
	t.Helper()
	w := &world{T: t, dir: filepath.Join(t.TempDir(), "oubli-data")}
	w.start(change...)
	t.Cleanup(w.stop)
	return w
}

func (w *world) start(change ...func(*settings.Server)) {
	w.Helper()
	c := server.Config{Server: settings.Server{Data: w.dir, Listen: "127.0.0.1:0"},
		Log: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, f := range change {
		f(&c.Server)
	}
	s, err := server.Start(w.Context(), c)
	if err != nil {
		w.Fatal(err)
	}
	w.server = s
	token, err := os.ReadFile(filepath.Join(w.dir, "admin.token"))
	if err != nil {
		w.Fatal(err)
	}
	w.token = strings.TrimSpace(string(token))
}

func (w *world) stop() {
	if w.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := w.server.Stop(ctx); err != nil {
		w.Error(err)
	}
	w.server = nil
}

// do sends a request and returns status and body; error bodies are kept for the search.
func (w *world) do(method, path, contentType string, body io.Reader) (int, []byte) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.server.URL()+path, body)
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		w.Fatal(err)
	}
	if answer.StatusCode >= 400 {
		_, _ = w.errors.Write(b)
	}
	return answer.StatusCode, b
}

// post sends JSON and decodes a good answer.
func post[T any](w *world, path string, body any) (out T) {
	w.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		w.Fatal(err)
	}
	status, b := w.do(http.MethodPost, path, "application/json", bytes.NewReader(b))
	if status >= 300 {
		w.Fatalf("POST: status %d: %s", status, b)
	}
	decode(w, b, &out)
	return out
}

// sendJSON is post for answers that may be refusals.
func (w *world) sendJSON(path string, body any) (int, []byte) {
	w.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		w.Fatal(err)
	}
	return w.do(http.MethodPost, path, "application/json", bytes.NewReader(b))
}

func (w *world) send(e eventstore.Event) (int, []byte) { return w.sendJSON("/v1/events", e) }

func decode(w *world, b []byte, out any) {
	w.Helper()
	if err := json.Unmarshal(b, out); err != nil {
		w.Fatalf("%v: %.200s", err, b)
	}
}

func (w *world) append(e eventstore.Event) eventstore.Receipt {
	w.Helper()
	return post[eventstore.Receipt](w, "/v1/events", e)
}

// person finds whom a handle names; the zero id if nobody.
func (w *world) person(id eventstore.Identity) eventstore.PersonID {
	w.Helper()
	found := post[struct{ Persons []rights.Person }](w, "/v1/persons/lookup", map[string]any{"identities": []eventstore.Identity{id}})
	if len(found.Persons) == 0 {
		return eventstore.PersonID{}
	}
	return found.Persons[0].Person
}

// events reads everything of a person.
func (w *world) events(p eventstore.PersonID) (out []eventstore.Recorded) {
	w.Helper()
	status, b := w.do(http.MethodGet, "/v1/persons/"+p.String()+"/events", "", nil)
	if status != http.StatusOK {
		w.Fatalf("reading a person: status %d: %s", status, b)
	}
	for line := range bytes.Lines(b) {
		var r eventstore.Recorded
		decode(w, line, &r)
		out = append(out, r)
	}
	return out
}

func (w *world) erase(p eventstore.PersonID) rights.Erasure {
	w.Helper()
	return post[rights.Erasure](w, "/v1/persons/"+p.String()+"/erase", map[string]string{"reason": "person-request"})
}

// status is what reading a person answers.
func (w *world) status(p eventstore.PersonID) int {
	w.Helper()
	status, _ := w.do(http.MethodGet, "/v1/persons/"+p.String()+"/events", "", nil)
	return status
}
