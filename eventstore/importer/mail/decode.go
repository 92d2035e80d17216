package mail

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding/charmap"
)

// transfer undoes a part's transfer encoding as far as it can be undone; broken says that some of it could not.
func transfer(encoding string, raw []byte) (out []byte, broken bool) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		return fromBase64(raw)
	case "quoted-printable":
		return fromPrintable(raw)
	case "", "7bit", "8bit", "binary":
		return raw, false
	}
	return raw, true
}

// fromBase64 leaves out what is not base64.
func fromBase64(raw []byte) (out []byte, broken bool) {
	kept := make([]byte, 0, len(raw))
	for _, b := range raw {
		switch {
		case b >= 'A' && b <= 'Z', b >= 'a' && b <= 'z', b >= '0' && b <= '9', b == '+', b == '/':
			kept = append(kept, b)
		case b != '=' && b != '\r' && b != '\n' && b != ' ' && b != '\t':
			broken = true
		}
	}
	if len(kept)%4 == 1 { // a single one has no byte
		kept, broken = kept[:len(kept)-1], true
	}
	out = make([]byte, base64.RawStdEncoding.DecodedLen(len(kept)))
	n, err := base64.RawStdEncoding.Decode(out, kept)
	return out[:n], broken || err != nil
}

// fromPrintable keeps an escape that is none as it stands.
func fromPrintable(raw []byte) (out []byte, broken bool) {
	out = make([]byte, 0, len(raw))
	for len(raw) > 0 {
		line, rest, more := bytes.Cut(raw, []byte("\n"))
		line = bytes.TrimRight(line, " \t\r")
		soft := bytes.HasSuffix(line, []byte("="))
		if soft {
			line = line[:len(line)-1]
		}
		for i := 0; i < len(line); i++ {
			if line[i] != '=' {
				out = append(out, line[i])
				continue
			}
			if i+2 < len(line) {
				if hi, lo := nibble(line[i+1]), nibble(line[i+2]); hi < 16 && lo < 16 {
					out = append(out, hi<<4|lo)
					i += 2
					continue
				}
			}
			out, broken = append(out, '='), true
		}
		if more && !soft {
			out = append(out, '\n')
		}
		raw = rest
	}
	return out, broken
}

func nibble(b byte) byte {
	switch {
	case b >= '0' && b <= '9':
		return b - '0'
	case b >= 'A' && b <= 'F':
		return b - 'A' + 10
	case b >= 'a' && b <= 'f':
		return b - 'a' + 10
	}
	return 16
}

// decode brings text into UTF-8. Where the character set is unknown or not kept to, it is UTF-8 if it can be, otherwise
// Windows-1252; guessed says so.
func decode(name string, raw []byte) (text string, guessed bool) {
	switch name = strings.ToLower(strings.TrimSpace(name)); name {
	case "", "us-ascii", "ascii", "utf-8", "utf8":
		return clean(utf8Text(raw)), !utf8.Valid(raw)
	}
	in, err := charset.Reader(name, bytes.NewReader(raw))
	if err == nil {
		// No character of any set is longer than 4 bytes in UTF-8, nor shorter than a byte in its own but for sets with shifts.
		out, err := io.ReadAll(io.LimitReader(in, int64(4*len(raw)+16)))
		if err == nil && utf8.Valid(out) {
			return clean(string(out)), false
		}
	}
	return clean(utf8Text(raw)), true
}

// utf8Text reads bytes as UTF-8 if they are, otherwise as Windows-1252.
func utf8Text(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(raw)
	if err != nil {
		return strings.ToValidUTF8(string(raw), "\uFFFD")
	}
	return string(out)
}

// clean leaves out control characters but for tabs and line ends, and unifies the latter.
func clean(v string) string {
	v = strings.ReplaceAll(v, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r < ' ' && r != '\n' && r != '\t', r == 0x7f, r == '\uFEFF':
			return -1
		}
		return r
	}, v)
}
