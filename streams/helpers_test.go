package streams

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
	"github.com/oubli-store/oubli/streams/natsembed"
)

const tenant = eventstore.DefaultTenant

var vault = eventstore.VaultID{1, 2, 3}

// room is a data directory with a server on it.
type room struct {
	t    testing.TB
	dir  string
	srv  *natsembed.Server
	conn *nats.Conn
	s    *Streams
	tune func(*Config)
	// dial connects to servers that are not the room's.
	dial func() (*nats.Conn, error)
}

func newRoom(t testing.TB, tune func(*Config)) *room {
	t.Helper()
	r := &room{t: t, dir: t.TempDir(), tune: tune}
	r.startServer()
	r.openLog()
	t.Cleanup(r.stop)
	return r
}

func (r *room) startServer() {
	r.t.Helper()
	if r.dial != nil {
		var err error
		if r.conn, err = r.dial(); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	srv, err := natsembed.Start(context.Background(), natsembed.Config{Dir: filepath.Join(r.dir, "nats")})
	if err != nil {
		r.t.Fatal(err)
	}
	r.srv = srv
	if r.conn, err = srv.Connect(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) config() Config {
	c := Config{Dir: filepath.Join(r.dir, "log"), Conn: r.conn, Settle: natsembed.Settle, Files: r.nats()}
	if r.tune != nil {
		r.tune(&c)
	}
	return c
}

func (r *room) openLog() {
	r.t.Helper()
	s, err := Open(context.Background(), r.config())
	if err != nil {
		r.t.Fatal(err)
	}
	r.s = s
}

func (r *room) closeLog() {
	r.t.Helper()
	if r.s != nil {
		if err := r.s.Close(); err != nil {
			r.t.Error(err)
		}
		r.s = nil
	}
}

func (r *room) stopServer() {
	if r.conn != nil {
		r.conn.Close()
	}
	if r.srv != nil {
		_ = r.srv.Stop(context.Background())
		r.srv = nil
	}
}

func (r *room) stop() { r.closeLog(); r.stopServer() }

// restart closes and opens log/, and the server too.
func (r *room) restart() {
	r.t.Helper()
	r.stop()
	r.startServer()
	r.openLog()
}

func yes(context.Context, eventstore.Stored) (eventstore.Row, error) { return row{}, nil }
func no(context.Context, eventstore.Stored) (eventstore.Row, error) {
	return row{}, fmt.Errorf("it does not open")
}

func (r *room) openTenant() {
	r.t.Helper()
	if err := r.s.Open(context.Background(), tenant, vault, true, yes); err != nil {
		r.t.Fatal(err)
	}
}

func newPerson(t testing.TB) eventstore.PersonID {
	p, err := eventstore.NewPersonID(nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newMessage(t testing.TB, p eventstore.PersonID, size int) eventstore.Message {
	id, err := eventstore.NewEventID(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	m := eventstore.Message{Person: p, Envelope: envelope.Envelope{Event: id, Month: 682, Ciphertext: make([]byte, size)}}
	_, _ = rand.Read(m.Envelope.Ciphertext)
	return m
}

func newRow() (r row) {
	_, _ = rand.Read(r[:])
	return r
}

func (r *room) submit(m eventstore.Message) (eventstore.Appended, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ticket, err := r.s.Submit(ctx, tenant, m)
	if err != nil {
		return eventstore.Appended{}, err
	}
	return ticket.Wait(ctx)
}

func (r *room) append(m eventstore.Message) eventstore.Appended {
	r.t.Helper()
	out, err := r.submit(m)
	if err != nil {
		r.t.Fatalf("append: %v", err)
	}
	return out
}

func (r *room) read(p eventstore.PersonID, after uint64) (out []eventstore.Stored) {
	r.t.Helper()
	for st, err := range r.s.Read(context.Background(), tenant, p, after) {
		if err != nil {
			r.t.Fatalf("read: %v", err)
		}
		out = append(out, st)
	}
	return out
}

func (r *room) replay(after uint64) (out []eventstore.Stored) {
	r.t.Helper()
	for st, err := range r.s.Replay(context.Background(), tenant, after) {
		if err != nil {
			r.t.Fatalf("replay: %v", err)
		}
		out = append(out, st)
	}
	return out
}

const (
	quick    = 50 * time.Millisecond
	waitLong = 30 * time.Second
)

var tokenOption = nats.Token("sesame")

// await blocks until so many messages are committed.
func (r *room) await(n uint64) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLong)
	defer cancel()
	if _, err := r.s.Await(ctx, tenant, n-1); err != nil {
		r.t.Fatal(err)
	}
}
