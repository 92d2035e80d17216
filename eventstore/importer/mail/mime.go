package mail

import (
	"bytes"
	"strings"

	"github.com/oubli-store/oubli/eventstore/importer/record"
)

// Limits of a mail's structure.
const (
	maxNesting = 16
	maxParts   = 1000
	maxListed  = 64
)

// file is an attachment as it is kept: neither its name nor its bytes.
type file struct {
	Type  string `json:"type"`
	Bytes int    `json:"bytes"`
}

// body gathers what a mail holds.
type body struct {
	parts int
	files []file
	count int // of all attachments
	cut   map[record.Kind]bool
}

// texts are the readable forms of a part.
type texts struct{ plain, html string }

// best is the text of a part: the plain one if it says anything.
func (t texts) best() string {
	if strings.TrimSpace(t.plain) != "" || t.html == "" {
		return t.plain
	}
	return plain(t.html)
}

// walk reads a part and those within it.
func (b *body) walk(h header, raw []byte, depth int) texts {
	if b.parts++; b.parts > maxParts || depth > maxNesting {
		b.cut[KindParts] = true
		return texts{}
	}
	if h.broken {
		b.cut[KindHeader] = true
	}
	kind, params := h.kind()
	if strings.HasPrefix(kind, "multipart/") {
		parts := sections(raw, params["boundary"])
		if parts == nil { // no boundary, or one that never comes
			b.cut[KindMIME] = true
			return b.leaf(h, "text/plain", nil, raw)
		}
		return b.combine(kind, parts, depth)
	}
	return b.leaf(h, kind, params, raw)
}

// combine joins the texts of the parts of a multipart.
func (b *body) combine(kind string, parts [][]byte, depth int) (t texts) {
	var all []string
	for _, p := range parts {
		h, raw := split(p)
		in := b.walk(h, raw, depth+1)
		if kind == "multipart/alternative" { // the same in several forms
			if strings.TrimSpace(t.plain) == "" {
				t.plain = in.plain
			}
			if strings.TrimSpace(t.html) == "" {
				t.html = in.html
			}
			continue
		}
		if kind == "multipart/related" && in.plain == "" && t.html == "" {
			t.html = in.html
			continue
		}
		if v := strings.Trim(in.best(), "\n"); strings.TrimSpace(v) != "" {
			all = append(all, v)
		}
	}
	if len(all) > 0 {
		if t.html != "" {
			all = append([]string{plain(t.html)}, all...)
		}
		return texts{plain: strings.Join(all, "\n\n")}
	}
	return t
}

// leaf reads a part that has none within it.
func (b *body) leaf(h header, kind string, params map[string]string, raw []byte) texts {
	raw, broken := transfer(h.get("Content-Transfer-Encoding"), raw)
	if broken {
		b.cut[KindEncoding] = true
	}
	disposition, _, _ := strings.Cut(h.get("Content-Disposition"), ";")
	attached := strings.EqualFold(strings.TrimSpace(disposition), "attachment")
	if attached || kind != "text/plain" && kind != "text/html" {
		if len(bytes.TrimSpace(raw)) == 0 && !attached {
			return texts{}
		}
		if b.count++; len(b.files) < maxListed {
			b.files = append(b.files, file{kind, len(raw)})
		}
		return texts{}
	}
	text, guessed := decode(params["charset"], raw)
	if guessed {
		b.cut[KindCharset] = true
	}
	if kind == "text/html" {
		return texts{html: text}
	}
	if strings.EqualFold(params["format"], "flowed") {
		text = unflow(text, strings.EqualFold(params["delsp"], "yes"))
	}
	return texts{plain: text}
}

// sections cuts the body of a multipart; nil if the boundary never comes. The last one may lack its end.
func sections(raw []byte, boundary string) (out [][]byte) {
	if boundary == "" {
		return nil
	}
	mark, closing := []byte("--"+boundary), []byte("--"+boundary+"--")
	start := -1
	for at := 0; at < len(raw); {
		end := bytes.IndexByte(raw[at:], '\n') + at + 1
		if end == at {
			end = len(raw)
		}
		line := bytes.TrimRight(raw[at:end], " \t\r\n")
		if last := bytes.Equal(line, closing); last || bytes.Equal(line, mark) {
			if start >= 0 {
				out = append(out, raw[start:max(start, at)])
			}
			if start = end; last {
				return notNil(out)
			}
		}
		at = end
	}
	if start >= 0 && len(bytes.TrimSpace(raw[start:])) > 0 {
		out = append(out, raw[start:])
	} else if start < 0 {
		return nil
	}
	return notNil(out)
}

func notNil(out [][]byte) [][]byte {
	if out == nil {
		return [][]byte{}
	}
	return out
}

// unflow joins the lines of format=flowed (RFC 3676): those that end in a space go on in the next of the same quotation.
func unflow(text string, delete bool) string {
	var out strings.Builder
	open, depth := false, -1
	for line := range strings.SplitSeq(text, "\n") {
		rest := strings.TrimLeft(line, ">")
		quotes := len(line) - len(rest)
		rest = strings.TrimPrefix(rest, " ")
		signature := rest == "-- "
		if !open || quotes != depth || signature {
			if depth >= 0 {
				out.WriteByte('\n')
			}
			if quotes > 0 {
				out.WriteString(strings.Repeat(">", quotes) + " ")
			}
		}
		depth = quotes
		if open = strings.HasSuffix(rest, " ") && !signature; open && delete {
			rest = strings.TrimSuffix(rest, " ")
		}
		out.WriteString(rest)
	}
	return out.String()
}
