package readmodel_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/projections/readmodel"
)

func TestNormalise(t *testing.T) {
	for in, want := range map[string]string{
		"Où est ma commande A17 ?": "où est ma commande a#", "  OÙ  est\nma commande a 990\u200b!!": "où est ma commande a #",
		"ou\u0302t": "oût", "« Bonjour »": "bonjour", "ﬁn…": "fin", "": readmodel.None, "?!": readmodel.None, "👍": readmodel.None,
		"06 12 34 56 78": "# # # # #", "(other)": "other", "c'est-à-dire": "c'est-à-dire", "\xff": readmodel.Other,
		strings.Repeat("a", readmodel.MaxWording+1): readmodel.Other, strings.Repeat(" ", 10*readmodel.MaxWording) + "a": readmodel.Other,
	} {
		if got := readmodel.Normalise(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// TestNormaliseAgain: a wording is its own wording, and cannot be mistaken for a reserved value.
func TestNormaliseAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		once := readmodel.Normalise(rapid.String().Draw(t, "text"))
		if once == readmodel.None || once == readmodel.Other {
			return
		}
		if again := readmodel.Normalise(once); again != once {
			t.Fatalf("%q becomes %q", once, again)
		}
		if once == "" || strings.HasPrefix(once, "(") {
			t.Fatalf("%q", once)
		}
	})
}
