package streams

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/natsembed"
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
		time.Sleep(100 * time.Millisecond)
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

// external runs the server apart from the connection, on a port, so that it can go and come back.
type external struct {
	t   *testing.T
	dir string
	srv *natsembed.Server
	at  string
}

func (e *external) start() {
	e.t.Helper()
	if e.at == "" {
		e.at = "127.0.0.1:0"
	}
	var err error
	if e.srv, err = natsembed.Start(context.Background(), natsembed.Config{Dir: e.dir, Listen: e.at, Token: "sesame"}); err != nil {
		e.t.Fatal(err)
	}
	e.at = strings.TrimPrefix(e.srv.URL(), "nats://")
}

func (e *external) stop() {
	if err := e.srv.Stop(context.Background()); err != nil {
		e.t.Error(err)
	}
}

func TestExternalServerOutage(t *testing.T) {
	e := &external{t: t, dir: filepath.Join(t.TempDir(), "nats")}
	e.start()
	conn, err := Dial(e.srv.URL(), tokenOption)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := context.Background()
	s, err := Open(ctx, Config{Dir: filepath.Join(t.TempDir(), "log"), Conn: conn, AnswerWithin: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r := &room{t: t, s: s}
	defer r.closeLog()
	r.openTenant()
	if err := s.OpenRecords(ctx, tenant, eventstore.RecordsLedger, vault, true); err != nil {
		t.Fatal(err)
	}
	p := r.fill(10)
	e.stop()

	m := newMessage(t, p, 100)
	m.Row = newRow()
	_, err = r.submit(m)
	if !errors.Is(err, eventstore.ErrUncertain) {
		t.Fatalf("the first append of the outage: %v", err)
	}
	if _, err := r.submit(newMessage(t, p, 100)); !errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrUncertain) {
		t.Fatalf("a later append of the outage: %v", err)
	}
	control := newMessage(t, eventstore.PersonID{}, 50)
	control.Journalled = true
	if got := r.append(control); got.Sequence != 12 {
		t.Fatalf("a journalled append of the outage: %+v", got)
	}
	for i := range uint64(3) {
		if n, err := s.AppendRecord(ctx, tenant, eventstore.RecordsLedger, []byte("entry")); n != i+1 || err != nil {
			t.Fatalf("a record of the outage: %d, %v", n, err)
		}
	}
	if at, _ := s.Committed(ctx, tenant); at != 10 {
		t.Fatalf("committed %d in the outage", at)
	}

	e.start()
	defer e.stop()
	wait, cancel := context.WithTimeout(ctx, waitLong)
	defer cancel()
	if _, err := s.Await(wait, tenant, 11); err != nil {
		t.Fatalf("after the outage: %v", err)
	}
	if got := r.append(m); !got.Duplicate || got.Sequence != 11 {
		t.Fatalf("the uncertain append: %+v", got)
	}
	if got := r.read(p, 0); len(got) != 11 {
		t.Fatalf("%d events", len(got))
	}
	n := 0
	for rec, err := range s.ReadRecords(wait, tenant, eventstore.RecordsLedger, 1) {
		if n++; err != nil || rec.Number != uint64(n) || string(rec.Data) != "entry" {
			t.Fatalf("record %d: %+v, %v", n, rec, err)
		}
	}
	if n != 3 {
		t.Fatalf("%d records", n)
	}
}

func TestRemoveLeavesNoTrace(t *testing.T) {
	r := newRoom(t, func(c *Config) { c.Settle, c.RemoveRate = quick, 5000 })
	r.openTenant()
	ctx := context.Background()
	bob := newPerson(t)
	var alice []eventstore.PersonID
	prefix := [8]byte{0xEE, 1, 2, 3, 4, 5, 6, 7}
	var rowed eventstore.Message
	for i := range 300 {
		p := newPerson(t)
		m := newMessage(t, p, 200)
		if i%10 == 0 {
			alice = append(alice, p)
			copy(m.Row[:], prefix[:])
			m.Row[8], m.Row[9] = 1, byte(i)
			rowed = m
		}
		r.append(m)
		r.append(newMessage(t, bob, 200))
	}
	control := r.append(newMessage(t, eventstore.PersonID{}, 50)).Sequence
	r.append(newMessage(t, alice[0], 200)) // the last one of all
	var done, left uint64
	progress := func(d, l uint64) { done, left = d, l }
	for range 2 {
		if err := r.s.Remove(ctx, tenant, alice, []uint64{control}, [][8]byte{prefix}, progress); err != nil {
			t.Fatal(err)
		}
	}
	if done != 32 || left != 0 {
		t.Fatalf("progress said %d done, %d left", done, left)
	}
	if err := r.s.AwaitTrim(ctx, tenant); err != nil {
		t.Fatal(err)
	}
	if at, err := r.s.Committed(ctx, tenant); err != nil || at != 602 {
		t.Fatalf("committed %d, %v", at, err)
	}
	r.stop()
	for _, p := range alice {
		scan(t, r.dir, []byte(p.String()))
		scan(t, r.dir, p[:])
	}
	r.startServer()
	r.openLog()
	r.openTenant()
	if got := r.read(bob, 0); len(got) != 300 {
		t.Fatalf("bob has %d events", len(got))
	}
	if got := r.append(rowed); got.Duplicate || got.Sequence != 603 {
		t.Fatalf("the row outlived its prefix: %+v", got)
	}
}

// scan fails if a file below dir holds the bytes.
func scan(t *testing.T, dir string, needle []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, needle) {
			return fmt.Errorf("%s holds it", path)
		}
		return err
	})
	if err != nil {
		t.Fatalf("a trace of a removed person: %v", err)
	}
}

func TestConcurrentCallers(t *testing.T) {
	r := newRoom(t, nil)
	r.openTenant()
	shared := make([]eventstore.Message, 50)
	person := newPerson(t)
	for i := range shared {
		shared[i] = newMessage(t, person, 100)
		shared[i].Row = newRow()
	}
	var mu sync.Mutex
	at := map[row]map[uint64]int{}
	firsts := 0
	won := 0
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			p := newPerson(t)
			var last uint64
			for i := range shared {
				got, err := r.submit(shared[i])
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if at[shared[i].Row] == nil {
					at[shared[i].Row] = map[uint64]int{}
				}
				at[shared[i].Row][got.Sequence]++
				if !got.Duplicate {
					firsts++
				}
				mu.Unlock()
				m := newMessage(t, p, 50)
				m.Expected = &last
				got, err = r.submit(m)
				if err != nil || got.Sequence <= last {
					t.Errorf("own append: %+v, %v", got, err)
					return
				}
				last = got.Sequence
				wrong := last + 1
				m = newMessage(t, p, 50)
				m.Expected = &wrong
				if _, err = r.submit(m); !errors.Is(err, eventstore.ErrConflict) {
					t.Errorf("a wrong expected sequence: %v", err)
				}
			}
		})
	}
	all.Wait()
	for _, places := range at {
		if len(places) != 1 {
			t.Fatalf("a row stands at %d places", len(places))
		}
	}
	if firsts != len(shared) {
		t.Fatalf("%d first answers for %d rows", firsts, len(shared))
	}
	// One of many wins.
	zero := uint64(0)
	fresh := newPerson(t)
	for range 64 {
		all.Go(func() {
			m := newMessage(t, fresh, 50)
			m.Expected = &zero
			if _, err := r.submit(m); err == nil {
				mu.Lock()
				won++
				mu.Unlock()
			} else if !errors.Is(err, eventstore.ErrConflict) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won != 1 {
		t.Fatalf("%d callers won", won)
	}
	if n := len(r.replay(0)); n != len(shared)+64*len(shared)+1 {
		t.Fatalf("%d messages", n)
	}
}
