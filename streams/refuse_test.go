package streams

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oubli-store/oubli/eventstore"
)

// copyDir keeps or puts back a state of a directory; the room must be stopped.
func copyDir(t testing.TB, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func (r *room) nats() string { return filepath.Join(r.dir, "nats") }
func (r *room) log() string  { return filepath.Join(r.dir, "log") }

func (r *room) js() jetstream.JetStream {
	js, err := jetstream.New(r.conn)
	if err != nil {
		r.t.Fatal(err)
	}
	return js
}

// refused opens the tenant and expects ErrDamaged with a text; nothing may have been published.
func (r *room) refused(text string) {
	r.t.Helper()
	before, _ := r.js().Stream(context.Background(), "CONV_default")
	err := r.s.Open(context.Background(), tenant, vault, true, yes)
	if !errors.Is(err, eventstore.ErrDamaged) || !strings.Contains(err.Error(), text) {
		r.t.Fatalf("opened with %v, want damage that says %q", err, text)
	}
	after, err := r.js().Stream(context.Background(), "CONV_default")
	switch {
	case before == nil && err == nil:
		r.t.Fatal("a stream was created")
	case before != nil && before.CachedInfo().State.LastSeq != after.CachedInfo().State.LastSeq:
		r.t.Fatal("something was published")
	}
}

func (r *room) fill(n int) eventstore.PersonID {
	r.t.Helper()
	p := newPerson(r.t)
	for range n {
		r.append(newMessage(r.t, p, 100))
	}
	return p
}

// trimmed closes and drops what the journal has, so that the stream alone holds it.
func (r *room) trimmed() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLong)
	defer cancel()
	if err := r.s.AwaitTrim(ctx, tenant); err != nil {
		r.t.Fatal(err)
	}
}

func quickSettle(c *Config) { c.Settle = quick }

// full is a room whose tenant has ten messages.
func full(t *testing.T) *room {
	r := newRoom(t, quickSettle)
	r.openTenant()
	r.fill(10)
	return r
}

func TestStartRefusesRolledBackStream(t *testing.T) {
	r := full(t)
	r.stop()
	old := filepath.Join(t.TempDir(), "nats")
	copyDir(t, r.nats(), old)
	r.startServer()
	r.openLog()
	r.openTenant()
	r.fill(10)
	r.trimmed()
	r.stop()
	copyDir(t, old, r.nats())
	r.startServer()
	r.openLog()
	r.refused("11 to 20 are missing")
}

func TestStartRefusesStreamCreatedAnew(t *testing.T) {
	r := full(t)
	if err := r.js().DeleteStream(context.Background(), "CONV_default"); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 200 { // the server may still be deleting the old one's files
		if _, err = r.js().CreateStream(context.Background(), convSpec(tenant).config(vault, 1)); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	r.restart()
	r.refused("created anew")
}

func TestStartRefusesMissingStream(t *testing.T) {
	r := full(t)
	r.stop()
	if err := os.RemoveAll(r.nats()); err != nil {
		t.Fatal(err)
	}
	r.startServer()
	r.openLog()
	r.refused("is gone; messages up to 10")
}

func TestStartRefusesAnotherVault(t *testing.T) {
	r := full(t)
	r.restart()
	other := vault
	other[15]++
	if err := r.s.Open(context.Background(), tenant, other, true, yes); !errors.Is(err, eventstore.ErrDamaged) {
		t.Fatal(err)
	}
	r.openTenant()
}

func TestStartRefusesMissingLog(t *testing.T) {
	r := full(t)
	r.stop()
	if err := os.RemoveAll(r.log()); err != nil {
		t.Fatal(err)
	}
	r.startServer()
	r.openLog()
	r.refused("log/ knows nothing")
}

func TestStartRefusesMissingJournal(t *testing.T) {
	r := full(t)
	r.stop()
	if err := os.RemoveAll(filepath.Join(r.log(), "default")); err != nil {
		t.Fatal(err)
	}
	r.startServer()
	r.openLog()
	r.refused("the journal of CONV_default is missing")
}

func TestStartRefusesOlderLog(t *testing.T) {
	r := full(t)
	r.stop()
	old := filepath.Join(t.TempDir(), "log")
	copyDir(t, r.log(), old)
	r.startServer()
	r.openLog()
	r.openTenant()
	var last eventstore.Ticket
	p := newPerson(t)
	for range groupCount + 1 {
		k, err := r.s.Submit(context.Background(), tenant, newMessage(t, p, 20))
		if err != nil {
			t.Fatal(err)
		}
		last = k
	}
	if _, err := last.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.stop()
	copyDir(t, old, r.log())
	r.startServer()
	r.openLog()
	r.refused("log/ is older than the stream")
}

func TestStartRefusesMissingMessage(t *testing.T) {
	r := full(t)
	st, err := r.js().Stream(context.Background(), "CONV_default")
	if err != nil {
		t.Fatal(err)
	}
	if err := st.DeleteMsg(context.Background(), 5); err != nil {
		t.Fatal(err)
	}
	r.restart()
	r.refused("1 are missing")
}

func TestStartRefusesReplacedMessage(t *testing.T) {
	r := full(t)
	r.stop()
	old := filepath.Join(t.TempDir(), "nats")
	copyDir(t, r.nats(), old)
	r.startServer()
	r.openLog()
	r.openTenant()
	r.fill(1)
	r.stop()
	copyDir(t, old, r.nats())
	r.startServer()
	m := newMessage(t, newPerson(t), 100)
	if _, err := r.js().Publish(context.Background(), convSpec(tenant).person(m.Person), m.Envelope.Append(nil)); err != nil {
		t.Fatal(err)
	}
	r.openLog()
	r.refused("is not the one that was acknowledged")
}

func TestStreamBehindJournalIsPublishedAgain(t *testing.T) {
	r := newRoom(t, nil)
	r.openTenant()
	r.fill(10)
	r.stop()
	old := filepath.Join(t.TempDir(), "nats")
	copyDir(t, r.nats(), old)
	r.startServer()
	r.openLog()
	r.openTenant()
	alice := r.fill(700)
	bob := r.fill(3)
	want := r.replay(0)
	if err := r.s.Remove(context.Background(), tenant, eventstore.Removal{Persons: []eventstore.PersonID{bob}}, nil); err != nil {
		t.Fatal(err)
	}
	carol := r.fill(2)
	r.stop()
	copyDir(t, old, r.nats()) // power failure: the server lost its last seconds
	r.startServer()
	r.openLog()
	r.openTenant()
	if got := r.read(alice, 0); len(got) != 700 || got[0].Sequence != 11 || got[699].Envelope.Event != want[709].Envelope.Event {
		t.Fatalf("%d of 700 events came back", len(got))
	}
	if got := r.read(bob, 0); len(got) != 0 {
		t.Fatalf("%d removed events came back", len(got))
	}
	if got := r.read(carol, 0); len(got) != 2 || got[0].Sequence != 714 {
		t.Fatalf("carol: %+v", got)
	}
	if got := r.replay(0); len(got) != 712 {
		t.Fatalf("replay has %d messages", len(got))
	}
	r.restart()
	r.openTenant()
	if got := r.append(newMessage(t, carol, 10)); got.Sequence != 716 {
		t.Fatalf("%+v", got)
	}
}

func TestStreamAheadOfJournal(t *testing.T) {
	ahead := func(t *testing.T) (*room, eventstore.Message) {
		r := newRoom(t, nil)
		r.openTenant()
		r.fill(5)
		r.closeLog()
		m := newMessage(t, newPerson(t), 100)
		m.Row = newRow()
		if _, err := r.js().Publish(context.Background(), convSpec(tenant).person(m.Person), m.Envelope.Append(nil)); err != nil {
			t.Fatal(err)
		}
		r.openLog()
		return r, m
	}
	r, m := ahead(t)
	asked := 0
	err := r.s.Open(context.Background(), tenant, vault, false, func(_ context.Context, st eventstore.Stored) (eventstore.Row, error) {
		asked++
		if st.Sequence != 6 || st.Envelope.Event != m.Envelope.Event {
			t.Errorf("asked for %+v", st)
		}
		return m.Row, nil
	})
	if err != nil || asked != 1 || len(r.read(m.Person, 0)) != 1 {
		t.Fatalf("%v, asked %d times", err, asked)
	}
	settled := func() {
		t.Helper()
		if got := r.append(m); !got.Duplicate || got.Sequence != 6 {
			t.Fatalf("the retry of what was uncertain: %+v", got)
		}
		if n := len(r.read(m.Person, 0)); n != 1 {
			t.Fatalf("it is stored %d times", n)
		}
	}
	settled()
	r.restart() // it is journalled now: nobody is asked
	if err := r.s.Open(context.Background(), tenant, vault, false, no); err != nil {
		t.Fatal(err)
	}
	settled()
	r, _ = ahead(t)
	if err := r.s.Open(context.Background(), tenant, vault, false, no); !errors.Is(err, eventstore.ErrDamaged) {
		t.Fatalf("a message that does not open: %v", err)
	}
}

func TestSecondWriterStopsTheTenant(t *testing.T) {
	r := newRoom(t, nil)
	r.openTenant()
	r.fill(3)
	if _, err := r.js().Publish(context.Background(), "ctl.default", []byte("foreign")); err != nil {
		t.Fatal(err)
	}
	m := newMessage(t, newPerson(t), 100)
	if _, err := r.submit(m); !errors.Is(err, eventstore.ErrUncertain) || !errors.Is(err, eventstore.ErrDamaged) {
		t.Fatalf("append beside a second writer: %v", err)
	}
	if _, err := r.submit(m); !errors.Is(err, eventstore.ErrDamaged) {
		t.Fatalf("the tenant goes on: %v", err)
	}
	if _, err := r.s.Await(context.Background(), tenant, 100); !errors.Is(err, eventstore.ErrDamaged) {
		t.Fatalf("await: %v", err)
	}
}

func TestOpenRules(t *testing.T) {
	r := newRoom(t, nil)
	if err := r.s.Open(context.Background(), tenant, vault, false, yes); !errors.Is(err, eventstore.ErrNotFound) {
		t.Fatalf("a tenant that is not there: %v", err)
	}
	if _, err := Open(context.Background(), r.config()); !errors.Is(err, eventstore.ErrInUse) {
		t.Fatalf("a second opening: %v", err)
	}
	r.openTenant()
	r.openTenant()
	if err := r.s.index.db.Set([]byte{keyVersion}, []byte{indexVersion + 1}, pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	r.closeLog()
	if _, err := Open(context.Background(), r.config()); !errors.Is(err, eventstore.ErrNewerVersion) {
		t.Fatalf("newer data: %v", err)
	}
	if _, err := Open(context.Background(), Config{}); err == nil {
		t.Fatal("an empty configuration was accepted")
	}
}

func TestEraseTenant(t *testing.T) {
	r := newRoom(t, nil)
	r.openTenant()
	ctx := context.Background()
	if err := r.s.OpenRecords(ctx, tenant, eventstore.RecordsLedger, vault, true); err != nil {
		t.Fatal(err)
	}
	r.fill(3)
	for range 2 {
		if err := r.s.EraseTenant(ctx, tenant); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(r.log(), "default")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the journals are still there: %v", err)
	}
	if err := r.s.Open(ctx, tenant, vault, false, yes); !errors.Is(err, eventstore.ErrNotFound) {
		t.Fatal(err)
	}
	r.openTenant()
	if got := r.append(newMessage(t, newPerson(t), 10)); got.Sequence != 1 {
		t.Fatalf("%+v", got)
	}
}

// TestCutListOfTables: where a MANIFEST of the index lost its end, it is refused, or what is written next stands behind what is there, and tables can be merged.
func TestCutListOfTables(t *testing.T) {
	from := filepath.Join(t.TempDir(), indexDir)
	x, err := openIndex(vfs.Default, from, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		if err := errors.Join(x.setMark(convSpec(tenant), mark{state: stateReady, vault: vault, created: 1, last: uint64(i)}), x.flush()); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.db.Close(); err != nil {
		t.Fatal(err)
	}
	// A list that was begun anew says where Pebble counts in its second entry.
	if x, err = openIndex(vfs.Default, from, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if err := x.db.Close(); err != nil {
		t.Fatal(err)
	}
	lists, err := filepath.Glob(filepath.Join(from, "MANIFEST-*"))
	if err != nil || len(lists) == 0 {
		t.Fatal(lists, err)
	}
	list := lists[len(lists)-1]
	whole, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	for cut := 1; cut < min(len(whole), 400); cut += 7 {
		dir := filepath.Join(t.TempDir(), indexDir)
		if err := os.CopyFS(dir, os.DirFS(filepath.Dir(list))); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(list)), whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := openIndex(vfs.Default, dir, slog.New(slog.NewTextHandler(&said, nil)))
		if err != nil {
			if !errors.Is(err, eventstore.ErrDamaged) {
				t.Errorf("cut by %d: %v", cut, err)
			}
			continue
		}
		want := mark{state: stateReady, vault: vault, created: int64(cut), last: 1 << 40}
		err = errors.Join(x.setMark(convSpec(tenant), want), x.flush(), x.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false))
		got, err2 := x.mark(convSpec(tenant))
		if err := errors.Join(err, err2, x.db.Close()); err != nil || got.last != want.last || got.created != want.created {
			t.Errorf("cut by %d: what was written reads %+v, %v", cut, got, err)
		}
	}
	if !strings.Contains(said.String(), "its counter is put right") {
		t.Error("no cut made the index count from before")
	}
}
