package api

import (
	"bufio"
	"encoding/json"
	"io"
	"iter"
	"net/http"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer"
)

// Bounds of a batch.
const (
	MaxBatchBytes = 256 << 20
	MaxBatchLines = 250_000
	// Window is how many events of one request are in flight at most.
	Window = 1024
)

var (
	errBusy       = eventstore.Refuse(eventstore.KindRate, "", "too many batches are running; try again in a moment")
	errBatchBytes = eventstore.Refuse(eventstore.KindTooLarge, "", "the batch is larger than 256 MiB; this line and those behind it were not read")
)

// badLine is the answer to a line that was not stored; a good one has a receipt.
type badLine struct {
	Line  int      `json:"line" doc:"Line of the input, from 1"`
	Error *Problem `json:"error"`
}

// outcome is the result of one event of a batch.
type outcome struct {
	receipt eventstore.Receipt
	at      importer.Position
	err     error
}

// enter takes one of the places for batches.
func (a *API) enter() (leave func(), err error) {
	select {
	case a.batches <- struct{}{}:
		return func() { <-a.batches }, nil
	default:
		return nil, errBusy
	}
}

func (a *API) postLines(w http.ResponseWriter, r *http.Request, c *call) error {
	leave, err := a.enter()
	if err != nil {
		return err
	}
	defer leave()
	var results []outcome
	a.appendAll(r.Context(), c.caller(), lines(r.Body), func(o outcome) { results = append(results, o) })
	w.Header().Set("Content-Type", linesType)
	out := bufio.NewWriterSize(w, 64<<10)
	for _, o := range results {
		if o.err != nil && unexpected(o.err) {
			a.logError(r, c, o.err)
		}
		if err := writeOutcome(out, o); err != nil {
			return err
		}
	}
	return out.Flush()
}

func writeOutcome(out *bufio.Writer, o outcome) error {
	if o.err != nil {
		return writeLine(out, badLine{Line: o.at.Line, Error: problemOf(o.err).atLine(o.at.Line)})
	}
	return writeLine(out, o.receipt)
}

// writeLine writes one line of NDJSON.
func writeLine(out *bufio.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	out.Write(b)
	return out.WriteByte('\n')
}

// items are events on their way in.
type items = iter.Seq2[importer.Item, error]

// lines reads a batch. An error stands for its line; when the reading itself ends early, that is the last one.
func lines(body io.Reader) items {
	return func(yield func(importer.Item, error) bool) {
		for l, err := range eventstore.ReadEvents(&limited{r: body, left: MaxBatchBytes}, MaxBatchLines) {
			if err == nil {
				err = l.Err
			}
			if !yield(importer.Item{Event: l.Event, At: importer.Position{Line: l.Number}}, err) {
				return
			}
		}
	}
}

// limited ends a body that is too long with errBatchBytes, and one that breaks off with a problem.
type limited struct {
	r    io.Reader
	left int64
}

// Read implements [io.Reader].
func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errBatchBytes
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	if err != nil && err != io.EOF {
		err = bodyError(err)
	}
	return n, err
}
