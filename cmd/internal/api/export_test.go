package api

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/cmd/internal/pages"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// TestExportForms: JSON, a page in the language asked for or the tenant's, an archive of both; each with its header.
func TestExportForms(t *testing.T) {
	h := newHarness(t)
	person := h.person("alice@example.com")
	ask := func(query, accept string) response {
		return h.do(request{method: "GET", path: "/v1/persons/" + person.String() + "/export" + query, token: h.tokens["default/support"], header: map[string]string{"Accept": accept}})
	}
	var d rights.Document
	h.decodeInto(ask("", "application/json"), 200, &d)
	if d.Count != 1 || d.Person != person {
		t.Errorf("the document has %d events", d.Count)
	}
	for query, want := range map[string]string{"": "A copy of your data", "?language=fr": "Copie de vos données"} {
		r := ask(query, "text/html")
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != pages.ContentType || r.Header.Get("Content-Security-Policy") != pages.HeaderPolicy ||
			!strings.Contains(r.text, want) || !strings.Contains(r.text, "alice@example.com") || !strings.HasSuffix(r.text, "</html>\n") {
			t.Errorf("%s: %d %v", query, r.StatusCode, r.Header)
		}
	}
	h.do(request{method: "PUT", path: "/v1/settings", token: h.tokens["default/admin"], body: `{"language":"fr","controller":"Élan & Fils"}`})
	if r := ask("", "text/html"); !strings.Contains(r.text, "Copie de vos données") || !strings.Contains(r.text, "Élan &amp; Fils") {
		t.Error("the page is not as the tenant's settings say")
	}
	h.problem(ask("?language=xx", "text/html"), eventstore.KindInvalid, 400, "xx")
	r := ask("", zipType)
	entries := unpack(t, r.text)
	if r.Header.Get("Content-Type") != zipType || len(entries) != 2 || !json.Valid([]byte(entries["export.json"])) || !strings.HasSuffix(entries["export.html"], "</html>\n") {
		t.Errorf("%d %v: %d entries", r.StatusCode, r.Header, len(entries))
	}
	h.store.failRead = fmt.Errorf("%s: %w", canary, eventstore.ErrFenced)
	for _, accept := range []string{"text/html", zipType, jsonType} {
		h.problem(ask("", accept), eventstore.KindUnavailable, 503, canary)
	}
}

func unpack(t *testing.T, archive string) map[string]string {
	t.Helper()
	in, err := zip.NewReader(strings.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range in.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := out[f.Name]; twice {
			t.Errorf("two entries have one name")
		}
		out[f.Name] = string(text)
	}
	return out
}

// TestArchiveBreaksOff: events that come in while an archive is made are in neither of its documents; a file that cannot be read leaves no archive.
func TestArchiveBreaksOff(t *testing.T) {
	a := &API{}
	n := 0
	c := &rights.Copy{Source: func(yield func(eventstore.Recorded, error) bool) {
		n++
		for i := range 3 * n {
			if !yield(eventstore.Recorded{Sequence: uint64(i + 1), Event: eventstore.Event{Type: eventstore.TypeMessage, Text: fmt.Sprintf("text %d", i+1)}}, nil) {
				return
			}
		}
	}}
	var b bytes.Buffer
	if err := a.writeArchive(context.Background(), &b, home, pages.From{}, c); err != nil {
		t.Fatal(err)
	}
	entries := unpack(t, b.String())
	for name, text := range entries {
		if !strings.Contains(text, "text 3") || strings.Contains(text, "text 4") {
			t.Errorf("%s does not hold the first three events", name)
		}
	}
	c = &rights.Copy{Source: func(yield func(eventstore.Recorded, error) bool) {
		yield(eventstore.Recorded{Sequence: 1, Event: eventstore.Event{Type: eventstore.TypeAttachment, Attachment: &eventstore.File{Name: "a.pdf"}}}, nil)
	}}
	b.Reset()
	if err := a.writeArchive(context.Background(), &b, home, pages.From{}, c); err == nil {
		t.Error("a file that cannot be read makes an archive")
	}
	if _, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len())); err == nil {
		t.Error("what broke off reads as an archive")
	}
}

// TestNamesInArchive: whatever a file was called, it is unpacked into its folder, under a name of its own, without anything odd in it.
func TestNamesInArchive(t *testing.T) {
	for name, want := range map[string]string{
		"photo.jpg": "attachments/0007-photo.jpg", "../../etc/passwd": "attachments/0007-passwd", `C:\tmp\a b?.txt`: "attachments/0007-a_b_.txt",
		"": "attachments/0007-file", "..": "attachments/0007-file", "reçu été.pdf": "attachments/0007-reçu_été.pdf", "a\u202egpj.exe": "attachments/0007-agpj.exe", "a\x00b": "attachments/0007-ab",
	} {
		if got := fileInArchive(7, name); got != want {
			t.Errorf("%q stands under %q, want %q", name, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		got := fileInArchive(1, rapid.String().Draw(t, "name"))
		rest, ok := strings.CutPrefix(got, "attachments/0001-")
		if !ok || rest == "" || strings.ContainsAny(rest, `/\:*?"<>|`) || !utf8.ValidString(rest) || strings.ContainsFunc(rest, unicode.IsControl) || utf8.RuneCountInString(rest) > maxArchived {
			t.Fatalf("%q", got)
		}
	})
}

// TestConversationPage: a person's own conversation as a page; without one nothing but the problem.
func TestConversationPage(t *testing.T) {
	h := newHarness(t)
	h.person("alice@example.com")
	ask := func(query, conversation string) response {
		return h.do(request{method: "POST", path: "/v1/conversations/read" + query, token: h.tokens["default/bot"], header: map[string]string{"Accept": "text/html"},
			body: `{"identity":{"namespace":"email","id":"alice@example.com"},"conversation":"` + conversation + `"}`})
	}
	r := ask("?language=fr", "c1")
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != pages.ContentType || !strings.Contains(r.text, "Votre conversation") || !strings.HasSuffix(r.text, "</html>\n") {
		t.Errorf("%d %s", r.StatusCode, r.text)
	}
	h.problem(ask("", "c9"), eventstore.KindNotFound, 404)
	h.problem(ask("?language=de", "c1"), eventstore.KindInvalid, 400)
}
