package console

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/cmd/internal/settings"
)

// TestListeningSaysWhatIs: the admin token's file is named as long as it is there.
func TestListeningSaysWhatIs(t *testing.T) {
	s := settings.Server{Data: t.TempDir(), Listen: "127.0.0.1:0"}
	srv, err := server.Start(t.Context(), server.Config{Server: s})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Stop(t.Context())
	said := func() string {
		var out bytes.Buffer
		if err := (&env{out: &out, Globals: &Globals{}}).listening(s, srv); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if text := said(); !strings.Contains(text, srv.URL()) || !strings.Contains(text, srv.AdminToken()) || !strings.Contains(text, "every role") {
		t.Errorf("%s", text)
	}
	if err := os.Remove(srv.AdminToken()); err != nil {
		t.Fatal(err)
	}
	if text := said(); !strings.Contains(text, srv.URL()) || strings.Contains(text, "token") {
		t.Errorf("a file that is not there is named: %s", text)
	}
}
