package console

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

type eraseCmd struct {
	who
	Reason    string `required:"" enum:"person-request,consent-withdrawn,retention,court-order,other" placeholder:"REASON" help:"${flag_reason}"`
	Note      string `placeholder:"TEXT" help:"${flag_note}"`
	Ticket    string `placeholder:"T" help:"${flag_ticket}"`
	RefuseFor string `placeholder:"365d" help:"${flag_refuse_for}"`
	Yes       bool   `help:"${flag_yes}"`
	DryRun    bool   `help:"${flag_dry_run}"`
}

// Run shows what would go, asks, and erases.
func (c eraseCmd) Run(e *env) error {
	if !c.Yes && !c.DryRun && !e.inTTY {
		return usage(e.say("need_yes"))
	}
	a, person, err := c.find(e)
	if err != nil {
		return err
	}
	path := "/v1/persons/" + person.String() + "/erase"
	var seen struct {
		Preview rights.Preview `json:"preview"`
	}
	err = a.call(e.ctx, "POST", path, nil, c.with(map[string]any{"reason": c.Reason, "dry_run": true}), &seen)
	again := errors.Is(err, eventstore.ErrErased) && !c.DryRun // there is nothing left to ask about: the same answer comes again
	if err != nil && !again {
		return err
	}
	if c.DryRun && e.JSON {
		return e.document(seen.Preview)
	}
	if !again {
		to := e.err
		if c.DryRun {
			to = e.out
		}
		if err := e.preview(to, seen.Preview); err != nil || c.DryRun {
			return err
		}
		if seen.Preview.Holds > 0 {
			return exit{Refused, errors.New(e.say("on_hold"))}
		}
		if err := c.confirm(e); err != nil {
			return err
		}
	}
	var done rights.Erasure
	request := c.with(map[string]any{"reason": c.Reason, "note": c.Note, "ticket": c.Ticket})
	if err := a.call(e.ctx, "POST", path, nil, request, &done); err != nil {
		return err
	}
	if e.JSON {
		return e.document(done)
	}
	fmt.Fprintln(e.out, e.say("erased"))
	if err := e.erasure(done); err != nil {
		return err
	}
	if done.Stages[rights.Completed].IsZero() {
		e.note("%s", e.say("goes_on", done.ID))
	}
	return nil
}

// with adds to a request what is asked for beside the erasure.
func (c eraseCmd) with(request map[string]any) map[string]any {
	if c.RefuseFor != "" {
		request["refuse_for"] = c.RefuseFor
	}
	return request
}

func (e *env) preview(w io.Writer, p rights.Preview) error {
	fmt.Fprintln(w, e.say("would_erase"))
	var t table
	t.add(e.say("person"), p.Person.String())
	i := 0
	for _, q := range p.Persons {
		if q != p.Person {
			t.add(first(i, e.say("persons")), q.String())
			i++
		}
	}
	events := fmt.Sprint(p.Events)
	if !p.First.IsZero() {
		events = e.say("from_to", p.Events, when(p.First), when(p.Last))
	}
	t.add(e.say("events"), events)
	t.add(e.say("channels"), e.or(strings.Join(p.Channels, ", ")))
	for i, h := range p.Handles {
		t.add(first(i, e.say("handles")), h)
	}
	holds := ""
	if p.Holds > 0 {
		holds = fmt.Sprint(p.Holds)
	}
	t.add(e.say("holds"), e.or(holds))
	if !p.RefusedUntil.IsZero() {
		t.add(e.say("refused_until"), e.say("refused_note", when(p.RefusedUntil)))
	}
	return t.print(w, "  ")
}

// or says "none" for nothing.
func (e *env) or(s string) string {
	if s == "" {
		return e.say("none")
	}
	return s
}

// confirm asks on the terminal.
func (c eraseCmd) confirm(e *env) error {
	if c.Yes {
		return nil
	}
	io.WriteString(e.err, e.say("ask_erase"))
	line, err := e.in.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	if answer != e.say("yes") && answer != "yes" {
		return exit{Failed, errors.New(e.say("not_erased"))}
	}
	return nil
}
