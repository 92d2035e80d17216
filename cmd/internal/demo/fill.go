package demo

import (
	"context"
	"fmt"
	"hash/fnv"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/client"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// connections is how many bots write at the same time.
const connections = 6

// other is somebody else, and what was read of them before the erasure.
type other struct {
	handle, transcript string
}

// wantOthers is how many others are compared before and after.
const wantOthers = 12

// fill streams the events in over several connections.
func (r *run) fill(ctx context.Context) error {
	r.person = choose(r.gen.Events())
	r.title("Bots write")
	r.say("%d bots stream in %s made-up events: web, WhatsApp, e-mail and telephone, in French and", connections, thousands(r.Events))
	r.say("English, by %s people. Each event is encrypted under keys of its person, and answered when it is", thousands(r.gen.Options().Persons))
	r.say("on disk.")
	began := time.Now()
	bar := r.Bar(r.Events, "writing")
	done, err := r.send(ctx, r.watched(r.gen.Events()), 500, bar)
	bar.Done()
	if err != nil {
		return err
	}
	took := time.Since(began)
	r.prove(done.stored == r.Events && done.duplicates == 0, "Every event that was sent is stored once.",
		"%s sent, %s answered as on disk in %.1f s: %s a second.", thousands(r.Events), thousands(done.stored), took.Seconds(), thousands(int(float64(done.stored)/took.Seconds())))
	again, err := r.send(ctx, first(r.gen.Events(), 1000), 500, nil)
	if err != nil {
		return err
	}
	r.prove(again.stored == 0 && again.duplicates > 0, "A bot that is in doubt can send again: nothing is stored twice.",
		"%s of them sent again: %s recognised, %d stored.", thousands(again.duplicates+again.stored), thousands(again.duplicates), again.stored)
	return nil
}

// watched remembers, as the events go by, what the person leaves and who else there is.
func (r *run) watched(events iter.Seq[eventstore.Event]) iter.Seq[eventstore.Event] {
	for id := range r.person.handles {
		r.traces.add(id.ID)
	}
	seen := map[string]bool{}
	return func(yield func(eventstore.Event) bool) {
		for e := range events {
			switch {
			case e.Identity == nil:
			case r.person.handles[*e.Identity]:
				r.traces.of(e)
			case len(r.others) < wantOthers && e.Identity.Namespace == "email" && !seen[e.Identity.ID]:
				seen[e.Identity.ID] = true
				r.others = append(r.others, other{handle: "email:" + e.Identity.ID})
			}
			if !yield(e) {
				return
			}
		}
	}
}

// sent is what became of events.
type sent struct{ stored, duplicates int }

// send spreads events over the connections, one conversation always over the same, in batches of so many, and stops at the first that is refused.
func (r *run) send(ctx context.Context, events iter.Seq[eventstore.Event], batch int, bar Bar) (sent, error) {
	c, err := r.client(batch)
	if err != nil {
		return sent{}, err
	}
	defer c.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var stored, duplicates atomic.Int64
	var wg sync.WaitGroup
	var lanes [connections]chan eventstore.Event
	var moved sync.Mutex
	for i := range lanes {
		lanes[i] = make(chan eventstore.Event, 1000)
		wg.Go(func() {
			for result, err := range c.AppendMany(ctx, drain(ctx, lanes[i])) {
				switch {
				case err != nil:
					cancel(fmt.Errorf("an event was refused: %w", err))
					return
				case result.Receipt.Duplicate:
					duplicates.Add(1)
				default:
					stored.Add(1)
				}
				if bar != nil {
					moved.Lock()
					bar.Add(1)
					moved.Unlock()
				}
			}
		})
	}
	for e := range events {
		h := fnv.New32a()
		h.Write([]byte(e.Conversation))
		select {
		case lanes[h.Sum32()%connections] <- e:
			continue
		case <-ctx.Done():
		}
		break
	}
	for _, lane := range lanes {
		close(lane)
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return sent{}, err
	}
	return sent{int(stored.Load()), int(duplicates.Load())}, nil
}

// drain yields what comes in until the channel is closed or ctx ends.
func drain(ctx context.Context, in <-chan eventstore.Event) iter.Seq[eventstore.Event] {
	return func(yield func(eventstore.Event) bool) {
		for {
			select {
			case e, ok := <-in:
				if !ok || !yield(e) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (r *run) client(batch int) (*client.Client, error) {
	return client.New(client.Config{Server: r.server.URL(), Token: secret.New([]byte(r.token)), BatchEvents: batch})
}

func first(events iter.Seq[eventstore.Event], n int) iter.Seq[eventstore.Event] {
	return func(yield func(eventstore.Event) bool) {
		i := 0
		for e := range events {
			if i++; i > n || !yield(e) {
				return
			}
		}
	}
}

// thousands writes a number with commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
