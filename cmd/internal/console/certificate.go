package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

type certificateCmd struct {
	ID       string `arg:"" help:"${flag_erasure_id}"`
	Format   string `enum:"json,html" default:"json" placeholder:"FORMAT" help:"${flag_certificate_format}"`
	Language string `enum:",en,fr" default:"" placeholder:"LANG" help:"${flag_page_language}"`
	Output   string `short:"o" placeholder:"FILE" help:"${flag_output}"`
}

// Run writes the certificate, once it has passed every check; as a letter too.
func (c certificateCmd) Run(e *env) error {
	a, err := e.api()
	if err != nil {
		return err
	}
	path := "/v1/erasures/" + url.PathEscape(c.ID) + "/certificate"
	var file json.RawMessage
	if err := a.call(e.ctx, "GET", path, nil, nil, &file); err != nil {
		return err
	}
	if _, err := ledger.VerifyCertificate(file, ""); err != nil {
		return e.failedCheck(err)
	}
	if c.Format == "html" {
		resp, err := a.do(e.ctx, "GET", path, e.pageQuery(c.Format, c.Language), forms[c.Format].accept, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return e.writeOut(c.Output, func(w io.Writer) error { return copyPage(w, resp.Body) })
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, file, "", "  "); err != nil {
		return err
	}
	pretty.WriteByte('\n')
	return e.writeOut(c.Output, func(w io.Writer) error {
		_, err := w.Write(pretty.Bytes())
		return err
	})
}

type verifyCmd struct {
	File string `arg:"" placeholder:"CERTIFICATE.json" help:"${flag_certificate}"`
	Key  string `placeholder:"PUBLIC" help:"${flag_key}"`
}

// certified is what verify prints as JSON.
type certified struct {
	Key string `json:"key"`
	// KeyGiven says that the key was given, and not only the one that the file names.
	KeyGiven bool          `json:"key_given"`
	Issues   int           `json:"issues"`
	Last     ledger.Issued `json:"statement"`
}

// Run checks a certificate. It needs no server.
func (c verifyCmd) Run(e *env) error {
	file, err := c.read(e)
	if err != nil {
		return err
	}
	key, err := publicKey(c.Key)
	if err != nil {
		return err
	}
	v, err := ledger.VerifyCertificate(file, key)
	if err != nil {
		return e.failedCheck(err)
	}
	if e.JSON {
		return e.document(certified{v.Key, key != "", len(v.Issues), *v.Last()})
	}
	fmt.Fprintln(e.out, e.say("certificate_good", v.Last().Ledger))
	if err := e.statement(v); err != nil {
		return err
	}
	if key == "" {
		e.note("%s", e.say("certificate_own_key", v.Key))
	}
	return nil
}

// read reads the file, no more of it than a certificate can have.
func (c verifyCmd) read(e *env) ([]byte, error) {
	var from io.Reader = e.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if errors.Is(err, os.ErrNotExist) {
			return nil, exit{NotFound, err}
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	return io.ReadAll(io.LimitReader(from, ledger.MaxCertificate+1))
}

// publicKey is the key that was given, itself or in a file.
func publicKey(given string) (string, error) {
	if given == "" {
		return "", nil
	}
	text, err := os.ReadFile(given)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrInvalid) || len(given) > 255 {
		return given, nil // it is no file, so it is the key
	}
	return strings.TrimSpace(string(text)), err
}

// failedCheck says which check a certificate did not pass.
func (e *env) failedCheck(err error) error {
	failed, ok := errors.AsType[*ledger.CheckError](err)
	if !ok {
		return err
	}
	return exit{Damaged, fmt.Errorf("%s: %s\n  %w", failed.Check, e.say("check_"+string(failed.Check)), err)}
}

// statement prints what the last issue says.
func (e *env) statement(v *ledger.Verified) error {
	s := v.Last()
	var t table
	t.add(e.say("erasure"), s.Erasure)
	for i, p := range s.Persons {
		if i == 10 {
			t.add("", fmt.Sprintf("… %d", len(s.Persons)))
			break
		}
		t.add(first(i, e.say("person")), p.String())
	}
	t.add(e.say("reason"), e.code("reason_", string(s.Reason)))
	t.add(e.say("scope"), e.say("scope_code_"+string(s.Scope)))
	if s.Again {
		t.add("", e.say("certificate_again"))
	}
	t.add(e.say("certificate"), e.say("certificate_issue", s.Issue, when(s.Issued)))
	for i, x := range s.Entries {
		t.add(first(i, e.say("ledger_entries")), fmt.Sprint(x.Number))
	}
	for _, x := range s.Stages {
		t.add(when(x.At), e.say("stage_"+x.Stage))
	}
	for i, d := range s.Destroyed {
		t.add(first(i, e.say("destroyed")), e.code("destroyed_", string(d.What)))
	}
	for i, n := range s.Notified {
		t.add(first(i, e.say("notified")), clean(n.Receiver, false)+" · "+when(n.At))
	}
	for i, r := range s.Remains {
		t.add(first(i, e.say("remains")), e.remaining(r))
	}
	return t.print(e.out, "  ")
}

func (e *env) remaining(r eventstore.Remaining) string {
	what := e.code("remains_", string(r.What))
	if r.Until.IsZero() {
		return what
	}
	return e.say("until", what, when(r.Until))
}
