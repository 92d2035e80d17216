package logtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
	"github.com/oubli-store/oubli/eventstore/logtest"
)

func TestFake(t *testing.T) {
	logtest.Run(t, func(*testing.T) (logtest.Log, func(*testing.T) logtest.Log) {
		f := logtest.New()
		return f, func(*testing.T) logtest.Log { return f }
	})
}

func TestFakeChunks(t *testing.T) {
	logtest.RunChunks(t, func(*testing.T) (eventstore.Chunks, func(*testing.T) eventstore.Chunks) {
		f := logtest.NewChunks()
		return f, func(*testing.T) eventstore.Chunks { return f }
	})
}

func TestFakeOutage(t *testing.T) {
	f := logtest.New()
	accept := func(context.Context, eventstore.Stored) (eventstore.Row, error) { return eventstore.Row{}, nil }
	if err := f.Open(t.Context(), "alpha", eventstore.VaultID{}, true, accept); err != nil {
		t.Fatal(err)
	}
	f.Outage(true)
	m := eventstore.Message{Person: eventstore.PersonID{1}, Envelope: envelope.Envelope{Ciphertext: []byte("x")}}
	waits, err := f.Submit(t.Context(), "alpha", m)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := waits.Wait(ctx); !errors.Is(err, eventstore.ErrUncertain) {
		t.Errorf("Wait in an outage: %v", err)
	}
	m.Journalled = true
	goesOn, err := f.Submit(t.Context(), "alpha", m)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := goesOn.Wait(t.Context()); a.Sequence != 2 || err != nil {
		t.Errorf("a journalled message in an outage: %+v, %v", a, err)
	}
	if n, _ := f.Committed(t.Context(), "alpha"); n != 0 {
		t.Errorf("committed %d in an outage", n)
	}
	f.Outage(false)
	if a, err := waits.Wait(t.Context()); a.Sequence != 1 || err != nil {
		t.Errorf("after the outage: %+v, %v", a, err)
	}
	if n, _ := f.Committed(t.Context(), "alpha"); n != 2 {
		t.Errorf("committed %d after the outage", n)
	}
}
