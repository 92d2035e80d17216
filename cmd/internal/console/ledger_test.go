package console

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

// lines is a ledger of four entries as the server shows it, with every field in use.
var lines = []string{
	`{"number":1,"time":"2026-11-22T10:00:00Z","act":"tenant-created","token":"system","tenant":"acme"}`,
	`{"number":2,"time":"2026-11-22T10:00:00.123Z","act":"person-erased","token":"7q","role":"dpo","references":["000102030405060708090a0b0c0d0e0f"],"reason":"other","basis":"b","scope":"all","subject":"aabb","count":1}`,
	`{"number":3,"time":"2026-11-22T10:00:01Z","act":"expired","token":"system","before":"2024-11"}`,
	`{"number":4,"time":"2026-11-22T10:00:02Z","act":"consent-withdrawn","token":"7q","role":"bot","purpose":"analytics"}`,
}

// TestLedgerVerify: the whole ledger is held to its checkpoint and to an older one; whatever was changed, cut or forged is named, with exit code 6.
func TestLedgerVerify(t *testing.T) {
	f := newFake(t)
	keys := keystest.New()
	if err := keys.CreateTenant(t.Context(), eventstore.DefaultTenant); err != nil {
		t.Fatal(err)
	}
	signer := ledger.NewSigner(keys.Vault(), keys, nil)
	sign := func(lines []string) string {
		records := func(yield func(eventstore.Record, error) bool) {
			for _, l := range lines {
				if r, err := recordOf([]byte(l)); !yield(r, err) {
					return
				}
			}
		}
		all, err := ledger.Collect(records)
		if err != nil {
			t.Fatal(err)
		}
		note, err := signer.Sign(t.Context(), eventstore.DefaultTenant, all.Head())
		if err != nil {
			t.Fatal(err)
		}
		public, _ := signer.Public(t.Context(), eventstore.DefaultTenant)
		text, _ := json.Marshal(signed{string(note), public})
		return string(text)
	}
	serve := func(lines []string, checkpoint string) {
		f.on("GET /v1/ledger", 200, strings.Join(lines, "\n")+"\n")
		f.routes["GET /v1/ledger/checkpoint"] = func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(checkpoint)) }
	}
	serve(lines[:2], sign(lines[:2]))
	code, text, _ := run(t, "", "ledger", "checkpoint")
	old := filepath.Join(t.TempDir(), "old")
	if err := os.WriteFile(old, []byte(text), 0o600); err != nil || code != Done {
		t.Fatal(code, err)
	}
	oldJSON := old + ".json"
	if err := os.WriteFile(oldJSON, []byte(sign(lines[:2])), 0o600); err != nil {
		t.Fatal(err)
	}
	rewritten := append([]string{strings.Replace(lines[0], "acme", "other", 1)}, lines[1:]...)
	for name, c := range map[string]struct {
		lines []string
		sign  string
		older string
		code  int
		says  string
	}{
		"whole":                    {lines, sign(lines), "", Done, "4 entries"},
		"whole, from an older one": {lines, sign(lines), old, Done, "The first 2"},
		"the same, from JSON":      {lines, sign(lines), oldJSON, Done, "The first 2"},
		"an entry changed":         {rewritten, sign(lines), "", Damaged, "not those of the server's checkpoint"},
		"an entry missing":         {lines[:3], sign(lines), "", Damaged, "has 3 entries and had 4"},
		"a ledger rewritten":       {rewritten, sign(rewritten), old, Damaged, "not the one of the older checkpoint"},
		"a ledger cut":             {lines[:1], sign(lines[:1]), old, Damaged, "not the one of the older checkpoint"},
		"a forged checkpoint":      {lines, strings.Replace(sign(lines), "\\n4\\n", "\\n5\\n", 1), "", Damaged, "the server's checkpoint"},
	} {
		serve(c.lines, c.sign)
		args := []string{"ledger", "verify"}
		if c.older != "" {
			args = append(args, "--checkpoint", c.older)
		}
		code, out, err := run(t, "", args...)
		if code != c.code || !strings.Contains(out+err, c.says) {
			t.Errorf("%s: exit code %d, want %d; %s%s, want %q", name, code, c.code, out, err, c.says)
		}
	}
}

// An entry as it is shown leads back to its one form.
func TestRecordOf(t *testing.T) {
	r, err := recordOf([]byte(lines[1]))
	if err != nil || r.Number != 2 {
		t.Fatal(err)
	}
	e, err := ledger.Decode(r.Data)
	if err != nil || e.Act != eventstore.ActErased || len(e.References) != 1 || len(e.Subject) != 2 || e.Time != time.Date(2026, 11, 22, 10, 0, 0, 123e6, time.UTC) {
		t.Errorf("%+v, %v", e, err)
	}
	for _, bad := range []string{`{`, `{"references":["zz"]}`, `{"before":"x"}`, `{"subject":"zz"}`, `{"act":"x y","token":"a"}`} {
		if _, err := recordOf([]byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// The six commands that change a state.
func TestStateCommands(t *testing.T) {
	f := newFake(t)
	for _, change := range []string{"restrict", "unrestrict", "object", "unobject", "hold", "unhold"} {
		f.on("POST /v1/persons/"+alice+"/"+change, 200, `{"person":"`+alice+`","persons":["`+alice+`"],"state":"restricted","restricted":true,"objected":true,"hold":false}`)
		code, out, err := run(t, "", "person", change, "--person", alice, "--reason", "court-order")
		if code != Done {
			t.Errorf("%s: exit code %d, %s", change, code, err)
		}
		want(t, change, out, alice, "restricted", "objected to statistics")
	}
	if code, _, _ := run(t, "", "person", "hold", "--person", alice, "--reason", "why not"); code != Usage {
		t.Errorf("another reason: exit code %d", code)
	}
	f.on("POST /v1/persons/"+alice+"/hold", 410, `{"type":"urn:oubli:erased","title":"gone","status":410}`)
	if code, _, _ := run(t, "", "person", "hold", "--person", alice); code != Gone {
		t.Errorf("an erased person: exit code %d", code)
	}
}
