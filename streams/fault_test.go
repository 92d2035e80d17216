package streams

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/oubli-store/oubli/eventstore"
)

// faulty fails the writing operations on journals while on is set, those that match if set.
type faulty struct {
	on    atomic.Bool
	match atomic.Pointer[func(errorfs.Op) bool]
}

func (f *faulty) fs() vfs.FS {
	return errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !f.on.Load() || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !strings.HasSuffix(op.Path, ".journal") {
			return nil
		}
		if m := f.match.Load(); m != nil && !(*m)(op) {
			return nil
		}
		return errorfs.ErrInjected
	}))
}

func TestDiskFailsAndRecovers(t *testing.T) {
	for _, kind := range []struct {
		name string
		fail func(errorfs.Op) bool
	}{
		{"full", func(errorfs.Op) bool { return true }},
		{"sync only", func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileSync }},
		{"write only", func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileWrite }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			var f faulty
			f.match.Store(&kind.fail)
			r := newRoom(t, func(c *Config) { c.FS = f.fs() })
			r.openTenant()
			p := r.fill(5)
			f.on.Store(true)
			m := newMessage(t, p, 100)
			m.Row = newRow()
			if _, err := r.submit(m); !errors.Is(err, eventstore.ErrUncertain) {
				t.Fatalf("append to a bad disk: %v", err)
			}
			if _, err := r.submit(m); !errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrUncertain) && kind.name == "full" {
				t.Fatalf("the next append: %v", err)
			}
			if got := r.read(p, 0); len(got) != 5 {
				t.Fatalf("readers see %d events", len(got))
			}
			f.on.Store(false)
			first := r.append(m) // settles what was uncertain
			if second := r.append(m); !second.Duplicate || second.Sequence != first.Sequence {
				t.Fatalf("%+v, then %+v", first, second)
			}
			if got := r.read(p, 0); len(got) != 6 {
				t.Fatalf("%d events after the recovery", len(got))
			}
			r.restart()
			r.openTenant()
			if got := r.read(p, 0); len(got) != 6 {
				t.Fatalf("%d events after a restart", len(got))
			}
		})
	}
}

// TestOneFailedWrite fails the k-th write or sync of the journal, once, under load; every answer must be true.
func TestOneFailedWrite(t *testing.T) {
	for k := range 12 {
		var f faulty
		var n atomic.Int64
		match := func(errorfs.Op) bool { return n.Add(1) == int64(k+1) }
		f.match.Store(&match)
		r := newRoom(t, func(c *Config) { c.FS = f.fs() })
		r.openTenant()
		f.on.Store(true)
		var mu sync.Mutex
		stored, refused := map[uint64][16]byte{}, map[[16]byte]bool{}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				p := newPerson(t)
				for range 10 {
					m := newMessage(t, p, 100)
					at, err := r.submit(m)
					mu.Lock()
					switch {
					case err == nil:
						stored[at.Sequence] = m.Envelope.Event
					case !errors.Is(err, eventstore.ErrUncertain):
						refused[m.Envelope.Event] = true
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
		f.on.Store(false)
		r.restart()
		r.openTenant()
		got := map[uint64][16]byte{}
		for _, st := range r.replay(0) {
			got[st.Sequence] = st.Envelope.Event
			if refused[st.Envelope.Event] {
				t.Fatalf("failure %d: an event that was refused is stored", k)
			}
		}
		for at, event := range stored {
			if got[at] != event {
				t.Fatalf("failure %d: the acknowledged event %d is not there", k, at)
			}
		}
		r.stop()
	}
}

// TestPowerFailure crashes log/ while appends run and goes on with what was synced, or some of the rest, beside a stream that lost nothing, or
// its last seconds.
func TestPowerFailure(t *testing.T) {
	for seed := range uint64(6) {
		mem := vfs.NewCrashableMem()
		r := newRoom(t, func(c *Config) { c.FS, c.Dir = mem, "/data/log" })
		r.openTenant()
		r.fill(20)
		old := filepath.Join(t.TempDir(), "nats")
		if seed%2 == 1 { // the server will have lost what follows
			r.stop()
			copyDir(t, r.nats(), old)
			r.startServer()
			r.openLog()
			r.openTenant()
		}
		var mu sync.Mutex
		acked := map[uint64][16]byte{}
		ctx, cancel := context.WithCancel(context.Background())
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				p := newPerson(t)
				for ctx.Err() == nil {
					m := newMessage(t, p, 300)
					if at, err := r.submit(m); err == nil {
						mu.Lock()
						acked[at.Sequence] = m.Envelope.Event
						mu.Unlock()
					}
				}
			})
		}
		r.await(300)
		mu.Lock()
		before := make(map[uint64][16]byte, len(acked))
		for at, event := range acked {
			before[at] = event
		}
		clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(seed) * 20, RNG: rand.New(rand.NewPCG(3, seed))})
		mu.Unlock()
		cancel()
		all.Wait()
		r.stop()
		if seed%2 == 1 {
			copyDir(t, old, r.nats())
		}
		r.tune = func(c *Config) { c.FS, c.Dir = clone, "/data/log" }
		r.startServer()
		r.openLog()
		// The stream went on after the moment of the crash, so it can be far ahead: then the start must refuse; else all must be there.
		err := r.s.Open(context.Background(), tenant, vault, false, yes)
		if err != nil && seed%2 == 0 && strings.Contains(err.Error(), "log/ is older than the stream") {
			r.stop()
			continue
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got := map[uint64][16]byte{}
		for _, st := range r.replay(0) {
			got[st.Sequence] = st.Envelope.Event
		}
		for at, event := range before {
			if got[at] != event {
				t.Fatalf("seed %d: the acknowledged event %d of %d is not there (stored: %d)", seed, at, len(before), len(got))
			}
		}
		r.stop()
	}
}
