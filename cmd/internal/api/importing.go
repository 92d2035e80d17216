package api

import (
	"errors"
	"net/http"

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
	errFormatName = eventstore.Refuse(eventstore.KindNotFound, "format", "there is no such format; there are rasa, botframework, openai and oubli")
)

// importTypes are the content types of an import; its format says what the bytes are.
var importTypes = set("application/json", "application/x-ndjson", "application/octet-stream", "text/plain")

func (a *API) registerImport() {
	op := operation("import", "POST", "/v1/import/{format}", "Import what another program wrote")
	op.Description = "The body holds the bytes of one file. The same bytes again make no duplicates. What the input does not say can be said in the query."
	op.Parameters = []*huma.Param{parameter("path", "format", "string", "rasa, botframework, openai or oubli"),
		parameter("query", "conversation", "string", "The conversation of input that names none"), parameter("query", "bot", "string", "The bot, for tokens that speak for no single one"),
		parameter("query", "channel", "string", "The channel of events that name none"), parameter("query", "language", "string", "The language of events that name none")}
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
	o := importer.Options{Conversation: eventstore.ConversationID(q.Get("conversation")), Bot: eventstore.BotID(q.Get("bot")),
		Channel: q.Get("channel"), Language: q.Get("language")}
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

func (out *imported) refuse(o outcome) {
	if !errors.As(o.err, new(*eventstore.Problem)) || errors.Is(o.err, errBatchBytes) {
		out.Complete = false // the input itself failed
	}
	if out.RefusedCount++; len(out.Refused) < MaxRefused {
		out.Refused = append(out.Refused, refused{Line: o.at.Line, Document: o.at.Document, Error: problemOf(o.err)})
	}
}
