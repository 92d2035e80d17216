package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/client"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// A bot stores what its user said. The call may be repeated by hand too: the same id is stored once.
func Example() {
	server := newMemory(nil)
	defer server.Close()

	bot, err := client.New(client.Config{Server: server.URL, Token: secret.New([]byte("good"))})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bot.Close()
	event := eventstore.Event{
		Key:          "web-4711",
		Identity:     &eventstore.Identity{Namespace: "email", ID: "alice@example.com"},
		Conversation: "chat-17",
		Type:         eventstore.TypeMessage,
		Author:       eventstore.AuthorUser,
		Text:         "Bonjour, où est ma commande A17 ?",
	}
	for range 2 {
		receipt, err := bot.Append(context.Background(), event)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("sequence", receipt.Sequence, "duplicate", receipt.Duplicate)
	}
	// Output:
	// sequence 1 duplicate false
	// sequence 1 duplicate true
}

// Many events go in batches; each is answered for itself.
func ExampleClient_AppendMany() {
	server := newMemory(nil)
	defer server.Close()

	bot, err := client.New(client.Config{Server: server.URL, Token: secret.New([]byte("good"))})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bot.Close()
	say := func(text string) eventstore.Event {
		return eventstore.Event{Conversation: "chat-17", Type: eventstore.TypeMessage, Author: eventstore.AuthorUser, Text: text}
	}
	events := []eventstore.Event{say("Hello"), say("refused"), say("Goodbye")}
	for result, err := range bot.AppendMany(context.Background(), slices.Values(events)) {
		switch {
		case errors.Is(err, client.ErrStopped):
			fmt.Println("try the rest again later")
		case errors.Is(err, eventstore.ErrConsent):
			fmt.Println(result.Index, "not stored: no consent")
		case err != nil:
			fmt.Println(result.Index, err)
		default:
			fmt.Println(result.Index, "stored")
		}
	}
	// Output:
	// 0 stored
	// 1 not stored: no consent
	// 2 stored
}
