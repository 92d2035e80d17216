package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/oubli-store/oubli/eventstore"
)

// Result is what became of one event of [Client.AppendMany].
type Result struct {
	// Index counts the events as they were drawn, from 0.
	Index int
	// Receipt is set when the error is nil.
	Receipt eventstore.Receipt
}

// AppendMany stores events in batches and yields one result for each, in the order in which they were drawn. An error concerns the event of
// its Index alone and the sequence goes on, unless it is [ErrStopped]: then the server could not be reached in time, or refuses the
// token, and no further events are drawn. Only events that have no answer yet are sent again. It stops early when the caller does; what
// was sent by then stays stored.
func (c *Client) AppendMany(ctx context.Context, events iter.Seq[eventstore.Event]) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		b := &batch{client: c}
		for e := range events {
			body, err := encode(e)
			if b.full(len(body)) && !b.flush(ctx, yield) {
				return
			}
			b.add(body, err)
		}
		b.flush(ctx, yield)
	}
}

// batch is the events on their way, and what is known of each.
type batch struct {
	client *Client
	first  int // index of items[0]
	items  []item
	bytes  int
}

type item struct {
	body    []byte
	settled bool
	receipt eventstore.Receipt
	err     error
}

func (b *batch) full(next int) bool {
	return len(b.items) > 0 && (len(b.items) >= b.client.c.BatchEvents || b.bytes+next > b.client.c.BatchBytes)
}

func (b *batch) add(body []byte, err error) {
	b.items = append(b.items, item{body: body, settled: err != nil, err: err})
	b.bytes += len(body) + 1
}

// flush sends the batch until every event is settled, yields the results and empties it. It returns false to stop.
func (b *batch) flush(ctx context.Context, yield func(Result, error) bool) bool {
	stopped := b.settle(ctx)
	for i := range b.items {
		it := &b.items[i]
		err := it.err
		if !it.settled {
			err = fmt.Errorf("%w: %w", ErrStopped, stopped)
		}
		if !yield(Result{Index: b.first + i, Receipt: it.receipt}, err) {
			return false
		}
	}
	b.first += len(b.items)
	clear(b.items)
	b.items, b.bytes = b.items[:0], 0
	return stopped == nil
}

// settle sends what is unsettled until nothing is, or the error to stop with.
func (b *batch) settle(ctx context.Context) error {
	p := b.client.patience()
	for {
		body, open := b.unsettled()
		if len(open) == 0 {
			return nil
		}
		answered, err := 0, error(nil)
		err = b.client.post(ctx, ndjson, body, func(r io.Reader) (err error) {
			answered, err = b.read(r, open)
			return err
		})
		if answered > 0 {
			p.renew()
		}
		if err == nil {
			// Lines are left only if the server turned them away for the moment: the last of them says for how long.
			if err = b.again(); err == nil {
				continue
			}
		}
		if err := p.wait(ctx, err); err != nil {
			return err
		}
	}
}

const ndjson = "application/x-ndjson"

// unsettled gives the body to send and the items that its lines stand for.
func (b *batch) unsettled() ([]byte, []*item) {
	var body bytes.Buffer
	var open []*item
	for i := range b.items {
		if it := &b.items[i]; !it.settled {
			body.Write(it.body)
			body.WriteByte('\n')
			open = append(open, it)
		}
	}
	return body.Bytes(), open
}

// again gives the error of an item that is still unsettled after a whole answer, or nil.
func (b *batch) again() error {
	for i := len(b.items) - 1; i >= 0; i-- {
		if it := &b.items[i]; !it.settled {
			return it.err
		}
	}
	return nil
}

// line is one line of an answer: a receipt, or an error.
type line struct {
	eventstore.Receipt
	Line  int      `json:"line"`
	Error *problem `json:"error"`
}

// read settles the items that the answer speaks of, and says how many were settled. Lines without their line feed are not believed.
func (b *batch) read(r io.Reader, open []*item) (settled int, err error) {
	lines := bufio.NewReader(r)
	for n, it := range open {
		text, err := readLine(lines)
		if err != nil {
			return settled, err
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil || l.Error != nil && l.Line != n+1 || l.Error == nil && l.ID == (eventstore.EventID{}) {
			return settled, errUnreadable
		}
		if l.Error == nil {
			it.settled, it.receipt, it.err = true, l.Receipt, nil
		} else {
			e := l.Error.err()
			it.settled, it.err = !e.retryable(), e
		}
		if it.settled {
			settled++
		}
	}
	return settled, nil
}

// readLine reads one line of bounded length with its line feed.
func readLine(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(text)+len(part) > maxReceipt {
			return nil, errUnreadable
		}
		text = append(text, part...)
		switch {
		case err == nil:
			return text, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}
