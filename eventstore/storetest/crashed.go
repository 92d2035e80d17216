package storetest

import (
	"errors"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
	"github.com/oubli-store/oubli/eventstore/logtest"
)

// crashed has the store find its events in a log that lost their journal entries, and so their rows: a retry is a duplicate all the same.
func crashed(t *testing.T, s *Suite) {
	event := func(visitor, key, text string) eventstore.Event {
		e := Message(visitor, text)
		e.Key = key
		return e
	}
	first := s.MustAppend(t, event("v", "k1", "un"))
	second := s.MustAppend(t, event("v", "k2", "deux"))
	s.MustAppend(t, event("v", "", "trois"))
	gone := s.MustAppend(t, event("w", "k1", "effacé"))
	if _, err := s.Announce(t.Context(), Tenant, eventstore.PersonEvent{}); err != nil {
		t.Fatal(err)
	}

	messages, err := s.Log.Committed(t.Context(), Tenant)
	if err != nil {
		t.Fatal(err)
	}
	after, _ := s.strayed(t)
	s.Erase(t, gone.Person)
	if err := after.Open(t.Context(), Tenant, false); err != nil {
		t.Fatalf("Open: %v", err)
	}
	for _, c := range []struct {
		key, text string
		want      eventstore.Receipt
	}{{"k1", "un", first}, {"k2", "deux", second}} {
		r, err := after.Append(t.Context(), caller, event("v", c.key, c.text))
		if err != nil || !r.Duplicate || r.ID != c.want.ID || r.Sequence != c.want.Sequence || r.Person != c.want.Person {
			t.Errorf("%s again: %+v, %v, want a duplicate of %+v", c.key, r, err, c.want)
		}
	}
	if _, err := after.Append(t.Context(), caller, event("v", "k1", "quatre")); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("another body under a key that came back: %v", err)
	}
	r, err := after.Append(t.Context(), caller, event("v", "k3", "cinq"))
	if err != nil || r.Duplicate || r.Sequence <= messages {
		t.Errorf("a new key: %+v, %v", r, err)
	}
	// The erased person's event was taken in without a row: the same handle is a new person, and the same key a new event.
	if r, err := after.Append(t.Context(), caller, event("w", "k1", "effacé")); err == nil && (r.Duplicate || r.Person == gone.Person) {
		t.Errorf("an erased person's key answers: %+v", r)
	}
}

// crashedCopies is crashed in the middle of the erasure of a part: the copies find their rows again too.
func crashedCopies(t *testing.T, s *Suite) {
	ctx := t.Context()
	event := func(key, text string) eventstore.Event {
		e := Message("v", text)
		e.Key = key
		return e
	}
	kept := s.MustAppend(t, event("k1", "un"))
	gone := s.MustAppend(t, event("k2", "deux"))
	p := s.fencePart(ctx, t, kept.Person)
	job := eventstore.Resealing{Persons: p.persons(), First: p.first, Keep: func(e *eventstore.Recorded) bool { return e.ID == kept.ID }}
	if _, err := s.Reseal(ctx, Tenant, job); err != nil {
		t.Fatal(err)
	}
	after, log := s.strayed(t)
	if err := after.Open(ctx, Tenant, false); err != nil {
		t.Fatalf("Open: %v", err)
	}
	old := &Suite{Store: after, Parts: Parts{Keys: s.Keys, Log: log, Door: s.Door}}
	if got, err := after.Reseal(ctx, Tenant, job); err != nil || got != (eventstore.Resealed{Kept: 1, Gone: 1}) {
		t.Fatalf("Reseal: %+v, %v", got, err)
	}
	old.supersede(ctx, t, p, eventstore.Refused{})
	if r, err := after.Append(ctx, caller, event("k1", "un")); err != nil || !r.Duplicate || r.ID != kept.ID {
		t.Errorf("an event that stays, again: %+v, %v", r, err)
	}
	if r, err := after.Append(ctx, caller, event("k2", "deux")); err != nil || r.Duplicate || r.ID == gone.ID {
		t.Errorf("a key of the erased part: %+v, %v", r, err)
	}
	old.reads(t, kept.Person, "un", "deux")
	// Crashed behind the acknowledgement: what was sealed under the old keys has no row, and stops nothing.
	again, _ := old.strayed(t)
	if err := again.Open(ctx, Tenant, false); err != nil {
		t.Errorf("Open behind the acknowledgement: %v", err)
	}
}

// strayed is the store over a log with the same messages, which lost their journal entries.
func (s *Suite) strayed(t *testing.T) (*eventstore.Store, *logtest.Fake) {
	t.Helper()
	log := logtest.New()
	if err := log.Open(t.Context(), Tenant, s.Keys.Vault(), true, nil); err != nil {
		t.Fatal(err)
	}
	for m, err := range s.Log.Replay(t.Context(), Tenant, 0) {
		if err != nil {
			t.Fatal(err)
		}
		e := envelope.Envelope{Event: m.Envelope.Event, Month: m.Envelope.Month, Ciphertext: m.Envelope.Ciphertext}
		if at := log.Stray(Tenant, eventstore.Message{Person: m.Person, Envelope: e}); at != m.Sequence {
			t.Fatalf("the message %d is at %d", m.Sequence, at)
		}
	}
	return eventstore.New(eventstore.Config{Keys: s.Keys, Log: log, Door: s.Door}), log
}
