package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// TestNeverPrints: no verb, encoder or log handler shows the bytes, also inside other values.
func TestNeverPrints(t *testing.T) {
	raw := []byte("0123456789abcdef0123456789abcdef")
	s := New(bytes.Clone(raw))
	var log bytes.Buffer
	for _, v := range []any{s, &s, []Bytes{s}, map[string]Bytes{"k": s}, struct{ Key Bytes }{s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08b"} {
			out := fmt.Sprintf(verb, v)
			for _, shown := range []string{string(raw), fmt.Sprintf("%x", raw), "48, 49", "48 49", "0x30"} {
				if strings.Contains(out, shown) {
					t.Errorf("%T prints under %s: %s", v, verb, out)
				}
			}
		}
		b, err := json.Marshal(v)
		if err != nil || bytes.Contains(b, raw) || bytes.Contains(b, []byte("MDEyMzQ1")) {
			t.Errorf("%T as JSON: %s, %v", v, b, err)
		}
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
	}
	if bytes.Contains(log.Bytes(), raw[:8]) || bytes.Contains(log.Bytes(), []byte("MDEyMzQ1")) {
		t.Errorf("it is logged: %s", log.String())
	}
}

func TestBytes(t *testing.T) {
	s, err := Random(bytes.NewReader([]byte("abcdefgh")), 8)
	if err != nil || string(s.Reveal()) != "abcdefgh" || s.Len() != 8 {
		t.Fatalf("%d bytes: %v", s.Len(), err)
	}
	if !s.Equal(New([]byte("abcdefgh"))) || s.Equal(New([]byte("abcdefgi"))) || s.Equal(Bytes{}) {
		t.Error("Equal is wrong")
	}
	same := s
	s.Wipe()
	if string(same.Reveal()) != strings.Repeat("\x00", 8) {
		t.Error("a copy outlives Wipe")
	}
	if (Bytes{}).Len() != 0 || (Bytes{}).Reveal() != nil {
		t.Error("the zero value is not empty")
	}
	(Bytes{}).Wipe()
	if _, err := Random(strings.NewReader("ab"), 8); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("too little entropy: %v", err)
	}
}
