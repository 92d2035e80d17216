package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/api"
)

// damageable is the data directory of a stopped server, older copies of it, that of another vault, and everything that a server on it must answer.
type damageable struct {
	dir, older, other string
	// crashed is a copy of dir from while the server ran.
	crashed   string
	questions []question
	answers   []string
}

// question is one request; its answer is the same for as long as nothing is asked to change.
type question struct{ method, path, token, body string }

var damagedTenants = []string{"default", "acme"}

// newDamageable makes it with a real server: two tenants, people with conversations, a file, a linked visitor, an erasure, a restriction, figures, settings.
func newDamageable(t *testing.T) *damageable {
	t.Helper()
	root := t.TempDir()
	d := &damageable{dir: filepath.Join(root, "data"), older: filepath.Join(root, "older"), other: filepath.Join(root, "other"),
		crashed: filepath.Join(root, "crashed")}
	d.begin(t, d.other)
	d.questions = nil
	more := d.begin(t, d.dir)
	if err := copyAll(d.older, os.DirFS(d.dir)); err != nil {
		t.Fatal(err)
	}
	more()
	w := begin(t, config(copied(t, d.dir)))
	d.answers = d.ask(w)
	w.end()
	w = begin(t, config(copied(t, d.crashed)))
	for _, wrong := range d.compare(w) {
		t.Fatalf("after a crash: %s", wrong)
	}
	w.end()
	for i, a := range d.answers {
		if strings.Contains(a, "urn:oubli") && !strings.Contains(a, "erased") {
			t.Fatalf("%+v: %s", d.questions[i], a)
		}
	}
	return d
}

// begin fills a directory and stops; what it returns goes on from there.
func (d *damageable) begin(t *testing.T, dir string) (more func()) {
	t.Helper()
	w := begin(t, config(dir))
	w.want(201, "POST", "/v1/tenants", w.admin, `{"tenant":"acme"}`)
	bots, dpos, erased := map[string]string{}, map[string]string{}, map[string]string{}
	for _, tenant := range damagedTenants {
		bots[tenant] = w.token(`{"roles":["bot"],"bot":"shop"}`, api.TenantHeader, tenant)
		dpos[tenant] = w.token(`{"roles":["dpo","support","analyst"]}`, api.TenantHeader, tenant)
		erased[tenant] = w.says(bots[tenant], "alice@example.com", "a secret")
		for i := range 4 {
			person := w.says(bots[tenant], fmt.Sprintf("p%d@example.com", i), strings.Repeat("words of "+tenant+" ", i+1))
			d.about(dpos[tenant], person, fmt.Sprintf("p%d@example.com", i))
		}
		if status, out := w.send(bots[tenant], recordingOf("p2@example.com", "file"), "a.wav", "audio/wav", bytesOf(byte(len(tenant)), 3000)); status != 201 {
			t.Fatal(status, out)
		} else {
			d.questions = append(d.questions, question{"GET", "/v1/attachments/" + w.file(dpos[tenant], out["person"].(string)), dpos[tenant], ""})
		}
		d.about(dpos[tenant], erased[tenant], "alice@example.com")
		for _, path := range []string{"/v1/erasures", "/v1/ledger", "/v1/stats/activity", "/v1/stats/intents"} {
			d.questions = append(d.questions, question{"GET", path, dpos[tenant], ""})
		}
	}
	w.end()
	return func() {
		t.Helper()
		w := begin(t, config(dir))
		for _, tenant := range damagedTenants {
			w.want(200, "POST", "/v1/persons/"+erased[tenant]+"/erase", dpos[tenant], `{"reason":"person-request"}`)
			w.want(201, "POST", "/v1/events", bots[tenant], `{"identity":{"namespace":"email","id":"p1@example.com"},"also":[{"namespace":"web","id":"v1"}],`+
				`"conversation":"later","type":"message","author":"user","text":"linked"}`)
			d.about(dpos[tenant], w.says(bots[tenant], "late@example.com", "later"), "late@example.com")
		}
		w.passed()
		if err := copyAll(d.crashed, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		w.end()
	}
}

// about asks everything about one person.
func (d *damageable) about(token, person, email string) {
	d.questions = append(d.questions, question{"GET", "/v1/persons/" + person, token, ""}, question{"GET", "/v1/persons/" + person + "/events", token, ""},
		question{"POST", "/v1/persons/lookup", token, `{"identities":[{"namespace":"email","id":"` + email + `"}]}`})
}

// passed waits until the figures have passed everything.
func (w *world) passed() {
	w.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		behind := false
		for _, tenant := range damagedTenants {
			_, text := w.ask("GET", "/v1/projections/status", w.admin, "", api.TenantHeader, tenant)
			var status struct{ Position, Committed uint64 }
			if json.Unmarshal([]byte(text), &status) != nil || status.Position < status.Committed || status.Committed == 0 {
				behind = true
			}
		}
		if !behind {
			return
		}
		if time.Now().After(deadline) {
			_, text := w.ask("GET", "/v1/projections/status", w.admin, "")
			w.Fatalf("the figures are not up to date: %s", text)
		}
	}
}

// copied makes a copy of a directory to be damaged.
func copied(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if err := copyAll(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// ask asks a server everything. What changes by being asked, or goes on by itself, is left out.
func (d *damageable) ask(w *world) (answers []string) {
	w.Helper()
	for _, q := range d.questions {
		status, text := w.ask(q.method, q.path, q.token, q.body)
		switch q.path {
		case "/v1/ledger": // asking is written down
			var book struct{ Entries []map[string]any }
			if json.Unmarshal([]byte(text), &book) == nil && len(book.Entries) > 0 {
				text = fmt.Sprint(book.Entries[:min(ledgerKept, len(book.Entries))])
			}
		case "/v1/erasures": // the ciphertext is removed meanwhile
			var list struct {
				Erasures []struct {
					Erasure, Person, Reason string
					Stages                  struct{ Shredded string }
				}
			}
			if json.Unmarshal([]byte(text), &list) == nil && len(list.Erasures) > 0 {
				text = fmt.Sprint(list.Erasures)
			}
		}
		answers = append(answers, fmt.Sprintf("%d %s", status, text))
	}
	return answers
}

// ledgerKept is how many entries there were before anybody asked.
const ledgerKept = 4

// files lists what can be damaged, by its path in the directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	for _, path := range slices.Sorted(maps.Keys(contents(t, dir))) {
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, rel)
	}
	return out
}
