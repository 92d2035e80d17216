package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// Register is the part of [rights.Service] that keeps people's requests.
type Register interface {
	File(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, f rights.Filing) (rights.PersonRequest, error)
	Requests(ctx context.Context, tenant eventstore.TenantID) ([]rights.PersonRequest, error)
	Request(ctx context.Context, tenant eventstore.TenantID, id string) (rights.PersonRequest, error)
	Decide(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, id string, d rights.Decision, reason eventstore.Reason) (rights.PersonRequest, error)
}

type fileInput struct {
	Body struct {
		Kind     rights.RequestKind   `json:"kind" doc:"access, portability, rectification, erasure, restriction or objection"`
		Identity *eventstore.Identity `json:"identity,omitempty" doc:"Whose request it is; or"`
		Person   string               `json:"person,omitempty" maxLength:"26" doc:"a person id, for support and DPO"`
		Verified bool                 `json:"verified,omitempty" doc:"The person's identity is verified; for support and DPO"`
		Reason   eventstore.Reason    `json:"reason,omitempty" doc:"Of an erasure (person-request)"`
		Note     string               `json:"note,omitempty" maxLength:"4096" doc:"Of an erasure. Sealed; expires"`
		Ticket   string               `json:"ticket,omitempty" maxLength:"256" doc:"Of an erasure. Sealed; expires"`
		Scope    eventstore.Scope     `json:"scope,omitempty" doc:"How much an erasure takes; all is the default"`
	}
}

type requestsOutput struct {
	Requests []rights.PersonRequest `json:"requests" doc:"The open ones first, by due date, then the closed ones, the newest first"`
}

type requestInput struct {
	ID string `path:"id" maxLength:"64" doc:"A request's id"`
}

type decideInput struct {
	ID   string `path:"id" maxLength:"64" doc:"A request's id"`
	Body struct {
		Decision rights.Decision   `json:"decision" doc:"verify, execute, approve, answer, refuse or withdraw"`
		Reason   eventstore.Reason `json:"reason,omitempty" doc:"Why it is refused: not-identified, unfounded, excessive, legal-obligation, legal-claims, public-interest or other"`
	}
}

// filedOutput is what a bot gets: nothing that it does not know, but the id and the dates.
type filedOutput struct {
	*rights.PersonRequest
}

func (a *API) registerRequests() {
	file := operation("file-request", "POST", "/v1/requests", "File a person's request; what a bot files is unverified")
	file.Responses = map[string]*huma.Response{"200": {Description: "The request; the same one while it is not executed",
		Content: map[string]*huma.MediaType{jsonType: {Schema: a.schema(rights.PersonRequest{}, "PersonRequest")}}}}
	handle(a, file, a.fileRequest)
	handle(a, operation("requests", "GET", "/v1/requests", "People's requests and their due dates"), a.requests)
	handle(a, operation("request", "GET", "/v1/requests/{id}", "One request"), a.request)
	decide := operation("decide-request", "POST", "/v1/requests/{id}/decide", "Decide about a request")
	decide.Description = "What is executed while a legal hold stops it, or before somebody else approves it where the tenant wants that, waits: the answer says for what."
	handle(a, decide, a.decideRequest)
}

var (
	errFilePerson = eventstore.Refuse(eventstore.KindForbidden, "person", "a bot names a person by an identity")
	errFileOrder  = eventstore.Refuse(eventstore.KindInvalid, "scope", "only an erasure has a reason, a note, a ticket and a scope")
)

func (a *API) fileRequest(ctx context.Context, c *call, in *fileInput) (*reply[filedOutput], error) {
	f := rights.Filing{Kind: in.Body.Kind, Verified: in.Body.Verified}
	ordered := in.Body.Reason != "" || in.Body.Note != "" || in.Body.Ticket != "" || !in.Body.Scope.All()
	if c.role == bot && (in.Body.Person != "" || in.Body.Verified || ordered) {
		return nil, errFilePerson
	}
	if in.Body.Identity != nil {
		id, err := a.Door.Canonical(c.tenant, *in.Body.Identity)
		if err != nil {
			return nil, err
		}
		f.Identity = &id
	}
	if in.Body.Person != "" {
		var err error
		if f.Person, err = eventstore.ParsePersonID(in.Body.Person); err != nil {
			return nil, err
		}
	}
	switch {
	case f.Kind == rights.RequestErasure:
		f.Order = &rights.Request{Reason: in.Body.Reason, Note: in.Body.Note, Ticket: in.Body.Ticket, Scope: in.Body.Scope}
		if f.Order.Reason == "" {
			f.Order.Reason = eventstore.ReasonPersonRequest
		}
	case ordered:
		return nil, errFileOrder
	}
	r, err := a.Rights.File(context.WithoutCancel(ctx), c.tenant, c.actor(), f)
	if err != nil {
		return nil, err
	}
	if c.role == bot {
		r = rights.PersonRequest{ID: r.ID, Kind: r.Kind, FiledBy: bot, Received: r.Received, Due: r.Due, Latest: r.Latest, Waiting: r.Waiting, Stages: r.Stages}
	}
	return ok(filedOutput{&r}), nil
}

func (a *API) requests(ctx context.Context, c *call, _ *struct{}) (*reply[requestsOutput], error) {
	list, err := a.Rights.Requests(ctx, c.tenant)
	if err != nil {
		return nil, err
	}
	if list == nil {
		list = []rights.PersonRequest{}
	}
	return ok(requestsOutput{list}), nil
}

func (a *API) request(ctx context.Context, c *call, in *requestInput) (*reply[rights.PersonRequest], error) {
	r, err := a.Rights.Request(ctx, c.tenant, in.ID)
	if err != nil {
		return nil, err
	}
	return ok(r), nil
}

func (a *API) decideRequest(ctx context.Context, c *call, in *decideInput) (*reply[rights.PersonRequest], error) {
	// The caller who hangs up does not stop it half way.
	r, err := a.Rights.Decide(context.WithoutCancel(ctx), c.tenant, c.actor(), in.ID, in.Body.Decision, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return ok(r), nil
}
