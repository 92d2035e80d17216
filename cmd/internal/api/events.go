package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/eventstore"
)

func (a *API) registerEvents() {
	event, receipt := a.schema(eventstore.Event{}, "Event"), a.schema(eventstore.Receipt{}, "Receipt")
	result := &huma.Schema{OneOf: []*huma.Schema{receipt, a.schema(badLine{}, "BadLine")}}
	op := huma.Operation{
		OperationID: "append", Method: "POST", Path: "/v1/events", Summary: "Append events",
		Description: "One event as JSON: 201 once it is on disk. Or one event a line: 200 and one result line for each line that is not empty, in order.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{jsonType: {Schema: event}, linesType: {Schema: event}}},
		Responses: map[string]*huma.Response{
			"200": {Description: "One result for each line", Content: map[string]*huma.MediaType{linesType: {Schema: result}}},
			"201": {Description: "The event is on disk", Content: map[string]*huma.MediaType{jsonType: {Schema: receipt}}},
		},
		Parameters: []*huma.Param{keepOldParameter()},
	}
	a.raw(op, func(w http.ResponseWriter, r *http.Request, c *call) error { return a.postEvents(w, r, c, &op) })
	a.registerImport()
}

const (
	jsonType  = "application/json"
	linesType = "application/x-ndjson"
)

// keepOldParameter lets old events in.
func keepOldParameter() *huma.Param {
	return parameter("query", "keep_old", "boolean", "Take events also of months that the tenant keeps no more; what retention has reached is refused all the same")
}

var errKeepOld = eventstore.Refuse(eventstore.KindInvalid, "keep_old", "keep_old is true or false")

// keepOld reads the parameter into the call.
func (c *call) keepOld(q url.Values) error {
	switch q.Get("keep_old") {
	case "true":
		c.old = true
	case "", "false":
	default:
		return errKeepOld
	}
	return nil
}

func (a *API) postEvents(w http.ResponseWriter, r *http.Request, c *call, op *huma.Operation) error {
	q, err := queries(r, op)
	if err == nil {
		err = c.keepOld(q)
	}
	if err != nil {
		return err
	}
	switch mediaType(r) {
	case jsonType:
		return a.postEvent(w, r, c)
	case linesType:
		return a.postLines(w, r, c)
	}
	return errMediaType
}

func (a *API) postEvent(w http.ResponseWriter, r *http.Request, c *call) error {
	if r.ContentLength > eventstore.MaxEvent {
		return errBodySize
	}
	raw, err := readAll(r, eventstore.MaxEvent)
	if err != nil {
		return err
	}
	receipt, err := a.append(r.Context(), c.caller(), raw)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, receipt)
}

// append parses and stores one event.
func (a *API) append(ctx context.Context, caller eventstore.Caller, raw []byte) (receipt eventstore.Receipt, err error) {
	defer func() { a.metrics.event(caller.Tenant, receipt, err) }()
	e, err := eventstore.ParseEvent(raw)
	if err != nil {
		return receipt, err
	}
	p, err := a.Store.Submit(ctx, caller, e)
	if err != nil {
		return receipt, err
	}
	receipt, err = p.Wait(ctx)
	if err == nil && withdraws(&e) {
		err = a.withdrawn(ctx, caller, receipt.Person)
	}
	return receipt, err
}

// appendRoute is the route whose roles decide about every way to append.
var appendRoute = table["POST /v1/events"]

// Append is the way in for callers that do not come over HTTP: authorization is the value of an Authorization header, raw one event. It
// answers with the body and the status that the same request over HTTP would have got, and does not panic.
func (a *API) Append(ctx context.Context, authorization string, raw []byte) (status int, answer []byte) {
	r := (&http.Request{Method: "POST", Header: http.Header{"Authorization": {authorization}}}).WithContext(ctx)
	c := &call{route: appendRoute}
	fail := func(err error) (int, []byte) {
		if unexpected(err) {
			a.logError(r, c, err)
		}
		p := problemOf(err)
		b, _ := json.Marshal(p)
		return p.Status, b
	}
	defer func() {
		if v := recover(); v != nil {
			a.logPanic(r, c, v)
			status, answer = fail(errInternal)
		}
	}()
	if err := a.authorise(r, c); err != nil {
		return fail(err)
	}
	if len(raw) > eventstore.MaxEvent {
		return fail(errBodySize)
	}
	receipt, err := a.append(ctx, c.caller(), raw)
	if err != nil {
		return fail(err)
	}
	answer, err = json.Marshal(receipt)
	if err != nil {
		return fail(err)
	}
	return http.StatusCreated, answer
}

// accepts says whether the client asks for one media type and not for JSON before it.
func accepts(r *http.Request, media string) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		t, _, _ := strings.Cut(part, ";")
		switch strings.TrimSpace(t) {
		case media:
			return true
		case jsonType:
			return false
		}
	}
	return false
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
	return nil
}
