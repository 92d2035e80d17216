package console

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore/rights"
)

// stages in their order.
var stages = []rights.Stage{rights.Requested, rights.Fenced, rights.Shredded, rights.Projected, rights.Removed, rights.Completed}

type erasureListCmd struct{}

// Run lists the erasures.
func (erasureListCmd) Run(e *env) error {
	a, err := e.api()
	if err != nil {
		return err
	}
	var list struct {
		Erasures []rights.Erasure `json:"erasures"`
	}
	if err := a.call(e.ctx, "GET", "/v1/erasures", nil, nil, &list); err != nil {
		return err
	}
	if e.JSON {
		for _, x := range list.Erasures {
			if err := e.line(x); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list.Erasures) == 0 {
		e.note("%s", e.say("no_erasures"))
		return nil
	}
	var t table
	for _, name := range []string{"erasure", "person", "reason", "when", "stage"} {
		t.head = append(t.head, strings.ToUpper(e.say(name))) // as in every table
	}
	for _, x := range list.Erasures {
		stage, began := rights.Requested, x.Stages[rights.Requested]
		for _, s := range stages {
			if !x.Stages[s].IsZero() {
				stage = s
			}
		}
		t.add(x.ID, x.Person.String(), e.code("reason_", string(x.Reason)), when(began), e.say("stage_"+string(stage)))
	}
	return t.print(e.out, "")
}

type erasureShowCmd struct {
	ID string `arg:"" help:"${flag_erasure_id}"`
}

// Run shows one erasure.
func (c erasureShowCmd) Run(e *env) error {
	a, err := e.api()
	if err != nil {
		return err
	}
	var x rights.Erasure
	if err := a.call(e.ctx, "GET", "/v1/erasures/"+url.PathEscape(c.ID), nil, nil, &x); err != nil {
		return err
	}
	if e.JSON {
		return e.document(x)
	}
	return e.erasure(x)
}

// erasure prints an erasure and its stages.
func (e *env) erasure(x rights.Erasure) error {
	var t table
	t.add(e.say("erasure"), x.ID)
	t.add(e.say("person"), x.Person.String())
	i := 0
	for _, q := range x.Persons {
		if q != x.Person {
			t.add(first(i, e.say("persons")), q.String())
			i++
		}
	}
	e.scope(&t, x.Scope)
	if x.KeptEvents+x.ErasedEvents > 0 {
		t.add(e.say("events"), e.say("erased_kept", x.ErasedEvents, x.KeptEvents))
	}
	if x.Reason != "" {
		t.add(e.say("reason"), e.code("reason_", string(x.Reason)))
	}
	if !x.RefusedUntil.IsZero() {
		t.add(e.say("refused_until"), when(x.RefusedUntil))
	}
	if x.RemovedMessages+x.LeftMessages > 0 {
		t.add(e.say("messages"), e.say("removed_left", x.RemovedMessages, x.LeftMessages))
	}
	if x.Search != "" {
		t.add(e.say("search"), e.code("search_", string(x.Search)))
	}
	for _, s := range stages {
		t.add(e.done(x.Stages[s]), e.say("stage_"+string(s)))
	}
	if err := t.print(e.out, "  "); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

func (e *env) done(at time.Time) string {
	if at.IsZero() {
		return e.say("not_yet")
	}
	return when(at)
}
