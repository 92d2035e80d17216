package console

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// stores makes the fake keep events by their key.
func (f *fake) stores() (kept map[string]string) {
	kept = map[string]string{}
	f.routes["POST /v1/events"] = func(w http.ResponseWriter, r *http.Request) {
		n := 0
		for sc := bufio.NewScanner(strings.NewReader(f.bodies[len(f.bodies)-1])); sc.Scan(); {
			n++
			var e eventstore.Event
			if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
				panic(err)
			}
			if e.Text == "no consent" || e.Text == "erased" {
				kind := map[string]string{"no consent": "consent", "erased": "erased"}[e.Text]
				fmt.Fprintf(w, `{"line":%d,"error":%s}`+"\n", n, problemDoc(kind, "it was refused"))
				continue
			}
			_, again := kept[e.Key]
			kept[e.Key] = e.Text
			fmt.Fprintf(w, `{"id":"01KANMD3T8V4M1TQ3B3E7XJ0ZC","person":"%s","sequence":%d,"duplicate":%v}`+"\n", alice, n, again)
		}
	}
	return kept
}

func line(key, text string) string {
	return fmt.Sprintf(`{"id":%q,"conversation":"c","type":"message","author":"user","bot":"shop","text":%q}`+"\n", key, text)
}

func TestAppend(t *testing.T) {
	f := newFake(t)
	kept := f.stores()
	events := line("a", "1") + line("b", "2")
	for i, wanted := range []string{"2 stored, 0 duplicates, 0 refused\n", "0 stored, 2 duplicates, 0 refused\n"} {
		code, out, err := run(t, events, "append")
		if code != Done || out != wanted {
			t.Errorf("time %d: exit code %d, %q %q", i, code, out, err)
		}
	}
	if len(kept) != 2 {
		t.Errorf("%d events kept", len(kept))
	}
	code, out, _ := run(t, events, "append", "--json")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); code != Done || len(lines) != 2 || !json.Valid([]byte(lines[1])) {
		t.Errorf("as JSON: %s", out)
	}
}

func TestAppendNamesWhatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		code  int
		lines string
		where string
	}{
		"consent":        {Refused, line("a", "1") + line("b", "no consent"), "line 2:"},
		"erased":         {Gone, line("b", "erased"), "line 1:"},
		"of two kinds":   {Failed, line("b", "erased") + line("b", "no consent"), "line 2:"},
		"unknown field":  {Failed, line("a", "1") + `{"conversation":"c","type":"message","alice@example.com":1}` + "\n" + line("c", "3"), "line 2:"},
		"too long":       {Failed, line("a", strings.Repeat("x", eventstore.MaxEvent)) + line("c", "3"), "line 1:"},
		"blank line":     {Done, "\n" + line("a", "1"), ""},
		"after a blank":  {Gone, "\n" + line("a", "erased"), "line 2:"},
		"no newline end": {Done, strings.TrimSpace(line("a", "1")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.stores()
			file := filepath.Join(t.TempDir(), "events.ndjson")
			os.WriteFile(file, []byte(c.lines), 0o600)
			code, _, err := run(t, "", "append", file)
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, err)
			}
			want(t, "standard error", err, c.where)
			never(t, "standard error", err, "alice", "no consent")
		})
	}
}

func TestImport(t *testing.T) {
	f := newFake(t)
	kept := f.stores()
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "sub"), 0o700)
	os.WriteFile(filepath.Join(dir, "a.ndjson"), []byte(line("", "1")+line("", "1")), 0o600)
	os.WriteFile(filepath.Join(dir, "sub", "b.ndjson"), []byte(line("x", "2")+"{\n"), 0o600)
	os.WriteFile(filepath.Join(dir, "readme.txt"), []byte("no events"), 0o600)
	code, out, err := run(t, "", "import", "--format", "oubli", dir)
	if code != Failed {
		t.Errorf("exit code %d", code)
	}
	want(t, "the counts", out, "3 stored, 0 duplicates, 1 refused", "(files: 2)")
	want(t, "standard error", err, "b.ndjson line 2:")
	before := len(kept)
	_, out, _ = run(t, "", "import", "--format", "oubli", dir, "--json")
	var n counts
	if err := json.Unmarshal([]byte(out), &n); err != nil || n.Duplicates != 3 || n.Stored != 0 || len(kept) != before {
		t.Errorf("again: %s", out)
	}
	if code, _, _ := run(t, "", "import", "--format", "oubli", filepath.Join(dir, "none")); code != Failed {
		t.Errorf("no such file: exit code %d", code)
	}
	if code, _, _ := run(t, "", "import", "--format", "fax", dir); code != Usage {
		t.Errorf("no such format: exit code %d", code)
	}
}

func TestAppendStopsWhenTheTokenIsRefused(t *testing.T) {
	f := newFake(t)
	f.stores()
	code, _, err := run(t, line("a", "1"), "--token", "bad", "append")
	if code != Refused || !strings.Contains(err, "does not accept this access token") {
		t.Errorf("exit code %d, %s", code, err)
	}
}

func TestReadingErrorsEndASource(t *testing.T) {
	n := 0
	for _, err := range new(sender).eventLines(io.MultiReader(strings.NewReader(line("a", "1")), broken{})) {
		n++
		if (err != nil) != (n == 2) {
			t.Errorf("event %d: %v", n, err)
		}
	}
	if n != 2 {
		t.Errorf("%d results", n)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
