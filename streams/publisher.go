package streams

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// publisher sends windows of messages, each with the sequence that it must get, and awaits their acknowledgements. One window at a time.
type publisher struct {
	nc     *nats.Conn
	stream string
	inbox  string
	sub    *nats.Subscription
	window atomic.Pointer[window]
	ids    uint64
	header nats.Header
	value  []string
}

// window is a run of messages on their way. Acknowledgements that name another window are late ones and are dropped.
type window struct {
	id    string
	first uint64
	total int
	sent  int // by the writer
	acked int // by the subscription's goroutine
	done  chan error
}

var errSilent = errors.New("the server did not acknowledge in time")

func newPublisher(nc *nats.Conn, stream string) (*publisher, error) {
	p := &publisher{nc: nc, stream: stream, inbox: nc.NewInbox() + ".", value: make([]string, 1)}
	p.header = nats.Header{jetstream.ExpectedLastSeqHeader: p.value}
	sub, err := nc.Subscribe(p.inbox+"*.*", p.ack)
	if err != nil {
		return nil, unavailable(err)
	}
	p.sub = sub
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, errors.Join(unavailable(err), sub.Unsubscribe())
	}
	return p, nil
}

func (p *publisher) close() { _ = p.sub.Unsubscribe() }

// begin opens a window for total messages from the sequence first on.
func (p *publisher) begin(first uint64, total int) *window {
	p.ids++
	w := &window{id: strconv.FormatUint(p.ids, 36), first: first, total: total, done: make(chan error, 1)}
	p.window.Store(w)
	return w
}

// send sends the window's next message.
func (p *publisher) send(w *window, subject string, data []byte) error {
	p.value[0] = strconv.FormatUint(w.first+uint64(w.sent)-1, 10)
	m := nats.Msg{Subject: subject, Reply: p.inbox + w.id + "." + strconv.Itoa(w.sent), Header: p.header, Data: data}
	if err := p.nc.PublishMsg(&m); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	w.sent++
	return nil
}

// wait awaits the acknowledgements of all of the window.
func (p *publisher) wait(ctx context.Context, w *window, limit time.Duration) error {
	defer p.window.CompareAndSwap(w, nil)
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case err := <-w.done:
		return err
	case <-t.C:
		return errSilent
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ack takes one acknowledgement. It runs in the subscription's goroutine only.
func (p *publisher) ack(m *nats.Msg) {
	w := p.window.Load()
	token := strings.TrimPrefix(m.Subject, p.inbox)
	id, at, _ := strings.Cut(token, ".")
	if w == nil || id != w.id {
		return
	}
	if err := w.check(p.stream, at, m); err != nil {
		w.finish(err)
		return
	}
	if w.acked++; w.acked == w.total {
		w.finish(nil)
	}
}

func (w *window) finish(err error) {
	select {
	case w.done <- err:
	default:
	}
}

func (w *window) check(stream, at string, m *nats.Msg) error {
	i, err := strconv.ParseUint(at, 10, 64)
	if err != nil {
		return errors.New("an acknowledgement that cannot be read")
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return nats.ErrNoResponders
	}
	if bytes.Contains(m.Data, []byte(`"error"`)) {
		var answer struct {
			Error *jetstream.APIError `json:"error"`
		}
		if err := json.Unmarshal(m.Data, &answer); err == nil && answer.Error != nil {
			return answer.Error
		}
	}
	if got, ok := ackSequence(m.Data, stream); !ok || got != w.first+i {
		return errors.New("an acknowledgement of another sequence")
	}
	return nil
}

// ackSequence reads {"stream":"NAME","seq":N,…} without the cost of a JSON decoder.
func ackSequence(b []byte, stream string) (n uint64, ok bool) {
	b, ok = bytes.CutPrefix(bytes.TrimSpace(b), []byte(`{"stream":"`))
	if !ok {
		return 0, false
	}
	if b, ok = bytes.CutPrefix(b, []byte(stream+`"`)); !ok {
		return 0, false
	}
	_, b, ok = bytes.Cut(b, []byte(`"seq":`))
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	digits := 0
	for digits < len(b) && b[digits] >= '0' && b[digits] <= '9' {
		n = n*10 + uint64(b[digits]-'0')
		digits++
	}
	return n, ok && digits > 0 && digits < 20
}
