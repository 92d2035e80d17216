package mail

import (
	"strings"
	"testing"
)

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"<p>a</p><p>b</p>":                    "a\n\nb",
		"a<br>b<br/>c":                        "a\nb\nc",
		"a\n  <b>b</b>\tc":                    "a b c",
		"<div>a</div><div>b</div>":            "a\nb",
		"<ul><li>a</li> <li> b </li></ul>":    "- a\n- b",
		"<tr><td>a</td><td>b</td></tr>":       "a b",
		"<blockquote>a<br>b</blockquote>c":    "> a\n> b\nc",
		"a &lt;b&gt; &eacute;&amp;&#233;":     "a <b> é&é",
		"<script>bad()</script>a":             "a",
		"<style>x</style><!-- no -->a":        "a",
		"<svg><svg>no</svg>no</svg>a":         "a",
		`<a href="https://example.org">a</a>`: "a",
		`<img src="x" alt="no">a`:             "a",
		"a<p":                                 "a",
		"<script>never closed":                "",
		"":                                    "",
	} {
		if got := plain(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestTransfer(t *testing.T) {
	for _, c := range []struct {
		encoding, in, want string
		broken             bool
	}{
		{"Quoted-Printable", "a=20b=\r\nc=C3=A9 \r\nd", "a bcé\nd", false},
		{"quoted-printable", "100=% =ZZ =", "100=% =ZZ ", true},
		{"base64", "w6k=\n", "é", false},
		{" BASE64 ", "w6*k", "é", true},
		{"base64", "w6kw6", "é0", true},
		{"8bit", "é", "é", false},
		{"x-uuencode", "é", "é", true},
	} {
		got, broken := transfer(c.encoding, []byte(c.in))
		if string(got) != c.want || broken != c.broken {
			t.Errorf("%s %q became %q, broken: %t", c.encoding, c.in, got, broken)
		}
	}
}

func TestCharsets(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		guessed        bool
	}{
		{"", "é", "é", false},
		{"us-ascii", "\xe9", "é", true},
		{"UTF-8", "\xe9", "é", true},
		{"iso-8859-1", "\xe9", "é", false},
		{"windows-1252", "\x80", "€", false},
		{"koi8-r", "\xd1", "я", false},
		{"iso-2022-jp", "\x1b$B$\"\x1b(B", "あ", false},
		{"utf-16le", "a\x00\xe9\x00", "aé", false},
		{"fakescii", "é", "é", true},
		{"charset=us-ascii", "a\r\nb\x00\x1bc", "a\nbc", true},
	} {
		if got, guessed := decode(c.name, []byte(c.in)); got != c.want || guessed != c.guessed {
			t.Errorf("%s: %q became %q, guessed: %t", c.name, c.in, got, guessed)
		}
	}
}

func TestFlowed(t *testing.T) {
	if got := unflow("one \ntwo\n> three \n> four\n-- \nme", false); got != "one two\n> three four\n-- \nme" {
		t.Errorf("%q", got)
	}
	if got := unflow("on \ne", true); got != "one" {
		t.Errorf("%q", got)
	}
}

// Parts: the last may lack its end, one may lack its header, and of two forms of the same the plain one counts.
func TestParts(t *testing.T) {
	const mixed = head + "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
	for in, want := range map[string]string{
		mixed + "\nfirst\n--b\nContent-Type: text/plain\n\nsecond":                                                                                 "first\n\nsecond",
		mixed + "Content-Type: text/html\n\n<p>x</p>\n--b\n\ny":                                                                                    "x\n\ny",
		mixed + "Content-Type: multipart/alternative; boundary=c\n\n--c\nContent-Type: text/html\n\n<p>no</p>\n--c\n\nyes\n--c--\n--b--":           "yes",
		mixed + "Content-Type: message/rfc822\n\nSubject: other\n\nno\n--b\n\nyes\n--b--":                                                          "yes",
		head + "Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>x</p>\n--b\nContent-Type: image/png\n\ny\n--b--": "x",
		head + "Content-Type: nonsense\n\nx":                                                                                                       "",
	} {
		e := one(t, in)
		if e.Text != want {
			t.Errorf("%q, want %q", e.Text, want)
		}
		if files := strings.Contains(string(e.Data), `"attachments":[`); files != (strings.Contains(in, "rfc822") || strings.Contains(in, "image/") || strings.Contains(in, "nonsense")) {
			t.Errorf("attachments: %t of a mail with %q", files, want)
		}
	}
}
