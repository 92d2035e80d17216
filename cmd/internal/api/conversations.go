package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/oubli-store/oubli/cmd/internal/pages"
	"github.com/oubli-store/oubli/eventstore"
)

// conversationRequest is the body of a bot's own read.
type conversationRequest struct {
	Identity     *eventstore.Identity      `json:"identity,omitempty" doc:"Left out for an anonymous conversation"`
	Conversation eventstore.ConversationID `json:"conversation"`
	Bot          eventstore.BotID          `json:"bot,omitempty" doc:"Only for tokens that speak for no single bot"`
}

type conversation struct {
	Events   []eventstore.Recorded `json:"events"`
	Complete bool                  `json:"complete" doc:"The last member: the document is whole"`
}

func (a *API) registerConversations() {
	op := operation("read-conversation", "POST", "/v1/conversations/read", "Read a conversation of one's own bot")
	op.RequestBody = &huma.RequestBody{Required: true,
		Content: map[string]*huma.MediaType{jsonType: {Schema: a.schema(conversationRequest{}, "ConversationRequest")}}}
	op.Responses = map[string]*huma.Response{"200": {Description: "The conversation in order",
		Content: map[string]*huma.MediaType{jsonType: {Schema: a.schema(conversation{}, "Conversation")}, htmlType: textType()}}}
	op.Description = "JSON, or with Accept: text/html a page that the person can print."
	op.Parameters = []*huma.Param{languageParameter()}
	a.raw(op, func(w http.ResponseWriter, r *http.Request, c *call) error { return a.readConversation(w, r, c, &op) })
	handle(a, operation("privacy", "GET", "/v1/privacy", "What a bot tells about privacy"), a.privacy)
}

var (
	errNoConversation = eventstore.Refuse(eventstore.KindNotFound, "conversation", "this bot has no such conversation with this identity")
	errWhichBot       = eventstore.Refuse(eventstore.KindInvalid, "bot", "the access token speaks for no single bot: name one")
	errOtherBot       = eventstore.Refuse(eventstore.KindForbidden, "bot", "the access token speaks for another bot")
)

func (a *API) readConversation(w http.ResponseWriter, r *http.Request, c *call, op *huma.Operation) error {
	ctx := r.Context()
	q, err := queries(r, op)
	if err != nil {
		return err
	}
	from, err := a.pageFrom(ctx, c, q)
	if err != nil {
		return err
	}
	raw, err := readAll(r, eventstore.MaxEvent)
	if err != nil {
		return err
	}
	var in conversationRequest
	if err := decode(raw, &in); err != nil {
		return err
	}
	caller := c.caller()
	switch {
	case caller.Bot == "" && in.Bot == "":
		return errWhichBot
	case caller.Bot == "":
		caller.Bot = in.Bot
	case in.Bot != "" && in.Bot != caller.Bot:
		return errOtherBot
	}
	// The door knows the handle of a conversation without an identity, so it is shown an event of it, of a type that every tenant keeps.
	e, err := a.Door.Admit(caller, eventstore.Event{Identity: in.Identity, Conversation: in.Conversation, Bot: caller.Bot,
		Type: eventstore.TypeNotice, Notice: &eventstore.Notice{Version: "-"}}, a.now())
	if err != nil {
		return err
	}
	person, err := a.Keys.Resolve(ctx, c.tenant, *e.Identity)
	if errors.Is(err, eventstore.ErrNotFound) {
		return errNoConversation
	}
	if err != nil {
		return err
	}
	if err := a.recordConversation(ctx, c, person); err != nil {
		return err
	}
	events := a.Store.Read(ctx, c.tenant, person, eventstore.ReadOptions{Conversation: in.Conversation, Bot: caller.Bot})
	w.Header().Set("Vary", "Accept")
	if accepts(r, htmlType) {
		return a.conversationPage(w, from, events)
	}
	return writeConversation(w, events)
}

// recordConversation makes the ledger entry of a bot's read. A bot reads nothing of a restricted person.
func (a *API) recordConversation(ctx context.Context, c *call, person eventstore.PersonID) error {
	set, err := a.Keys.Linked(ctx, c.tenant, person)
	if err != nil {
		return err
	}
	entry := eventstore.Entry{Act: eventstore.ActConversation, Count: uint64(len(set))}
	for _, member := range set {
		if member.State.Restricted {
			return eventstore.ErrWithheld
		}
		entry.References = append(entry.References, member.Reference)
	}
	return a.record(ctx, c, c.tenant, entry)
}

// conversationPage streams a conversation as a page; errors as [writeConversation].
func (a *API) conversationPage(w http.ResponseWriter, from pages.From, events iter.Seq2[eventstore.Recorded, error]) error {
	pageHeader(w)
	n, err := pages.WriteConversation(w, from, a.now(), events)
	if err == nil && n == 0 {
		err = errNoConversation
	}
	return err
}

// writeConversation streams a conversation as a JSON document. An error before the first event is returned, and so is a later one, whereupon
// [API.fail] breaks the connection off.
func writeConversation(w http.ResponseWriter, events iter.Seq2[eventstore.Recorded, error]) error {
	out := bufio.NewWriterSize(w, 64<<10)
	n := 0
	for e, err := range events {
		if err != nil {
			return err
		}
		b, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("writing an event: %w", err)
		}
		if n++; n == 1 {
			w.Header().Set("Content-Type", jsonType)
			out.WriteString(`{"events":[` + "\n")
		} else {
			out.WriteString(",\n")
		}
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
	if n == 0 {
		return errNoConversation
	}
	out.WriteString("\n],\"complete\":true}\n")
	return out.Flush()
}
