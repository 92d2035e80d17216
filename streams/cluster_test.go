package streams

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/nats-io/nats.go"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/logtest"
	"github.com/oubli-store/oubli/streams/natsembed/natscluster"
)

// newClusterRoom is a room whose streams live on a cluster, three times each.
func newClusterRoom(t *testing.T, c *natscluster.Cluster, tune func(*Config)) *room {
	t.Helper()
	r := &room{t: t, dir: t.TempDir(), dial: func() (*nats.Conn, error) { return Dial(c.URL()) }}
	r.tune = func(c *Config) {
		c.Replicas, c.Files = 3, ""
		if tune != nil {
			tune(c)
		}
	}
	r.startServer()
	r.openLog()
	t.Cleanup(func() {
		r.stop()
		r.startServer()
		for name := range r.js().StreamNames(context.Background()).Name() {
			_ = r.js().DeleteStream(context.Background(), name)
		}
		r.stopServer()
	})
	return r
}

// TestCluster holds the same code to the same contract where every stream has three replicas, on three servers that are processes of their own; the servers then fail.
func TestCluster(t *testing.T) {
	c := natscluster.Start(t, 3)
	soak := os.Getenv("OUBLI_SOAK") != ""
	for _, loose := range []bool{false, true} {
		mode := fmt.Sprintf(" loose=%v", loose)
		if !loose || soak {
			t.Run("Conformance"+mode, func(t *testing.T) {
				logtest.Run(t, func(t *testing.T) (logtest.Log, func(*testing.T) logtest.Log) {
					r := newClusterRoom(t, c, func(c *Config) { c.Settle, c.Loose = quick, loose })
					return strayer{r.s, r}, func(*testing.T) logtest.Log {
						r.restart()
						return strayer{r.s, r}
					}
				})
			})
		}
		if loose || soak {
			t.Run("Failures"+mode, func(t *testing.T) { clusterFailures(t, c, loose, soak) })
		}
	}
	t.Run("LooseRecovers", func(t *testing.T) { looseRecovers(t, c) })
	t.Run("ReplicasAreRaised", func(t *testing.T) { replicasAreRaised(t, c) })
}

// load appends from several callers, each with a person and a row for each message, tries again what was uncertain or refused for an outage, and notes what was
// acknowledged.
type load struct {
	r     *room
	mu    sync.Mutex
	acked map[uint64][16]byte
	lost  []error // answers that no outage explains
	all   sync.WaitGroup
	end   context.CancelFunc
}

func (r *room) load(callers int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{r: r, acked: map[uint64][16]byte{}, end: cancel}
	for range callers {
		l.all.Go(func() {
			p := newPerson(r.t)
			for ctx.Err() == nil {
				m := newMessage(r.t, p, 200)
				m.Row = newRow()
				l.settle(m)
			}
		})
	}
	return l
}

// settle appends a message until it is known to be stored.
func (l *load) settle(m eventstore.Message) {
	for deadline := time.Now().Add(waitLong); ; time.Sleep(10 * time.Millisecond) {
		at, err := l.r.submit(m)
		switch {
		case err == nil:
			l.mu.Lock()
			l.acked[at.Sequence] = m.Envelope.Event
			l.mu.Unlock()
			return
		case !errors.Is(err, eventstore.ErrUnavailable) && !errors.Is(err, eventstore.ErrUncertain) || time.Now().After(deadline):
			l.mu.Lock()
			l.lost = append(l.lost, err)
			l.mu.Unlock()
			return
		}
	}
}

// reach waits until so many are acknowledged.
func (l *load) reach(n int) {
	l.r.t.Helper()
	for deadline := time.Now().Add(waitLong); l.count() < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.r.t.Fatalf("%d events were acknowledged, %d are awaited", l.count(), n)
		}
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// snapshot is what was acknowledged up to now.
func (l *load) snapshot() map[uint64][16]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.acked)
}

func (l *load) stop() map[uint64][16]byte {
	l.r.t.Helper()
	l.end()
	l.all.Wait()
	for _, err := range l.lost {
		l.r.t.Errorf("an append was never settled: %v", err)
	}
	return l.acked
}

// holds checks that what was acknowledged stands in the stream, each once.
func (r *room) holds(acked map[uint64][16]byte) {
	r.t.Helper()
	got, events := map[uint64][16]byte{}, map[[16]byte]bool{}
	for _, st := range r.replay(0) {
		got[st.Sequence] = st.Envelope.Event
		if events[st.Envelope.Event] {
			r.t.Fatalf("the event at %d stands there twice", st.Sequence)
		}
		events[st.Envelope.Event] = true
	}
	for at, event := range acked {
		if got[at] != event {
			r.t.Fatalf("the acknowledged event %d of %d is not there (stored: %d)", at, len(acked), len(got))
		}
	}
}

// clusterFailures: under load the leader of the stream is killed and comes back, then another server. Nothing acknowledged is lost or stored twice, a retry
// settles what was uncertain, and every read sees what was acknowledged before.
func clusterFailures(t *testing.T, c *natscluster.Cluster, loose, soak bool) {
	rounds := 1
	if soak {
		rounds = 5
	}
	r := newClusterRoom(t, c, func(c *Config) { c.Loose, c.AnswerWithin = loose, 2*time.Second })
	r.openTenant()
	l := r.load(16)
	l.reach(200)
	for range rounds {
		for _, victim := range []func() int{
			func() int { return c.Leader("CONV_default") },
			func() int { return (c.Leader("CONV_default") + 1) % 3 },
		} {
			i := victim()
			c.Kill(i)
			l.reach(l.count() + 200)
			r.holdsWithin(l.snapshot())
			c.Run(i)
			c.Current("CONV_default")
		}
	}
	acked := l.stop()
	r.holds(acked)
	r.restart()
	if err := r.s.Open(context.Background(), tenant, vault, false, no); err != nil {
		t.Fatal(err)
	}
	r.holds(acked)
	t.Logf("%d events", len(acked))
}

// holdsWithin is holds while servers come and go: an outage may end a read, a read that ends well must have everything.
func (r *room) holdsWithin(acked map[uint64][16]byte) {
	r.t.Helper()
	for deadline := time.Now().Add(waitLong); ; time.Sleep(50 * time.Millisecond) {
		left := maps.Clone(acked)
		var failed error
		for st, err := range r.s.Replay(context.Background(), tenant, 0) {
			if failed = err; err == nil && left[st.Sequence] == st.Envelope.Event {
				delete(left, st.Sequence)
			}
		}
		switch {
		case failed == nil && len(left) == 0:
			return
		case failed == nil:
			r.t.Fatalf("a read left out %d of %d acknowledged events", len(left), len(acked))
		case !errors.Is(failed, eventstore.ErrUnavailable) || time.Now().After(deadline):
			r.t.Fatalf("a read: %v", failed)
		}
	}
}

// looseRecovers: answers rest on the cluster, and the machine loses power. What the journal had not synced comes back from the stream, with its rows.
func looseRecovers(t *testing.T, c *natscluster.Cluster) {
	mem := vfs.NewCrashableMem()
	r := newClusterRoom(t, c, func(c *Config) { c.FS, c.Dir, c.Loose = mem, "/data/log", true })
	r.openTenant()
	p := r.fill(3)
	clone := mem.CrashClone(vfs.CrashCloneCfg{}) // what was not synced then is lost
	rows := map[eventstore.EventID]row{}
	var last eventstore.Message
	for range 200 {
		last = newMessage(t, p, 100)
		last.Row = newRow()
		rows[last.Envelope.Event] = last.Row
		r.append(last)
	}
	if err := r.s.index.flush(); err != nil {
		t.Fatal(err)
	}
	ahead := mem.CrashClone(vfs.CrashCloneCfg{}) // here the index is ahead of the journal
	r.stop()
	for name, fs := range map[string]vfs.FS{"behind": clone, "index ahead": ahead} {
		t.Run(name, func(t *testing.T) {
			r := &room{t: t, dial: r.dial, tune: func(c *Config) { c.FS, c.Dir, c.Replicas, c.Files, c.Loose = fs, "/data/log", 3, "", true }}
			r.startServer()
			r.openLog()
			defer r.stop()
			err := r.s.Open(context.Background(), tenant, vault, false, func(_ context.Context, m eventstore.Stored) (eventstore.Row, error) {
				return rows[m.Envelope.Event], nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.read(p, 0); len(got) != 203 {
				t.Fatalf("%d of 203 events", len(got))
			}
			if got := r.append(last); !got.Duplicate || got.Sequence != 203 {
				t.Fatalf("a retry: %+v", got)
			}
			at, err := r.s.Committed(context.Background(), tenant)
			if err != nil || at != 203 {
				t.Fatalf("committed %d, %v", at, err)
			}
		})
	}
}

// replicasAreRaised: a stream of one replica gets the number that is wanted.
func replicasAreRaised(t *testing.T, c *natscluster.Cluster) {
	r := newClusterRoom(t, c, func(c *Config) { c.Replicas = 1 })
	r.openTenant()
	p := r.fill(20)
	tune := r.tune
	r.tune = func(c *Config) { tune(c); c.Replicas = 3 }
	r.restart()
	r.openTenant()
	c.Current("CONV_default")
	st, err := r.js().Stream(context.Background(), "CONV_default")
	if err != nil || st.CachedInfo().Config.Replicas != 3 || len(st.CachedInfo().Cluster.Replicas) != 2 {
		t.Fatalf("%+v, %v", st.CachedInfo(), err)
	}
	if got := r.read(p, 0); len(got) != 20 {
		t.Fatalf("%d events", len(got))
	}
}
