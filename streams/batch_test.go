package streams

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// TestWindowStoresAllOrNothingBehind sends windows whose first message does not fit, as a batch and one by one: an error comes back and nothing is stored. One that
// fits is stored whole, at its sequences, and the answers to the one before do not disturb it.
func TestWindowStoresAllOrNothingBehind(t *testing.T) {
	for _, batched := range []bool{true, false} {
		t.Run(fmt.Sprint("batched=", batched), func(t *testing.T) {
			r := newRoom(t, nil)
			r.openTenant()
			w, err := r.s.writer(convSpec(tenant))
			if err != nil {
				t.Fatal(err)
			}
			if !w.pub.batched {
				t.Fatal("the embedded server's streams do not take batches")
			}
			p, err := newPublisher(r.conn, w.spec.stream())
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			p.batched = batched
			person := newPerson(t)
			send := func(first uint64, n int) error {
				win := p.begin(first, n)
				for range n {
					if err := p.send(win, w.spec.of(person), []byte("x")); err != nil {
						t.Fatal(err)
					}
				}
				return p.wait(context.Background(), win, 10*time.Second)
			}
			last := uint64(0)
			for i, n := range []int{1, 2, 3, 700, 2} {
				if err := send(last+2, n); err == nil {
					t.Fatalf("window %d: a gap was taken", i)
				}
				if err := send(last+1, n); err != nil {
					t.Fatalf("window %d: %v", i, err)
				}
				last += uint64(n)
				if st, err := w.remote.state(context.Background()); err != nil || st.last != last {
					t.Fatalf("window %d: the stream ends at %d, not %d: %v", i, st.last, last, err)
				}
			}
		})
	}
}

// TestOlderStreamIsGivenBatches opens a stream that was made without them.
func TestOlderStreamIsGivenBatches(t *testing.T) {
	r := newRoom(t, nil)
	r.openTenant()
	p := r.fill(3)
	stream, err := r.s.js.Stream(context.Background(), convSpec(tenant).stream())
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.AllowBatchPublish = false
	if _, err := r.s.js.UpdateStream(context.Background(), config); err != nil {
		t.Fatal(err)
	}
	r.restart()
	r.openTenant()
	w, err := r.s.writer(convSpec(tenant))
	if err != nil {
		t.Fatal(err)
	}
	if st, err := w.remote.state(context.Background()); err != nil || !st.batched || !w.pub.batched {
		t.Fatalf("the stream takes batches: %v, the publisher: %v, %v", st.batched, w.pub.batched, err)
	}
	var tickets []eventstore.Ticket
	for range 10 {
		k, err := r.s.Submit(context.Background(), tenant, newMessage(t, p, 100))
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, k)
	}
	for _, k := range tickets {
		<-k.Done()
		if _, err := k.Wait(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.read(p, 0); len(got) != 13 {
		t.Fatalf("%d events", len(got))
	}
}
