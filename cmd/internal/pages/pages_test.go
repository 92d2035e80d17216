package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"iter"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/cmd/internal/phrases"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func sequence(events ...eventstore.Event) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for i, e := range events {
			if !yield(eventstore.Recorded{Sequence: uint64(i + 1), Received: noon, Event: e}, nil) {
				return
			}
		}
	}
}

func message(text string) eventstore.Event {
	return eventstore.Event{Type: eventstore.TypeMessage, Author: eventstore.AuthorUser, Bot: "shop", Conversation: "c-1", Time: noon, Text: text}
}

func copyOf(events iter.Seq2[eventstore.Recorded, error]) *rights.Copy {
	return &rights.Copy{About: rights.Document{Generated: noon, Created: noon, State: "active", Consents: map[string]bool{}}, Source: events}
}

func pageOf(t interface{ Fatal(...any) }, f From, c *rights.Copy) string {
	var b bytes.Buffer
	if err := WriteCopy(&b, f, c, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// allowed are the elements that a page is made of.
var allowed = map[string]bool{"html": true, "head": true, "meta": true, "title": true, "style": true, "body": true, "h1": true, "h2": true, "h3": true, "p": true,
	"dl": true, "dt": true, "dd": true, "ul": true, "li": true, "div": true, "b": true, "code": true, "footer": true}

// inspect reads a page as a browser does: only the elements above, only the attributes that the texts have, and what is shown as text.
func inspect(t interface{ Errorf(string, ...any) }, doc string) (shown string) {
	root, err := html.Parse(strings.NewReader(doc))
	if err != nil {
		t.Errorf("%v", err)
		return ""
	}
	var b strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		switch n.Type {
		case html.ElementNode:
			if !allowed[n.Data] {
				t.Errorf("the page has an element %s", n.Data)
			}
			for _, a := range n.Attr {
				switch a.Key {
				case "lang", "charset", "http-equiv", "content", "name", "class":
				case "dir":
					if a.Val != "auto" {
						t.Errorf("dir is %q", a.Val)
					}
				default:
					t.Errorf("the page has an attribute %s", a.Key)
				}
			}
		case html.TextNode:
			if n.Parent.Data != "style" {
				b.WriteString(n.Data)
			}
		case html.CommentNode:
			t.Errorf("the page has a comment")
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(root)
	if !strings.HasSuffix(doc, "</html>\n") {
		t.Errorf("the page has no end")
	}
	return b.String()
}

// hostile are texts that somebody could type to make a page do or show what it should not, and how each is shown (empty: as it is).
var hostile = []struct{ text, shown string }{
	{`<script>alert(1)</script>`, ""},
	{`</div></body></html><script src=//evil.example/x.js></script>`, ""},
	{`"><img src=x onerror=alert(1)>`, ""},
	{`' onmouseover='alert(1)`, ""},
	{`<style>*{display:none}</style><!-- `, ""},
	{`]]>--><svg onload=alert(1)>`, ""},
	{`{{.}} {{define "head"}}x{{end}} ${x} <%= x %>`, ""},
	{`javascript:alert(1)`, ""},
	{"a\x00b", "a\ufffdb"},
	{"\x1b[31mred", "\ufffd[31mred"},
	{"invalid \xff\xfe", "invalid \ufffd\ufffd"},
	{"pay \u202eeno\u202c now", "pay [U+202E]eno[U+202C] now"},
	{"\u2066isolated\u2069", "[U+2066]isolated[U+2069]"},
	{"&lt;b&gt; &amp; &#x3c;", ""},
	{"Ça a coûté 12 € – déjà payé à Noël", ""},
	{"👩‍👩‍👧‍👦 🇫🇷 ❤️", ""},
	{"مرحبا، أين طلبي؟ שלום", ""},
	{"one\ntwo\r\n\tthree", "one\ntwo\n\tthree"},
}

// TestHostileText: whatever was said, and whatever others named, stands on the page as text.
func TestHostileText(t *testing.T) {
	for _, h := range hostile {
		want := h.shown
		if want == "" {
			want = h.text
		}
		e := message(h.text)
		doc := pageOf(t, From{Controller: h.text, Contact: h.text}, copyOf(sequence(e)))
		if shown := inspect(t, doc); !strings.Contains(strings.ReplaceAll(shown, "\r", ""), strings.ReplaceAll(want, "\r\n", "\n")) {
			t.Errorf("%q is not shown", h.text)
		}
	}
}

// TestAnyEvent: an event of any texts in any place leaves the page what it is.
func TestAnyEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := make([]string, len(hostile))
		for i, h := range hostile {
			texts[i] = h.text
		}
		text := func(name string) string { return rapid.OneOf(rapid.SampledFrom(texts), rapid.String()).Draw(t, name) }
		e := eventstore.Event{Type: eventstore.EventType(text("type")), Author: eventstore.Author(text("author")), Bot: eventstore.BotID(text("bot")), Conversation: eventstore.ConversationID(text("conversation")),
			Channel: text("channel"), Language: text("language"), Text: text("text"), Operator: text("operator"), Approver: text("approver"), Status: text("status"), BotVersion: text("version"),
			Intent: &eventstore.Intent{Name: text("intent")}, Slot: &eventstore.Slot{Name: text("slot"), Value: []byte(text("value"))}, Entities: []eventstore.Entity{{Type: text("entity"), Start: -3, End: 900}},
			Consent: &eventstore.Consent{Purpose: text("purpose"), Source: text("source")}, Disclosure: &eventstore.Disclosure{Recipient: text("recipient"), Categories: []string{text("category")}},
			Attachment: &eventstore.File{Name: text("file"), ContentType: text("content")}, Also: []eventstore.Identity{{Namespace: "web", ID: text("also")}}, Data: []byte(text("data"))}
		c := copyOf(sequence(e, message("the last")))
		c.About.Identities = []eventstore.Identity{{Namespace: "web", ID: text("handle")}}
		c.About.Consents = map[string]bool{text("consent"): true}
		doc := pageOf(t, From{Lang: phrases.French, Controller: text("controller")}, c)
		if shown := inspect(t, doc); !strings.Contains(shown, "the last") || !strings.Contains(shown, "2 événements") {
			t.Fatalf("the end is not shown")
		}
		if strings.ContainsAny(doc, "\x00\u202e\u2066") {
			t.Fatalf("a control character is on the page")
		}
	})
}

// TestPolicy: the page's one style sheet is the one that the policy allows, and nothing on the page could be fetched.
func TestPolicy(t *testing.T) {
	doc := pageOf(t, From{}, copyOf(sequence(message("hello"))))
	sheet := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(doc)
	sum := sha256.Sum256([]byte(sheet[1]))
	hash := base64.StdEncoding.EncodeToString(sum[:])
	if !strings.Contains(Policy, "'sha256-"+hash+"'") {
		t.Errorf("the policy does not allow the style sheet")
	}
	if !strings.Contains(html.UnescapeString(doc), `content="`+Policy+`"`) {
		t.Errorf("the policy is not on the page")
	}
	for _, bad := range []string{"url(", "@import", "http:", "src=", "href="} {
		if strings.Contains(doc, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
}

// TestLanguages: every phrase is in both languages, and a page is wholly in one.
func TestLanguages(t *testing.T) {
	for key, p := range words {
		if p.EN == "" || p.FR == "" || strings.Count(p.EN, "%") != strings.Count(p.FR, "%") {
			t.Errorf("the phrase %s is not in both languages alike", key)
		}
		if _, twice := phrases.Shared[key]; twice {
			t.Errorf("the phrase %s is there twice", key)
		}
	}
	e := eventstore.Event{Type: eventstore.TypeConsent, Author: eventstore.AuthorUser, Consent: &eventstore.Consent{Purpose: "storage", Granted: true}, Channel: "web"}
	for f, want := range map[From][]string{
		{Lang: phrases.English}: {`lang="en"`, "A copy of your data", "consent to storage: given", "2026-11-27 12:00:00 UTC", "(not named)"},
		{Lang: phrases.French, Controller: "Boutique Élan", Contact: "dpo@elan.example"}: {`lang="fr"`, "Copie de vos données", "consentement pour storage : donné", "27/11/2026 12:00:00 UTC", "Boutique Élan", "dpo@elan.example"},
	} {
		doc := pageOf(t, f, copyOf(sequence(e)))
		for _, w := range want {
			if !strings.Contains(doc, w) {
				t.Errorf("%s: %q is missing", f.Lang, w)
			}
		}
	}
}

// TestConversations: a heading stands wherever another conversation goes on, and events stand in their order.
func TestConversations(t *testing.T) {
	other := message("third")
	other.Conversation = "c-2"
	shown := inspect(t, pageOf(t, From{}, copyOf(sequence(message("first"), message("second"), other, message("fourth")))))
	at := -1
	for _, want := range []string{"Conversation c-1 (shop)", "first", "second", "Conversation c-2", "third", "Conversation c-1", "fourth"} {
		next := strings.Index(shown[at+1:], want)
		if next < 0 {
			t.Fatalf("%q does not stand behind what is before it", want)
		}
		at += 1 + next
	}
}

// TestCutOff: a page of events that break off has no end, whatever the form; a conversation of none is no page.
func TestCutOff(t *testing.T) {
	broken := func(yield func(eventstore.Recorded, error) bool) {
		for range 500 {
			yield(eventstore.Recorded{Event: message(strings.Repeat("x", 200))}, nil)
		}
		yield(eventstore.Recorded{}, eventstore.ErrErased)
	}
	var b bytes.Buffer
	if err := WriteCopy(&b, From{}, copyOf(broken), nil); !errors.Is(err, eventstore.ErrErased) || strings.Contains(b.String(), "</html>") || b.Len() == 0 {
		t.Errorf("%v after %d bytes", err, b.Len())
	}
	b.Reset()
	if _, err := WriteConversation(&b, From{}, noon, broken); !errors.Is(err, eventstore.ErrErased) || strings.Contains(b.String(), "</html>") {
		t.Errorf("%v", err)
	}
	b.Reset()
	if n, err := WriteConversation(&b, From{}, noon, sequence()); n != 0 || err != nil || b.Len() != 0 {
		t.Errorf("%d events, %v, %d bytes", n, err, b.Len())
	}
}

// TestBounded: the memory for a page does not grow with its events.
func TestBounded(t *testing.T) {
	many := func(yield func(eventstore.Recorded, error) bool) {
		e := message(strings.Repeat("é", 500))
		for i := range 10_000 {
			if !yield(eventstore.Recorded{Sequence: uint64(i), Event: e}, nil) {
				return
			}
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	if err := WriteCopy(io.Discard, From{}, copyOf(many), nil); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.HeapSys > before.HeapSys+16<<20 {
		t.Errorf("the heap grew by %d MiB", (after.HeapSys-before.HeapSys)>>20)
	}
}
