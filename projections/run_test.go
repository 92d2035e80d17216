//go:build !race

// The world of these tests is changed by the test while the runner of the same bubble stands still; the race detector does not know that.

package projections

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/oubli-store/oubli/eventstore"
)

// outage is a world whose parts can be out of reach.
type outage struct {
	*world
	stream, gates bool
	asked         int
}

func (o *outage) Committed(ctx context.Context, id eventstore.TenantID) (uint64, error) {
	if o.asked++; o.stream {
		return 0, eventstore.ErrUnavailable
	}
	return o.world.Committed(ctx, id)
}

func (o *outage) Gate(ctx context.Context, id eventstore.TenantID, person eventstore.PersonID) (eventstore.Gate, error) {
	if o.gates {
		return nil, eventstore.ErrUnavailable
	}
	return o.world.Gate(ctx, id, person)
}

// follow runs the projections of a world in a bubble of time and hands over to a test, between whose steps everything stands still.
func follow(t *testing.T, w *world, test func(o *outage, p *Projections)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w.changed = make(chan struct{})
		o := &outage{world: w}
		c := w.config()
		c.Keys = o
		p, err := open(c, o, vfs.NewMem())
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx, acme) }()
		synctest.Wait()
		test(o, p)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got, want := exact(t, p), w.expected(models); !reflect.DeepEqual(got, want) {
			t.Errorf("%v\nwant %v", got, want)
		}
		closing(t, p)
	})
}

// TestRunWaitsOutAnOutage: while the stream or the vault is out of reach, Run asks twice a second and no more, keeps what it counted, and goes on by itself.
func TestRunWaitsOutAnOutage(t *testing.T) {
	for _, part := range []string{"stream", "vault"} {
		t.Run(part, func(t *testing.T) {
			follow(t, newWorld(), func(o *outage, p *Projections) {
				known, unknown := o.mint(), o.mint()
				o.say(known, message("fr", "order"))
				o.commit()
				synctest.Wait()
				o.stream, o.gates = part == "stream", part == "vault"
				o.say(known, message("fr", "order"))
				o.say(unknown, message("fr", "order"))
				o.asked = 0
				o.commit()
				time.Sleep(10*time.Second - 1)
				synctest.Wait()
				at, asked := p.Passed(acme), o.asked
				if want := map[string]uint64{"stream": 1, "vault": 2}[part]; at != want || asked < 15 || asked > 25 {
					t.Errorf("at %d, want %d, after asking %d times in ten seconds", at, want, asked)
				}
				o.stream, o.gates = false, false
				time.Sleep(waitUnavailable)
				synctest.Wait()
				if at := p.Passed(acme); at != 3 {
					t.Errorf("at %d after the outage, want 3", at)
				}
			})
		})
	}
}

// TestRunWaitsForAFence: Run stops before an event of a person who is fenced, and goes on once they are erased, or the fence is lifted.
func TestRunWaitsForAFence(t *testing.T) {
	for _, erase := range []bool{false, true} {
		w := newWorld()
		follow(t, w, func(_ *outage, p *Projections) {
			a, b := w.mint(), w.mint()
			w.say(a, message("fr", "order"))
			w.say(b, message("fr", "order"))
			w.say(a, message("fr", "refund"))
			w.fence(b, true)
			w.commit()
			time.Sleep(time.Second)
			synctest.Wait()
			if at := p.Passed(acme); at != 1 {
				t.Errorf("at %d while the second event's person is fenced", at)
			}
			if erase {
				w.erase(b)
				w.commit()
			} else {
				w.fence(b, false)
			}
			time.Sleep(waitFenced)
			synctest.Wait()
			if at := p.Passed(acme); at != w.committed {
				t.Errorf("at %d of %d behind the fence", at, w.committed)
			}
		})
	}
}
