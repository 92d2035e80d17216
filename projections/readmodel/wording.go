package readmodel

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxWording bounds a normalised wording, in bytes; a longer one counts as [Other], as many persons never write the same long text.
const MaxWording = 200

// maxWritten is how much of a text is looked at: what is longer does not become a wording that is short enough.
const maxWritten = 4 * MaxWording

// Normalise is what a text is called as a wording, so that texts that differ in nothing that matters are one: compatibility forms composed (NFKC), in
// lower case, punctuation and symbols at the ends left out and white space made one space. Runs of digits become one #, as numbers differ from person to person and
// may name one. A text with nothing left is [None].
func Normalise(text string) string {
	if len(text) > maxWritten || !utf8.ValidString(text) {
		return Other
	}
	var b strings.Builder
	space, digits := false, false
	for _, r := range strings.ToLower(norm.NFKC.String(text)) {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			space = true
			continue
		case space && b.Len() > 0:
			b.WriteByte(' ')
			digits = false
		}
		space = false
		if unicode.IsDigit(r) {
			if !digits {
				b.WriteByte('#')
			}
			digits = true
			continue
		}
		digits = false
		b.WriteRune(r)
	}
	out := strings.TrimFunc(b.String(), func(r rune) bool {
		return unicode.IsSpace(r) || r != '#' && (unicode.IsPunct(r) || unicode.IsSymbol(r))
	})
	switch {
	case out == "":
		return None
	case len(out) > MaxWording:
		return Other
	}
	return out
}
