package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/client"
)

// document prints one JSON document.
func (e *env) document(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := e.out.Write(terminalSafe(b.Bytes()))
	return err
}

// line prints one line of NDJSON.
func (e *env) line(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := e.out.Write(terminalSafe(b.Bytes()))
	return err
}

// explain puts an error into a person's words, in their language.
func (e *env) explain(err error) string {
	l := e.words()
	if u, ok := errors.AsType[unreachable](err); ok {
		return l.say("err_unreachable", clean(u.Error(), false))
	}
	if errors.Is(err, eventstore.ErrUnauthenticated) {
		return l.say("err_unauthenticated")
	}
	if p, ok := errors.AsType[*client.Error](err); ok && l == french {
		if text, known := catalogue["err_"+string(p.Kind)]; known {
			if p.Field != "" {
				return text.fr + " (" + clean(p.Field, false) + ")"
			}
			return text.fr
		}
	}
	return clean(err.Error(), true)
}

// progress is a bar on a terminal, and nothing elsewhere.
type progress struct{ bar *progressbar.ProgressBar }

// progress begins a bar that counts up to total (below zero: unknown).
func (e *env) progress(total int64, what string, bytes bool) *progress {
	if !e.errTTY {
		return &progress{}
	}
	options := []progressbar.Option{
		progressbar.OptionSetWriter(e.err), progressbar.OptionSetDescription(what), progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
	}
	if bytes {
		options = append(options, progressbar.OptionShowBytes(true))
	}
	return &progress{progressbar.NewOptions64(total, options...)}
}

// Add moves the bar.
func (p *progress) Add(n int) {
	if p.bar != nil {
		p.bar.Add(n)
	}
}

// Done takes the bar away.
func (p *progress) Done() {
	if p.bar != nil {
		p.bar.Finish()
		p.bar.Clear()
	}
}

// when is a time as a person reads it, in their own zone.
func when(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
