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
	// Conversation and Before say a part.
	Conversation string `placeholder:"BOT/ID" help:"${flag_erase_conversation}"`
	Before       string `placeholder:"DATE" help:"${flag_erase_before}"`
	Yes          bool   `help:"${flag_yes}"`
	DryRun       bool   `help:"${flag_dry_run}"`
}

// Run shows what would go, asks, and erases.
func (c eraseCmd) Run(e *env) error {
	if !c.Yes && !c.DryRun && !e.inTTY {
		return usage(e.say("need_yes"))
	}
	scope, err := c.scope(e)
	if err != nil {
		return err
	}
	a, person, err := c.find(e)
	if err != nil {
		return err
	}
	path := "/v1/persons/" + person.String() + "/erase"
	var seen struct {
		Preview rights.Preview `json:"preview"`
	}
	err = a.call(e.ctx, "POST", path, nil, c.with(scope, map[string]any{"reason": c.Reason, "dry_run": true}), &seen)
	// There is nothing left to ask about: the same answer comes again, if there was one.
	again := !c.DryRun && (errors.Is(err, eventstore.ErrErased) || !scope.All() && errors.Is(err, eventstore.ErrNotFound))
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
			e.note("%s", e.say("on_hold"))
		}
		if err := c.confirm(e, scope); err != nil {
			return err
		}
	}
	var done rights.Erasure
	request := c.with(scope, map[string]any{"reason": c.Reason, "note": c.Note, "ticket": c.Ticket})
	if err := a.call(e.ctx, "POST", path, nil, request, &done); err != nil {
		return err
	}
	if e.JSON {
		return e.document(done)
	}
	if done.Scope.All() {
		fmt.Fprintln(e.out, e.say("erased"))
	} else {
		fmt.Fprintln(e.out, e.say("erased_part"))
	}
	if err := e.erasure(done); err != nil {
		return err
	}
	if done.Stages[rights.Completed].IsZero() {
		e.note("%s", e.say("goes_on", done.ID))
	}
	return nil
}

// scope reads how much is to be erased.
func (c eraseCmd) scope(e *env) (scope eventstore.Scope, err error) {
	if c.Conversation != "" {
		bot, conversation, ok := strings.Cut(c.Conversation, "/")
		if !ok || bot == "" || conversation == "" {
			return scope, usage(e.say("bad_conversation"))
		}
		scope.Bot, scope.Conversation = eventstore.BotID(bot), eventstore.ConversationID(conversation)
	}
	scope.Before = c.Before
	if err := scope.Check(); err != nil {
		return scope, usage(err.Error())
	}
	return scope, nil
}

// with adds to a request what is asked for beside the erasure.
func (c eraseCmd) with(scope eventstore.Scope, request map[string]any) map[string]any {
	if !scope.All() {
		request["scope"] = scope
	}
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
	e.scope(&t, p.Scope)
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

// scope says how much, unless it is everything.
func (e *env) scope(t *table, s eventstore.Scope) {
	switch s.Code() {
	case eventstore.ScopeCodeConversation:
		t.add(e.say("scope"), e.say("scope_conversation", string(s.Conversation), string(s.Bot)))
	case eventstore.ScopeCodeBefore:
		t.add(e.say("scope"), e.say("scope_before", s.Before))
	}
}

// or says "none" for nothing.
func (e *env) or(s string) string {
	if s == "" {
		return e.say("none")
	}
	return s
}

// confirm asks on the terminal.
func (c eraseCmd) confirm(e *env, scope eventstore.Scope) error {
	if c.Yes {
		return nil
	}
	ask := "ask_erase"
	if !scope.All() {
		ask = "ask_erase_part"
	}
	io.WriteString(e.err, e.say(ask))
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
