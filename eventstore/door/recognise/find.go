package recognise

import (
	"strings"
	"sync"
)

// Finder looks for some kinds of things. It is safe for concurrent use.
type Finder struct {
	kinds   Set
	regions []region
}

// New makes a finder. regions are the countries (ISO 3166-1, upper case) whose national phone numbers are recognised; international ones always are.
func New(kinds Set, regions ...string) *Finder {
	f := &Finder{kinds: kinds}
	for _, code := range regions {
		f.regions = append(f.regions, newRegion(code))
	}
	return f
}

var buffers = sync.Pool{New: func() any { return new(folded) }}

// Find gives what stands in a text, in order, without overlaps: the first that begins, of those the first kind that fits.
func (f *Finder) Find(text string) (out []Span) {
	if f.kinds == 0 || !mayHold(text) {
		return nil
	}
	b := buffers.Get().(*folded)
	defer buffers.Put(b)
	fold(text, b)
	for i := 0; i < len(b.text); {
		k, from, to := f.begin(b.text, i)
		if to <= i {
			i++
			continue
		}
		if n := len(out); n > 0 && b.at[from] < out[n-1].End { // an address whose name reaches into what stands before it
			from = i
		}
		out = append(out, b.span(k, from, to))
		i = to
	}
	return out
}

// mayHold says whether a text can hold anything at all: every kind has a digit, an @ or two colons, or what folds to them.
func mayHold(text string) bool {
	for i := range len(text) {
		if c := text[i]; isDigit(c) || c == '@' || c >= 0x80 {
			return true
		}
	}
	return strings.Contains(text, "::")
}

// begin finds what begins at i; to is 0 if nothing does. Only an e-mail address is met at its @, and begins before it.
func (f *Finder) begin(t []byte, i int) (k Kind, from, to int) {
	c := t[i]
	if c == '@' && f.kinds.Has(Email) {
		if from, to := email(t, i); to > 0 {
			return Email, from, to
		}
		return 0, 0, 0
	}
	if !isDigit(c) && c != '+' && c != '(' && c != ':' && !isLetter(c) || i > 0 && isWord(t[i-1]) {
		return 0, 0, 0
	}
	for _, try := range tries {
		if !f.kinds.Has(try.kind) {
			continue
		}
		if to := try.end(f, t, i); to > 0 {
			return try.kind, i, to
		}
	}
	return 0, 0, 0
}

// tries are the recognisers of what has a fixed beginning; end gives where it ends, 0 if it is not there.
var tries = []struct {
	kind Kind
	end  func(f *Finder, t []byte, i int) int
}{
	{IBAN, func(_ *Finder, t []byte, i int) int { return iban(t, i) }},
	{NIR, func(_ *Finder, t []byte, i int) int { return nir(t, i) }},
	{Card, func(_ *Finder, t []byte, i int) int { return card(t, i) }},
	{SIRET, func(_ *Finder, t []byte, i int) int { return siret(t, i) }},
	{IP, func(_ *Finder, t []byte, i int) int { return ip(t, i) }},
	{Phone, (*Finder).phone},
}
