package streams

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/natsembed/natscluster"
)

func TestMain(m *testing.M) {
	if childMain() || natscluster.Main() {
		return
	}
	goleak.VerifyTestMain(m)
}

func TestAppendReadRestart(t *testing.T) {
	r := newRoom(t, nil)
	r.openTenant()
	alice, bob := newPerson(t), newPerson(t)
	var want []eventstore.Message
	for i := range 50 {
		m := newMessage(t, []eventstore.PersonID{alice, bob, {}}[i%3], 100+i)
		m.Row = newRow()
		if i%3 == 2 {
			m.Row = row{}
		}
		if got := r.append(m); got.Sequence != uint64(i+1) || got.Duplicate {
			t.Fatalf("append %d: %+v", i, got)
		}
		want = append(want, m)
	}
	check := func() {
		t.Helper()
		all := r.replay(0)
		if len(all) != len(want) {
			t.Fatalf("replay has %d messages, not %d", len(all), len(want))
		}
		for i, st := range all {
			if st.Sequence != uint64(i+1) || st.Person != want[i].Person || st.Envelope.Event != want[i].Envelope.Event ||
				!bytes.Equal(st.Envelope.Ciphertext, want[i].Envelope.Ciphertext) || st.At.IsZero() {
				t.Fatalf("message %d is %+v", i+1, st)
			}
		}
		if got := r.read(alice, 1); len(got) != 16 || got[0].Sequence != 4 {
			t.Fatalf("alice has %d messages", len(got))
		}
		if got := r.read(eventstore.PersonID{}, 0); len(got) != 16 || !got[0].Person.IsZero() {
			t.Fatalf("%d control messages", len(got))
		}
		if n, err := r.s.Count(context.Background(), tenant, bob); err != nil || n != 17 {
			t.Fatalf("bob has %d messages: %v", n, err)
		}
		if st, err := r.s.Get(context.Background(), tenant, 7); err != nil || st.Envelope.Event != want[6].Envelope.Event {
			t.Fatalf("get: %+v, %v", st, err)
		}
		if _, err := r.s.Get(context.Background(), tenant, 51); !errors.Is(err, eventstore.ErrNotFound) {
			t.Fatalf("get behind the end: %v", err)
		}
		if got := r.append(want[0]); got.Sequence != 1 || !got.Duplicate {
			t.Fatalf("a duplicate: %+v", got)
		}
		if at, err := r.s.Committed(context.Background(), tenant); err != nil || at != 50 {
			t.Fatalf("committed: %d, %v", at, err)
		}
	}
	check()
	r.restart()
	r.openTenant()
	check()
}

// TestReadManyBatches reads past the limits of one batch, in messages and in bytes.
func TestReadManyBatches(t *testing.T) {
	r := newRoom(t, nil)
	r.openTenant()
	ctx := context.Background()
	alice, bob := newPerson(t), newPerson(t)
	var last eventstore.Ticket
	for i := range 5200 {
		m := newMessage(t, alice, 20)
		if i%20 == 0 {
			m = newMessage(t, bob, 100_000)
		}
		k, err := r.s.Submit(ctx, tenant, m)
		if err != nil {
			t.Fatal(err)
		}
		last = k
	}
	if _, err := last.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if got := r.read(bob, 0); len(got) != 260 || len(got[259].Envelope.Ciphertext) != 100_000 {
		t.Fatalf("bob has %d events", len(got))
	}
	got := r.read(alice, 2)
	if len(got) != 4939 {
		t.Fatalf("alice has %d events", len(got))
	}
	for i := range got[1:] {
		if got[i+1].Sequence <= got[i].Sequence {
			t.Fatalf("out of order at %d", i)
		}
	}
	if n := len(r.replay(1000)); n != 4200 {
		t.Fatalf("replay has %d messages", n)
	}
	n := 0
	for range r.s.Replay(ctx, tenant, 0) { // left early
		if n++; n == 10 {
			break
		}
	}
	big := newMessage(t, alice, 5<<20)
	if _, err := r.s.Submit(ctx, tenant, big); !errors.Is(err, eventstore.ErrTooLarge) {
		t.Fatalf("a message beyond the server's limit: %v", err)
	}
}

// TestCloseEndsWaits: nobody is left waiting when the log is closed under load.
func TestCloseEndsWaits(t *testing.T) {
	r := newRoom(t, nil)
	r.openTenant()
	ctx := context.Background()
	done := make(chan error, 40)
	for range 32 {
		go func() {
			p := newPerson(t)
			for {
				k, err := r.s.Submit(ctx, tenant, newMessage(t, p, 50))
				if err == nil {
					_, err = k.Wait(ctx)
				}
				if err != nil {
					done <- err
					return
				}
			}
		}()
	}
	go func() {
		_, err := r.s.Await(ctx, tenant, 1<<40)
		done <- err
	}()
	r.await(100)
	if err := r.s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 33 {
		select {
		case err := <-done:
			if !errors.Is(err, eventstore.ErrUnavailable) {
				t.Errorf("ended with %v", err)
			}
		case <-time.After(waitLong):
			t.Fatal("somebody still waits")
		}
	}
}
