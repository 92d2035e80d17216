package importer

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"

	"github.com/oubli-store/oubli/eventstore"
)

// saysText reads a mail with another reader, which is strict, and reports whether it finds a text that is not an attachment; ok
// is false for a mail that is too broken for it.
func saysText(raw []byte) (found, ok bool) {
	m, err := message.Read(bytes.NewReader(raw))
	if m == nil || err != nil && !message.IsUnknownCharset(err) {
		return false, false
	}
	err = m.Walk(func(_ []int, part *message.Entity, err error) error {
		if err != nil && !message.IsUnknownCharset(err) {
			return err
		}
		kind, _, _ := part.Header.ContentType()
		disposition, _, _ := part.Header.ContentDisposition()
		if strings.HasPrefix(kind, "text/") && disposition != "attachment" {
			var b bytes.Buffer
			if _, err := b.ReadFrom(part.Body); err != nil {
				return err
			}
			found = found || strings.TrimSpace(b.String()) != ""
		}
		return nil
	})
	return found, err == nil
}

// TestRealMail: each real mail is read, or refused with its line, and those that say something say it here.
func TestRealMail(t *testing.T) {
	read, _ := Open("mail")
	mails, refused, compared := 0, 0, 0
	for _, name := range realFiles(t, "mail-rfc5322/*/*.raw") {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(name)
		var counts Counts
		n := 0
		for item, err := range read(bytes.NewReader(raw), Options{}, &counts) {
			n++
			if err != nil {
				var p *eventstore.Problem
				if !errors.As(err, &p) || p.Line() != 1 || base != "erroneous.raw" {
					t.Errorf("%s: %v", base, err)
				}
				refused++
				continue
			}
			mails++
			e := item.Event
			if e.Check() != nil || e.Key == "" || e.Identity == nil {
				t.Errorf("%s: not a whole event", base)
			}
			said, ok := saysText(raw)
			if ok {
				compared++
			}
			if got := e.Text != ""; ok && got != said {
				t.Errorf("%s: text is here: %t, want %t", base, got, said)
			}
			if files := bytes.Contains(e.Data, []byte(`"attachments":[`)); files != bytes.Contains(raw, []byte("base64")) && !strings.Contains(base, "inline") {
				t.Errorf("%s: attachments are listed: %t", base, files)
			}
		}
		if n != 1 {
			t.Errorf("%s gives %d items", base, n)
		}
	}
	if mails == 0 || refused != 1 || compared < mails/2 {
		t.Errorf("%d mails, %d refused, %d compared with another reader", mails, refused, compared)
	}
	t.Logf("%d mails read, %d refused, %d compared with another reader", mails, refused, compared)
}
