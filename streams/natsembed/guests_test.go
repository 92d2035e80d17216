package natsembed

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestGuests: a guest reaches the one subject and the own inbox, and nothing of the streams, by no subject and by no reply.
func TestGuests(t *testing.T) {
	var log lockedBuffer
	s := start(t, Config{Listen: "127.0.0.1:0", Logger: slog.New(slog.NewTextHandler(&log, nil)), GuestSubject: "append", Guests: func(token string) (string, bool) {
		name, ok := strings.CutPrefix(token, "guest-")
		return "_INBOX." + name, ok
	}})
	own, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	js, err := jetstream.New(own)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "CONV", Subjects: []string{"conv.>"}})
	if err != nil {
		t.Fatal(err)
	}
	service, err := s.ConnectService()
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	if _, err := service.Subscribe("append", func(m *nats.Msg) { m.Respond([]byte("stored")) }); err != nil {
		t.Fatal(err)
	}
	if err := service.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, o := range []nats.Option{nats.Token("stranger"), nats.Token(""), nats.UserInfo("own", ""), nats.UserInfo("service", "x"), nats.UserInfo("guest-a", "")} {
		if nc, err := nats.Connect(s.URL(), o); err == nil {
			nc.Close()
			t.Error("a stranger was let in")
		}
	}
	refused := make(chan error, 100)
	guest := func(name string) *nats.Conn {
		nc, err := nats.Connect(s.URL(), nats.Token("guest-"+name), nats.CustomInboxPrefix("_INBOX."+name), nats.Name("alice@example.com"),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	a := guest("a")
	if m, err := a.Request("append", []byte("{}"), 2*time.Second); err != nil || string(m.Data) != "stored" {
		t.Fatalf("%v %v", m, err)
	}
	for _, subject := range []string{"conv.x", "$JS.API.STREAM.DELETE.CONV", "$JS.API.STREAM.LIST", "_INBOX.b.1", "$SYS.REQ.SERVER.PING"} {
		if err := a.Publish(subject, []byte("x")); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, refused)
	}
	for _, subject := range []string{"conv.>", ">", "_INBOX.>", "_INBOX.b.>", "append", "$SYS.>"} {
		if _, err := a.SubscribeSync(subject); err == nil {
			wantRefusal(t, refused)
		}
	}
	// The answer to a request can be sent nowhere else either.
	if err := a.PublishRequest("append", "conv.x", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Request("append", []byte("{}"), 2*time.Second); err != nil { // behind the other one
		t.Fatal(err)
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 0 {
		t.Errorf("the stream holds what a guest sent: %+v %v", info, err)
	}
	text := log.String()
	if !strings.Contains(text, "Publish Violation") {
		t.Errorf("the log says nothing of it: %s", text)
	}
	for _, secret := range []string{"conv.x", "INBOX", "alice", "127.0.0.1", "guest-a"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s stands in the log: %s", secret, text)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func wantRefusal(t *testing.T, refused chan error) {
	t.Helper()
	select {
	case err := <-refused:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Error(err)
		}
	case <-time.After(2 * time.Second):
		t.Error("a guest was not refused")
	}
}
