package streams

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/oubli-store/oubli/eventstore"
)

const oldMonth, newMonth = 600, 700

// many appends n messages of a person and month, all in flight at once.
func (r *room) many(p eventstore.PersonID, month uint16, n, size int, rows bool) (all []eventstore.Message) {
	r.t.Helper()
	var waits []eventstore.Ticket
	for range n {
		m := newMessage(r.t, p, size)
		m.Envelope.Month = month
		if rows {
			m.Row = newRow()
		}
		k, err := r.s.Submit(context.Background(), tenant, m)
		if err != nil {
			r.t.Fatal(err)
		}
		all, waits = append(all, m), append(waits, k)
	}
	for _, k := range waits {
		if _, err := k.Wait(context.Background()); err != nil {
			r.t.Fatal(err)
		}
	}
	return all
}

func (r *room) expire(spared func(eventstore.PersonID) bool) {
	r.t.Helper()
	if err := r.s.Expire(context.Background(), tenant, newMonth, spared, nil); err != nil {
		r.t.Fatal(err)
	}
}

// TestExpireHead: a head of several block files is purged, and leaves no byte of a person's id behind, not even in the file in which the purge
// ends; what stands behind it is found damaged as before.
func TestExpireHead(t *testing.T) {
	r := newRoom(t, func(c *Config) { c.Settle, c.RemoveRate = quick, 1_000_000 })
	r.openTenant()
	old := []eventstore.PersonID{newPerson(t), newPerson(t)}
	r.many(old[0], oldMonth, 3, 4_000_000, false) // files of their own
	r.many(old[1], oldMonth, 120, 100_000, false)
	r.many(old[1], oldMonth, 20, 2000, true)
	staying := newPerson(t)
	kept := r.many(staying, newMonth, 50, 2000, true)
	r.many(old[0], oldMonth, 10, 300, false)
	kept = append(kept, r.many(staying, newMonth, 10, 2000, true)...)

	var done, left uint64
	if err := r.s.Expire(context.Background(), tenant, newMonth, nil, func(d, l uint64) { done, left = d, l }); err != nil {
		t.Fatal(err)
	}
	if done != 153 || left != 0 {
		t.Errorf("progress ended with %d done, %d left", done, left)
	}
	st, err := r.js().Stream(context.Background(), "CONV_default")
	if err != nil {
		t.Fatal(err)
	}
	if s := st.CachedInfo().State; s.FirstSeq != 144 || s.Msgs != 60 {
		t.Errorf("the server has %d messages from %d on", s.Msgs, s.FirstSeq)
	}
	r.trimmed()
	r.stop()
	for _, p := range old {
		scan(t, r.dir, []byte(p.String()))
		scan(t, r.dir, p[:])
	}
	r.startServer()
	r.openLog()
	r.openTenant()
	got := r.replay(0)
	if len(got) != len(kept) {
		t.Fatalf("%d of %d messages stayed", len(got), len(kept))
	}
	for _, m := range kept {
		if a := r.append(m); !a.Duplicate {
			t.Fatalf("the row of a message that stays is gone: %+v", a)
		}
	}
	r.trimmed()
	r.stop()
	r.flip(got[55], false)
	r.startServer()
	r.openLog()
	r.openTenant()
	n, last := 0, error(nil)
	for _, err := range r.s.Replay(context.Background(), tenant, 0) {
		if last = err; err == nil {
			n++
		}
	}
	if n != 59 || !errors.Is(last, eventstore.ErrDamaged) || !strings.Contains(last.Error(), "at least 1 are missing") {
		t.Errorf("a flipped bit behind a purged head: %d messages, %v", n, last)
	}
	r.stop()
	r.flip(got[20], true)
	r.startServer()
	r.openLog()
	r.refused("are missing")
}

// TestExpireNotOfDamage: an expiry does not take what the server lost for what was removed.
func TestExpireNotOfDamage(t *testing.T) {
	r := newRoom(t, nil)
	r.openTenant()
	p := newPerson(t)
	r.many(p, oldMonth, 10, 100, false)
	r.many(p, newMonth, 1, 100, false)
	all := r.replay(0)
	r.stop()
	r.flip(all[4], false)
	r.startServer()
	r.openLog()
	r.openTenant()
	err := r.s.Expire(context.Background(), tenant, newMonth, nil, nil)
	if !errors.Is(err, eventstore.ErrDamaged) || !strings.Contains(err.Error(), "1 are missing") {
		t.Fatalf("Expire over a lost message: %v", err)
	}
}

// TestExpireCrash ends an expiry at every write to log/ (power failure) and at every deletion (the process ends), and goes on.
func TestExpireCrash(t *testing.T) {
	step := 5
	if os.Getenv("OUBLI_SOAK") != "" {
		step = 1
	}
	k := 1
	for expireCrash(t, k) {
		k += step
	}
	if k < 30 {
		t.Fatalf("only %d writes", k)
	}
}

func expireCrash(t *testing.T, k int) (crashed bool) {
	mem := vfs.NewCrashableMem()
	var count atomic.Int64
	var armed atomic.Bool
	var clone *vfs.MemFS
	nats := filepath.Join(t.TempDir(), "nats")
	var r *room
	crash := func() {
		if armed.Load() && count.Add(1) == int64(k) {
			armed.Store(false)
			copyDir(t, r.nats(), nats) // first: the server may be behind log/, never ahead of it
			clone = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(7, uint64(k)))})
		}
	}
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			crash()
		}
		return nil
	}))
	r = newRoom(t, func(c *Config) { c.FS, c.Dir, c.RemoveRate = fs, "/data/log", 1_000_000 })
	r.openTenant()
	alice, held := newPerson(t), newPerson(t)
	gone := r.many(alice, oldMonth, 12, 300, true)
	kept := r.many(held, oldMonth, 1, 300, true)
	gone = append(gone, r.many(alice, oldMonth, 5, 300, true)...)
	kept = append(kept, r.many(alice, newMonth, 5, 300, true)...)
	gone = append(gone, r.many(alice, oldMonth, 5, 300, true)...)
	spared := func(p eventstore.PersonID) bool { return p == held }

	armed.Store(true)
	if err := r.s.Expire(context.Background(), tenant, newMonth, spared, func(uint64, uint64) { crash() }); err != nil {
		t.Fatal(err)
	}
	armed.Store(false)
	r.stop()
	if clone != nil {
		copyDir(t, nats, r.nats())
		r.tune = func(c *Config) { c.FS, c.Dir, c.RemoveRate = clone, "/data/log", 1_000_000 }
	}
	r.startServer()
	r.openLog()
	r.openTenant()
	if got := r.replay(0); len(got) < len(kept) {
		t.Fatalf("crash %d: %d messages before the second run", k, len(got))
	}
	m := newMessage(t, alice, 10)
	m.Envelope.Month = newMonth
	later := r.append(m)
	r.expire(spared)
	expireDone(t, r, k, gone, kept)
	r.restart()
	r.openTenant()
	expireDone(t, r, k, gone, kept)
	if got := r.append(newMessage(t, alice, 10)); got.Sequence != later.Sequence+1 {
		t.Fatalf("crash %d: the next message is at %d", k, got.Sequence)
	}
	if removed, want := r.s.writers[convSpec(tenant)].mark.removed, uint64(len(gone)); removed != want {
		t.Fatalf("crash %d: %d messages count as removed, %d were", k, removed, want)
	}
	r.stop()
	return clone != nil
}

func expireDone(t *testing.T, r *room, k int, gone, kept []eventstore.Message) {
	t.Helper()
	// The newest message is not compared: it came after the crash.
	got := r.replay(0)
	if len(got) != len(kept)+1 {
		t.Fatalf("crash %d: %d messages stay, want %d", k, len(got), len(kept)+1)
	}
	for i, m := range kept {
		if got[i].Envelope.Event != m.Envelope.Event {
			t.Fatalf("crash %d: the message %d is another one", k, i)
		}
		if a := r.append(m); !a.Duplicate || a.Sequence != got[i].Sequence {
			t.Fatalf("crash %d: a kept row: %+v", k, a)
		}
	}
	for _, m := range gone {
		if at, err := r.s.index.row(tenant, &m.Row); at != 0 || err != nil {
			t.Fatalf("crash %d: the row of an expired message leads to %d, %v", k, at, err)
		}
	}
}

// TestExpireBesideErasures: removals and an expiry take turns, and each message is counted once.
func TestExpireBesideErasures(t *testing.T) {
	r := newRoom(t, func(c *Config) { c.RemoveRate = 1_000_000 })
	r.openTenant()
	var persons []eventstore.PersonID
	for range 4 {
		p := newPerson(t)
		persons = append(persons, p)
		r.many(p, oldMonth, 30, 100, true)
	}
	for range 20 {
		for _, p := range persons {
			r.many(p, oldMonth, 1, 100, true)
			r.many(p, newMonth, 1, 100, false)
		}
	}
	errs := make(chan error, 4)
	for _, p := range persons[:3] {
		go func() {
			errs <- r.s.Remove(context.Background(), tenant, eventstore.Removal{Persons: []eventstore.PersonID{p}}, nil)
		}()
	}
	go func() { errs <- r.s.Expire(context.Background(), tenant, newMonth, nil, nil) }()
	for range 4 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if got := r.replay(0); len(got) != 20 {
		t.Fatalf("%d messages stay", len(got))
	}
	if removed := r.s.writers[convSpec(tenant)].mark.removed; removed != 4*50+3*20 {
		t.Fatalf("%d messages count as removed", removed)
	}
	r.restart()
	r.openTenant()
	if got := r.replay(0); len(got) != 20 {
		t.Fatalf("%d messages after a restart", len(got))
	}
}
