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

// publisher sends windows of messages, each with the sequence that it must get, and awaits their acknowledgement. One window at a time.
//
// A window of two or more goes as one fast batch where the stream takes them (NATS ADR-50, nats-server 2.14): the server checks each message's expected
// sequence and stores it as it comes, and acknowledges the last, and every 500th, instead of each. What is refused ends the batch there: nothing behind
// it is stored. Else, and alone, a message is an ordinary publish.
type publisher struct {
	nc      *nats.Conn
	stream  string
	batched bool // the stream takes fast batches
	inbox   string
	sub     *nats.Subscription
	window  atomic.Pointer[window]
	ids     uint64
	reply   []byte // of one message, to be used again
	header  nats.Header
	value   []string
}

// window is a run of messages on their way. Acknowledgements that name another window are late ones and are dropped.
type window struct {
	id      string
	first   uint64
	total   int
	batched bool
	sent    int // by the writer
	acked   int // by the subscription's goroutine
	done    chan error
}

// The reply subject of a batch's messages is inbox.id.flow.fail.n.operation.$FI, n being the message's number from 1 on.
const (
	batchFlow   = ".65535.fail."
	batchStart  = ".0.$FI"
	batchGoesOn = ".1.$FI"
	batchCommit = ".2.$FI"
)

var errSilent = errors.New("the server did not acknowledge in time")

func newPublisher(nc *nats.Conn, stream string) (*publisher, error) {
	p := &publisher{nc: nc, stream: stream, inbox: nc.NewInbox() + ".", value: make([]string, 1)}
	p.header = nats.Header{jetstream.ExpectedLastSeqHeader: p.value}
	sub, err := nc.Subscribe(p.inbox+">", p.ack)
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
	// The server knows a batch by this id alone, so it must not be that of another publisher.
	id := p.inbox[len(p.inbox)-9:len(p.inbox)-1] + "-" + strconv.FormatUint(p.ids, 36)
	w := &window{id: id, first: first, total: total, batched: p.batched && total > 1, done: make(chan error, 1)}
	p.window.Store(w)
	return w
}

// send sends the window's next message.
func (p *publisher) send(w *window, subject string, data []byte) error {
	p.value[0] = strconv.FormatUint(w.first+uint64(w.sent)-1, 10)
	m := nats.Msg{Subject: subject, Reply: p.replyTo(w), Header: p.header, Data: data}
	if err := p.nc.PublishMsg(&m); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	w.sent++
	return nil
}

// replyTo is where the acknowledgement of the window's next message goes.
func (p *publisher) replyTo(w *window) string {
	p.reply = append(append(p.reply[:0], p.inbox...), w.id...)
	if !w.batched {
		return string(strconv.AppendInt(append(p.reply, '.'), int64(w.sent), 10))
	}
	operation := batchGoesOn
	switch w.sent + 1 {
	case 1:
		operation = batchStart
	case w.total:
		operation = batchCommit
	}
	p.reply = strconv.AppendInt(append(p.reply, batchFlow...), int64(w.sent)+1, 10)
	return string(append(p.reply, operation...))
}

// wait awaits the acknowledgement of all of the window.
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
	if err := refusal(m); err != nil {
		w.finish(err)
		return
	}
	if w.batched {
		if bytes.HasPrefix(m.Data, []byte(`{"type":"ack"`)) { // how far it got; the answer to the last message says the rest
			return
		}
		w.finish(w.checkLast(p.stream, m.Data))
		return
	}
	if err := w.check(p.stream, at, m.Data); err != nil {
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

// refusal is the error that the server answers with, if any.
func refusal(m *nats.Msg) error {
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
	return nil
}

// check takes the acknowledgement of one message.
func (w *window) check(stream, at string, data []byte) error {
	i, err := strconv.ParseUint(at, 10, 64)
	if err != nil {
		return errors.New("an acknowledgement that cannot be read")
	}
	if got, ok := ackSequence(data, stream); !ok || got != w.first+i {
		return errors.New("an acknowledgement of another sequence")
	}
	return nil
}

// checkLast takes the acknowledgement of a batch: how many messages it stored, and where the last one stands. Anything else that the server
// says of a batch (that messages were lost on the way) ends it.
func (w *window) checkLast(stream string, data []byte) error {
	var answer struct {
		Count int `json:"count"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return errors.New("an acknowledgement that cannot be read")
	}
	if got, ok := ackSequence(data, stream); !ok || answer.Count != w.total || got != w.first+uint64(w.total)-1 {
		return fmt.Errorf("the stream took %d of %d messages", answer.Count, w.total)
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
