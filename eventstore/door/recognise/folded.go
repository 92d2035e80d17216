package recognise

import (
	"unicode"
	"unicode/utf8"
)

// folded is a text in which what looks alike is alike: decimal digits are ASCII, every space is ' ', every hyphen '-', and what is not seen is gone. Letters that are
// not ASCII are kept as 'é', which stands for any.
type folded struct {
	// text holds one byte a character; at says where in the original each begins, and, behind the last, where the original ends.
	text []byte
	at   []int
}

// letter stands for a letter or mark that is not ASCII, other for anything else that is not.
const (
	letter = 0x80
	other  = 0x81
)

// fold reads a text. For ASCII, which most texts are, the original serves as it is.
func fold(s string, f *folded) {
	f.text, f.at = f.text[:0], f.at[:0]
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '\t' || c == '\n' || c == '\r':
				c = ' '
			case c < ' ' || c == 0x7f:
				i++
				continue
			}
			f.text, f.at = append(f.text, c), append(f.at, i)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if c, seen := look(r); seen {
			f.text, f.at = append(f.text, c), append(f.at, i)
		}
		i += size
	}
	f.at = append(f.at, len(s))
}

// look is what a character that is not ASCII looks like.
func look(r rune) (c byte, seen bool) {
	switch {
	case r >= 0xff01 && r <= 0xff5e: // full width forms
		return byte(r - 0xff01 + '!'), true
	case unicode.Is(unicode.Nd, r):
		return digit(r), true
	case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Cc, r), unicode.Is(unicode.Variation_Selector, r):
		return 0, false
	case unicode.IsSpace(r):
		return ' ', true
	case unicode.Is(unicode.Pd, r), r == 0x2212, r == 0xb7, r == 0x2022: // dashes, minus, middle dot, bullet
		return '-', true
	case unicode.IsLetter(r), unicode.IsMark(r):
		return letter, true
	}
	return other, true
}

// digit is the ASCII digit of a decimal digit: Unicode has them in runs of ten that begin with zero.
func digit(r rune) byte {
	for _, t := range unicode.Nd.R16 {
		if r >= rune(t.Lo) && r <= rune(t.Hi) {
			return byte('0' + (r-rune(t.Lo))%10)
		}
	}
	for _, t := range unicode.Nd.R32 {
		if r >= rune(t.Lo) && r <= rune(t.Hi) {
			return byte('0' + (r-rune(t.Lo))%10)
		}
	}
	return other
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c == letter || c|0x20 >= 'a' && c|0x20 <= 'z' }

func isWord(c byte) bool { return isDigit(c) || isLetter(c) || c == '_' }

// span gives the place in the original of f.text[from:to], with what is not seen behind its last character.
func (f *folded) span(k Kind, from, to int) Span { return Span{k, f.at[from], f.at[to]} }
