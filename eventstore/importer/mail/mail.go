// Package mail reads e-mail: one message (RFC 5322, MIME), or an mbox of many.
//
// # Mapping
//
//	From                           the identity, under "email"; Reply-To, Sender and display names are not read
//	From an own address            author bot (Options.Own) or operator (Options.Staff); the identity is the first in To, Cc, Bcc
//	                               that is neither, and who else got it is only counted (data.recipients)
//	References, In-Reply-To,
//	Message-ID                     the conversation: the first id found in this order, so that all of a thread have that of its root
//	Date                           the time; without one that can be read, the first Received
//	Content-Language               the language
//	Subject                        data.subject, at most 1 KiB
//	Auto-Submitted                 data.automatic: true, unless it says "no"
//	Options.StatusHeader,
//	Options.ApproverHeader         status (draft or sent) and approver; of own mails only, as anyone can send a header
//	the body                       the text, what others wrote cut off: see below
//	attachments                    data.attachments: type and size in bytes of the first 64, data.attachments_count if there are more
//	all other headers              not kept
//
// The channel is "email". Without a From that is an address there is no identity. An address that no mailbox on the internet has
// (user@localhost) is under the namespace "mail". Attachments themselves are not stored: there is no store for them yet. Their names
// are not kept, as names of files often name persons.
//
// # Text
//
// The parts of type text/plain, otherwise those of type text/html as plain text: what is visible, a line for each block, without
// addresses of links and pictures. Parts of a multipart/mixed follow each other. Quotations are cut off and their lines counted in
// data.quoted_lines: lines marked ">" where they stand; behind "Le … a écrit :" and "On … wrote:" all that follows, unless it is
// marked; all behind "-----Message d'origine-----", "Forwarded message" and the like, and behind a block of headers (De, Envoyé, À,
// Objet; From, Sent, To, Subject). A signature (behind "-- ", or "Envoyé de mon …", "Sent from my …" as the last line) is cut off
// and its lines counted in data.signature_lines. This goes by form: a quotation without any mark stays.
//
// # Broken mail
//
// What can be read is read, and what was broken is counted under [record.Counts].Cut: header (a folded line without its space, no
// empty line before the body), charset (unknown or not kept to: UTF-8 if it can be, otherwise Windows-1252), encoding (base64 or
// quoted-printable with other characters in it), mime (a multipart whose boundary is missing or never comes: its body is read as
// text), parts (more than 1,000, or nested more than 16 deep). Refused, with their first line, are mails of more than 32 MiB and
// what does not begin with a header of a mail.
//
// In an mbox, a mail begins with a line "From …" that has a day and a time, behind an empty line; ">From " in a text loses its mark.
//
// # Idempotency keys
//
// A hash of Message-ID, date, sender, body and attachments' types and sizes: a Message-ID that is used for two mails keeps both, and
// the same mail in two folders is stored once. Mails with neither Message-ID nor date are numbered where they repeat. Other options
// for the same mail are another event under the same key, which is refused as a conflict.
package mail

import (
	"encoding/json"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

// Name is the format's name.
const Name = "mail"

// What is cut off or was broken, by kind.
const (
	KindQuote     record.Kind = "quote"
	KindSignature record.Kind = "signature"
	KindHeader    record.Kind = "header"
	KindCharset   record.Kind = "charset"
	KindEncoding  record.Kind = "encoding"
	KindMIME      record.Kind = "mime"
	KindParts     record.Kind = "parts"
)

const maxSubject = 1 << 10

var errNoMail = eventstore.Refuse(eventstore.KindInvalid, "", "this is not a mail: it does not begin with the header of one")

// Read is the [record.Format] of mail.
func Read(r io.Reader, o record.Options, counts *record.Counts) iter.Seq2[record.Item, error] {
	if counts == nil {
		counts = new(record.Counts)
	}
	return func(yield func(record.Item, error) bool) {
		im := &importer{sink: record.NewSink(o, counts, yield), options: o, authors: map[string]eventstore.Author{}}
		for _, a := range o.Staff {
			im.authors[strings.ToLower(a)] = eventstore.AuthorOperator
		}
		for _, a := range o.Own {
			im.authors[strings.ToLower(a)] = eventstore.AuthorBot
		}
		in := newBox(r)
		for {
			raw, at, err := in.mail()
			if err == io.EOF {
				return
			}
			counts.Documents = at.Document
			if err != nil {
				if !im.sink.Problem(err, at) || in.failed {
					return
				}
				continue
			}
			if !im.mail(raw, at) {
				return
			}
		}
	}
}

type importer struct {
	sink    *record.Sink
	options record.Options
	authors map[string]eventstore.Author
	repeats record.Repeats
}

// content is an event's data.
type content struct {
	Subject     string `json:"subject,omitempty"`
	Quoted      int    `json:"quoted_lines,omitempty"`
	Signature   int    `json:"signature_lines,omitempty"`
	Attachments []file `json:"attachments,omitempty"`
	Count       int    `json:"attachments_count,omitempty"`
	Recipients  int    `json:"recipients,omitempty"`
	Automatic   bool   `json:"automatic,omitempty"`
}

// mail maps one mail.
func (im *importer) mail(raw []byte, at record.Position) bool {
	h, rest := split(raw)
	if !isMail(h) {
		return im.sink.Problem(errNoMail, at)
	}
	b := &body{cut: map[record.Kind]bool{}}
	text := b.walk(h, rest, 0).best()
	o := cut(text)
	c := content{Subject: record.Clip(h.text("Subject"), maxSubject), Quoted: o.quoted, Signature: o.signature, Attachments: b.files}
	if b.count > len(b.files) {
		c.Count = b.count
	}
	if v := h.get("Auto-Submitted"); v != "" && !strings.EqualFold(v, "no") {
		c.Automatic = true
	}
	ev := eventstore.Event{Type: eventstore.TypeMessage, Time: h.date(), Channel: "email", Text: o.text,
		Language: record.Language(first(h.get("Content-Language")))}
	im.who(h, &ev, &c)
	ev.Key = im.key(h, text, b)
	ev.Conversation = im.thread(h, ev.Key)
	if c.Subject == "" && ev.Text == "" && c.Quoted == 0 && b.count == 0 {
		return im.sink.Skip(record.KindEmpty)
	}
	ev.Data, _ = json.Marshal(c)
	if string(ev.Data) == "{}" {
		ev.Data = nil
	}
	for k, there := range map[record.Kind]bool{KindQuote: o.quoted > 0, KindSignature: o.signature > 0} {
		if there {
			im.sink.Cut(k)
		}
	}
	for k := range b.cut {
		im.sink.Cut(k)
	}
	return im.sink.Event(ev, at)
}

// isMail reports whether a header has a field that each mail, or part of one, has.
func isMail(h header) bool {
	for _, name := range []string{"From", "Date", "To", "Subject", "Message-ID", "Received", "Return-Path", "MIME-Version", "Content-Type"} {
		if h.get(name) != "" {
			return true
		}
	}
	return false
}

// who sets the author and the person.
func (im *importer) who(h header, ev *eventstore.Event, c *content) {
	ev.Author = eventstore.AuthorUser
	from := h.addresses("From")
	if len(from) == 0 {
		return
	}
	author, ours := im.authors[from[0]]
	if !ours {
		ev.Identity = record.Handle(Name, from[0])
		return
	}
	ev.Author = author
	others := map[string]bool{}
	for _, field := range []string{"To", "Cc", "Bcc"} {
		for _, a := range h.addresses(field) {
			if _, ours := im.authors[a]; ours {
				continue
			}
			if others[a] = true; ev.Identity == nil {
				ev.Identity = record.Handle(Name, a)
			}
		}
	}
	if len(others) > 1 {
		c.Recipients = len(others)
	}
	if name := im.options.StatusHeader; name != "" {
		if v := strings.ToLower(h.text(name)); v == "draft" || v == "sent" {
			ev.Status = v
		}
	}
	if name := im.options.ApproverHeader; name != "" {
		ev.Approver = record.Clip(h.text(name), eventstore.MaxName)
	}
}

// thread is the id that all mails of a thread share.
func (im *importer) thread(h header, key string) eventstore.ConversationID {
	for _, field := range []string{"References", "In-Reply-To", "Message-ID"} {
		if id := clean(h.id(field)); id != "" {
			return eventstore.ConversationID(id)
		}
	}
	if im.options.Conversation != "" {
		return im.options.Conversation
	}
	return eventstore.ConversationID("mail-" + strings.TrimPrefix(key, "mail:"))
}

// key is the mail's idempotency key.
func (im *importer) key(h header, text string, b *body) string {
	id, when, files := h.id("Message-ID"), "", strconv.Itoa(b.count)
	if t := h.date(); !t.IsZero() {
		when = t.Format(time.RFC3339Nano)
	}
	for _, f := range b.files {
		files += " " + f.Type + " " + strconv.Itoa(f.Bytes)
	}
	key := "mail:" + record.Digest(id, when, h.get("From"), text, files)
	if id == "" && when == "" {
		return im.repeats.Distinct(key)
	}
	return key
}

// first is the first of a list with commas.
func first(v string) string {
	v, _, _ = strings.Cut(v, ",")
	return strings.TrimSpace(v)
}
