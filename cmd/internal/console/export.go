package console

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"unicode/utf8"
)

type exportCmd struct {
	who
	Output string `short:"o" placeholder:"FILE" help:"${flag_output}"`
}

// Run writes the person's copy. A document that is not whole is an error, and leaves no file behind.
func (c exportCmd) Run(e *env) error {
	a, person, err := c.find(e)
	if err != nil {
		return err
	}
	resp, err := a.do(e.ctx, "GET", "/v1/persons/"+person.String()+"/export", nil, "application/json", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if c.Output == "" {
		return copyExport(e.out, resp.Body)
	}
	f, err := os.OpenFile(c.Output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(copyExport(f, resp.Body), f.Sync(), f.Close()); err != nil {
		os.Remove(c.Output)
		return err
	}
	e.note("%s", e.say("written", clean(c.Output, false)))
	return nil
}

var errCutOff = errors.New("the server broke off; the copy is not whole")

// copyExport copies the document as it comes, harmless for a terminal, and checks that it is whole: one JSON object and nothing behind it.
func copyExport(w io.Writer, r io.Reader) error {
	out := &safeWriter{to: w}
	d := json.NewDecoder(io.TeeReader(r, out))
	depth := 0
	for {
		token, err := d.Token()
		if out.failed != nil {
			return out.failed
		}
		if err != nil {
			return errCutOff // the cause could repeat a part of the document
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			break
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.Join(out.failed, errCutOff)
	}
	return out.failed
}

// safeWriter hands on a JSON document made harmless for a terminal, whole characters at a time.
type safeWriter struct {
	to     io.Writer
	held   []byte
	failed error
}

// Write implements [io.Writer].
func (s *safeWriter) Write(p []byte) (int, error) {
	s.held = append(s.held, p...)
	whole := len(s.held)
	for i := 1; i < utf8.UTFMax && i <= whole; i++ {
		if start := whole - i; utf8.RuneStart(s.held[start]) {
			if !utf8.FullRune(s.held[start:]) {
				whole = start
			}
			break
		}
	}
	_, s.failed = s.to.Write(terminalSafe(s.held[:whole]))
	s.held = append(s.held[:0], s.held[whole:]...)
	return len(p), s.failed
}
