package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/settings"
)

// world is a server under test.
type world struct {
	*testing.T
	*Server
	admin string
	log   *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func config(dir string) Config {
	return Config{Server: settings.Server{Data: dir, Listen: "127.0.0.1:0"}}
}

// begin starts a server that the test stops.
func begin(t *testing.T, c Config) *world {
	t.Helper()
	w := &world{T: t, log: &lockedBuffer{}}
	if c.Log == nil {
		c.Log = slog.New(slog.NewJSONHandler(w.log, nil))
	}
	var err error
	if w.Server, err = Start(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.end)
	text, err := os.ReadFile(w.AdminToken())
	if err != nil {
		t.Fatal(err)
	}
	w.admin = strings.TrimSpace(string(text))
	return w
}

// end stops the server, within a time and without an error.
func (w *world) end() {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := w.Stop(ctx); err != nil {
		w.Error(err)
	}
}

// ask sends a request and returns status and answer.
func (w *world) ask(method, path, token, body string, header ...string) (int, string) {
	w.Helper()
	r, err := http.NewRequest(method, w.URL()+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// want sends a request, checks the status and decodes the answer.
func (w *world) want(status int, method, path, token, body string, header ...string) (out map[string]any) {
	w.Helper()
	got, text := w.ask(method, path, token, body, header...)
	if got != status {
		w.Fatalf("%s %s: %d %s, want %d", method, path, got, text, status)
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		w.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
	return out
}

// token makes an access token and returns its text.
func (w *world) token(body string, header ...string) string {
	w.Helper()
	return w.want(201, "POST", "/v1/tokens", w.admin, body, header...)["token"].(string)
}

// says appends one message of a person and returns the person.
func (w *world) says(token, email, text string) string {
	w.Helper()
	return w.want(201, "POST", "/v1/events", token, `{"identity":{"namespace":"email","id":"`+email+`"},"conversation":"c-`+email+
		`","type":"message","author":"user","text":"`+text+`"}`)["person"].(string)
}
