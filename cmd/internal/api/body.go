package api

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// progress is how many bytes buy a body another [Config.Patience].
const progress = 4 << 10

// body reads a request's body under a deadline that moves with progress only, so that a client that drips bytes does not hold a request
// for ever. What the handler leaves unread is thrown away by net/http under the last deadline; the end of the body lifts it, since it would end the
// request's context otherwise.
type body struct {
	io.ReadCloser
	control  *http.ResponseController
	patience time.Duration
	since    int
}

func newBody(r *http.Request, control *http.ResponseController, patience time.Duration) *body {
	b := &body{ReadCloser: r.Body, control: control, patience: patience}
	if r.ContentLength != 0 {
		b.extend()
	}
	return b
}

func (b *body) extend() {
	b.since = 0
	b.control.SetReadDeadline(time.Now().Add(b.patience)) // test recorders have none
}

// Close does nothing: huma closes a body that it refuses, and [body.drain] still has to read it. The server closes what it opened.
func (b *body) Close() error { return nil }

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	if b.since >= progress {
		b.extend()
	}
	n, err := b.ReadCloser.Read(p)
	b.since += n
	if err == io.EOF {
		b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// drainFor bounds how long the rest of a refused body is read.
const drainFor = 2 * time.Second

// drain throws away the rest of a body that was too large, once that is answered: a client that writes everything before it reads would
// otherwise see its connection reset and never the answer. One that waits to be asked for its body (Expect) is not.
func (b *body) drain(w *writer, r *http.Request) {
	if w.status != http.StatusRequestEntityTooLarge || r.Header.Get("Expect") != "" {
		return
	}
	w.control.Flush()
	b.control.SetReadDeadline(time.Now().Add(drainFor))
	io.Copy(io.Discard, io.LimitReader(b.ReadCloser, MaxBatchBytes))
}

// readAll reads a body of at most limit bytes.
func readAll(r *http.Request, limit int) ([]byte, error) {
	buf, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	if len(buf) > limit {
		return nil, errBodySize
	}
	return buf, bodyError(err)
}

// bodyError says that a body ended before its end.
func bodyError(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	if problemOf(err).Status == http.StatusInternalServerError {
		return errBroken.Because(err)
	}
	return err
}

// writer remembers what was sent and gives each write its own deadline.
type writer struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	status   int
}

// Unwrap lets [http.ResponseController] through.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements [http.ResponseWriter]. A body that is too large is not read before it is refused.
func (w *writer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	if status == http.StatusRequestEntityTooLarge {
		w.Header().Set("Connection", "close")
		w.control.EnableFullDuplex() // HTTP/2 has it anyway
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [io.Writer].
func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.control.SetWriteDeadline(time.Now().Add(w.patience))
	return w.ResponseWriter.Write(p)
}
