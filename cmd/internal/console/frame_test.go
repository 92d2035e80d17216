package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/client"
	"github.com/oubli-store/oubli/eventstore/importer"
)

func TestCodeOfErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, Done}, {errors.New("x"), Failed}, {usage("x"), Usage}, {exit{Gone, errSaid}, Gone},
		{eventstore.ErrErased, Gone}, {eventstore.ErrNotFound, NotFound}, {eventstore.ErrForbidden, Refused}, {eventstore.ErrUnauthenticated, Refused},
		{eventstore.ErrHold, Refused}, {eventstore.ErrWithheld, Refused}, {eventstore.ErrConsent, Refused}, {eventstore.ErrInvalid, Usage},
		{eventstore.ErrConflict, Failed}, {eventstore.ErrAmbiguous, Failed}, {eventstore.ErrUnavailable, Failed}, {eventstore.ErrRate, Failed},
		{eventstore.ErrTooLarge, Failed}, {eventstore.ErrDamaged, Damaged}, {eventstore.ErrInUse, Failed}, {eventstore.ErrKeyLost, Failed},
		{fmt.Errorf("opening: %w", eventstore.ErrDamaged), Damaged},
		{&client.Error{Status: 410, Kind: eventstore.KindErased}, Gone},
		{fmt.Errorf("%w: %w", client.ErrStopped, &client.Error{Status: 401, Kind: eventstore.KindUnauthenticated}), Refused},
		{settings.Refusals{"kek: no"}, Usage},
	} {
		if got := Code(c.err); got != c.code {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.code)
		}
	}
}

// TestEveryErrorKindHasWords: whatever the server refuses is told in French where the command speaks French.
func TestEveryErrorKindHasWords(t *testing.T) {
	f := newFake(t)
	t.Setenv("OUBLI_LANG", "fr")
	for kind, status := range map[string]int{"erased": 410, "not-found": 404, "withheld": 403, "hold": 409, "forbidden": 403, "invalid": 400, "unavailable": 503} {
		f.on("GET /v1/erasures", status, problemDoc(kind, "English words"))
		_, _, err := run(t, "", "erasure", "list")
		want(t, kind, err, catalogue["err_"+kind].fr)
		never(t, kind, err, "English words")
	}
	f.on("GET /v1/erasures", 409, problemDoc("conflict", "English words"))
	if _, _, err := run(t, "", "erasure", "list"); !strings.Contains(err, "English words") {
		t.Errorf("a kind without French words says nothing: %s", err)
	}
	f.on("GET /v1/vault/status", 403, problemDoc("forbidden", "English words"))
	if _, _, err := run(t, "", "vault", "status"); !strings.Contains(err, "English words") {
		t.Errorf("a command without French speaks it: %s", err)
	}
}

func TestWhatAServerSaysIsMadeHarmless(t *testing.T) {
	f := newFake(t)
	f.on("GET /v1/vault/status", 400, problemDoc("invalid", "\x1b[2J\u202etext"))
	_, _, err := run(t, "", "vault", "status")
	never(t, "standard error", err, "\x1b", "\u202e")
	f.on("GET /v1/vault/status", 200, `{"x\u001b":"y\u009b"}`)
	_, out, _ := run(t, "", "vault", "status")
	never(t, "the table", out, "\x1b", "\u009b")
	_, out, _ = run(t, "", "vault", "status", "--json")
	never(t, "JSON", out, "\x1b", "\u009b")
}

func TestAnswersThatAreNotOublis(t *testing.T) {
	f := newFake(t)
	for _, answer := range []string{"<html>secret</html>", `{"tenants":`, ""} {
		f.on("GET /v1/tenants", 200, answer)
		code, out, err := run(t, "", "tenant", "list")
		if code != Failed || out != "" {
			t.Errorf("%q: exit code %d, %s", answer, code, out)
		}
		never(t, "standard error", err, "secret")
	}
	f.routes["GET /v1/tenants"] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }
	if code, _, _ := run(t, "", "tenant", "list"); code != Failed || len(f.asked) != 4 {
		t.Errorf("a redirect: exit code %d, %d requests", code, len(f.asked))
	}
	for _, bad := range []string{"127.0.0.1:8420", "ftp://x", "http://user:pass@x"} {
		code, _, err := run(t, "", "--server", bad, "tenant", "list")
		if code != Usage || strings.Contains(err, "pass") {
			t.Errorf("--server %s: exit code %d, %s", bad, code, err)
		}
	}
}

func TestProgressOnlyOnATerminal(t *testing.T) {
	var errs bytes.Buffer
	e := newEnv(context.Background(), "test", Streams{In: strings.NewReader(""), Out: io.Discard, Err: &errs})
	for range 2 {
		bar := e.progress(10, "storing", false)
		bar.Add(5)
		bar.Done()
		if (errs.Len() > 0) != e.errTTY {
			t.Errorf("terminal %v: %q", e.errTTY, errs.String())
		}
		e.errTTY = true
	}
}

func TestWrapAndColumns(t *testing.T) {
	for _, line := range wrap(strings.Repeat("éé ", 100), 20) {
		if width(line) > 20 {
			t.Errorf("%d wide: %q", width(line), line)
		}
	}
	if got := wrap("", 20); !slices.Equal(got, []string{""}) {
		t.Errorf("nothing is %q", got)
	}
	var b strings.Builder
	twoColumns(&b, [][2]string{{"--a", strings.Repeat("word ", 40)}, {"--b X", "short"}, {"--" + strings.Repeat("long", 10), "below"}})
	for line := range strings.Lines(b.String()) {
		if width(strings.TrimRight(line, "\n")) > helpWidth {
			t.Errorf("%d wide: %q", width(line), line)
		}
	}
	want(t, "the columns", b.String(), "  --b X  short\n", "longlong\n         below\n")
}

func TestHelpFitsATerminal(t *testing.T) {
	newFake(t)
	for _, lang := range []string{"en", "fr"} {
		t.Setenv("OUBLI_LANG", lang)
		for _, command := range []string{"", "serve", "import", "person", "person erase", "stats", "token create", "tenant set", "demo"} {
			_, out, _ := run(t, "", append(strings.Fields(command), "--help")...)
			for line := range strings.Lines(out) {
				if w := width(strings.TrimRight(line, "\n")); w > helpWidth && !strings.HasPrefix(line, "  echo") {
					t.Errorf("%s %s: %d wide: %s", lang, command, w, line)
				}
			}
		}
	}
}

// TestEveryFormatCanBeNamed: the command line knows the formats that there are, and where their files are looked for.
func TestEveryFormatCanBeNamed(t *testing.T) {
	field, _ := reflect.TypeFor[importCmd]().FieldByName("Format")
	named := strings.Split(field.Tag.Get("enum"), ",")
	slices.Sort(named)
	if !slices.Equal(named, importer.Formats()) {
		t.Errorf("the command line names %v, there are %v", named, importer.Formats())
	}
	for _, name := range importer.Formats() {
		if len(suffixes[name]) == 0 {
			t.Errorf("no file of %s is found in a directory", name)
		}
	}
}

// TestServeTakesTheServersSettings: every setting of the server has a flag, and no flag is without its setting.
func TestServeTakesTheServersSettings(t *testing.T) {
	parser, err := newEnv(t.Context(), "", Streams{}).parser(new(commands))
	if err != nil {
		t.Fatal(err)
	}
	var flags []string
	for _, node := range parser.Model.Children {
		if node.Name == "serve" {
			for _, f := range node.Flags {
				if f.Name != "help" && f.Name != "roots-lost" { // a decision for one start is no setting
					flags = append(flags, f.Name)
				}
			}
		}
	}
	flags = append(flags, "data", "checkpoint") // one for all commands; one that nothing acts on yet
	names := settings.Names()
	slices.Sort(flags)
	slices.Sort(names)
	if !slices.Equal(flags, names) {
		t.Errorf("flags %v\nsettings %v", flags, names)
	}
}

func TestLogger(t *testing.T) {
	var errs bytes.Buffer
	e := &env{err: &errs}
	e.logger(settings.Server{LogLevel: "warn", LogFormat: "json"}).Info("hidden")
	e.logger(settings.Server{LogLevel: "warn", LogFormat: "json"}).Warn("shown", "x", eventstore.Identity{Namespace: "email", ID: "alice@example.com"})
	var line map[string]any
	if err := json.Unmarshal(errs.Bytes(), &line); err != nil || line["msg"] != "shown" {
		t.Errorf("%v: %s", err, errs.String())
	}
	never(t, "the log", errs.String(), "alice")
	errs.Reset()
	e.logger(settings.Server{LogLevel: "debug", LogFormat: "text"}).Log(t.Context(), slog.LevelDebug, "shown")
	want(t, "the log", errs.String(), "msg=shown")
}

func TestLanguages(t *testing.T) {
	for v, l := range map[string]lang{"": english, "fr": french, "fr_CA.UTF-8": french, "fr-BE": french, "en": english, "french": english, "C": english} {
		if got := chooseLang(v); got != l {
			t.Errorf("%q is %s", v, got)
		}
	}
	for command, l := range map[string]lang{"oubli": french, "oubli person": french, "oubli person erase": french, "oubli erasure list": french, "oubli stats": english} {
		if got := french.of(command); got != l {
			t.Errorf("%s speaks %s", command, got)
		}
	}
}

func TestLongLedgerInPages(t *testing.T) {
	f := newFake(t)
	f.routes["GET /v1/ledger"] = func(w http.ResponseWriter, _ *http.Request) {
		for i := range ledgerPage + 1 {
			fmt.Fprintf(w, `{"number":%d,"time":"2026-11-22T10:00:00Z","act":"person-shown","token":"7Q","role":"dpo"}`+"\n", i+1)
		}
	}
	_, out, _ := run(t, "", "ledger", "list")
	if n := strings.Count(out, "person-shown"); n != ledgerPage+1 {
		t.Errorf("%d entries", n)
	}
	if n := strings.Count(out, "ACT"); n != 1 {
		t.Errorf("%d headings", n)
	}
}

func TestLongTranscriptSaysThatItIsCut(t *testing.T) {
	f := newFake(t)
	f.routes["GET /v1/persons/"+alice+"/events"] = func(w http.ResponseWriter, _ *http.Request) {
		line := strings.SplitN(said, "\n", 2)[0] + "\n"
		io.WriteString(w, strings.Repeat(line, mostShown+5))
	}
	_, out, err := run(t, "", "person", "transcript", "--person", alice)
	if n := strings.Count(out, "Où est"); n != mostShown {
		t.Errorf("%d events shown", n)
	}
	want(t, "the note", err, "Only the first 20000 events")
}
