package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Problem is an error as the outside sees it (RFC 9457). It holds nothing that was sent: every text is a constant of the program.
type Problem struct {
	Type   string `json:"type" doc:"Stable name of the class of error" example:"urn:oubli:invalid"`
	Title  string `json:"title" doc:"The class of error in words"`
	Status int    `json:"status" doc:"HTTP status"`
	Detail string `json:"detail" doc:"What happened and what to do"`
	Field  string `json:"field,omitempty" doc:"The documented field at fault"`
	Line   int    `json:"line,omitempty" doc:"Line of the input, from 1"`
	Column int    `json:"column,omitempty" doc:"Character of that line, from 1"`
	Depth  int    `json:"depth,omitempty" doc:"Depth of nesting, from 1"`
	// RetryAfter is also the header Retry-After.
	RetryAfter int `json:"retry_after,omitempty" doc:"Seconds after which to try again"`
}

// statuses gives each kind its HTTP status.
var statuses = map[eventstore.Kind]int{
	eventstore.KindInvalid:         http.StatusBadRequest,
	eventstore.KindErased:          http.StatusGone,
	eventstore.KindWithheld:        http.StatusForbidden,
	eventstore.KindHold:            http.StatusConflict,
	eventstore.KindConsent:         http.StatusForbidden,
	eventstore.KindConflict:        http.StatusConflict,
	eventstore.KindAmbiguous:       http.StatusConflict,
	eventstore.KindNotFound:        http.StatusNotFound,
	eventstore.KindUnauthenticated: http.StatusUnauthorized,
	eventstore.KindForbidden:       http.StatusForbidden,
	eventstore.KindTooLarge:        http.StatusRequestEntityTooLarge,
	eventstore.KindRate:            http.StatusTooManyRequests,
	eventstore.KindUnavailable:     http.StatusServiceUnavailable,
}

var titles = map[eventstore.Kind]string{
	eventstore.KindInvalid:         eventstore.ErrInvalid.What(),
	eventstore.KindErased:          eventstore.ErrErased.What(),
	eventstore.KindWithheld:        eventstore.ErrWithheld.What(),
	eventstore.KindHold:            eventstore.ErrHold.What(),
	eventstore.KindConsent:         eventstore.ErrConsent.What(),
	eventstore.KindConflict:        eventstore.ErrConflict.What(),
	eventstore.KindAmbiguous:       eventstore.ErrAmbiguous.What(),
	eventstore.KindNotFound:        eventstore.ErrNotFound.What(),
	eventstore.KindUnauthenticated: eventstore.ErrUnauthenticated.What(),
	eventstore.KindForbidden:       eventstore.ErrForbidden.What(),
	eventstore.KindTooLarge:        eventstore.ErrTooLarge.What(),
	eventstore.KindRate:            eventstore.ErrRate.What(),
	eventstore.KindUnavailable:     eventstore.ErrUnavailable.What(),
}

// Errors of the API's own, with a status that is not their kind's.
var (
	errMediaType = eventstore.Refuse(eventstore.KindInvalid, "", "send the content type that this route takes (see /openapi.json), without content encoding")
	errMethod    = eventstore.Refuse(eventstore.KindInvalid, "", "this route does not take this method")
	errSlow      = eventstore.Refuse(eventstore.KindInvalid, "", "the request did not arrive in time")
	errNoRoute   = eventstore.Refuse(eventstore.KindNotFound, "", "there is no such route; /openapi.json lists all")
	errBroken    = eventstore.Refuse(eventstore.KindInvalid, "", "the request's body broke off")
	errInternal  = eventstore.Refuse(eventstore.KindUnavailable, "", "an internal error; the server's log has more")
	errKeyLost   = eventstore.Refuse(eventstore.KindNotFound, "", "the vault has no key for this person: it was restored from a backup older than the person. This is no erasure")
	errDamaged   = eventstore.Refuse(eventstore.KindUnavailable, "", "stored data is damaged; the server's log has more")
	errDeadline  = eventstore.Refuse(eventstore.KindUnavailable, "", "it took too long; try again")
)

// ownStatus holds the statuses of problems that are not their kind's.
var ownStatus = map[*eventstore.Problem]int{
	errMediaType: http.StatusUnsupportedMediaType,
	errMethod:    http.StatusMethodNotAllowed,
	errSlow:      http.StatusRequestTimeout,
	errInternal:  http.StatusInternalServerError,
	errDamaged:   http.StatusInternalServerError,
}

// retryDefault is told with every "unavailable" and "rate" that does not say itself how long to wait.
const retryDefault = time.Second

// problemOf turns any error into what the outside may see of it: the one place that does. It takes nothing of an error's text but from an [eventstore.Problem].
func problemOf(err error) *Problem {
	var own *Problem
	if errors.As(err, &own) {
		return own
	}
	p := asProblem(err)
	status, special := ownStatus[p]
	if !special {
		status = statuses[p.Kind()]
	}
	out := &Problem{
		Type: "urn:oubli:" + string(p.Kind()), Title: titles[p.Kind()], Status: status, Detail: p.What(),
		Field: p.Field(), Line: p.Line(), Column: p.Column(), Depth: p.Depth(), RetryAfter: int(math.Ceil(p.Wait().Seconds())),
	}
	retryable := status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests
	if retryable && out.RetryAfter == 0 {
		out.RetryAfter = int(retryDefault.Seconds())
	}
	return out
}

// asProblem finds or chooses the problem that stands for an error. What says that data is damaged or a key lost comes before what it is wrapped in.
func asProblem(err error) *eventstore.Problem {
	var p *eventstore.Problem
	switch {
	case errors.Is(err, eventstore.ErrDamaged), errors.Is(err, eventstore.ErrNewerVersion):
		return errDamaged
	case errors.Is(err, eventstore.ErrKeyLost):
		return errKeyLost
	case errors.As(err, &p):
		return p
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errDeadline
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errBroken
	}
	return errInternal
}

// unexpected says whether an error is worth a line in the log: something is wrong with the store and not with the request.
func unexpected(err error) bool {
	p := asProblem(err)
	return p == errInternal || p == errDamaged
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements [huma.StatusError].
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements [huma.HeadersError].
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	return h
}

const problemType = "application/problem+json"

// ContentType implements [huma.ContentTypeFilter].
func (*Problem) ContentType(string) string { return problemType }

// atLine is the problem of one line of the input.
func (p *Problem) atLine(line int) *Problem {
	q := *p
	q.Line = line
	return &q
}

// write sends the problem as the whole answer.
func (p *Problem) write(w http.ResponseWriter) {
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	b, _ := json.Marshal(p) // strings and numbers: cannot fail
	w.Write(append(b, '\n'))
}
