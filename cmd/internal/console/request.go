package console

import (
	"net/url"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

type requestListCmd struct {
	Open bool `help:"${flag_request_open}"`
}

// Run lists the requests.
func (c requestListCmd) Run(e *env) error {
	a, err := e.api()
	if err != nil {
		return err
	}
	var list struct {
		Requests []rights.PersonRequest `json:"requests"`
	}
	if err := a.call(e.ctx, "GET", "/v1/requests", nil, nil, &list); err != nil {
		return err
	}
	var t table
	for _, name := range []string{"request", "kind", "received_on", "due", "state"} {
		t.head = append(t.head, strings.ToUpper(e.say(name)))
	}
	for _, r := range list.Requests {
		switch {
		case c.Open && !r.Open():
		case e.JSON:
			if err := e.line(r); err != nil {
				return err
			}
		default:
			t.add(r.ID, e.code("kind_", string(r.Kind)), day(r.Received), e.dueOn(&r), e.waitsFor(&r))
		}
	}
	if e.JSON {
		return nil
	}
	if len(t.rows) == 0 {
		e.note("%s", e.say("no_requests"))
		return nil
	}
	return t.print(e.out, "")
}

type requestShowCmd struct {
	ID string `arg:"" help:"${flag_request_id}"`
}

// Run shows one request.
func (c requestShowCmd) Run(e *env) error {
	a, err := e.api()
	if err != nil {
		return err
	}
	var r rights.PersonRequest
	if err := a.call(e.ctx, "GET", "/v1/requests/"+url.PathEscape(c.ID), nil, nil, &r); err != nil {
		return err
	}
	return e.showRequest(&r)
}

type requestAddCmd struct {
	who
	Kind     string `required:"" enum:"access,portability,rectification,erasure,restriction,objection" placeholder:"KIND" help:"${flag_request_kind}"`
	Verified bool   `help:"${flag_request_verified}"`
	Note     string `placeholder:"TEXT" help:"${flag_note}"`
	Ticket   string `placeholder:"T" help:"${flag_ticket}"`
}

// Run enters a request that came in.
func (c requestAddCmd) Run(e *env) error {
	a, err := e.api()
	if err != nil {
		return err
	}
	request := map[string]any{"kind": c.Kind, "verified": c.Verified}
	if c.Person != "" {
		person, err := eventstore.ParsePersonID(strings.ToUpper(c.Person))
		if err != nil {
			return usage(e.say("bad_person"))
		}
		request["person"] = person
	} else if request["identity"], err = c.identity(e); err != nil {
		return err
	}
	if c.Note != "" {
		request["note"] = c.Note
	}
	if c.Ticket != "" {
		request["ticket"] = c.Ticket
	}
	var r rights.PersonRequest
	if err := a.call(e.ctx, "POST", "/v1/requests", nil, request, &r); err != nil {
		return err
	}
	return e.showRequest(&r)
}

type requestDecideCmd struct {
	ID       string `arg:"" help:"${flag_request_id}"`
	Verify   bool   `xor:"decision" required:"" help:"${flag_decide_verify}"`
	Execute  bool   `xor:"decision" required:"" help:"${flag_decide_execute}"`
	Approve  bool   `xor:"decision" required:"" help:"${flag_decide_approve}"`
	Answer   bool   `xor:"decision" required:"" help:"${flag_decide_answer}"`
	Refuse   string `xor:"decision" required:"" placeholder:"REASON" help:"${flag_decide_refuse}"`
	Withdraw bool   `xor:"decision" required:"" help:"${flag_decide_withdraw}"`
}

// Run decides about a request.
func (c requestDecideCmd) Run(e *env) error {
	a, err := e.api()
	if err != nil {
		return err
	}
	request := map[string]string{}
	for decision, chosen := range map[rights.Decision]bool{
		rights.DecideVerify: c.Verify, rights.DecideExecute: c.Execute, rights.DecideApprove: c.Approve,
		rights.DecideAnswer: c.Answer, rights.DecideRefuse: c.Refuse != "", rights.DecideWithdraw: c.Withdraw,
	} {
		if chosen {
			request["decision"] = string(decision)
		}
	}
	if c.Refuse != "" {
		request["reason"] = c.Refuse
	}
	var r rights.PersonRequest
	if err := a.call(e.ctx, "POST", "/v1/requests/"+url.PathEscape(c.ID)+"/decide", nil, request, &r); err != nil {
		return err
	}
	return e.showRequest(&r)
}

// requestStages in their order.
var requestStages = []rights.RequestStage{rights.RequestReceived, rights.RequestVerified, rights.RequestApproved, rights.RequestExecuted,
	rights.RequestAnswered, rights.RequestRefused, rights.RequestWithdrawn}

// showRequest prints a request.
func (e *env) showRequest(r *rights.PersonRequest) error {
	if e.JSON {
		return e.document(r)
	}
	var t table
	t.add(e.say("request"), r.ID)
	t.add(e.say("kind"), e.code("kind_", string(r.Kind)))
	if !r.Person.IsZero() {
		t.add(e.say("person"), r.Person.String())
	}
	if r.Identity != nil {
		t.add(e.say("handle"), r.Identity.Namespace+":"+r.Identity.ID)
	}
	t.add(e.say("due"), e.dueOn(r))
	if r.Open() {
		t.add(e.say("latest"), day(r.Latest))
	}
	t.add(e.say("state"), e.waitsFor(r))
	if r.Scope != nil {
		e.scope(&t, *r.Scope)
	}
	if r.Refusal != "" {
		t.add(e.say("reason"), e.code("refusal_", string(r.Refusal)))
	}
	if r.Erasure != "" {
		t.add(e.say("erasure"), r.Erasure)
	}
	if r.Entry != 0 {
		t.add(e.say("ledger_entries"), e.say("number", r.Entry))
	}
	for _, s := range requestStages {
		if at, ok := r.Stages[s]; ok {
			t.add(when(at), e.say("request_"+string(s)))
		}
	}
	return t.print(e.out, "  ")
}

func (e *env) dueOn(r *rights.PersonRequest) string {
	if r.Overdue {
		return e.say("overdue", day(r.Due))
	}
	return day(r.Due)
}

// waitsFor says what comes next, or how it ended.
func (e *env) waitsFor(r *rights.PersonRequest) string {
	if r.Waiting != "" {
		return e.code("wait_", string(r.Waiting))
	}
	for _, s := range requestStages[4:] {
		if _, ok := r.Stages[s]; ok {
			return e.say("request_" + string(s))
		}
	}
	return ""
}

func day(t time.Time) string { return t.Local().Format(time.DateOnly) }
