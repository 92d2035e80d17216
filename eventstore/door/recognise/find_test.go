package recognise

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestFind(t *testing.T) {
	f := New(All, "FR", "US")
	for text, want := range map[string]string{
		"Écrivez à alice@example.com, merci.":            "email:alice@example.com",
		"(Bob.O'Neil+tag@mail.example.co.uk)":            "email:Bob.O'Neil+tag@mail.example.co.uk",
		"hélène@société.fr!":                             "email:hélène@société.fr",
		"voici: ａｌｉｃｅ＠ｅｘａｍｐｌｅ．ｃｏｍ":                       "email:ａｌｉｃｅ＠ｅｘａｍｐｌｅ．ｃｏｍ",
		"alice@exam\u200bple.com":                        "email:alice@exam\u200bple.com",
		"appelez le 06 12 34 56 78 ou le 01.23.45.67.89": "phone:06 12 34 56 78|phone:01.23.45.67.89",
		"06\u202f12\u202f34\u202f56\u202f78":             "phone:06\u202f12\u202f34\u202f56\u202f78",
		"0612345678 75001 Paris":                         "phone:0612345678",
		"06 12 34 56 78 75001 Paris":                     "phone:06 12 34 56 78",
		"+33 (0)6 12 34 56 78":                           "phone:+33 (0)6 12 34 56 78",
		"0033 6 12 34 56 78":                             "phone:0033 6 12 34 56 78",
		"call 925-754-3900 or (415) 555-2671 today":      "phone:925-754-3900|phone:(415) 555-2671",
		"call +44 20 7946 0958":                          "phone:+44 20 7946 0958",
		"٠٦ ١٢ ٣٤ ٥٦ ٧٨":                                 "phone:٠٦ ١٢ ٣٤ ٥٦ ٧٨",
		"IBAN FR76 3000 6000 0112 3456 7890 189 svp":     "iban:FR76 3000 6000 0112 3456 7890 189",
		"de89370400440532013000":                         "iban:de89370400440532013000",
		"carte 4111 1111 1111 1111, exp 12/27":           "card:4111 1111 1111 1111",
		"4111-1111-1111-1111":                            "card:4111-1111-1111-1111",
		"amex 378282246310005":                           "card:378282246310005",
		"n° 1 84 12 76 451 089 46":                       "nir:1 84 12 76 451 089 46",
		"184127645108946":                                "nir:184127645108946",
		"SIRET 732 829 320 00074":                        "siret:732 829 320 00074",
		"35600000000048":                                 "siret:35600000000048",
		"depuis 192.168.1.254.":                          "ip:192.168.1.254",
		"from 2001:db8::1, port 80":                      "ip:2001:db8::1",
		"de fe80::1:2:3 et ::1":                          "ip:fe80::1:2:3|ip:::1",
		"Où est ma commande A17, passée le 22/11/2026 ?": "",
		"à 10:30:45, table 12, 4 personnes, 35,50 €":     "",
		"commande 20261122 numéro 100200300":             "",
		"FR76 3000 6000 0112 3456 7890 188":              "",
		"4111 1111 1111 1112":                            "",
		"184127645108947":                                "",
		"version 1.26.8":                                 "",
		"@alice #tag a@b x@y.z":                          "",
		"555 0100 2000 tickets":                          "",
		"":                                               "",
	} {
		if got := found(text, f.Find(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func found(text string, spans []Span) string {
	var out []string
	for _, s := range spans {
		out = append(out, fmt.Sprintf("%s:%s", s.Kind, text[s.Start:s.End]))
	}
	return strings.Join(out, "|")
}

// Corsican numbers have letters in them.
func TestCorsica(t *testing.T) {
	for _, base := range []string{"2 55 08 2A 004 123", "2 55 08 2B 004 123"} {
		n := int64(0)
		for _, c := range strings.NewReplacer(" ", "", "A", "0", "B", "0").Replace(base) {
			n = n*10 + int64(c-'0')
		}
		n -= map[bool]int64{true: 1_000_000, false: 2_000_000}[strings.Contains(base, "A")]
		text := fmt.Sprintf("%s %02d", base, 97-n%97)
		if got := found(text, New(All).Find(text)); got != "nir:"+text {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// things draw something of each kind, and the word that its mask is.
var things = []*rapid.Generator[string]{
	rapid.StringMatching(`[a-z]{1,8}(\.[a-z]{1,5})?@[a-z]{2,8}\.(fr|com|org)`),
	rapid.Custom(func(t *rapid.T) string {
		return grouped(t, "0"+rapid.StringMatching(`(61|62|78)[0-9]{7}`).Draw(t, "phone"))
	}),
	rapid.Custom(func(t *rapid.T) string {
		return grouped(t, checked(rapid.StringMatching(`4[0-9]{14}`).Draw(t, "card")))
	}),
	rapid.Custom(func(t *rapid.T) string {
		body := rapid.StringMatching(`[0-9]{23}`).Draw(t, "iban")
		n := mod97([]byte("FR00" + body))
		return grouped(t, fmt.Sprintf("FR%02d%s", 98-n, body))
	}),
	rapid.Custom(func(t *rapid.T) string {
		b := rapid.StringMatching(`[12][0-9]{2}(0[1-9]|1[0-2])[0-9]{8}`).Draw(t, "nir")
		return grouped(t, fmt.Sprintf("%s%02d", b, 97-number([]byte(b))%97))
	}),
	rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("%d.%d.%d.%d", rapid.IntRange(1, 255).Draw(t, "a"), rapid.IntRange(0, 255).Draw(t, "b"), rapid.IntRange(0, 255).Draw(t, "c"), rapid.IntRange(0, 255).Draw(t, "d"))
	}),
}

// checked adds the check digit.
func checked(digits string) string {
	for c := '0'; c <= '9'; c++ {
		if luhn([]byte(digits + string(c))) {
			return digits + string(c)
		}
	}
	panic("no check digit")
}

// grouped puts separators in, every two or four characters, of one kind.
func grouped(t *rapid.T, s string) string {
	size := rapid.SampledFrom([]int{0, 2, 4}).Draw(t, "group")
	sep := rapid.SampledFrom([]string{" ", ".", "-", "\u00a0", "\u202f", "\u2009"}).Draw(t, "separator")
	if size == 0 {
		return s
	}
	var out strings.Builder
	for i, c := range s {
		if i > 0 && i%size == 0 {
			out.WriteString(sep)
		}
		out.WriteRune(c)
	}
	return out.String()
}

// Whatever stands around it, in whatever script, a thing is found, and spans are in order, apart and between characters.
func TestFoundAnywhere(t *testing.T) {
	f := New(All, "FR")
	rapid.Check(t, func(t *rapid.T) {
		around := rapid.StringOf(rapid.RuneFrom([]rune("abé çÉ🙂中, ;:!?\n\"«»ש\u200d\u0301"))).Draw(t, "around")
		thing := rapid.OneOf(things...).Draw(t, "thing")
		text := around + " " + thing + ", " + around
		spans := f.Find(text)
		covered := false
		last := 0
		for _, s := range spans {
			if s.Start < last || s.End <= s.Start || s.End > len(text) || !utf8.RuneStart(text[s.Start]) || s.End < len(text) && !utf8.RuneStart(text[s.End]) {
				t.Fatalf("the span %+v of %q", s, text)
			}
			last = s.End
		}
		at := len(around) + 1
		for i := at; i < at+len(thing); i++ { // nothing of it but separators may be left
			covered = slices.ContainsFunc(spans, func(s Span) bool { return i >= s.Start && i < s.End })
			if c := text[i]; !covered && (isDigit(c) || isLetter(c)) {
				t.Fatalf("%q is left of %q in %q (%s)", string(c), thing, text, found(text, spans))
			}
		}
	})
}

// FuzzFind: whatever the text, spans are in order, apart, and within it.
func FuzzFind(f *testing.F) {
	for _, s := range []string{"a@b.fr", "06 12 34 56 78", "\xff4111\xfe1111", "::", "FR76", "+", "((((", "00000000000000000000"} {
		f.Add(s)
	}
	finder := New(All, "FR", "US", "GB")
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		for _, s := range finder.Find(text) {
			if s.Start < last || s.End <= s.Start || s.End > len(text) {
				t.Fatalf("the span %+v of %q", s, text)
			}
			last = s.End
		}
	})
}

func BenchmarkFind(b *testing.B) {
	f := New(All, "FR")
	for name, text := range map[string]string{
		"nothing": "Bonjour, où est ma commande, s'il vous plaît ? Je l'attends depuis lundi.",
		"order":   "Bonjour, où est ma commande A17 du 22/11/2026, 35,50 € ?",
		"phone":   "Rappelez-moi au 06 12 34 56 78 ou à alice@example.com",
		"hostile": strings.Repeat("06 12 ", 10_000),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				f.Find(text)
			}
		})
	}
}
