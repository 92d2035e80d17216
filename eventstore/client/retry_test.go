package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

func TestPausesGrowAndStayWithinBounds(t *testing.T) {
	p := &patience{c: &Config{MinPause: 10 * time.Millisecond, MaxPause: 100 * time.Millisecond}}
	for try, most := range []time.Duration{10, 20, 40, 80, 100, 100, 100} {
		most *= time.Millisecond
		p.tries = try
		seen := map[time.Duration]bool{}
		for range 200 {
			d := p.pause()
			if d < most/2 || d > most {
				t.Fatalf("try %d: pause of %v, want %v to %v", try, d, most/2, most)
			}
			seen[d] = true
		}
		if len(seen) < 50 {
			t.Errorf("try %d: only %d different pauses", try, len(seen))
		}
	}
	p.tries = 1 << 20
	if d := p.pause(); d > 100*time.Millisecond {
		t.Errorf("after very many tries: %v", d)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "soon": 0, "99999999999999": 0, "1.5": 0,
		"Sun, 22 Nov 2026 10:01:00 GMT": time.Minute, "Sun, 22 Nov 2026 09:00:00 GMT": 0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

func TestReadError(t *testing.T) {
	answer := func(contentType, body string, status int) *Error {
		return ReadError(&http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}, "Retry-After": {"2"}}, Body: io.NopCloser(strings.NewReader(body))})
	}
	const doc = `{"type":"urn:oubli:invalid","status":1,"title":"the request is not valid","detail":"too long","field":"text","depth":2,"retry_after":5}`
	e := answer("application/problem+json", doc, 400)
	if e.Kind != eventstore.KindInvalid || e.Status != 400 || e.Field != "text" || e.Depth != 2 || e.RetryAfter != 5*time.Second || e.Error() != "text: too long" {
		t.Errorf("%+v: %s", e, e)
	}
	for kind, sentinel := range sentinels {
		e := answer("application/problem+json", `{"type":"urn:oubli:`+string(kind)+`"}`, 400)
		for other, s := range sentinels {
			if errors.Is(e, s) != (other == kind) {
				t.Errorf("%s is %s: %v", kind, other, errors.Is(e, s))
			}
		}
		if !errors.Is(sentinel, e) && sentinel.Kind() != kind {
			t.Errorf("%s has the sentinel of %s", kind, sentinel.Kind())
		}
	}
	for name, e := range map[string]*Error{
		"a proxy's page":   answer("text/html", "<html>alice@example.com</html>", 502),
		"half a document":  answer("application/problem+json", doc[:40], 502),
		"another's type":   answer("application/problem+json", `{"type":"about:blank"}`, 502),
		"a very long body": answer("application/problem+json", `{"detail":"`+strings.Repeat("x", maxProblem)+`"}`, 502),
	} {
		if e.Kind != "" || e.Error() != "the server answered 502" || !e.retryable() {
			t.Errorf("%s: %+v: %s", name, e, e)
		}
	}
	if e := (&Error{Detail: "from is a day", Field: "from"}); e.Error() != "from is a day" {
		t.Errorf("the field is said twice: %s", e)
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	for status, again := range map[int]bool{400: false, 401: false, 404: false, 408: true, 413: false, 429: true, 500: true, 501: false, 502: true, 503: true, 504: true, 307: false} {
		if got := (&Error{Status: status}).retryable(); got != again {
			t.Errorf("status %d: %v", status, got)
		}
	}
	for kind := range sentinels {
		want := kind == eventstore.KindRate || kind == eventstore.KindUnavailable
		if got := (&Error{Status: 503, Kind: kind}).retryable(); got != want {
			t.Errorf("%s: %v", kind, got)
		}
	}
}

func TestWhatIsUncertain(t *testing.T) {
	dial := &url.Error{Op: "Post", URL: "http://x", Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}
	read := &url.Error{Op: "Post", URL: "http://x", Err: &net.OpError{Op: "read", Err: errors.New("reset")}}
	if err := (unreachable{dial}); errors.Is(err, eventstore.ErrUncertain) || !errors.Is(err, eventstore.ErrUnavailable) || strings.Contains(err.Error(), "http://") {
		t.Errorf("nothing was sent: %v", err)
	}
	if err := (unreachable{read}); !errors.Is(err, eventstore.ErrUncertain) || !errors.Is(err, eventstore.ErrUnavailable) || !errors.Is(err, read.Err) {
		t.Errorf("it may have been carried out: %v", err)
	}
	// Once a try is uncertain, a later refusal for the moment leaves it so.
	p := &patience{c: &Config{MinPause: 1, MaxPause: 1}, until: time.Now().Add(time.Hour)}
	if err := p.wait(t.Context(), unreachable{read}); err != nil {
		t.Fatal(err)
	}
	busy := &Error{Status: 503, Kind: eventstore.KindUnavailable, RetryAfter: 2 * time.Hour}
	if err := p.wait(t.Context(), busy); !errors.Is(err, eventstore.ErrUncertain) || !errors.Is(err, busy) {
		t.Errorf("after an uncertain try: %v", err)
	}
	refused := &Error{Status: 403, Kind: eventstore.KindConsent}
	if err := p.wait(t.Context(), refused); err != error(refused) {
		t.Errorf("a refusal for good: %v", err)
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the bot stops")
	cancel(why)
	p := &patience{c: &Config{MinPause: time.Hour, MaxPause: time.Hour}, until: time.Now().Add(24 * time.Hour)}
	busy := &Error{Status: 503}
	if err := p.wait(ctx, busy); !errors.Is(err, why) || !errors.Is(err, busy) {
		t.Errorf("error %v", err)
	}
}
