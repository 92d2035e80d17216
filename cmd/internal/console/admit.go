package console

import (
	"fmt"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// admitCmd lifts the longer refusal that came with an erasure.
type admitCmd struct {
	Identity string `required:"" placeholder:"NS:ID" help:"${flag_admit_identity}"`
	Reason   string `enum:",person-request,court-order,other" default:"" placeholder:"REASON" help:"${flag_state_reason}"`
}

// Run admits whoever was refused.
func (c admitCmd) Run(e *env) error {
	a, err := e.api()
	if err != nil {
		return err
	}
	id, err := who{Identity: c.Identity}.identity(e)
	if err != nil {
		return err
	}
	request := map[string]any{"identities": []eventstore.Identity{id}}
	if c.Reason != "" {
		request["reason"] = c.Reason
	}
	var done rights.Admitted
	if err := a.call(e.ctx, "POST", "/v1/persons/admit", nil, request, &done); err != nil {
		return err
	}
	if e.JSON {
		return e.document(done)
	}
	_, err = fmt.Fprintln(e.out, e.say("admitted", done.Handles))
	return err
}
