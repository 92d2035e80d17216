package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"unicode/utf8"
)

type exportCmd struct {
	who
	Format   string `enum:"json,html,zip" default:"json" placeholder:"FORMAT" help:"${flag_export_format}"`
	Language string `enum:",en,fr" default:"" placeholder:"LANG" help:"${flag_page_language}"`
	Output   string `short:"o" placeholder:"FILE" help:"${flag_output}"`
}

// Run writes the person's copy. One that is not whole is an error, and leaves no file behind.
func (c exportCmd) Run(e *env) error {
	if c.Format == "zip" && c.Output == "" && e.outTTY {
		return usage(e.say("zip_needs_output"))
	}
	a, person, err := c.find(e)
	if err != nil {
		return err
	}
	form := forms[c.Format]
	resp, err := a.do(e.ctx, "GET", "/v1/persons/"+person.String()+"/export", e.pageQuery(c.Format, c.Language), form.accept, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return e.writeOut(c.Output, func(w io.Writer) error { return form.copy(w, resp.Body) })
}

// form is how a copy or a certificate comes, and how it is copied and found whole.
type form struct {
	accept string
	copy   func(io.Writer, io.Reader) error
}

var forms = map[string]form{
	"json": {"application/json", copyExport},
	"html": {"text/html", copyPage},
	"zip":  {"application/zip", copyArchive},
}

// pageQuery asks for a page's language: the one given, French where OUBLI_LANG says so, otherwise the tenant's.
func (e *env) pageQuery(format, language string) url.Values {
	if format == "json" || language == "" && e.lang != french {
		return nil
	}
	if language == "" {
		language = string(french)
	}
	return url.Values{"language": {language}}
}

// writeOut has write write to a new file that nobody else can read, or to standard output. What fails leaves no file.
func (e *env) writeOut(file string, write func(io.Writer) error) error {
	if file == "" {
		return write(e.out)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		os.Remove(file)
		return err
	}
	e.note("%s", e.say("written", clean(file, false)))
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

// copyPage copies a page. The server lets no control character into one; it is whole if its last element is.
func copyPage(w io.Writer, r io.Reader) error {
	end := &tail{keep: len(pageEnd)}
	if _, err := io.Copy(io.MultiWriter(w, end), r); err != nil {
		return errCutOff
	}
	if string(end.last) != pageEnd {
		return errCutOff
	}
	return nil
}

const pageEnd = "</html>\n"

// copyArchive copies an archive. It is whole if it ends with the record that ends a directory (PKWARE APPNOTE 4.3.16), without a comment.
func copyArchive(w io.Writer, r io.Reader) error {
	end := &tail{keep: 22}
	if _, err := io.Copy(io.MultiWriter(w, end), r); err != nil {
		return errCutOff
	}
	if !bytes.HasPrefix(end.last, []byte("PK\x05\x06")) {
		return errCutOff
	}
	return nil
}

// tail remembers the last bytes.
type tail struct {
	keep int
	last []byte
}

// Write implements [io.Writer].
func (t *tail) Write(p []byte) (int, error) {
	t.last = append(t.last, p[max(0, len(p)-t.keep):]...)
	t.last = t.last[max(0, len(t.last)-t.keep):]
	return len(p), nil
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
