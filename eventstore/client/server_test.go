package client_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/client"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// fault is what befalls one request.
type fault struct {
	// before drops the connection before anything is stored; status answers that instead of storing.
	before bool
	status int
	wait   string
	// after says after how many stored lines the connection is dropped; half: in the middle of the next answer line. 0: never.
	after int
	half  bool
	// bare ends the answer cleanly there instead, but for the line feed.
	bare bool
	// busy turns away every line whose number it divides, for the moment.
	busy int
}

// memory is a server that keeps events by their idempotency key, as contract.md has it, and suffers faults.
type memory struct {
	*httptest.Server
	mu       sync.Mutex
	faults   []fault // one for each request, then none
	requests int
	stored   map[string]stored
	order    []string
}

type stored struct {
	receipt eventstore.Receipt
	body    string
	times   int
}

func newMemory(t testing.TB, faults ...fault) *memory {
	m := &memory{faults: faults, stored: map[string]stored{}}
	m.Server = httptest.NewServer(m)
	if t != nil {
		t.Cleanup(m.Close)
	}
	return m
}

func (m *memory) client(t testing.TB, change ...func(*client.Config)) *client.Client {
	t.Helper()
	c := client.Config{Server: m.URL, Token: secret.New([]byte("good")), MinPause: time.Millisecond, MaxPause: 4 * time.Millisecond, Patience: 3 * time.Second}
	for _, f := range change {
		f(&c)
	}
	cl, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var f fault
	m.mu.Lock()
	m.requests++
	if len(m.faults) > 0 {
		f, m.faults = m.faults[0], m.faults[1:]
	}
	m.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	switch {
	case err != nil:
		return
	case f.before:
		panic(http.ErrAbortHandler)
	case r.Header.Get("Authorization") != "Bearer good":
		refuse(w, http.StatusUnauthorized, "unauthenticated")
	case f.status != 0:
		w.Header().Set("Retry-After", f.wait)
		refuse(w, f.status, "unavailable")
	case r.Header.Get("Content-Type") == "application/x-ndjson":
		w.Header().Set("Content-Type", "application/x-ndjson")
		m.lines(w, body, f)
	default:
		answer := m.store(body)
		if f.after > 0 {
			panic(http.ErrAbortHandler)
		}
		if e, ok := answer.(problem); ok {
			refuse(w, e.Status, e.kind)
			return
		}
		w.WriteHeader(http.StatusCreated)
		json.NewEncoder(w).Encode(answer)
	}
}

func (m *memory) lines(w http.ResponseWriter, body []byte, f fault) {
	n := 0
	for sc := bufio.NewScanner(bytes.NewReader(body)); sc.Scan(); {
		n++
		var answer any = problem{Type: "urn:oubli:unavailable", Status: 503}
		if f.busy == 0 || n%f.busy != 0 {
			answer = m.store(sc.Bytes())
		}
		if e, ok := answer.(problem); ok {
			answer = map[string]any{"line": n, "error": e}
		}
		text, _ := json.Marshal(answer)
		if f.after == n && f.bare {
			w.Write(text)
			return
		}
		if f.after == n {
			if f.half {
				w.Write(text[:len(text)-1])
			}
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Write(append(text, '\n'))
	}
}

type problem struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Field  string `json:"field,omitempty"`
	kind   string
}

func (m *memory) store(body []byte) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	var e eventstore.Event
	if err := json.Unmarshal(body, &e); err != nil || e.Key == "" {
		return problem{Type: "urn:oubli:invalid", Status: 400, Detail: "no key", kind: "invalid"}
	}
	if e.Text == "refused" {
		return problem{Type: "urn:oubli:consent", Status: 403, Title: "Consent", Detail: "consent has not been given", kind: "consent"}
	}
	s, known := m.stored[e.Key]
	if known && s.body != string(body) {
		return problem{Type: "urn:oubli:conflict", Status: 409, kind: "conflict"}
	}
	if !known {
		id, _ := eventstore.NewEventID(time.Now(), nil)
		s = stored{body: string(body), receipt: eventstore.Receipt{ID: id, Sequence: uint64(len(m.order) + 1)}}
		m.order = append(m.order, e.Text)
	}
	s.times++
	m.stored[e.Key] = s
	s.receipt.Duplicate = known
	return s.receipt
}

func refuse(w http.ResponseWriter, status int, kind string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(problem{Type: "urn:oubli:" + kind, Status: status, Title: kind, Detail: "the request was refused: " + kind})
}

func says(i int) eventstore.Event {
	return eventstore.Event{Conversation: "c", Type: eventstore.TypeMessage, Author: eventstore.AuthorUser, Text: fmt.Sprint("line ", i)}
}

func wantIs(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("error %v is not %v", err, target)
		}
	}
}
