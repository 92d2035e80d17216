package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// ErrStopped marks the errors of events that [Client.AppendMany] gave up: it draws no more events after them.
var ErrStopped = errors.New("stopped before all events were stored")

// Error is what a server refused, as its problem document (RFC 9457) says. It matches the sentinel of its kind by [errors.Is].
type Error struct {
	// Status is the HTTP status, of the request or of one line in it.
	Status int
	// Kind is the class; empty if the answer was no problem document of Oubli's.
	Kind eventstore.Kind
	// Field is the known field at fault, or empty; Depth its depth of nesting, or 0.
	Field string
	Depth int
	// Line and Column say where in what was sent, from 1, or 0: of a query in SQL.
	Line, Column int
	// Detail says in plain words what happened and what to do.
	Detail string
	// RetryAfter is how long the server asks to wait, or 0.
	RetryAfter time.Duration
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Column > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", e.Line, e.Column)
	}
	if e.Field != "" && !strings.HasPrefix(e.Detail, e.Field) {
		b.WriteString(e.Field + ": ")
	}
	if e.Detail != "" {
		b.WriteString(e.Detail)
	} else {
		fmt.Fprintf(&b, "the server answered %d", e.Status)
	}
	return b.String()
}

// Is matches the sentinel of the same kind.
func (e *Error) Is(target error) bool {
	s, ok := target.(*eventstore.Problem)
	return ok && sentinels[e.Kind] == s
}

// sentinels are the errors that a kind stands for.
var sentinels = map[eventstore.Kind]*eventstore.Problem{
	eventstore.KindInvalid: eventstore.ErrInvalid, eventstore.KindErased: eventstore.ErrErased, eventstore.KindWithheld: eventstore.ErrWithheld,
	eventstore.KindHold: eventstore.ErrHold, eventstore.KindConsent: eventstore.ErrConsent, eventstore.KindConflict: eventstore.ErrConflict,
	eventstore.KindAmbiguous: eventstore.ErrAmbiguous, eventstore.KindNotFound: eventstore.ErrNotFound,
	eventstore.KindUnauthenticated: eventstore.ErrUnauthenticated, eventstore.KindForbidden: eventstore.ErrForbidden,
	eventstore.KindTooLarge: eventstore.ErrTooLarge, eventstore.KindRate: eventstore.ErrRate, eventstore.KindUnavailable: eventstore.ErrUnavailable,
}

// retryable reports whether the same request may be answered otherwise in a moment.
func (e *Error) retryable() bool {
	switch e.Kind {
	case eventstore.KindRate, eventstore.KindUnavailable:
		return true
	case "":
		return e.Status >= 500 && e.Status != http.StatusNotImplemented ||
			e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
	}
	return false
}

// problem is the wire form of an error.
type problem struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Field  string `json:"field"`
	Depth  int    `json:"depth"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	// RetryAfter is in seconds.
	RetryAfter int `json:"retry_after"`
}

// URN precedes a kind in the type of a problem document.
const URN = "urn:oubli:"

func (p problem) err() *Error {
	e := &Error{Status: p.Status, Field: p.Field, Depth: p.Depth, Line: p.Line, Column: p.Column, Detail: withDefault(p.Detail, p.Title)}
	e.RetryAfter = time.Duration(min(max(p.RetryAfter, 0), math.MaxInt32)) * time.Second
	if k, ok := strings.CutPrefix(p.Type, URN); ok {
		e.Kind = eventstore.Kind(k)
	}
	return e
}

const maxProblem = 64 << 10

// ReadError turns an answer that is no success into an [*Error]. It reads the body and leaves it open.
func ReadError(r *http.Response) *Error {
	var p problem
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxProblem))
	if !strings.Contains(r.Header.Get("Content-Type"), "json") || json.Unmarshal(body, &p) != nil {
		p = problem{} // what a proxy says may repeat anything: it is not shown
	}
	p.Status = r.StatusCode
	e := p.err()
	e.RetryAfter = max(e.RetryAfter, retryAfter(r.Header.Get("Retry-After"), time.Now()))
	return e
}

// retryAfter reads the header's two forms; 0 for none.
func retryAfter(v string, now time.Time) time.Duration {
	if s, err := strconv.ParseInt(v, 10, 32); err == nil {
		return max(0, time.Duration(s)*time.Second)
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// unreachable is a request that got no whole answer.
type unreachable struct{ cause error }

// Error names the cause without the address that net/http puts before it.
func (u unreachable) Error() string {
	cause := u.cause
	if ue, ok := errors.AsType[*url.Error](cause); ok {
		cause = ue.Err
	}
	return "no answer from the server (" + cause.Error() + ")"
}

// mayBeStored reports whether the request may have reached the server.
func (u unreachable) mayBeStored() bool {
	op, ok := errors.AsType[*net.OpError](u.cause)
	return !ok || op.Op != "dial"
}

// Unwrap gives the sentinel that fits, and the cause.
func (u unreachable) Unwrap() []error {
	if u.mayBeStored() {
		return []error{eventstore.ErrUncertain, u.cause}
	}
	return []error{eventstore.ErrUnavailable, u.cause}
}
