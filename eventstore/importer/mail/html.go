package mail

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// hidden are elements whose content nobody reads.
var hidden = map[atom.Atom]bool{atom.Script: true, atom.Style: true, atom.Title: true, atom.Template: true, atom.Noscript: true,
	atom.Iframe: true, atom.Object: true, atom.Svg: true, atom.Select: true, atom.Textarea: true}

// blocks begin and end a line.
var blocks = map[atom.Atom]bool{atom.P: true, atom.Div: true, atom.Tr: true, atom.Table: true, atom.Ul: true, atom.Ol: true,
	atom.Li: true, atom.H1: true, atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true, atom.Pre: true,
	atom.Section: true, atom.Article: true, atom.Header: true, atom.Footer: true, atom.Address: true, atom.Hr: true,
	atom.Blockquote: true, atom.Dl: true, atom.Dt: true, atom.Dd: true, atom.Body: true}

// writer lays text out in lines.
type writer struct {
	out    strings.Builder
	line   strings.Builder
	quotes int // how many quotations stand open
	space  bool
	blank  int
}

// plain turns HTML into text: what is visible, in its order, a line for each block. Nothing is fetched, no address of a link or
// of a picture is kept. Quotations get ">" in front of their lines, as in a mail of plain text.
func plain(source string) string {
	var w writer
	z := html.NewTokenizer(strings.NewReader(source))
	var skip atom.Atom // the hidden element that is open
	depth := 0         // how many of its kind are nested in it
	for {
		switch kind := z.Next(); kind {
		case html.ErrorToken:
			w.end()
			return strings.Trim(w.out.String(), "\n")
		case html.TextToken:
			if skip == 0 {
				w.text(string(z.Text()))
			}
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			name, _ := z.TagName()
			tag := atom.Lookup(name)
			switch {
			case skip != 0:
				switch {
				case tag == skip && kind == html.StartTagToken:
					depth++
				case tag == skip && kind == html.EndTagToken:
					if depth--; depth == 0 {
						skip = 0
					}
				}
			case hidden[tag] && kind == html.StartTagToken:
				skip, depth = tag, 1
			default:
				w.tag(tag, kind)
			}
		}
	}
}

func (w *writer) tag(tag atom.Atom, kind html.TokenType) {
	switch {
	case tag == atom.Br:
		w.end()
	case tag == atom.Td || tag == atom.Th:
		w.space = true
	case blocks[tag]:
		if w.line.Len() > 0 {
			w.end()
		}
	}
	switch {
	case tag == atom.Blockquote && kind == html.StartTagToken:
		w.quotes++
	case tag == atom.Blockquote && kind == html.EndTagToken:
		w.quotes = max(w.quotes-1, 0)
	case tag == atom.Li && kind == html.StartTagToken:
		w.line.WriteString("-")
		w.space = true
	case tag == atom.P && kind == html.EndTagToken:
		w.end()
	}
}

// text adds words, spaces collapsed.
func (w *writer) text(v string) {
	for _, r := range v {
		switch r {
		case ' ', '\t', '\n', '\r', '\f':
			w.space = true
			continue
		}
		if w.space && w.line.Len() > 0 {
			w.line.WriteByte(' ')
		}
		w.space = false
		w.line.WriteRune(r)
	}
}

// end ends a line; of empty ones at most one is kept.
func (w *writer) end() {
	line := strings.TrimRight(w.line.String(), " \u00a0")
	w.line.Reset()
	w.space = false
	if line == "" {
		if w.blank++; w.blank > 1 {
			return
		}
	} else {
		w.blank = 0
	}
	for range min(w.quotes, 8) {
		w.out.WriteByte('>')
	}
	if w.quotes > 0 && line != "" {
		w.out.WriteByte(' ')
	}
	w.out.WriteString(line)
	w.out.WriteByte('\n')
}
