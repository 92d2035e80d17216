package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/streams"
	"github.com/oubli-store/oubli/streams/natsembed"
)

const tenant = eventstore.DefaultTenant

var caller = eventstore.Caller{Tenant: tenant, Token: "bench", Bot: "bench"}

// stack is a whole store in one directory, without HTTP. What stands in the directory already is opened.
type stack struct {
	vault *keyvault.Vault
	log   *streams.Streams
	store *eventstore.Store
	conn  *nats.Conn
	close []func() error
	again atomic.Int64 // appends that were sent again
}

func openStack(ctx context.Context, dir string) (s *stack, err error) {
	s = &stack{}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	_, missing := os.Stat(filepath.Join(dir, "vault"))
	s.vault, err = keyvault.Open(ctx, keyvault.Config{
		Dir: filepath.Join(dir, "vault"), Roots: filepath.Join(dir, "roots"), KEKFile: filepath.Join(dir, "kek"), Create: missing != nil})
	if err != nil {
		return s, err
	}
	s.close = append(s.close, s.vault.Close)
	server, err := natsembed.Start(ctx, natsembed.Config{Dir: filepath.Join(dir, "nats")})
	if err != nil {
		return s, err
	}
	s.close = append(s.close, func() error { return server.Stop(context.WithoutCancel(ctx)) })
	if s.conn, err = server.Connect(); err != nil {
		return s, err
	}
	s.close = append(s.close, func() error { s.conn.Close(); return nil })
	s.log, err = streams.Open(ctx, streams.Config{Dir: filepath.Join(dir, "log"), Conn: s.conn})
	if err != nil {
		return s, err
	}
	s.close = append(s.close, s.log.Close)
	if missing != nil {
		if err := s.vault.CreateTenant(ctx, tenant); err != nil {
			return s, err
		}
	}
	s.store = eventstore.New(eventstore.Config{Keys: s.vault, Log: s.log, Door: door.New(door.Rules{}), Chunks: s.log.Chunks(), Meta: s.vault})
	if err := s.store.Open(ctx, tenant, missing != nil); err != nil {
		return s, err
	}
	return s, s.store.OpenAttachments(ctx, tenant, missing != nil)
}

// Close closes everything in reverse order.
func (s *stack) Close() error {
	var first error
	for i := len(s.close) - 1; i >= 0; i-- {
		if err := s.close[i](); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// text512 is prose: a repetition would compress to nothing.
const text512 = "Bonjour, je vous écris parce que ma commande n'est toujours pas arrivée alors que le suivi indique qu'elle a été livrée mardi " +
	"dernier à mon adresse. J'ai demandé à mes voisins et au gardien, personne n'a vu le colis. Pouvez-vous me dire qui a signé le bon de " +
	"livraison, et me renvoyer les articles manquants, ou me rembourser si ce n'est pas possible ? Je pars en vacances vendredi et j'aimerais " +
	"avoir une réponse avant. Merci d'avance pour votre aide, bien cordialement. P.-S. : on me joint les soirs."

// message is an event of 512 bytes of text of one of the persons.
func message(person int, key string) eventstore.Event {
	return eventstore.Event{
		Key:          key,
		Identity:     &eventstore.Identity{Namespace: "web", ID: "visitor-" + strconv.Itoa(person)},
		Conversation: eventstore.ConversationID("c-" + strconv.Itoa(person)),
		Type:         eventstore.TypeMessage, Author: eventstore.AuthorUser, Channel: "web", Language: "fr",
		Text: text512, Intent: &eventstore.Intent{Name: "order_status", Confidence: 0.9},
	}
}

// insist appends as a bot does: where the machine was too busy to answer in time, it sends the event again.
func (s *stack) insist(ctx context.Context, e eventstore.Event) error {
	for try := 1; ; try++ {
		_, err := s.store.Append(ctx, caller, e)
		if err == nil || !errors.Is(err, eventstore.ErrUnavailable) || try == 20 {
			return err
		}
		s.again.Add(1)
	}
}

// fill appends events of persons in turn, many in flight, and returns how long that took. Each person's events are in order.
func (s *stack) fill(ctx context.Context, persons, events int) (time.Duration, error) {
	const callers = 512
	start := time.Now()
	for done := 0; done < events; done += persons {
		if _, _, err := inParallel(callers, min(persons, events-done), func(i int) error {
			return s.insist(ctx, message(i, ""))
		}); err != nil {
			return time.Since(start), fmt.Errorf("filling: %w", err)
		}
	}
	return time.Since(start), nil
}
