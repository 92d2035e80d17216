package mail

import (
	"bytes"
	"mime"
	netmail "net/mail"
	"regexp"
	"strings"
	"time"

	"github.com/emersion/go-message/charset"
)

// Limits of a header.
const (
	maxHeader = 256 << 10
	maxFields = 1000
)

// header is a header's fields, by lower-case name, in their order.
type header struct {
	fields map[string][]string
	broken bool // a line of it was not as it should be
}

var (
	fieldName = regexp.MustCompile(`^([!-9;-~]{1,100})[ \t]*:`)
	parameter = regexp.MustCompile(`^[A-Za-z0-9*._-]+=`)
)

// split cuts a part into header and body. It forgives what mails do: a folded line that does not begin with a space, bytes that are
// not ASCII, a missing empty line in front of the body.
func split(raw []byte) (header, []byte) {
	h := header{fields: map[string][]string{}}
	name, value, size, count := "", []byte(nil), 0, 0
	keep := func() {
		if name != "" {
			h.fields[name] = append(h.fields[name], clean(utf8Text(value)))
		}
	}
	for len(raw) > 0 {
		line, rest, _ := bytes.Cut(raw, []byte("\n"))
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 {
			keep()
			return h, rest
		}
		folded := line[0] == ' ' || line[0] == '\t'
		field := fieldName.FindSubmatch(line)
		switch {
		case folded || field == nil && parameter.Match(line):
			h.broken = h.broken || !folded || name == ""
			if size < maxHeader {
				value = append(append(value, ' '), bytes.TrimSpace(line)...)
			}
		case field == nil:
			h.broken = true
			keep()
			return h, raw // the body, without an empty line before it
		default:
			keep()
			name, value = strings.ToLower(string(field[1])), bytes.TrimSpace(bytes.Clone(line[len(field[0]):]))
			if count++; count > maxFields || size >= maxHeader {
				h.broken, name = true, ""
			}
		}
		size += len(line)
		raw = rest
	}
	keep()
	return h, nil
}

// get is the first value of a field.
func (h header) get(name string) string {
	if v := h.fields[strings.ToLower(name)]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// text is a value with its encoded words decoded.
func (h header) text(name string) string {
	words := mime.WordDecoder{CharsetReader: charset.Reader}
	v := h.get(name)
	if decoded, err := words.DecodeHeader(v); err == nil {
		v = decoded
	}
	return clean(v)
}

// kind is the media type and its parameters; text/plain when there is none, application/octet-stream when it cannot be read.
func (h header) kind() (string, map[string]string) {
	v := h.get("Content-Type")
	if v == "" {
		return "text/plain", nil
	}
	kind, params, err := mime.ParseMediaType(v)
	if kind == "" || err != nil && params == nil {
		kind, params = loose(v)
	}
	if !mediaType.MatchString(kind) {
		return "application/octet-stream", params
	}
	return kind, params
}

var (
	mediaType = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,80}$`)
	pair      = regexp.MustCompile(`;\s*([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^;\s"]*))`)
)

// loose reads a media type whose parameters are broken.
func loose(v string) (string, map[string]string) {
	kind, _, _ := strings.Cut(v, ";")
	params := map[string]string{}
	for _, m := range pair.FindAllStringSubmatch(v, 16) {
		if name := strings.ToLower(m[1]); params[name] == "" {
			params[name] = m[2] + m[3]
		}
	}
	return strings.ToLower(strings.TrimSpace(kind)), params
}

var (
	angle   = regexp.MustCompile(`<\s*([^<>\s]{1,254})\s*>`)
	address = regexp.MustCompile(`[^\s<>,;:"()\[\]]{1,64}@[^\s<>,;:"()\[\]]{1,189}`)
	comment = regexp.MustCompile(`\([^()]*\)`)
	ids     = regexp.MustCompile(`<([^<>\s]{1,998})>`)
)

// addresses finds the addresses of a field, in lower case.
func (h header) addresses(name string) (out []string) {
	for _, v := range h.fields[strings.ToLower(name)] {
		if list, err := netmail.ParseAddressList(v); err == nil {
			for _, a := range list {
				out = append(out, strings.ToLower(a.Address))
			}
			continue
		}
		found := angle.FindAllStringSubmatch(v, maxFields)
		for _, m := range found {
			if address.MatchString(m[1]) {
				out = append(out, strings.ToLower(m[1]))
			}
		}
		if len(out) == 0 {
			for _, m := range address.FindAllString(v, maxFields) {
				out = append(out, strings.ToLower(m))
			}
		}
	}
	return out
}

// id is the first message id of a field.
func (h header) id(name string) string {
	v := h.get(name)
	if m := ids.FindStringSubmatch(v); m != nil {
		return m[1]
	}
	if v = strings.TrimSpace(v); name == "Message-ID" && v != "" && !strings.ContainsAny(v, " \t<>") {
		return v // without its angle brackets
	}
	return ""
}

// date is when the mail was sent, or when it was received first; zero if nothing can be read.
func (h header) date() time.Time {
	values := []string{h.get("Date")}
	for i := len(h.fields["received"]) - 1; i >= 0; i-- {
		v := h.fields["received"][i]
		values = append(values, v[strings.LastIndex(v, ";")+1:])
	}
	for _, v := range values {
		v = strings.TrimSpace(comment.ReplaceAllString(v, ""))
		t, err := netmail.ParseDate(v)
		for _, layout := range []string{time.ANSIC, time.UnixDate, time.RFC3339, "2006-01-02 15:04:05 -0700"} {
			if err == nil {
				break
			}
			t, err = time.Parse(layout, v)
		}
		if t = t.UTC(); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			return t
		}
	}
	return time.Time{}
}
