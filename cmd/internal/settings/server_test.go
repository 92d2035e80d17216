package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/oubli-store/oubli/eventstore"
)

func environment(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

var none = environment(nil)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "oubli.conf")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	s, err := Load(nil, none, "")
	if err != nil {
		t.Fatal(err)
	}
	if s.Data != "./oubli-data" || s.Roots != "oubli-data/roots" || s.Listen != "127.0.0.1:8420" || s.Production || s.LogLevel != "info" || s.LogFormat != "text" {
		t.Errorf("the defaults are %+v", s)
	}
	if err := s.Check(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	for _, l := range s.Redacted() {
		if l.Origin != FromDefault || l.Meaning == "" {
			t.Errorf("%+v", l)
		}
	}
}

func TestOrder(t *testing.T) {
	for _, file := range []string{
		"# a comment\n\nlisten = 10.0.0.1:3\ndata=/file\nlog-level = warn\nproduction = true\n",
		`{"listen": "10.0.0.1:3", "data": "/file", "log-level": "warn", "production": true}`,
	} {
		s, err := Load(map[string]string{"listen": "10.0.0.1:1", "roots": ""},
			environment(map[string]string{"OUBLI_LISTEN": "10.0.0.1:2", "OUBLI_DATA": "/env", "OUBLI_LOG_FORMAT": "", "OUBLI_NATS_LISTEN": "127.0.0.1:4222"}), write(t, file))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]Line{
			"listen":      {Value: "10.0.0.1:1", Origin: FromFlag},
			"data":        {Value: "/env", Origin: FromEnvironment},
			"nats-listen": {Value: "127.0.0.1:4222", Origin: FromEnvironment},
			"log-level":   {Value: "warn", Origin: FromFile},
			"production":  {Value: "true", Origin: FromFile},
			"log-format":  {Value: "text", Origin: FromDefault},
			"roots":       {Value: "/env/roots", Origin: FromDefault},
		}
		for _, l := range s.Redacted() {
			if w, ok := want[l.Name]; ok && (l.Value != w.Value || l.Origin != w.Origin) {
				t.Errorf("%s = %s (%s), want %s (%s)", l.Name, l.Value, l.Origin, w.Value, w.Origin)
			}
		}
	}
}

// Everything that is wrong is told at once, and no value is repeated.
func TestRefusals(t *testing.T) {
	flags := map[string]string{"listen": "SECRET", "no-such": "SECRET", "kek": "SECRET://x", "log-level": "SECRET"}
	env := environment(map[string]string{"OUBLI_NATS": "SECRET", "OUBLI_PRODUCTION": "SECRET", "OUBLI_CHECKPOINT": "http://SECRET"})
	_, err := Load(flags, env, write(t, "log-format = SECRET\nSECRET\nSECRET = 1\ndata = a\ndata = b\n"))
	var r Refusals
	if !errors.As(err, &r) || !errors.Is(err, eventstore.ErrInvalid) || len(r) != 11 {
		t.Fatalf("%d refusals: %v", len(r), err)
	}
	if strings.Contains(err.Error(), "SECRET") {
		t.Errorf("a value is repeated: %v", err)
	}
	for _, file := range []string{"{", `{"SECRET": 1}`, `{"listen": 1}`, `{"listen": null}`} {
		if _, err := Load(nil, none, write(t, file)); !errors.Is(err, eventstore.ErrInvalid) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, err := Load(nil, none, filepath.Join(t.TempDir(), "SECRET")); !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("no file: %v", err)
	}
	if _, err := Load(nil, none, write(t, strings.Repeat("#", maxFile+1))); err == nil {
		t.Error("a file that is too large was read")
	}
}

func TestRedacted(t *testing.T) {
	s, err := Load(map[string]string{
		"nats": "tls://user:hunter2@a.example:4222, tls://b.example:4222", "checkpoint": "https://example.com/put?key=hunter2#hunter2",
	}, none, "")
	if err != nil {
		t.Fatal(err)
	}
	s.KEK = "hcvault://hunter2:x@vault.example/transit" // which Load refuses
	for _, shown := range []string{fmt.Sprint(s.Redacted()), s.String(), fmt.Sprintf("%v %+v %#v", s, s, s)} {
		if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "a.example:4222") || !strings.Contains(shown, hidden) {
			t.Errorf("it prints %s", shown)
		}
	}
	if len(s.Redacted()) != len(Names()) {
		t.Error("a setting is not printed")
	}
}

func TestCheck(t *testing.T) {
	s := Server{Data: t.TempDir(), Listen: "0.0.0.0:8420", TLSCert: "c", NATS: "nats://x:1", NATSListen: "127.0.0.1:1"}
	var r Refusals
	if err := s.Check(); !errors.As(err, &r) || len(r) != 2 {
		t.Errorf("%v", err)
	}
}

const anARN = "arn:aws:kms:eu-west-3:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// TestKEK: a URI is taken as it is and shown as it is; one with credentials, or of a service that nobody serves, is refused and not repeated.
func TestKEK(t *testing.T) {
	for uri, good := range map[string]bool{
		"file:///etc/oubli/kek": true, "hcvault://vault.example:8200/transit/keys/oubli": true, "aws-kms://" + anARN: true,
		"hcvault://SECRET@vault.example/transit/keys/oubli": false, "hcvault://vault.example/SECRET": false, "aws-kms://SECRET": false,
		"gcp-kms://projects/SECRET": false, "/SECRET": false, "file://": false,
	} {
		s, err := Load(map[string]string{"kek": uri}, none, "")
		if (err == nil) != good {
			t.Errorf("%s: %v", uri, err)
		}
		if good && !strings.Contains(s.String(), "kek = "+uri+" (flag)") {
			t.Errorf("%s is not shown:\n%s", uri, s)
		}
		if !good && (strings.Contains(err.Error(), "SECRET") || !errors.Is(err, eventstore.ErrInvalid)) {
			t.Errorf("%s: the refusal repeats it: %v", uri, err)
		}
	}
}

func TestProduction(t *testing.T) {
	same := func(string) volume { return volume{device: 1, known: true} }
	apart := func(p string) volume { return volume{device: uint64(len(p)), known: true} }
	cow := func(p string) volume { v := apart(p); v.weak = copiesOnWrite; return v }
	unknown := func(string) volume { return volume{} }
	good := Server{Data: "/data", Roots: "/r", Listen: "127.0.0.1:8420", KEK: "aws-kms://" + anARN, Production: true}
	for name, test := range map[string]struct {
		change func(*Server)
		at     func(string) volume
		want   []string
	}{
		"good": {func(*Server) {}, apart, nil},
		"everything at once": {func(s *Server) {
			s.KEK, s.Listen, s.NATSListen, s.NATS = "", "0.0.0.0:1", "[::]:1", "tls://a:1, nats://b:1"
		}, same, []string{"kek", "roots", "listen", "nats-listen", "nats"}},
		"a local key":                  {func(s *Server) { s.KEK = "file:///kek" }, apart, []string{"kek"}},
		"a local key, shorter":         {func(s *Server) { s.KEK = "file:kek" }, apart, []string{"kek"}},
		"a key in a Vault":             {func(s *Server) { s.KEK = "hcvault://vault.example/transit/keys/oubli" }, apart, nil},
		"copy on write":                {func(*Server) {}, cow, []string{"roots"}},
		"unknown":                      {func(*Server) {}, unknown, []string{"roots"}},
		"two copies":                   {func(s *Server) { s.Roots = "/r:/other" }, apart, nil},
		"two copies, one disk":         {func(s *Server) { s.Roots = "/r:/s" }, apart, []string{"roots"}},
		"two copies on two weak disks": {func(s *Server) { s.Roots = "/r:/other" }, cow, []string{"roots", "roots"}},
		"TLS":                          {func(s *Server) { s.Listen, s.TLSCert, s.TLSKey = ":1", "c", "k" }, apart, nil},
		"every address":                {func(s *Server) { s.Listen = ":8420" }, apart, []string{"listen"}},
		"loopback 6":                   {func(s *Server) { s.Listen = "[::1]:8420" }, apart, nil},
	} {
		s := good
		test.change(&s)
		var got []string
		for _, line := range s.production(test.at) {
			field, _, _ := strings.Cut(line, ":")
			got = append(got, field)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// TestWeakRoots: every weakness is told with its directory, also outside of production, where nothing is refused.
func TestWeakRoots(t *testing.T) {
	s := Server{Data: "/data", Roots: "/r:/other"}
	for _, weak := range weaknesses {
		got := s.weakPlaces(func(path string) volume {
			if path == "/other" {
				return volume{known: true, weak: weak}
			}
			return volume{known: true}
		})
		if len(got) != 1 || !strings.Contains(got[0], "/other: "+weak) {
			t.Errorf("%q", got)
		}
	}
	const mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n" +
		"23 1 8:17 / /roots rw - ext4 /dev/sdb1 rw,data=journal\n24 1 259:1048577 / /b rw - ext4 /dev/x rw,commit=5,data=journal\n"
	for device, want := range map[uint64]bool{unix.Mkdev(8, 1): false, unix.Mkdev(8, 17): true, unix.Mkdev(259, 1048577): true, unix.Mkdev(8, 2): false} {
		if journaled(mounts, device) != want {
			t.Errorf("device %x: %t", device, !want)
		}
	}
}

// Directories that do not exist yet are judged by what they would be made in.
func TestFilesystem(t *testing.T) {
	dir := t.TempDir()
	a, b := filesystem(dir), filesystem(filepath.Join(dir, "x", "y"))
	if !a.known || a != b {
		t.Errorf("%+v, %+v", a, b)
	}
	if p := filesystem("/proc"); !p.known || p.device == a.device {
		t.Errorf("/proc is on the device of %s", dir)
	}
}

// TestInClear: only listeners that others can reach, and only without TLS.
func TestInClear(t *testing.T) {
	for _, test := range []struct {
		s    Server
		want string
	}{
		{Server{Listen: "127.0.0.1:1", NATSListen: "localhost:2"}, ""},
		{Server{Listen: "0.0.0.0:1"}, "listen"},
		{Server{Listen: ":1", NATSListen: "[::]:2"}, "listen nats-listen"},
		{Server{Listen: "192.0.2.1:1", NATSListen: "192.0.2.1:2", TLSCert: "c", TLSKey: "k"}, ""},
	} {
		if got := strings.Join(test.s.InClear(), " "); got != test.want {
			t.Errorf("%+v: %q, want %q", test.s, got, test.want)
		}
	}
}
