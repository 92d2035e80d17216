package demo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/sample"
)

// writing is other people who go on talking.
type writing struct {
	stored atomic.Int64
	// enough ends the people's talk; what was sent by then is answered.
	enough atomic.Bool
	ended  chan error
	// sent counts the events, answered what became of them; for after the end.
	sent     int
	answered sent
}

// write begins to store events of people of their own, until it is ended.
func (r *run) write(ctx context.Context) *writing {
	w := &writing{ended: make(chan error, 1)}
	go func() {
		var err error
		w.answered, err = r.send(ctx, w.live(), 20, w)
		w.ended <- err
	}()
	return w
}

// Add implements [Bar]: it counts what is stored.
func (w *writing) Add(n int) { w.stored.Add(int64(n)) }

// Done implements [Bar].
func (w *writing) Done() {}

// underWay waits until some events are stored; more until some more are.
func (w *writing) underWay(ctx context.Context) error { return w.reach(ctx, 500) }

func (w *writing) more(ctx context.Context) error { return w.reach(ctx, w.stored.Load()+500) }

const writesWithin = 20 * time.Second

func (w *writing) reach(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, writesWithin)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for w.stored.Load() < n {
		select {
		case <-tick.C:
		case err := <-w.ended:
			w.ended <- err
			return errors.Join(errors.New("writing meanwhile ended early"), err)
		case <-ctx.Done():
			return fmt.Errorf("writing meanwhile: %w", ctx.Err())
		}
	}
	return nil
}

// end stops writing, waits for the last answers and gives the error, if any event was refused.
func (w *writing) end() error {
	w.enough.Store(true)
	return <-w.ended
}

// live is an endless sample of people whom nobody else is.
func (w *writing) live() iter.Seq[eventstore.Event] {
	return func(yield func(eventstore.Event) bool) {
		const people = 400
		now := time.Now().UTC()
		events := sample.New(sample.Options{Seed: seed + 1, Persons: people, Start: now.AddDate(0, 0, -3), Days: 2}).Events()
		for round := 0; ; round++ {
			n := 0
			for e := range events {
				n++
				e.Identity, e.Also = &eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("live-visitor-%d", n%people)}, nil
				e.Key = fmt.Sprintf("live-%d-%d", round, n)
				e.Conversation = eventstore.ConversationID(fmt.Sprintf("live-%d-%s", round, e.Conversation))
				if w.enough.Load() || !yield(e) {
					return
				}
				w.sent++
			}
		}
	}
}

// status is the HTTP status of a request with the admin token.
func (r *run) status(ctx context.Context, path string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.server.URL()+path, nil)
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}
