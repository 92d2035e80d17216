package api

import (
	"context"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

type stateInput struct {
	Person string `path:"person" maxLength:"26" doc:"A person id"`
	Body   *struct {
		Reason eventstore.Reason `json:"reason,omitempty" doc:"person-request, court-order or other; stands in the ledger"`
	} `required:"false"`
}

// registerStates registers one route for each change of a person's state.
func (a *API) registerStates() {
	for _, c := range []struct {
		change  rights.Change
		summary string
	}{
		{rights.Restrict, "Withhold a person's events, store no more of them, and leave the person out of the figures"},
		{rights.Unrestrict, "End a restriction"},
		{rights.Object, "Leave a person out of the figures"},
		{rights.Unobject, "End an objection"},
		{rights.Hold, "Keep a person's events from erasure and retention (legal hold)"},
		{rights.Unhold, "End a legal hold"},
	} {
		handle(a, operation(string(c.change), "POST", "/v1/persons/{person}/"+string(c.change), c.summary),
			func(ctx context.Context, call *call, in *stateInput) (*reply[rights.Standing], error) {
				person, err := eventstore.ParsePersonID(in.Person)
				if err != nil {
					return nil, err
				}
				var reason eventstore.Reason
				if in.Body != nil {
					reason = in.Body.Reason
				}
				// The caller who hangs up does not stop a change half way.
				now, err := a.Rights.Set(context.WithoutCancel(ctx), call.tenant, call.actor(), person, c.change, reason)
				if err != nil {
					return nil, err
				}
				return ok(now), nil
			})
	}
}
