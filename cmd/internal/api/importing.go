package api

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer"
)

// MaxRefused bounds how many refusals an import lists; all are counted.
const MaxRefused = 1000

// imported is the answer to an import.
type imported struct {
	// Imported were stored now, Duplicates before.
	Imported   int `json:"imported"`
	Duplicates int `json:"duplicates"`
	// Counts says what the format's reader made of the input.
	importer.Counts
	TooOld       int       `json:"too_old" doc:"Events of months that the tenant keeps no more: left out, unless keep_old is set"`
	RefusedCount int       `json:"refused_count"`
	Refused      []refused `json:"refused" doc:"The first 1,000 refusals"`
	Complete     bool      `json:"complete" doc:"The input was read to its end"`
}

// refused is a part of the input that was not stored.
type refused struct {
	Line     int      `json:"line,omitempty" doc:"Where its document begins, from 1"`
	Document int      `json:"document,omitempty" doc:"Which document of the input it is, from 1"`
	Error    *Problem `json:"error"`
}

var (
	errFormatName = eventstore.Refuse(eventstore.KindNotFound, "format", "there is no such format; there are botframework, cdr, cloudevents, mail, openai, oubli and rasa")
)

// importTypes are the content types of an import; its format says what the bytes are.
var importTypes = set("application/json", "application/x-ndjson", "application/octet-stream", "text/plain",
	"message/rfc822", "application/mbox", "text/csv", "application/cloudevents+json", "application/cloudevents-batch+json")

func (a *API) registerImport() {
	op := operation("import", "POST", "/v1/import/{format}", "Import what another program wrote")
	op.Description = "The body holds the bytes of one file. The same bytes again make no duplicates. What the input does not say can be said in the query."
	op.Parameters = []*huma.Param{parameter("path", "format", "string", "botframework, cdr, cloudevents, mail, openai, oubli or rasa"),
		parameter("query", "conversation", "string", "The conversation of input that names none"), parameter("query", "bot", "string", "The bot, for tokens that speak for no single one"),
		parameter("query", "channel", "string", "The channel of events that name none"), parameter("query", "language", "string", "The language of events that name none"),
		parameter("query", "own", "string", "The bot's own addresses and numbers, with commas (mail, cdr)"), parameter("query", "staff", "string", "The addresses of people who answer in its place, with commas (mail)"),
		parameter("query", "status_header", "string", "The header that says draft or sent (mail)"), parameter("query", "approver_header", "string", "The header that names who approved (mail)"),
		parameter("query", "region", "string", "The country of numbers in national form, as in FR (cdr)"), parameter("query", "zone", "string", "The time zone, as in Europe/Paris (cdr)"), keepOldParameter()}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
	for t := range importTypes {
		op.RequestBody.Content[t] = &huma.MediaType{}
	}
	op.Responses = map[string]*huma.Response{"200": {Description: "What became of the input",
		Content: map[string]*huma.MediaType{jsonType: {Schema: a.schema(imported{}, "Imported")}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request, c *call) error { return a.importBody(w, r, c, &op) })
}

func (a *API) importBody(w http.ResponseWriter, r *http.Request, c *call, op *huma.Operation) error {
	if t := r.Header.Get("Content-Type"); t != "" && !importTypes[mediaType(r)] {
		return errMediaType
	}
	q, err := queries(r, op)
	if err != nil {
		return err
	}
	format, found := importer.Open(r.PathValue("format"))
	if !found {
		return errFormatName
	}
	o, err := importOptions(q)
	if err != nil {
		return err
	}
	if err := c.keepOld(q); err != nil {
		return err
	}
	caller := c.caller()
	if caller.Bot != "" {
		if o.Bot != "" && o.Bot != caller.Bot {
			return errOtherBot
		}
		o.Bot = caller.Bot
	}
	leave, err := a.enter()
	if err != nil {
		return err
	}
	defer leave()
	out := imported{Refused: []refused{}, Complete: true}
	var first error
	items := format(&limited{r: r.Body, left: MaxBatchBytes}, o, &out.Counts)
	a.appendAll(r.Context(), caller, items, func(o outcome) {
		switch {
		case o.err == nil && o.receipt.Duplicate:
			out.Duplicates++
		case o.err == nil:
			out.Imported++
		case errors.Is(o.err, eventstore.ErrTooOld):
			out.TooOld++
		default:
			if unexpected(o.err) {
				a.logError(r, c, o.err)
			}
			out.refuse(o)
			if first == nil {
				first = o.err
			}
		}
	})
	if out.Events == 0 && first != nil {
		return first
	}
	return writeJSON(w, http.StatusOK, out)
}

// importOptions reads from the query what the input does not say.
func importOptions(q url.Values) (o importer.Options, err error) {
	list := func(name string) []string {
		return strings.FieldsFunc(q.Get(name), func(r rune) bool { return r == ',' })
	}
	o = importer.Options{Conversation: eventstore.ConversationID(q.Get("conversation")), Bot: eventstore.BotID(q.Get("bot")),
		Channel: q.Get("channel"), Language: q.Get("language"), Own: list("own"), Staff: list("staff"),
		StatusHeader: q.Get("status_header"), ApproverHeader: q.Get("approver_header"), Region: q.Get("region")}
	if o.Zone, err = importer.Zone(q.Get("zone")); err != nil {
		return o, err
	}
	return o, o.Check()
}

func (out *imported) refuse(o outcome) {
	if !errors.As(o.err, new(*eventstore.Problem)) || errors.Is(o.err, errBatchBytes) {
		out.Complete = false // the input itself failed
	}
	if out.RefusedCount++; len(out.Refused) < MaxRefused {
		out.Refused = append(out.Refused, refused{Line: o.at.Line, Document: o.at.Document, Error: problemOf(o.err)})
	}
}
