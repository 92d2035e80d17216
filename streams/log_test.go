package streams

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/oubli-store/oubli/eventstore"
)

func TestMain(m *testing.M) {
	if childMain() {
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
