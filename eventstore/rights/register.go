package rights

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// RequestKind is the right that a person asks for.
type RequestKind string

// The kinds of request, by article of the GDPR: 15, 20, 16, 17, 18, 21.
const (
	RequestAccess        RequestKind = "access"
	RequestPortability   RequestKind = "portability"
	RequestRectification RequestKind = "rectification"
	RequestErasure       RequestKind = "erasure"
	RequestRestriction   RequestKind = "restriction"
	RequestObjection     RequestKind = "objection"
)

// RequestKinds are all kinds.
var RequestKinds = []RequestKind{RequestAccess, RequestPortability, RequestRectification, RequestErasure, RequestRestriction, RequestObjection}

// RequestStage is something that has happened with a request.
type RequestStage string

// The stages. The last three end a request.
const (
	RequestReceived  RequestStage = "received"
	RequestVerified  RequestStage = "verified"
	RequestApproved  RequestStage = "approved"
	RequestExecuted  RequestStage = "executed"
	RequestAnswered  RequestStage = "answered"
	RequestRefused   RequestStage = "refused"
	RequestWithdrawn RequestStage = "withdrawn"
)

// RequestWait is what an open request waits for.
type RequestWait string

// What a request can wait for.
const (
	WaitVerification RequestWait = "verification" // of the person's identity, by support
	WaitExecution    RequestWait = "execution"    // by support
	WaitApproval     RequestWait = "approval"     // by somebody else than who asked
	WaitHold         RequestWait = "hold"         // for the end of a legal hold; then it goes on by itself
	WaitWork         RequestWait = "work"         // it is being carried out
	WaitAnswer       RequestWait = "answer"       // to the person
)

// Refusals are the codes for why a request is refused.
var Refusals = []eventstore.Reason{"not-identified", "unfounded", "excessive", "legal-obligation", "legal-claims", "public-interest", "other"}

// The acts of the register in the ledger. Entry.Basis is the request's kind, Entry.Subject the hash of its id ([RequestSubject]).
const (
	ActRequestReceived  eventstore.Act = "request-received"
	ActRequestVerified  eventstore.Act = "request-verified"
	ActRequestApproved  eventstore.Act = "request-approved"
	ActRequestWaits     eventstore.Act = "request-waits"
	ActRequestExecuted  eventstore.Act = "request-executed"
	ActRequestAnswered  eventstore.Act = "request-answered"
	ActRequestRefused   eventstore.Act = "request-refused"
	ActRequestWithdrawn eventstore.Act = "request-withdrawn"
)

// PersonRequest is one line of the register.
type PersonRequest struct {
	ID   string      `json:"request"`
	Kind RequestKind `json:"kind"`
	// Person is zero while the store knows nobody by the handle; Identity is kept only so long, and expires.
	Person   eventstore.PersonID  `json:"person,omitzero"`
	Identity *eventstore.Identity `json:"identity,omitempty"`
	FiledBy  eventstore.Role      `json:"filed_by"`
	Received time.Time            `json:"received"`
	// Due is the tenant's promise, Latest the limit of the law: one month.
	Due     time.Time                  `json:"due"`
	Latest  time.Time                  `json:"latest"`
	Overdue bool                       `json:"overdue,omitempty"`
	Waiting RequestWait                `json:"waiting,omitempty"`
	Stages  map[RequestStage]time.Time `json:"stages"`
	Refusal eventstore.Reason          `json:"refusal,omitempty"`
	// Erasure is the id of the erasure that carried it out, Entry the number of the ledger entry of the effect.
	Erasure string `json:"erasure,omitempty"`
	Entry   uint64 `json:"entry,omitempty"`
	// Scope is how much an erasure takes.
	Scope *eventstore.Scope `json:"scope,omitempty"`
}

// Open says whether something is still to be done.
func (r *PersonRequest) Open() bool {
	return !r.reached(RequestAnswered) && !r.reached(RequestRefused) && !r.reached(RequestWithdrawn)
}

func (r *PersonRequest) reached(s RequestStage) bool { _, ok := r.Stages[s]; return ok }

// RequestSubject is what stands in the ledger for a request: who has the register finds the entries of a request, and nobody else does.
func RequestSubject(id string) []byte {
	h := sha256.Sum256([]byte("oubli request\x00" + id))
	return h[:]
}

// requestRow is a request as it is stored in TableRequests under its id.
type requestRow struct {
	PersonRequest
	// Actor is who asked for the effect; the effect is entered in the ledger in that name.
	Actor Actor `json:"actor,omitzero"`
	// Order is the erasure that is asked for.
	Order *Request `json:"order,omitempty"`
	// Forget is when Identity, and what Order says in words, go.
	Forget time.Time `json:"forget"`
}

// waits says what comes next, by the stages.
func (r *requestRow) waits() RequestWait {
	switch {
	case !r.Open():
		return ""
	case r.reached(RequestExecuted):
		return WaitAnswer
	case !r.reached(RequestVerified):
		return WaitVerification
	}
	return WaitExecution
}

// AnswerWithin is the promise of a tenant that makes no other.
const AnswerWithin = 15 * 24 * time.Hour

// monthAfter is one month later, or the last day of the next month if it has no such day.
func monthAfter(t time.Time) time.Time {
	next := t.AddDate(0, 1, 0)
	if next.Day() != t.Day() {
		next = next.AddDate(0, 0, -next.Day())
	}
	return next
}

func checkKind(k RequestKind) error {
	if !slices.Contains(RequestKinds, k) {
		return eventstore.Refuse(eventstore.KindInvalid, "kind", "a kind is one of access, portability, rectification, erasure, restriction, objection")
	}
	return nil
}
