package console

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExitCodes(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/vault/status", 503, problemDoc("unavailable", "temporarily unavailable"))
	for name, c := range map[string]struct {
		code int
		args []string
	}{
		"done":          {Done, []string{"person", "show", "--person", alice}},
		"failed":        {Failed, []string{"vault", "status"}},
		"wrong flag":    {Usage, []string{"person", "show", "--nonsense"}},
		"no command":    {Usage, nil},
		"half command":  {Usage, []string{"person"}},
		"missing flag":  {Usage, []string{"person", "erase", "--person", alice}},
		"bad reason":    {Usage, []string{"person", "erase", "--person", alice, "--reason", "whim"}},
		"bad person":    {Usage, []string{"person", "show", "--person", "x"}},
		"bad identity":  {Usage, []string{"person", "show", "--identity", "alice"}},
		"both":          {Usage, []string{"person", "show", "--identity", "a:b", "--person", alice}},
		"not found":     {NotFound, []string{"person", "show", "--identity", "email:bob@example.com"}},
		"no such route": {NotFound, []string{"erasure", "show", "x"}},
		"gone":          {Gone, []string{"person", "show", "--person", erased}},
		"withheld":      {Refused, []string{"person", "show", "--person", restrict}},
		"role":          {Refused, []string{"person", "export", "--person", restrict}},
		"wrong token":   {Refused, []string{"--token", "bad", "person", "show", "--person", alice}},
		"unreachable":   {Failed, []string{"--server", "http://127.0.0.1:1", "person", "show", "--person", alice}},
		"help":          {Done, []string{"person", "--help"}},
	} {
		if code, out, err := run(t, "", c.args...); code != c.code {
			t.Errorf("%s: exit code %d, want %d\n%s%s", name, code, c.code, out, err)
		} else if code != Done && out != "" {
			t.Errorf("%s: standard output of a failure: %q", name, out)
		}
	}
}

func TestHandlesStayOutOfURLsAndErrors(t *testing.T) {
	f := newFake(t)
	for _, id := range []string{"alice@example.com", "bob@example.com"} {
		_, _, err := run(t, "", "person", "show", "--identity", "email:"+id)
		never(t, "standard error", err, id)
		run(t, "email:"+id+"\n", "person", "transcript", "--identity", "-")
	}
	never(t, "the URLs", strings.Join(f.asked, "\n"), "alice", "bob", "example.com")
	want(t, "the bodies", strings.Join(f.bodies, "\n"), `{"identities":[{"namespace":"email","id":"alice@example.com"}]}`)
}

func TestShow(t *testing.T) {
	newFake(t)
	code, out, err := run(t, "email:alice@example.com\n", "person", "show", "--identity", "-")
	if code != Done {
		t.Fatal(code, err)
	}
	want(t, "show", out, "email:alice@example.com", "web:v␛[31m77", "analytics: withdrawn", "2026-11-01 10:00:00", "web:kiosk", restrict)
	never(t, "show", out, "\x1b")
	_, out, _ = run(t, "", "person", "show", "--person", alice, "--json")
	if !json.Valid([]byte(out)) {
		t.Errorf("not one JSON document: %s", out)
	}
}

const said = `{"id":"01KANMD3T8V4M1TQ3B3E7XJ0ZC","person":"` + alice + `","sequence":1,"received":"2026-11-22T10:00:00Z","event":{"conversation":"c-1","type":"message","author":"user","bot":"shop","channel":"web","text":"Où est\nma commande ?"}}
{"id":"01KANMD3T8V4M1TQ3B3E7XJ0ZC","person":"` + alice + `","sequence":2,"received":"2026-11-22T10:01:00Z","event":{"conversation":"c-2","type":"message","author":"user","bot":"shop","text":"\u001b]0;owned\u0007 \u009b2J \u202egnp.exe 👩‍👧"}}
{"id":"01KANMD3T8V4M1TQ3B3E7XJ0ZC","person":"` + alice + `","sequence":3,"received":"2026-11-22T10:02:00Z","event":{"conversation":"c-1","type":"message","author":"bot","bot":"shop","text":"En route."}}
{"id":"01KANMD3T8V4M1TQ3B3E7XJ0ZC","person":"` + alice + `","sequence":4,"received":"2026-11-22T10:03:00Z","event":{"conversation":"c-1","type":"slot","bot":"shop","slot":{"name":"order","value":"A17"}}}
{"id":"01KANMD3T8V4M1TQ3B3E7XJ0ZC","person":"` + alice + `","sequence":5,"received":"2026-11-22T10:04:00Z","event":{"conversation":"c-1","type":"feedback","author":"user","bot":"shop","feedback":{"score":4,"scale":5}}}
`

func TestTranscript(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/persons/"+alice+"/events", 200, said)
	code, out, err := run(t, "", "person", "transcript", "--person", alice)
	if code != Done {
		t.Fatal(code, err)
	}
	wanted := `── Conversation c-1 (shop, web)
  2026-11-22
  10:00:00  person     Où est
                       ma commande ?
  10:02:00  bot        En route.
  10:04:00  person     [rated 4 of 5]

── Conversation c-2 (shop)
  2026-11-22
  10:01:00  person     ␛]0;owned␇ <U+009B>2J <U+202E>gnp.exe 👩‍👧
`
	if out != wanted {
		t.Errorf("transcript:\n%s\nwant:\n%s", out, wanted)
	}
	want(t, "the note", err, "Technical events not shown: 1")
	_, out, _ = run(t, "", "person", "transcript", "--person", alice, "--all")
	want(t, "with --all", out, `[slot order = "A17"]`)
	t.Setenv("OUBLI_LANG", "fr_FR.UTF-8")
	_, out, _ = run(t, "", "person", "transcript", "--person", alice)
	want(t, "in French", out, "personne   Où est", "[note : 4 sur 5]")
}

func TestTranscriptAsJSONCannotReachTheTerminalRaw(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/persons/"+alice+"/events", 200, strings.ReplaceAll(said, `\u009b`, "\u009b"))
	_, out, _ := run(t, "", "person", "transcript", "--person", alice, "--json")
	never(t, "JSON", out, "\u009b", "\u202e", "\x1b")
	for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var got, sent map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("line %d: %v", i, err)
		}
		json.Unmarshal([]byte(strings.Split(said, "\n")[i]), &sent)
		if g, s := got["event"].(map[string]any)["text"], sent["event"].(map[string]any)["text"]; g != s {
			t.Errorf("line %d says %q, was sent %q", i, g, s)
		}
	}
}

func TestTranscriptThatBreaksOffFails(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/persons/"+alice+"/events", 200, said+`{"error":`+problemDoc("erased", "the person was erased")+"}\n")
	if code, out, _ := run(t, "", "person", "transcript", "--person", alice); code != Gone || out != "" {
		t.Errorf("exit code %d, output %s", code, out)
	}
}

func TestExport(t *testing.T) {
	f := newFake(t)
	file := filepath.Join(t.TempDir(), "alice.json")
	if code, _, err := run(t, "", "person", "export", "--person", alice, "-o", file); code != Done {
		t.Fatal(code, err)
	}
	text, _ := os.ReadFile(file)
	want(t, "the file", string(text), `\u009b31m`, `"complete":true}`)
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if code, _, _ := run(t, "", "person", "export", "--person", alice, "-o", file); code != Failed {
		t.Errorf("an existing file was overwritten: exit code %d", code)
	}
	for _, bad := range []string{`{"events":[{"a":1},`, `{"events":[]}{`, ``, `{"events":[}`} {
		f.on("GET /v1/persons/"+alice+"/export", 200, bad)
		cut := filepath.Join(t.TempDir(), "cut.json")
		if code, _, _ := run(t, "", "person", "export", "--person", alice, "-o", cut); code != Failed {
			t.Errorf("%s: exit code %d", bad, code)
		}
		if _, err := os.Stat(cut); err == nil {
			t.Errorf("%s was left behind", bad)
		}
	}
}

// TestExportInPieces cuts the document between the bytes of its characters.
func TestExportInPieces(t *testing.T) {
	const doc = "{\"text\":\"é\u009b👩 \u202e\",\"more\":[1,{\"a\":null}]}\n"
	for size := 1; size < 9; size++ {
		var out strings.Builder
		if err := copyExport(&out, &pieces{[]byte(doc), size}); err != nil {
			t.Fatal(err)
		}
		if out.String() != string(terminalSafe([]byte(doc))) {
			t.Errorf("pieces of %d: %q", size, out.String())
		}
	}
}

type pieces struct {
	rest []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.size, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}

// TestExpiredIsSaid: show and transcript say that something is missing because retention took it, in either language, and say nothing when it took nothing.
func TestExpiredIsSaid(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/persons/"+alice+"/events", 200, said)
	_, out, err := run(t, "", "person", "transcript", "--person", alice)
	never(t, "the transcript", out+err, "expired")
	_, out, _ = run(t, "", "person", "show", "--person", alice)
	never(t, "the answer", out, "expired")
	f.on("GET /v1/persons/"+alice, 200, `{"person":"`+alice+`","state":"active","created":"2024-01-01T10:00:00Z","events":5,"expired_before":"2024-11-01"}`)
	plain := f.routes["GET /v1/persons/"+alice+"/events"]
	f.routes["GET /v1/persons/"+alice+"/events"] = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Oubli-Expired-Before", "2024-11-01")
		plain(w, r)
	}
	_, out, _ = run(t, "", "person", "show", "--person", alice)
	want(t, "show", out, "expired before  2024-11-01")
	for _, args := range [][]string{nil, {"--json"}} {
		_, out, err = run(t, "", append([]string{"person", "transcript", "--person", alice}, args...)...)
		want(t, "the note", err, "before 2024-11-01 has expired")
		never(t, "the transcript", out, "expired")
	}
	t.Setenv("OUBLI_LANG", "fr_FR.UTF-8")
	_, out, _ = run(t, "", "person", "show", "--person", alice)
	want(t, "in French", out, "expiré avant le  2024-11-01")
	_, _, err = run(t, "", "person", "transcript", "--person", alice)
	want(t, "the note in French", err, "avant le 2024-11-01", "durée de conservation")
}
