package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/access"
	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/ledger"
	"github.com/oubli-store/oubli/keyvault"
)

const (
	home  = eventstore.DefaultTenant
	other = eventstore.TenantID("other")
)

// harness is an API over fakes behind a real HTTP server.
type harness struct {
	*testing.T
	api    *API
	vault  *keystest.Fake
	store  *fakeStore
	rights *fakeRights
	ledger *fakeLedger
	stats  *fakeStats
	tokens map[string]string
	server *httptest.Server
	log    *lockedBuffer
	clock  *clock
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

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newHarness(t *testing.T, change ...func(*Config)) *harness {
	t.Helper()
	h := &harness{T: t, vault: keystest.New(), log: &lockedBuffer{}, tokens: map[string]string{}, clock: &clock{t: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}}
	for _, tenant := range []eventstore.TenantID{home, other} {
		if err := h.vault.CreateTenant(t.Context(), tenant); err != nil {
			t.Fatal(err)
		}
	}
	h.vault.Now = h.clock.now
	h.store = &fakeStore{vault: h.vault, now: h.clock.now, events: map[eventstore.PersonID][]eventstore.Recorded{}, keys: map[string]int{}}
	h.rights, h.ledger, h.stats = &fakeRights{vault: h.vault, store: h.store}, &fakeLedger{}, &fakeStats{}
	tokens := access.New(h.vault, h.clock.now)
	c := Config{Store: h.store, Door: fakeDoor{}, Keys: h.vault, Tokens: tokens, Rights: h.rights, Stats: h.stats, Ledger: h.ledger, Signer: ledger.NewSigner(h.vault.Vault(), h.vault, nil),
		Settings: settings.NewTenants(h.vault), Tree: func(eventstore.TenantID) (keyvault.TenantStatus, error) {
			return keyvault.TenantStatus{Persons: 1}, nil
		}, Tenants: fakeTenants{h.vault}, Ready: func(context.Context) []Reason { return nil },
		Log: slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: h.clock.now, Patience: 2 * time.Second}
	for _, f := range change {
		f(&c)
	}
	h.api = New(c)
	h.server = httptest.NewUnstartedServer(h.api)
	h.server.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(h.log, nil), slog.LevelError)
	h.server.Start()
	t.Cleanup(h.server.Close)
	for _, tenant := range []eventstore.TenantID{home, other} {
		for _, role := range access.Roles() {
			ask := access.Token{Roles: []eventstore.Role{role}}
			if role == bot {
				ask.Bot = "shop"
			}
			h.tokens[string(tenant)+"/"+string(role)] = h.token(tokens, tenant, ask)
		}
	}
	h.tokens["instance"] = h.token(tokens, home, access.Token{Roles: []eventstore.Role{admin}, Instance: true})
	return h
}

func (h *harness) token(tokens *access.Tokens, tenant eventstore.TenantID, ask access.Token) string {
	h.Helper()
	_, text, err := tokens.Create(h.Context(), tenant, ask)
	if err != nil {
		h.Fatal(err)
	}
	return string(text.Reveal())
}

// request is one request; the zero values leave things out.
type request struct {
	method, path, token, body string
	reader                    io.Reader
	header                    map[string]string
}

type response struct {
	*http.Response
	text string
}

func (h *harness) do(q request) response {
	h.Helper()
	body := q.reader
	if body == nil && q.body != "" {
		body = strings.NewReader(q.body)
	}
	r, err := http.NewRequest(q.method, h.server.URL+q.path, body)
	if err != nil {
		h.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", jsonType)
	}
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
	}
	resp, err := h.server.Client().Do(r)
	if err != nil {
		h.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.Fatalf("reading the answer: %v", err)
	}
	return response{resp, string(text)}
}

// problem checks that an answer is a problem of a kind and status, of the one shape, and that neither it nor the log repeats a value.
func (h *harness) problem(r response, kind eventstore.Kind, status int, sent ...string) Problem {
	h.Helper()
	var p Problem
	d := json.NewDecoder(strings.NewReader(r.text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		h.Fatalf("status %d, not a problem: %v: %s", r.StatusCode, err, r.text)
	}
	if p.Type != "urn:oubli:"+string(kind) || p.Status != status || r.StatusCode != status {
		h.Errorf("got %d %s (%s), want %d %s", r.StatusCode, p.Type, p.Detail, status, kind)
	}
	if ct := r.Header.Get("Content-Type"); ct != problemType {
		h.Errorf("content type %q", ct)
	}
	if p.Title == "" || p.Detail == "" {
		h.Errorf("a problem without title or detail: %s", r.text)
	}
	if (p.RetryAfter > 0) != (r.Header.Get("Retry-After") != "") {
		h.Errorf("retry_after %d but header %q", p.RetryAfter, r.Header.Get("Retry-After"))
	}
	h.unseen(r, sent...)
	return p
}

// unseen checks that no value that was sent stands in the answer or in the log.
func (h *harness) unseen(r response, sent ...string) {
	h.Helper()
	for _, s := range sent {
		if strings.Contains(r.text, s) {
			h.Errorf("the answer repeats a value that was sent: %s", r.text)
		}
		for k, v := range r.Header {
			if strings.Contains(strings.Join(v, " "), s) {
				h.Errorf("the header %s repeats a value that was sent", k)
			}
		}
		if strings.Contains(h.log.String(), s) {
			h.Errorf("the log repeats a value that was sent: %s", h.log.String())
		}
	}
}

// person mints a person by appending an event.
func (h *harness) person(id string) eventstore.PersonID {
	h.Helper()
	r := h.do(request{method: "POST", path: "/v1/events", token: h.tokens["default/bot"],
		body: `{"identity":{"namespace":"email","id":"` + id + `"},"conversation":"c1","type":"message","author":"user","text":"hello"}`})
	if r.StatusCode != http.StatusCreated {
		h.Fatalf("append: %d %s", r.StatusCode, r.text)
	}
	var receipt eventstore.Receipt
	if err := json.Unmarshal([]byte(r.text), &receipt); err != nil {
		h.Fatal(err)
	}
	return receipt.Person
}
