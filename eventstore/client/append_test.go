package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/client"
	"github.com/oubli-store/oubli/keyvault/secret"
)

func TestAppendSurvivesFaults(t *testing.T) {
	for name, faults := range map[string][]fault{
		"none":                         nil,
		"dropped before it was stored": {{before: true}},
		"dropped after it was stored":  {{after: 1}, {after: 1}},
		"busy":                         {{status: 503}, {status: 429}, {status: 502}},
		"everything":                   {{before: true}, {after: 1}, {status: 503}, {before: true}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(t, faults...)
			receipt, err := m.client(t).Append(t.Context(), says(1))
			if err != nil {
				t.Fatal(err)
			}
			if len(m.order) != 1 || receipt.Sequence != 1 {
				t.Errorf("stored %d events, receipt %+v; want one", len(m.order), receipt)
			}
			if m.requests != len(faults)+1 {
				t.Errorf("%d requests for %d faults", m.requests, len(faults))
			}
		})
	}
}

func TestAppendKeepsTheCallersKeyAndTime(t *testing.T) {
	m := newMemory(t)
	e := says(1)
	e.Key = "mine"
	for range 2 {
		if _, err := m.client(t).Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	s := m.stored["mine"]
	if s.times != 2 || strings.Contains(s.body, `"time"`) {
		t.Errorf("under the caller's key: %d times, body %s", s.times, s.body)
	}
}

func TestAppendKeepsThePauseAskedFor(t *testing.T) {
	m := newMemory(t, fault{status: 503, wait: "1"})
	start := time.Now()
	if _, err := m.client(t).Append(t.Context(), says(1)); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < time.Second {
		t.Errorf("came back after %v, asked for 1 s", d)
	}
}

func TestAppendGivesUpWhenAskedToWaitLongerThanItsPatience(t *testing.T) {
	m := newMemory(t, fault{status: 503, wait: "3600"})
	start := time.Now()
	_, err := m.client(t).Append(t.Context(), says(1))
	wantIs(t, err, eventstore.ErrUnavailable)
	if e, ok := errors.AsType[*client.Error](err); !ok || e.RetryAfter != time.Hour || e.Status != 503 {
		t.Errorf("error %#v", err)
	}
	if time.Since(start) > time.Second {
		t.Error("it waited although waiting was no use")
	}
}

func TestAppendDoesNotRepeatWhatIsRefused(t *testing.T) {
	m := newMemory(t)
	e := says(1)
	e.Text = "refused"
	_, err := m.client(t).Append(t.Context(), e)
	wantIs(t, err, eventstore.ErrConsent)
	if errors.Is(err, eventstore.ErrForbidden) || errors.Is(err, eventstore.ErrUnavailable) {
		t.Error("the error matches another kind")
	}
	bad := m.client(t, func(c *client.Config) { c.Token = secret.New([]byte("bad")) })
	_, err = bad.Append(t.Context(), says(1))
	wantIs(t, err, eventstore.ErrUnauthenticated)
	if m.requests != 2 {
		t.Errorf("%d requests, want 2", m.requests)
	}
}

func TestAppendSaysWhatIsUncertain(t *testing.T) {
	impatient := func(c *client.Config) { c.Patience = 30 * time.Millisecond }

	m := newMemory(t, fault{after: 1}, fault{status: 503, wait: "9"})
	_, err := m.client(t, impatient).Append(t.Context(), says(1))
	wantIs(t, err, eventstore.ErrUncertain, eventstore.ErrUnavailable)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	nobody := m.client(t, impatient, func(c *client.Config) { c.Server = "http://" + l.Addr().String() })
	_, err = nobody.Append(t.Context(), says(1))
	wantIs(t, err, eventstore.ErrUnavailable)
	if errors.Is(err, eventstore.ErrUncertain) {
		t.Error("nothing was sent, yet the error says uncertain")
	}
}

func TestAppendEnds(t *testing.T) {
	hang := make(chan struct{})
	m := newMemory(t)
	m.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang })
	defer close(hang)
	c := m.client(t, func(c *client.Config) { c.TryTimeout, c.Patience = 20*time.Millisecond, 100*time.Millisecond })
	start := time.Now()
	_, err := c.Append(t.Context(), says(1))
	wantIs(t, err, eventstore.ErrUncertain)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	_, err = c.Append(ctx, says(1))
	wantIs(t, err, context.Cause(ctx))
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestErrorsRepeatNothing(t *testing.T) {
	const handle = "alice@example.com"
	m := newMemory(t)
	e := says(1)
	e.Identity = &eventstore.Identity{Namespace: "email", ID: handle}
	e.Data = []byte(`{"x": ` + handle)
	_, err := m.client(t).Append(t.Context(), e)
	wantIs(t, err, eventstore.ErrInvalid)
	if strings.Contains(err.Error(), "alice") {
		t.Error(err)
	}
	m.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "proxy cannot take "+handle, http.StatusBadRequest)
	})
	_, err = m.client(t).Append(t.Context(), says(1))
	if err == nil || strings.Contains(err.Error(), "alice") {
		t.Errorf("error %v", err)
	}
	e.Data = nil
	e.Text = strings.Repeat("x", eventstore.MaxEvent)
	_, err = m.client(t).Append(t.Context(), e)
	wantIs(t, err, eventstore.ErrTooLarge)
}

func TestNewChecks(t *testing.T) {
	token := secret.New([]byte("t"))
	for _, c := range []client.Config{
		{}, {Server: "localhost:8420", Token: token}, {Server: "ftp://x", Token: token}, {Server: "http://u:p@x", Token: token},
		{Server: "http://x?y=z", Token: token}, {Token: token, Patience: -1},
	} {
		if _, err := client.New(c); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("New: error %v", err)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	other := newMemory(t)
	m := newMemory(t)
	m.Config.Handler = http.RedirectHandler(other.URL, http.StatusTemporaryRedirect)
	if _, err := m.client(t).Append(t.Context(), says(1)); err == nil || other.requests > 0 {
		t.Errorf("error %v, %d requests elsewhere", err, other.requests)
	}
}

func TestTokenFuncIsAskedForEachTry(t *testing.T) {
	m := newMemory(t, fault{before: true})
	asked := 0
	c := m.client(t, func(c *client.Config) {
		c.TokenFunc = func(context.Context) (secret.Bytes, error) {
			asked++
			return secret.New([]byte(" good\n")), nil
		}
	})
	if _, err := c.Append(t.Context(), says(1)); err != nil || asked != 2 {
		t.Errorf("asked %d times, error %v", asked, err)
	}
	none := errors.New("no token today")
	c = m.client(t, func(c *client.Config) {
		c.TokenFunc = func(context.Context) (secret.Bytes, error) { return secret.Bytes{}, none }
	})
	if _, err := c.Append(t.Context(), says(1)); !errors.Is(err, none) {
		t.Errorf("error %v", err)
	}
}

func TestKeysAreDrawnOnceAndDiffer(t *testing.T) {
	m := newMemory(t, fault{after: 1}, fault{before: true}, fault{after: 1})
	c := m.client(t)
	for i := range 20 {
		if _, err := c.Append(t.Context(), says(i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.stored) != 20 {
		t.Errorf("%d keys for 20 events", len(m.stored))
	}
	for key, s := range m.stored {
		if len(key) < 26 || len(key) > eventstore.MaxIdempotencyKey || !strings.Contains(s.body, `"time"`) {
			t.Errorf("key of %d bytes, body %s", len(key), s.body)
		}
	}
}

func TestOneClientFromManyGoroutines(t *testing.T) {
	m := newMemory(t, fault{before: true}, fault{after: 1}, fault{status: 503}, fault{after: 1}, fault{before: true})
	c := m.client(t)
	const callers, each = 8, 12
	failed := make(chan error, callers)
	for n := range callers {
		go func() {
			for i := range each {
				if _, err := c.Append(t.Context(), says(100*n+i)); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range callers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if len(m.order) != callers*each {
		t.Errorf("%d events stored, want %d", len(m.order), callers*each)
	}
}
