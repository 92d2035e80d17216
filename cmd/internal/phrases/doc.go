// Package phrases holds the words that the commands and the printable pages share, in English and French, so that both say the same: states, reasons, the
// stages of an erasure, what a certificate says was destroyed and is left, and what happened in a conversation.
//
// A phrase is the program's own text. What it is filled with may be anything that was stored: whoever shows it makes it harmless for where it is shown.
package phrases

import "fmt"

// Lang is a language of the phrases. Any other than French is English.
type Lang string

// The languages.
const (
	English Lang = "en"
	French  Lang = "fr"
)

// Phrase is one text in both languages. Without FR it is the same in both.
type Phrase struct{ EN, FR string }

// In is the text in a language.
func (p Phrase) In(l Lang) string {
	if l == French && p.FR != "" {
		return p.FR
	}
	return p.EN
}

// Say gives a phrase of [Shared]; args fill its verbs. It panics for a key that is not there.
func (l Lang) Say(key string, args ...any) string {
	p, ok := Shared[key]
	if !ok {
		panic("phrases: no phrase " + key)
	}
	if len(args) == 0 {
		return p.In(l)
	}
	return fmt.Sprintf(p.In(l), args...)
}

// Code gives the phrase of a code, such as reason_ and other; a code that is not known stays as it is.
func (l Lang) Code(prefix, code string) string {
	if p, known := Shared[prefix+code]; known {
		return p.In(l)
	}
	return code
}
