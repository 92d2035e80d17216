package secret_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/keyvault/secret"
)

// TestNeverPrints: no verb, no JSON and no log line shows the bytes.
func TestNeverPrints(t *testing.T) {
	s := secret.New([]byte("SECRETSECRET"))
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+verb, s, struct{ S secret.Bytes }{s})
	}
	b, err := json.Marshal(map[string]any{"k": s})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "k", s)
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "k", s)
	for _, clear := range []string{"SECRET", "534543524554", "83 69 67"} {
		if strings.Contains(out.String(), clear) {
			t.Errorf("it prints as %s in %s", clear, out.String())
		}
	}
	c := s
	s.Wipe()
	if strings.Trim(string(c.Reveal()), "\x00") != "" || c.Len() != 12 {
		t.Error("a wiped secret is still there in a copy")
	}
}
