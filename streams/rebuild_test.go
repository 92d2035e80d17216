package streams

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/oubli-store/oubli/eventstore"
)

// past is what a tenant went through before its log/ is lost.
type past struct {
	sent     map[[16]byte]eventstore.Message
	messages []eventstore.Stored
	last     uint64
}

// live fills a room: events with rows, control messages, records, an expired head, a removed person, a removed last message.
func live(r *room) *past {
	r.t.Helper()
	ctx := context.Background()
	r.openTenant()
	for _, kind := range recordStreams {
		if err := r.s.OpenRecords(ctx, tenant, kind, vault, true); err != nil {
			r.t.Fatal(err)
		}
	}
	p := &past{sent: map[[16]byte]eventstore.Message{}}
	for range 5 {
		if _, err := r.s.AppendRecord(ctx, tenant, eventstore.RecordsLedger, []byte("entry")); err != nil {
			r.t.Fatal(err)
		}
	}
	alice, bob := newPerson(r.t), newPerson(r.t)
	r.many(alice, oldMonth, 7, 50, true)
	for range 6 {
		for _, m := range r.many(alice, newMonth, 3, 50, true) {
			p.sent[m.Envelope.Event] = m
		}
		r.many(bob, newMonth, 2, 50, false)
		m := newMessage(r.t, eventstore.PersonID{}, 20)
		m.Envelope.Month = 0xFFFF
		r.append(m)
	}
	p.last = r.append(newMessage(r.t, bob, 50)).Sequence
	if err := r.s.Remove(ctx, tenant, eventstore.Removal{Persons: []eventstore.PersonID{bob}}, nil); err != nil {
		r.t.Fatal(err)
	}
	r.expire(nil)
	p.messages = r.replay(0)
	return p
}

// opens gives the row that a message was sent under.
func (p *past) opens(_ context.Context, id eventstore.TenantID, m eventstore.Stored) (eventstore.Row, error) {
	if sent, ok := p.sent[m.Envelope.Event]; ok && id == tenant {
		return sent.Row, nil
	}
	if m.Person.IsZero() {
		return row{}, nil
	}
	return row{}, eventstore.ErrDamaged
}

// lives checks that the log is as it was, and goes on.
func (p *past) lives(r *room) {
	r.t.Helper()
	if err := r.s.Open(context.Background(), tenant, vault, false, no); err != nil {
		r.t.Fatal(err)
	}
	for _, kind := range recordStreams {
		if err := r.s.OpenRecords(context.Background(), tenant, kind, vault, false); err != nil {
			r.t.Fatal(err)
		}
	}
	got := r.replay(0)
	if len(got) != len(p.messages) {
		r.t.Fatalf("%d of %d messages", len(got), len(p.messages))
	}
	for i, m := range got {
		if m.Sequence != p.messages[i].Sequence || m.Envelope.Event != p.messages[i].Envelope.Event {
			r.t.Fatalf("the message %d is another one", m.Sequence)
		}
		if sent, ok := p.sent[m.Envelope.Event]; ok {
			if a := r.append(sent); !a.Duplicate || a.Sequence != m.Sequence {
				r.t.Fatalf("the row of the message %d: %+v", m.Sequence, a)
			}
		}
	}
	if n, err := r.s.AppendRecord(context.Background(), tenant, eventstore.RecordsLedger, []byte("entry")); n != 6 || err != nil {
		r.t.Fatalf("the next record: %d, %v", n, err)
	}
	if a := r.append(newMessage(r.t, newPerson(r.t), 10)); a.Sequence != p.last+1 {
		r.t.Fatalf("the next message is at %d, want %d", a.Sequence, p.last+1)
	}
}

func (r *room) rebuild(p *past) ([]Rebuilt, error) {
	r.t.Helper()
	return Rebuild(context.Background(), r.config(), vault, []eventstore.TenantID{tenant, "other"}, p.opens, nil)
}

func TestRebuild(t *testing.T) {
	r := newRoom(t, nil)
	p := live(r)
	if _, err := r.rebuild(p); !errors.Is(err, eventstore.ErrInUse) {
		t.Errorf("beside an open log: %v", err)
	}
	r.stop()
	r.startServer()
	if _, err := r.rebuild(p); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("of a log that is there: %v", err)
	}
	if err := os.RemoveAll(r.log()); err != nil {
		t.Fatal(err)
	}
	r.openLog()
	r.refused("oubli log rebuild")
	r.closeLog()

	var done, total uint64
	got, err := Rebuild(context.Background(), r.config(), vault, []eventstore.TenantID{tenant, "other"}, p.opens, func(d, n uint64) { done, total = d, n })
	if err != nil {
		t.Fatal(err)
	}
	want := []Rebuilt{
		{Tenant: tenant, Events: uint64(len(p.messages)), Rows: uint64(len(p.sent)), Last: p.last, Missing: p.last - uint64(len(p.messages)), Records: 5},
		{Tenant: "other", New: true},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("rebuilt %+v, want %+v", got, want)
	}
	if done != total || total != want[0].Events+5 {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	r.openLog()
	p.lives(r)
	r.restart()
	r.openTenant()

	// What the start compares is compared as before.
	r.trimmedSlowly()
	all := r.replay(0)
	r.stop()
	r.flip(all[3], true)
	r.startServer()
	r.openLog()
	if err := r.s.Open(context.Background(), tenant, vault, false, yes); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("a flipped bit after a rebuild: %v", err)
	}
}

// trimmedSlowly restarts with a log that trims at once, and waits for it.
func (r *room) trimmedSlowly() {
	r.t.Helper()
	r.stop()
	r.tune = quickSettle
	r.startServer()
	r.openLog()
	r.openTenant()
	r.trimmed()
}

func TestRebuildRefuses(t *testing.T) {
	r := newRoom(t, nil)
	p := live(r)
	r.stop()
	if err := os.RemoveAll(r.log()); err != nil {
		t.Fatal(err)
	}
	r.startServer()
	for _, c := range []struct {
		name  string
		vault eventstore.VaultID
		opens Opener
		text  string
	}{
		{"another vault", eventstore.VaultID{9}, p.opens, "another vault"},
		{"a message that does not open", vault, func(ctx context.Context, id eventstore.TenantID, m eventstore.Stored) (eventstore.Row, error) {
			if m.Sequence == p.messages[9].Sequence {
				return row{}, eventstore.ErrDamaged
			}
			return p.opens(ctx, id, m)
		}, fmt.Sprintf("the message %d of the stream CONV_default does not open", p.messages[9].Sequence)},
	} {
		_, err := Rebuild(context.Background(), r.config(), c.vault, []eventstore.TenantID{tenant}, c.opens, nil)
		if !errors.Is(err, eventstore.ErrDamaged) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := Open(context.Background(), r.config()); !errors.Is(err, eventstore.ErrDamaged) || !strings.Contains(err.Error(), "log rebuild") {
			t.Errorf("%s: a log that was not made to its end opened: %v", c.name, err)
		}
	}
	if err := r.js().DeleteStream(context.Background(), "LEDGER_default"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.rebuild(p); !errors.Is(err, eventstore.ErrDamaged) || !strings.Contains(err.Error(), "LEDGER_default is gone") {
		t.Errorf("a missing ledger: %v", err)
	}
}

// TestRebuildCrash cuts a rebuild off at every write: log/ is complete, or it is refused and can be made again.
func TestRebuildCrash(t *testing.T) {
	r := newRoom(t, nil)
	p := live(r)
	r.stop()
	r.startServer()
	var whole, refused int
	for k := 1; ; k++ {
		mem := vfs.NewCrashableMem()
		var mu sync.Mutex
		var clone *vfs.MemFS
		var count atomic.Int64
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && count.Add(1) == int64(k) {
				mu.Lock()
				defer mu.Unlock()
				clone = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(5, uint64(k)))})
			}
			return nil
		}))
		r.tune = func(c *Config) { c.FS, c.Dir = fs, "/data/log" }
		if _, err := r.rebuild(p); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		crashed := clone
		mu.Unlock()
		if crashed == nil {
			break
		}
		r.tune = func(c *Config) { c.FS, c.Dir = crashed, "/data/log" }
		s, err := Open(context.Background(), r.config())
		if err == nil {
			err = s.Open(context.Background(), tenant, vault, false, no)
			if cl := s.Close(); cl != nil {
				t.Fatal(cl)
			}
		}
		if err == nil {
			whole++
			continue
		}
		refused++
		if !errors.Is(err, eventstore.ErrDamaged) {
			t.Fatalf("write %d: %v", k, err)
		}
		if strings.Contains(err.Error(), "remove log/") { // the database itself was not made to its end
			if err := crashed.RemoveAll("/data/log"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.rebuild(p); err != nil {
			t.Fatalf("write %d: again: %v", k, err)
		}
		s, err = Open(context.Background(), r.config())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Open(context.Background(), tenant, vault, false, no), s.Close()); err != nil {
			t.Fatalf("write %d: after the second rebuild: %v", k, err)
		}
	}
	if whole == 0 || refused < 10 {
		t.Errorf("%d crashes left a whole log, %d one that was refused", whole, refused)
	}
	r.openLog()
	p.lives(r)
}
