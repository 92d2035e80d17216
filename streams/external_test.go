package streams

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/natsembed"
)

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
