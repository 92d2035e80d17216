package endtoend

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/console"
	"github.com/oubli-store/oubli/eventstore/sample"
)

// analyst is a server with six weeks of the shop's conversations, asked as an analyst would.
type analyst struct {
	*world
	token string
}

func beginAnalyst(t *testing.T) *analyst {
	t.Helper()
	w := begin(t)
	if status, b := w.do(http.MethodPut, "/v1/settings", "application/json", strings.NewReader(`{"k":"5"}`)); status >= 300 {
		t.Fatalf("settings: %d %s", status, b)
	}
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	sequences := uint64(0)
	for e := range sample.New(sample.Options{Persons: 400, Events: 10000, Start: time.Date(2026, 8, 17, 0, 0, 0, 0, time.UTC), Days: 42}).Events() {
		if err := encoder.Encode(e); err != nil {
			t.Fatal(err)
		}
		sequences++
	}
	if status, b := w.do(http.MethodPost, "/v1/events", "application/x-ndjson", &lines); status != http.StatusOK || bytes.Contains(b, []byte(`"error"`)) {
		t.Fatalf("appending: %d %.300s", status, b)
	}
	made := post[struct{ Token string }](w, "/v1/tokens", map[string]any{"roles": []string{"analyst"}, "owner": "analyst"})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var s struct{ Position, Lag uint64 }
		_, b := w.do(http.MethodGet, "/v1/projections/status", "", nil)
		decode(w, b, &s)
		if s.Lag == 0 && s.Position >= sequences {
			return &analyst{w, made.Token}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the figures stand still: %s", b)
		}
	}
}

// oubli runs a command of the analyst.
func (a *analyst) oubli(args ...string) (code int, out, errs string) {
	a.Helper()
	var o, e bytes.Buffer
	args = append([]string{"--server", a.server.URL(), "--token", a.token}, args...)
	code = console.Main(context.Background(), "test", args, console.Streams{In: strings.NewReader(""), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

// words splits a command line as a shell does, as far as the guide needs it: "double quotes", and > FILE at the end.
func words(t *testing.T, line string) (out []string) {
	t.Helper()
	line = regexp.MustCompile(` > \S+$`).ReplaceAllString(line, "")
	for _, m := range regexp.MustCompile(`(?s)"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1) {
		out = append(out, m[1]+m[2])
	}
	if len(out) == 0 || out[0] != "oubli" {
		t.Fatalf("%q is no command of oubli", line)
	}
	return out[1:]
}

// TestAnalystsGuide runs every command of docs/analysts.md as it stands there. The questions in SQL also run over what is not closed yet: either way there must be an answer.
func TestAnalystsGuide(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join(docs, "analysts.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, questions, _ := strings.Cut(string(guide), "## Twenty questions")
	questions, _, _ = strings.Cut(questions, "\n## ")
	commands := regexp.MustCompile("(?s)```\n\\s*(oubli .*?)\n\\s*```").FindAllStringSubmatch(questions, -1)
	if n := len(regexp.MustCompile(`(?m)^\d+\. .*\?$`).FindAllString(questions, -1)); n != 20 || len(commands) != 20 {
		t.Fatalf("there are %d questions and %d commands", n, len(commands))
	}
	a := beginAnalyst(t)
	tables := regexp.MustCompile(`(FROM|JOIN|,) (activity|intents|outcomes|latency|feedback|paths|utterances)\b`)
	for _, m := range commands {
		args := words(t, m[1])
		code, out, errs := a.oubli(args...)
		if code != console.Done {
			t.Errorf("%s\nends with %d: %s", m[1], code, errs)
			continue
		}
		answered := !strings.Contains(out, "No rows to show")
		if args[0] == "sql" {
			args[1] = tables.ReplaceAllString(args[1], "$1 ${2}_provisional")
			code, out, errs = a.oubli(args...)
			answered = answered || !strings.Contains(out, "No rows to show")
			if code != console.Done {
				t.Errorf("%s\nends with %d: %s", args[1], code, errs)
			}
		}
		if !answered && !strings.Contains(m[1], "utterances") { // wordings are only told of closed periods
			t.Errorf("%s\nhas no answer\n%s", m[1], errs)
		}
	}

	intro, _, _ := strings.Cut(string(guide), "## Reading")
	for line := range strings.Lines(intro) {
		if command, _, _ := strings.Cut(line, "   "); strings.HasPrefix(command, "oubli ") {
			if code, out, errs := a.oubli(words(t, strings.TrimSpace(command))...); code != console.Done || out == "" {
				t.Errorf("%s ends with %d: %s", command, code, errs)
			}
		}
	}
	a.forms()
	a.unprepared()
}

// forms: the three forms of one answer have the same rows.
func (a *analyst) forms() {
	var answer struct {
		Rows [][]any
		K    int
	}
	_, out, _ := a.oubli("stats", "intents", "--json")
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.Rows) == 0 || answer.K != 5 {
		a.Fatalf("%v %.200s", err, out)
	}
	_, csv, errs := a.oubli("stats", "intents", "--format", "csv")
	if n := strings.Count(csv, "\n"); n != len(answer.Rows)+1 || !strings.Contains(errs, "provisional") {
		a.Errorf("%d lines of CSV for %d rows; %s", n, len(answer.Rows), errs)
	}
	if _, file, _ := a.oubli("stats", "intents", "--format", "parquet"); !strings.HasPrefix(file, "PAR1") || !strings.HasSuffix(file, "PAR1") {
		a.Error("no Parquet file")
	}
}

// unprepared asks what people ask by mistake: each is refused with what to do, and nothing of it comes back from the server.
func (a *analyst) unprepared() {
	for _, c := range []struct {
		want string
		code int
		args []string
	}{
		{"there are: activity, intents", console.NotFound, []string{"stats", "intent"}},
		{"there are: bot, language, intent", console.Usage, []string{"stats", "intents", "--where", "channel=web"}},
		{"from is a day, as 2026-11-01", console.Usage, []string{"stats", "intents", "--from", "01/11/2026"}},
		{"to is a day, as 2026-11-30", console.Usage, []string{"stats", "intents", "--to", "2026-02-30"}},
		{"the range ends before it begins", console.Usage, []string{"stats", "intents", "--from", "2026-09-02", "--to", "2026-09-01"}},
		{"no events in this range", console.Done, []string{"stats", "intents", "--to", "1999-12-31"}},
		{"nothing is published before 2026-08-", console.Done, []string{"stats", "intents", "--from", "2020-01-01"}},
		{"upper and lower case differ", console.Done, []string{"stats", "intents", "--where", "language=FR"}},
		{"there is no such table", console.Usage, []string{"sql", "SELECT * FROM persons"}},
		{"only SELECT", console.Usage, []string{"sql", "DELETE FROM intents"}},
		{"line 1, column 8", console.Usage, []string{"sql", "SELECT intnet FROM intents"}},
		{"the token", console.Refused, []string{"token", "list"}},
		{"the access token's role", console.Refused, []string{"person", "show", "--identity", "email:alice@example.com"}},
	} {
		code, out, errs := a.oubli(c.args...)
		if code != c.code || !strings.Contains(out+errs, c.want) && c.code != console.Refused {
			a.Errorf("%q ends with %d:\n%s%s", c.args, code, out, errs)
		}
	}
}
