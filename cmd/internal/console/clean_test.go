package console

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

func TestClean(t *testing.T) {
	for in, out := range map[string]string{
		"plain é 👩‍👧":           "plain é 👩‍👧",
		"\x1b[2J":               "␛[2J",
		"a\r\nb\tc\x7f":         "a b c␡",
		"\u009b31m\u202e\ufeff": "<U+009B>31m<U+202E><U+FEFF>",
		"bad \xff utf8":         "bad � utf8",
		"\r over":               "␍ over",
		"\u2028":                "<U+2028>",
	} {
		if got := clean(in, false); got != out {
			t.Errorf("clean(%q) = %q, want %q", in, got, out)
		}
	}
	if got := clean("a\nb\x1b", true); got != "a\nb␛" {
		t.Errorf("with lines: %q", got)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b]0;x\x07\u009b\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range clean(s, false) {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("clean(%q) leaves %U", s, r)
			}
		}
		doc, err := json.Marshal(s)
		if err != nil {
			return
		}
		safe := terminalSafe(doc)
		for _, r := range string(safe) {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("JSON of %q leaves %U", s, r)
			}
		}
		var a, b string
		if json.Unmarshal(doc, &a) != nil || json.Unmarshal(safe, &b) != nil || a != b {
			t.Fatalf("terminalSafe changes %q to %q", a, b)
		}
	})
}

func TestTableIsAligned(t *testing.T) {
	tab := table{head: []string{"NAME", "N"}, right: map[int]bool{1: true}}
	for _, name := range []string{"plain", "é\u0301té", "👩‍👧", "日本", "\x1b[31mred"} {
		tab.add(name, "1")
	}
	var b strings.Builder
	if err := tab.print(&b, " "); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if w := width(strings.TrimSuffix(line, "\n")); w != 12 {
			t.Errorf("%d cells wide: %q", w, line)
		}
	}
}

func TestBars(t *testing.T) {
	if b := bar(5, 10, 4); b != "██" {
		t.Errorf("half: %q", b)
	}
	if b := bar(0.001, 10, 4); b != "▏" {
		t.Errorf("little: %q", b)
	}
	if bar(0, 10, 4)+bar(1, 0, 4) != "" {
		t.Error("nothing has a bar")
	}
	if s := spark([]float64{0, 1, 4}); s != "·▃█" {
		t.Errorf("histogram: %q", s)
	}
}
