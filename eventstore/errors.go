package eventstore

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Kind is the stable name of a class of errors; its URN (urn:oubli:KIND) is the type of a problem document.
type Kind string

// The kinds that the outside can rely on.
const (
	KindInvalid         Kind = "invalid"
	KindErased          Kind = "erased"
	KindWithheld        Kind = "withheld"
	KindHold            Kind = "hold"
	KindConsent         Kind = "consent"
	KindConflict        Kind = "conflict"
	KindAmbiguous       Kind = "ambiguous"
	KindNotFound        Kind = "not-found"
	KindUnauthenticated Kind = "unauthenticated"
	KindForbidden       Kind = "forbidden"
	KindTooLarge        Kind = "too-large"
	KindRate            Kind = "rate"
	KindUnavailable     Kind = "unavailable"
)

// Sentinels, one for each kind, for [errors.Is]; and those that have no kind of their own on the wire.
var (
	ErrInvalid         = &Problem{kind: KindInvalid, what: "the request is not valid"}
	ErrErased          = &Problem{kind: KindErased, what: "the person was erased"}
	ErrWithheld        = &Problem{kind: KindWithheld, what: "the person's data is restricted"}
	ErrHold            = &Problem{kind: KindHold, what: "a legal hold forbids this"}
	ErrConsent         = &Problem{kind: KindConsent, what: "consent has not been given"}
	ErrConflict        = &Problem{kind: KindConflict, what: "the request conflicts with what is stored"}
	ErrAmbiguous       = &Problem{kind: KindAmbiguous, what: "the handle may belong to another person"}
	ErrNotFound        = &Problem{kind: KindNotFound, what: "not found"}
	ErrUnauthenticated = &Problem{kind: KindUnauthenticated, what: "no valid access token was given"}
	ErrForbidden       = &Problem{kind: KindForbidden, what: "the access token's role does not allow this"}
	ErrTooLarge        = &Problem{kind: KindTooLarge, what: "the request is too large"}
	ErrRate            = &Problem{kind: KindRate, what: "too many requests"}
	ErrUnavailable     = &Problem{kind: KindUnavailable, what: "temporarily unavailable; try again"}

	// ErrFenced: an erasure of the person is under way; it ends in ErrErased. Retryable.
	ErrFenced = Refuse(KindUnavailable, "", "the person is being erased; try again in a moment")
	// ErrUncertain: the event may or may not be stored; the same call under the same idempotency key settles it.
	ErrUncertain = Refuse(KindUnavailable, "", "it is not certain that the event was stored; send it again under the same id")
	// ErrKeyLost: a restored vault never knew this person. Permanent, and not an erasure.
	ErrKeyLost = errors.New("the vault has no key for this person; it was restored from a backup older than the person")
	// ErrDamaged: stored data is damaged, truncated or rolled back. Nothing is repaired by losing it.
	ErrDamaged = errors.New("stored data is damaged")
	// ErrNewerVersion: the data was written by a newer version of Oubli.
	ErrNewerVersion = errors.New("the data was written by a newer version of oubli")
	// ErrInUse: another process works on the same data.
	ErrInUse = errors.New("the data directory is in use by another process")
)

// kinds holds the sentinel of each kind.
var kinds = map[Kind]*Problem{
	KindInvalid: ErrInvalid, KindErased: ErrErased, KindWithheld: ErrWithheld, KindHold: ErrHold,
	KindConsent: ErrConsent, KindConflict: ErrConflict, KindAmbiguous: ErrAmbiguous, KindNotFound: ErrNotFound,
	KindUnauthenticated: ErrUnauthenticated, KindForbidden: ErrForbidden, KindTooLarge: ErrTooLarge,
	KindRate: ErrRate, KindUnavailable: ErrUnavailable,
}

// text can only be made from a constant, so that no value that somebody sent can enter a [Problem].
type text string

// Problem is the one error for what a caller did or met. It names a kind, a known field and a position, never a value or an
// unknown key: its texts are constants by construction.
type Problem struct {
	kind  Kind
	field text
	what  text
	line  int
	// column is where in the line; only known of queries.
	column int
	depth  int
	wait   time.Duration
	cause  error
	// origin is the problem that this one was derived from, which it still matches.
	origin *Problem
}

// Refuse makes a problem. field is the name of a known field as in the event's JSON (dots between levels), or empty; what says
// what happened and what to do. Both can only be constants.
func Refuse(kind Kind, field, what text) *Problem {
	return &Problem{kind: kind, field: field, what: what}
}

// AtLine says in which line of the input (from 1) the problem stands.
func (p *Problem) AtLine(line int) *Problem {
	q := p.derive()
	q.line = line
	return q
}

// AtDepth says at which depth of nesting (from 1) the problem stands.
func (p *Problem) AtDepth(depth int) *Problem {
	q := p.derive()
	q.depth = depth
	return q
}

// AtColumn says at which character of its line (from 1) the problem stands.
func (p *Problem) AtColumn(column int) *Problem {
	q := p.derive()
	q.column = column
	return q
}

// RetryAfter says how long to wait before trying again.
func (p *Problem) RetryAfter(wait time.Duration) *Problem {
	q := p.derive()
	q.wait = wait
	return q
}

// Because records a cause for [errors.Is] and [errors.As]. The cause is never printed by Error.
func (p *Problem) Because(cause error) *Problem {
	q := p.derive()
	q.cause = cause
	return q
}

// derive copies p; the copy still matches p by [errors.Is].
func (p *Problem) derive() *Problem {
	q := *p
	if q.origin == nil {
		q.origin = p
	}
	return &q
}

// Kind is the problem's class.
func (p *Problem) Kind() Kind { return p.kind }

// Field is the known field at fault, or empty.
func (p *Problem) Field() string { return string(p.field) }

// What says what happened and what to do, without field and position.
func (p *Problem) What() string { return string(p.what) }

// Line is the line of the input, from 1, or 0.
func (p *Problem) Line() int { return p.line }

// Column is the character in the line of the input, from 1, or 0.
func (p *Problem) Column() int { return p.column }

// Depth is the depth of nesting, from 1, or 0.
func (p *Problem) Depth() int { return p.depth }

// Wait is how long to wait before trying again, or 0.
func (p *Problem) Wait() time.Duration { return p.wait }

// Error implements error.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.line > 0 {
		b.WriteString("line " + strconv.Itoa(p.line))
		if p.column > 0 {
			b.WriteString(", column " + strconv.Itoa(p.column))
		}
		b.WriteString(": ")
	}
	if p.field != "" {
		b.WriteString(string(p.field) + ": ")
	}
	b.WriteString(string(p.what))
	if p.depth > 0 {
		b.WriteString(" (at depth " + strconv.Itoa(p.depth) + ")")
	}
	return b.String()
}

// Is matches the sentinel of the same kind, and the problem that p was derived from.
func (p *Problem) Is(target error) bool {
	q, ok := target.(*Problem)
	return ok && (q == p.origin || kinds[q.kind] == q && q.kind == p.kind)
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.cause }
