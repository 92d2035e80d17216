package console

import (
	"github.com/oubli-store/oubli/eventstore/rights"
)

// stateCmd is what the six commands that change a person's state share.
type stateCmd struct {
	who
	Reason string `enum:",person-request,court-order,other" default:"" placeholder:"REASON" help:"${flag_state_reason}"`
}

type (
	restrictCmd   struct{ stateCmd }
	unrestrictCmd struct{ stateCmd }
	objectCmd     struct{ stateCmd }
	unobjectCmd   struct{ stateCmd }
	holdCmd       struct{ stateCmd }
	unholdCmd     struct{ stateCmd }
)

// Run restricts a person.
func (c restrictCmd) Run(e *env) error { return c.set(e, rights.Restrict) }

// Run ends a restriction.
func (c unrestrictCmd) Run(e *env) error { return c.set(e, rights.Unrestrict) }

// Run notes an objection.
func (c objectCmd) Run(e *env) error { return c.set(e, rights.Object) }

// Run ends an objection.
func (c unobjectCmd) Run(e *env) error { return c.set(e, rights.Unobject) }

// Run puts a person on legal hold.
func (c holdCmd) Run(e *env) error { return c.set(e, rights.Hold) }

// Run ends a legal hold.
func (c unholdCmd) Run(e *env) error { return c.set(e, rights.Unhold) }

// set makes a change and prints what binds the person now.
func (c stateCmd) set(e *env, change rights.Change) error {
	a, person, err := c.find(e)
	if err != nil {
		return err
	}
	request := map[string]string{}
	if c.Reason != "" {
		request["reason"] = c.Reason
	}
	var now rights.Standing
	if err := a.call(e.ctx, "POST", "/v1/persons/"+person.String()+"/"+string(change), nil, request, &now); err != nil {
		return err
	}
	if e.JSON {
		return e.document(now)
	}
	var t table
	t.add(e.say("person"), now.Person.String())
	i := 0
	for _, p := range now.Persons {
		if p != now.Person {
			t.add(first(i, e.say("persons")), p.String())
			i++
		}
	}
	e.standing(&t, now.Restricted, now.Objected, now.Hold)
	return t.print(e.out, "")
}

// standing says each state that holds.
func (e *env) standing(t *table, restricted, objected, hold bool) {
	i := 0
	for _, s := range []struct {
		holds bool
		name  string
	}{{restricted, rights.StateRestricted}, {hold, rights.StateHeld}, {objected, rights.StateObjected}} {
		if s.holds {
			t.add(first(i, e.say("state")), e.code("state_", s.name))
			i++
		}
	}
	if i == 0 {
		t.add(e.say("state"), e.code("state_", rights.StateActive))
	}
}
