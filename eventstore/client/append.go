package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

const maxReceipt = 64 << 10

// Append stores one event and returns once the server has it on disk. It is tried again as the package comment says.
//
// Errors: what the server refused, as [*Error]; [eventstore.ErrUncertain] if no answer came in time.
func (c *Client) Append(ctx context.Context, e eventstore.Event) (eventstore.Receipt, error) {
	body, err := encode(e)
	if err != nil {
		return eventstore.Receipt{}, err
	}
	var receipt eventstore.Receipt
	p := c.patience()
	for {
		err := c.post(ctx, "application/json", body, func(r io.Reader) error {
			return json.NewDecoder(io.LimitReader(r, maxReceipt)).Decode(&receipt)
		})
		if err == nil {
			return receipt, nil
		}
		if err := p.wait(ctx, err); err != nil {
			return eventstore.Receipt{}, err
		}
	}
}

// encode draws what a retry needs and gives the event's JSON.
func encode(e eventstore.Event) ([]byte, error) {
	if e.Key == "" {
		e.Key = rand.Text()
		if e.Time.IsZero() {
			e.Time = time.Now().UTC()
		}
	}
	body, err := json.Marshal(e)
	if err != nil {
		// The cause would repeat part of the event.
		return nil, eventstore.Refuse(eventstore.KindInvalid, "", "the event cannot be written as JSON: data and slot values must be JSON")
	}
	if len(body) > eventstore.MaxEvent {
		return nil, eventstore.Refuse(eventstore.KindTooLarge, "", "an event may have 256 KiB")
	}
	return body, nil
}

// post sends one request; read is given the body of a success. An error is an [*Error], unreachable, or that of the token.
func (c *Client) post(ctx context.Context, contentType string, body []byte, read func(io.Reader) error) error {
	return c.send(ctx, sending{c.events, contentType, contentType, bytes.NewReader(body), int64(len(body)), c.c.TryTimeout}, read)
}

// sending is one request.
type sending struct {
	url, contentType, accept string
	body                     io.Reader
	length                   int64 // negative: not known
	within                   time.Duration
}

// send is post of any body.
func (c *Client) send(ctx context.Context, s sending, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	token, err := c.c.TokenFunc(ctx)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, s.body)
	if err != nil {
		return err
	}
	req.ContentLength = s.length
	req.Header.Set("Content-Type", s.contentType)
	req.Header.Set("Accept", s.accept)
	req.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token.Reveal())))
	resp, err := c.http.Do(req)
	if err != nil {
		return unreachable{err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		return ReadError(resp)
	}
	if err := read(resp.Body); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return unreachable{errBadAnswer(err)}
	}
	return nil
}

// errBadAnswer drops the text of a decoding error, which would repeat part of the answer.
func errBadAnswer(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	return errUnreadable
}

var errUnreadable = errors.New("the answer was cut off or is not Oubli's")
