package rights

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// open is a door that lets everything in.
type open struct{}

func (open) Admit(_ eventstore.Caller, e eventstore.Event, _ time.Time) (eventstore.Event, error) {
	return e, nil
}
func (open) Canonical(_ eventstore.TenantID, id eventstore.Identity) (eventstore.Identity, error) {
	return id, nil
}
func (open) Consent(eventstore.Caller, eventstore.Event, eventstore.State) error {
	return nil
}

// The machine over the real store: what it announces is read back and removed, during an outage of the stream too.
func TestWithStore(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.log.EraseTenant(ctx, tenant)
	w.must(w.log.Open(ctx, tenant, w.keys.Vault(), true, nil))
	store := eventstore.New(eventstore.Config{Keys: w.keys, Log: w.log, Door: open{}, Now: w.now})
	w.must(store.Open(ctx, tenant, false))
	say := func(handle, text string) eventstore.PersonID {
		id := identity(handle)
		r, err := store.Append(ctx, eventstore.Caller{Tenant: tenant, Token: "bot", Bot: "shop"}, eventstore.Event{
			Identity: &id, Conversation: "c", Type: eventstore.TypeMessage, Author: eventstore.AuthorUser, Bot: "shop", Channel: "web", Text: text,
		})
		w.must(err)
		return r.Person
	}
	for range 3 {
		w.a, w.b, w.c = say("email:alice@example.com", "hello"), say("web:visitor-77", "hello"), say("email:carol@example.com", "hello")
	}
	s := w.service()
	s.store = store
	read := func(p eventstore.PersonID) (int, error) { return transcript(ctx, s, dpo, p) }
	if n, err := read(w.b); n != 6 || err != nil {
		t.Fatalf("%d events, %v", n, err)
	}
	w.log.Outage(true)
	e, err := s.Erase(ctx, tenant, dpo, w.b, asked)
	if err != nil {
		t.Fatalf("an outage of the stream stops an erasure: %v", err)
	}
	if _, err := read(w.a); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("after the acknowledgement: %v", err)
	}
	w.log.Outage(false)
	var erased *eventstore.PersonEvent
	for item, err := range store.Replay(ctx, tenant, 0) {
		w.must(err)
		if item.Change != nil && item.Change.Kind == eventstore.PersonErased {
			erased = item.Change
		}
	}
	if erased == nil || len(erased.Persons) != 2 || len(erased.Marks) < 30 {
		t.Fatalf("the stream says %+v", erased)
	}
	w.finish(s)
	if left, err := store.Changes(ctx, tenant, e.Persons); err != nil || len(left) != 0 {
		t.Errorf("person events %v are left, %v", left, err)
	}
	if n, err := read(w.c); n != 3 || err != nil {
		t.Errorf("somebody else: %d events, %v", n, err)
	}
	if done, err := s.Erasure(ctx, tenant, e.ID); err != nil || len(done.Stages) != 6 {
		t.Errorf("%+v, %v", done, err)
	}
}
