package api

import (
	"bufio"
	"context"
	"iter"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// MaxLookup bounds the identities of one lookup.
const MaxLookup = 100

type lookupInput struct {
	Body struct {
		Identities []eventstore.Identity `json:"identities" minItems:"1" maxItems:"100" nullable:"false"`
	}
}

type admitInput struct {
	Body struct {
		Identities []eventstore.Identity `json:"identities" minItems:"1" maxItems:"100" nullable:"false" doc:"Handles of one human; those that were erased with them are admitted too"`
		Reason     eventstore.Reason     `json:"reason,omitempty" doc:"person-request, court-order or other; stands in the ledger"`
	}
}

type lookupOutput struct {
	Persons []rights.Person `json:"persons" doc:"One for each linked set; unknown and erased ones are left out"`
}

type personInput struct {
	Person string `path:"person" maxLength:"26" doc:"A person id"`
}

type eraseInput struct {
	Person string `path:"person" maxLength:"26" doc:"A person id"`
	Body   struct {
		Reason eventstore.Reason `json:"reason,omitempty" doc:"person-request, consent-withdrawn, retention, court-order or other; required unless dry_run"`
		Note   string            `json:"note,omitempty" maxLength:"4096" doc:"Sealed; expires"`
		Ticket string            `json:"ticket,omitempty" maxLength:"256" doc:"Sealed; expires"`
		Scope  eventstore.Scope  `json:"scope,omitempty" doc:"How much is erased; all is the default"`
		DryRun bool              `json:"dry_run,omitempty" doc:"Only say what would go"`
		// RefuseFor is in days.
		RefuseFor string `json:"refuse_for,omitempty" pattern:"^[0-9]{1,3}d$" maxLength:"4" doc:"Refuse every event that names a handle of the person for so many days (365d, at most 732d). Meanwhile, and until the end of that month, who holds the vault, its root register and the key-encryption key can test whether a handle they guess is refused"`
	}
}

// eraseOutput is an erasure, or with dry_run what it would take. /openapi.json describes it as the one or the other.
type eraseOutput struct {
	*rights.Erasure
	Preview *rights.Preview `json:"preview,omitempty"`
}

// previewOutput is eraseOutput with dry_run.
type previewOutput struct {
	Preview rights.Preview `json:"preview"`
}

type erasuresInput struct {
	Ticket string `query:"ticket" maxLength:"256" doc:"Only those asked for under this ticket"`
}

type erasuresOutput struct {
	Erasures []rights.Erasure `json:"erasures" doc:"Newest first"`
}

type erasureInput struct {
	ID string `path:"id" maxLength:"64" doc:"An erasure's id"`
}

// expiredHeader is the day before which retention took something of the person whose events are read.
const expiredHeader = "Oubli-Expired-Before"

func (a *API) registerPersons() {
	handle(a, operation("lookup", "POST", "/v1/persons/lookup", "Find the persons that identities name"), a.lookupPersons)
	handle(a, operation("admit", "POST", "/v1/persons/admit", "Lift early the longer refusal that came with an erasure: somebody comes back"), a.admitPerson)
	handle(a, operation("person", "GET", "/v1/persons/{person}", "What is known of a person"), a.showPerson)
	erase := operation("erase", "POST", "/v1/persons/{person}/erase", "Erase a person, or preview it")
	erase.Responses = map[string]*huma.Response{"200": {Description: "The erasure, once nothing can be read any more; with dry_run what it would take",
		Content: map[string]*huma.MediaType{jsonType: {Schema: &huma.Schema{OneOf: []*huma.Schema{a.schema(rights.Erasure{}, "Erasure"), a.schema(previewOutput{}, "Preview")}}}}}}
	handle(a, erase, a.erase)
	handle(a, operation("erasures", "GET", "/v1/erasures", "All erasures"), a.erasures)
	handle(a, operation("erasure", "GET", "/v1/erasures/{id}", "One erasure and how far it has come"), a.erasure)
	a.registerCertificate()
	events := operation("person-events", "GET", "/v1/persons/{person}/events", "A person's events, one a line, in order")
	events.Parameters = []*huma.Param{parameter("path", "person", "string", "A person id"),
		parameter("query", "conversation", "string", "Only this conversation"), parameter("query", "after", "integer", "Go on behind this sequence"),
		parameter("query", "limit", "integer", "At most so many")}
	events.Responses = map[string]*huma.Response{"200": {Description: "One event a line; a line {\"error\":…} ends it early",
		Headers: map[string]*huma.Param{expiredHeader: {Description: "A day: what the person said before it has expired and is not among the events, unless a legal hold kept it. Not there if nothing has",
			Schema: &huma.Schema{Type: "string", Format: "date"}}},
		Content: map[string]*huma.MediaType{linesType: {Schema: &huma.Schema{OneOf: []*huma.Schema{a.schema(eventstore.Recorded{}, "Recorded"), a.schema(errorLine{}, "ErrorLine")}}}}}}
	a.raw(events, func(w http.ResponseWriter, r *http.Request, c *call) error { return a.personEvents(w, r, c, &events) })
	a.registerExport()
}

func (a *API) lookupPersons(ctx context.Context, c *call, in *lookupInput) (*reply[lookupOutput], error) {
	ids, err := a.canonical(c.tenant, in.Body.Identities)
	if err != nil {
		return nil, err
	}
	persons, err := a.Rights.Lookup(ctx, c.tenant, c.actor(), ids)
	if err != nil {
		return nil, err
	}
	if persons == nil {
		persons = []rights.Person{}
	}
	return ok(lookupOutput{persons}), nil
}

func (a *API) canonical(tenant eventstore.TenantID, ids []eventstore.Identity) ([]eventstore.Identity, error) {
	out := make([]eventstore.Identity, len(ids))
	for i, id := range ids {
		var err error
		if out[i], err = a.Door.Canonical(tenant, id); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (a *API) admitPerson(ctx context.Context, c *call, in *admitInput) (*reply[rights.Admitted], error) {
	ids, err := a.canonical(c.tenant, in.Body.Identities)
	if err != nil {
		return nil, err
	}
	// The caller who hangs up does not stop it half way.
	done, err := a.Rights.Admit(context.WithoutCancel(ctx), c.tenant, c.actor(), ids, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return ok(done), nil
}

func (a *API) showPerson(ctx context.Context, c *call, in *personInput) (*reply[rights.Person], error) {
	person, err := eventstore.ParsePersonID(in.Person)
	if err != nil {
		return nil, err
	}
	p, err := a.Rights.Show(ctx, c.tenant, c.actor(), person)
	if err != nil {
		return nil, err
	}
	return ok(p), nil
}

func (a *API) erase(ctx context.Context, c *call, in *eraseInput) (*reply[eraseOutput], error) {
	person, err := eventstore.ParsePersonID(in.Person)
	if err != nil {
		return nil, err
	}
	refuseFor, err := rights.ParseRefuseFor(in.Body.RefuseFor)
	if err != nil {
		return nil, err
	}
	if in.Body.DryRun {
		p, err := a.Rights.Preview(ctx, c.tenant, c.actor(), person, in.Body.Scope)
		if err != nil {
			return nil, err
		}
		p.RefusedUntil = rights.RefusedUntil(a.now(), refuseFor)
		return ok(eraseOutput{Preview: &p}), nil
	}
	// The caller who hangs up does not stop an erasure half way.
	e, err := a.Rights.EraseOrWait(context.WithoutCancel(ctx), c.tenant, c.actor(), person,
		rights.Request{Reason: in.Body.Reason, Note: in.Body.Note, Ticket: in.Body.Ticket, Scope: in.Body.Scope, RefuseFor: refuseFor})
	if err != nil {
		return nil, err
	}
	return ok(eraseOutput{Erasure: &e}), nil
}

func (a *API) erasures(ctx context.Context, c *call, in *erasuresInput) (*reply[erasuresOutput], error) {
	var list []rights.Erasure
	var err error
	if in.Ticket != "" {
		list, err = a.Rights.ByTicket(ctx, c.tenant, in.Ticket)
	} else {
		list, err = a.Rights.Erasures(ctx, c.tenant)
	}
	if err != nil {
		return nil, err
	}
	if list == nil {
		list = []rights.Erasure{}
	}
	return ok(erasuresOutput{list}), nil
}

func (a *API) erasure(ctx context.Context, c *call, in *erasureInput) (*reply[rights.Erasure], error) {
	e, err := a.Rights.Erasure(ctx, c.tenant, in.ID)
	if err != nil {
		return nil, err
	}
	return ok(e), nil
}

// record writes an entry into a tenant's ledger for the caller.
func (a *API) record(ctx context.Context, c *call, tenant eventstore.TenantID, entry eventstore.Entry) error {
	entry.Token, entry.Role = c.token.ID, c.role
	_, err := a.Ledger.Record(ctx, tenant, entry)
	return err
}

func (a *API) personEvents(w http.ResponseWriter, r *http.Request, c *call, op *huma.Operation) error {
	person, err := eventstore.ParsePersonID(r.PathValue("person"))
	if err != nil {
		return err
	}
	o, err := readOptions(r, op)
	if err != nil {
		return err
	}
	transcript, err := a.Rights.Transcript(r.Context(), c.tenant, c.actor(), person, o)
	if err != nil {
		return err
	}
	if transcript.ExpiredBefore != "" {
		w.Header().Set(expiredHeader, transcript.ExpiredBefore)
	}
	return a.writeEvents(w, r, c, transcript.Events)
}

var (
	errAfter = eventstore.Refuse(eventstore.KindInvalid, "after", "after is a sequence: a whole number of at least 0")
	errLimit = eventstore.Refuse(eventstore.KindInvalid, "limit", "limit is a whole number of at least 1")
	errConv  = eventstore.Refuse(eventstore.KindInvalid, "conversation", "a conversation id has at most 256 bytes")
)

func readOptions(r *http.Request, op *huma.Operation) (o eventstore.ReadOptions, err error) {
	q, err := queries(r, op)
	if err != nil {
		return o, err
	}
	if o.Conversation = eventstore.ConversationID(q.Get("conversation")); len(o.Conversation) > eventstore.MaxConversation {
		return o, errConv
	}
	if s := q.Get("after"); s != "" {
		if o.After, err = strconv.ParseUint(s, 10, 64); err != nil {
			return o, errAfter
		}
	}
	if s := q.Get("limit"); s != "" {
		if o.Limit, err = strconv.Atoi(s); err != nil || o.Limit < 1 {
			return o, errLimit
		}
	}
	return o, nil
}

// errorLine is the last line of a stream that ends early.
type errorLine struct {
	Error *Problem `json:"error"`
}

// writeEvents streams events as NDJSON. An error before the first one is returned; a later one becomes the last line.
func (a *API) writeEvents(w http.ResponseWriter, r *http.Request, c *call, events iter.Seq2[eventstore.Recorded, error]) error {
	out := bufio.NewWriterSize(w, 64<<10)
	begin := func() { w.Header().Set("Content-Type", linesType) }
	n := 0
	for e, err := range events {
		if err != nil && n == 0 {
			return err
		}
		n++
		begin()
		var v any = e
		if err != nil {
			if unexpected(err) {
				a.logError(r, c, err)
			}
			v = errorLine{problemOf(err)}
		}
		if writeLine(out, v) != nil || err != nil {
			break
		}
	}
	begin()
	return out.Flush()
}
