package pages

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain makes a stored text fit for a page: valid UTF-8 without control characters, and without characters that turn the direction of what follows. The joiners
// that emoji and several scripts need stay. What stands for markup is html/template's to escape.
func plain(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, strange) {
		return s
	}
	var b strings.Builder
	for _, r := range strings.ReplaceAll(s, "\r\n", "\n") {
		switch {
		case !strange(r):
			b.WriteRune(r)
		case unicode.IsControl(r):
			b.WriteRune(utf8.RuneError)
		default:
			fmt.Fprintf(&b, "[U+%04X]", r)
		}
	}
	return b.String()
}

// strange says that a character has no business in a text: controls but tab and line feed, embeddings, overrides and isolates of the bidirectional
// algorithm, invisible tags, and what is no character.
func strange(r rune) bool {
	switch {
	case r == '\t' || r == '\n':
		return false
	case unicode.IsControl(r):
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x2028, r == 0x2029, r == 0xfeff:
		return true
	case r == 0xfffe, r == 0xffff:
		return true
	}
	return false
}

// line is plain for what stands in one line.
func line(s string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(plain(s))
}
