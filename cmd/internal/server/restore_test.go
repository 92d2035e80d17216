package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/backup"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// kept is a ledger that was kept outside, in memory.
type kept map[eventstore.TenantID][][]byte

func (k kept) Tenants() (out []eventstore.TenantID) {
	for id := range k {
		out = append(out, id)
	}
	return out
}

func (k kept) Records(_ context.Context, id eventstore.TenantID) iter.Seq2[eventstore.Record, error] {
	return func(yield func(eventstore.Record, error) bool) {
		for i, r := range k[id] {
			if !yield(eventstore.Record{Number: uint64(i + 1), Data: r}, nil) {
				return
			}
		}
	}
}

func (k kept) Erased(eventstore.TenantID) bool { return false }

func (k kept) Adopt(context.Context, eventstore.Meta) error { return nil }

// keep copies the ledgers of a running server.
func (w *world) keep() kept {
	w.Helper()
	out := kept{}
	all, err := w.List(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	for _, id := range all {
		out[id] = [][]byte{}
		for r, err := range w.streams.ReadRecords(context.Background(), id, eventstore.RecordsLedger, 1) {
			if err != nil {
				w.Fatal(err)
			}
			out[id] = append(out[id], bytes.Clone(r.Data))
		}
	}
	return out
}

func (w *world) backup(recipient string) []byte {
	w.Helper()
	status, text := w.ask("POST", "/v1/backup", w.admin, `{"recipients":["`+recipient+`"]}`)
	if status != 200 {
		w.Fatalf("%d %s", status, text)
	}
	return []byte(text)
}

// texts are those of a person's events, or the answer if there are none.
func (w *world) texts(token, person string) string {
	w.Helper()
	status, text := w.ask("GET", "/v1/persons/"+person+"/events", token, "")
	if status != 200 {
		return fmt.Sprint(status)
	}
	var out []string
	for _, word := range []string{"eins", "zwei", "drei", "vier"} {
		if strings.Contains(text, word) {
			out = append(out, word)
		}
	}
	return strings.Join(out, " ")
}

// given is how a restore is given ledgers.
func given(l Ledgers) func(context.Context, eventstore.VaultID) (Ledgers, func(), error) {
	if l == nil {
		return nil
	}
	return func(context.Context, eventstore.VaultID) (Ledgers, func(), error) { return l, func() {}, nil }
}

func restoreInto(t *testing.T, dir string, file []byte, ids backup.Identities, newest Ledgers, accept bool) (Restored, error) {
	t.Helper()
	o := RestoreOrder{Backup: bytes.NewReader(file), Identities: ids, AcceptLost: accept}
	o.Newest = given(newest)
	return Restore(t.Context(), config(dir), o)
}

// TestRestore: events, a backup, more events, an erasure, a restriction, a withdrawal of consent, a token revoked, a tenant erased; the disk is lost. What is
// restored reads what was before the backup, and has everything of that done to it before it serves.
func TestRestore(t *testing.T) {
	w := begin(t, config(t.TempDir()))
	bot := w.token(`{"roles":["bot"],"bot":"shop"}`)
	ended := w.token(`{"roles":["bot"],"bot":"ended"}`)
	dpo := w.token(`{"roles":["dpo","support"]}`)
	w.want(201, "POST", "/v1/tenants", w.admin, `{"tenant":"acme"}`)
	w.want(201, "POST", "/v1/tenants", w.admin, `{"tenant":"stays"}`)
	alice := w.says(bot, "alice@example.com", "eins")
	bob := w.says(bot, "bob@example.com", "zwei")
	carol := w.says(bot, "carol@example.com", "drei")
	gone := w.says(bot, "gone@example.com", "vier")
	w.want(200, "POST", "/v1/persons/"+gone+"/erase", dpo, `{"reason":"person-request"}`)
	recipient, ids := newIdentity(t)
	file := w.backup(recipient)

	w.says(bot, "bob@example.com", "nachher")
	late := w.says(bot, "late@example.com", "eins")
	w.want(200, "POST", "/v1/persons/"+alice+"/erase", dpo, `{"reason":"person-request"}`)
	who, err := eventstore.ParsePersonID(carol)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.rights.Set(t.Context(), "default", rights.Actor{Token: "dpo", Role: eventstore.RoleDPO}, who, rights.Restrict, eventstore.ReasonPersonRequest); err != nil {
		t.Fatal(err)
	}
	for _, tk := range w.want(200, "GET", "/v1/tokens", w.admin, "")["tokens"].([]any) {
		if m := tk.(map[string]any); m["bot"] == "ended" {
			w.want(200, "POST", "/v1/tokens/"+m["id"].(string)+"/revoke", w.admin, "")
		}
	}
	w.want(200, "POST", "/v1/tenants/acme/erase", w.admin, "")
	w.want(201, "POST", "/v1/tenants", w.admin, `{"tenant":"younger"}`)
	newest := w.keep()
	w.end() // and the disk with it

	dir := filepath.Join(t.TempDir(), "new")
	out, err := restoreInto(t, dir, file, ids, newest, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Tenants) != 2 || out.Tenants[0].Tenant != "default" || out.Tenants[0].Persons != 3 || out.Tenants[0].Again.Erased != 1 ||
		out.Tenants[0].Revoked != 1 || fmt.Sprint(out.LostTenants, out.ErasedTenants) != "[younger] [acme]" {
		t.Errorf("%+v", out)
	}
	n := begin(t, config(dir))
	for person, want := range map[string]string{alice: "410", bob: "zwei", gone: "410", late: "404"} {
		if got := n.texts(dpo, person); got != want {
			t.Errorf("%s: %s, want %s", person, got, want)
		}
	}
	if status, text := n.ask("GET", "/v1/persons/"+carol+"/events", dpo, ""); status == 200 {
		t.Errorf("carol's restriction is gone: %s", text)
	}
	if status, _ := n.ask("POST", "/v1/events", ended, `{"conversation":"c","type":"message","text":"x"}`); status != 401 {
		t.Errorf("the token that was revoked: %d", status)
	}
	if _, text := n.ask("GET", "/v1/persons/"+late, dpo, ""); !strings.Contains(text, "restored from a backup") {
		t.Errorf("who came after the backup: %s", text)
	}
	if _, text := n.ask("GET", "/v1/tenants", n.admin, ""); strings.Contains(text, "acme") || !strings.Contains(text, "stays") {
		t.Errorf("tenants: %s", text)
	}
	entries := n.keep()["default"]
	if len(entries) <= len(newest["default"]) || !bytes.Equal(entries[len(newest["default"])-1], newest["default"][len(newest["default"])-1]) ||
		!bytes.Contains(entries[len(newest["default"])], []byte("restored")) {
		t.Error("the ledger does not go on with the entry of the restore")
	}
	// It goes on: the same handle is the same person, a retry is a duplicate, figures are counted again.
	if p := n.says(bot, "bob@example.com", "drei"); p != bob || n.texts(dpo, bob) != "zwei drei" {
		t.Errorf("bob is %s and says %s", p, n.texts(dpo, bob))
	}
	n.end()
	checked, err := CheckVault(t.Context(), config(dir), func(eventstore.TenantID, uint64, uint64) {})
	if err != nil {
		t.Fatal(err)
	}
	if checked.Damages() > 0 {
		t.Errorf("%+v", checked)
	}
}

// TestRestoreLedgerFrom: a data directory that survived without its vault says what happened since.
func TestRestoreLedgerFrom(t *testing.T) {
	old := t.TempDir()
	w := begin(t, config(old))
	bot := w.token(`{"roles":["bot"],"bot":"shop"}`)
	alice := w.says(bot, "alice@example.com", "eins")
	bob := w.says(bot, "bob@example.com", "zwei")
	recipient, ids := newIdentity(t)
	file := w.backup(recipient)
	w.want(200, "POST", "/v1/persons/"+alice+"/erase", w.admin, `{"reason":"person-request"}`)
	w.end()
	for _, lost := range []string{"vault", "roots"} {
		if err := os.RemoveAll(filepath.Join(old, lost)); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	o := RestoreOrder{Backup: bytes.NewReader(file), Identities: ids,
		Newest: func(ctx context.Context, v eventstore.VaultID) (Ledgers, func(), error) {
			s, err := OpenSurviving(ctx, config(""), old, v)
			if err != nil {
				return nil, nil, err
			}
			return s, s.Close, nil
		}}
	out, err := Restore(t.Context(), config(dir), o)
	if err != nil || out.Tenants[0].Again.Erased != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	n := begin(t, config(dir))
	dpo := n.token(`{"roles":["dpo"]}`, "Oubli-Tenant", "default")
	if got := n.texts(dpo, alice) + " " + n.texts(dpo, bob); got != "410 zwei" {
		t.Errorf("%s", got)
	}
}

// TestRestoreRefuses: what must not be restored, and that nothing is left then.
func TestRestoreRefuses(t *testing.T) {
	w := begin(t, config(t.TempDir()))
	bot := w.token(`{"roles":["bot"],"bot":"shop"}`)
	w.says(bot, "alice@example.com", "eins")
	recipient, ids := newIdentity(t)
	_, other := newIdentity(t)
	older := w.keep()
	file := w.backup(recipient)
	newest := w.keep()
	w.end()
	changed := kept{"default": append([][]byte{}, newest["default"]...)}
	changed["default"][1] = append(bytes.Clone(changed["default"][1][:len(changed["default"][1])-1]), 'x')
	late := config("")
	late.Now = func() time.Time { return time.Now().Add(61 * 24 * time.Hour) }
	for name, c := range map[string]struct {
		file   []byte
		ids    backup.Identities
		newest Ledgers
		now    func() time.Time
		want   error
	}{
		"no newer ledger":         {file, ids, nil, nil, ErrNoLedger},
		"an older ledger":         {file, ids, older, nil, ErrOldLedger},
		"another ledger":          {file, ids, changed, nil, ErrOtherLedger},
		"no ledger of the tenant": {file, ids, kept{}, nil, ErrOldLedger},
		"another's identity":      {file, other, newest, nil, backup.ErrIdentity},
		"cut off":                 {file[:len(file)-3], ids, newest, nil, backup.ErrDamaged},
		"expired":                 {file, ids, newest, late.Now, backup.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new")
			conf := config(dir)
			conf.Now = c.now
			o := RestoreOrder{Backup: bytes.NewReader(c.file), Identities: c.ids, Newest: given(c.newest)}
			if _, err := Restore(t.Context(), conf, o); !errors.Is(err, c.want) {
				t.Errorf("%v", err)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 && !(len(left) == 1 && left[0].Name() == "roots") {
				t.Errorf("it left %v", left)
			}
		})
	}
	dir := t.TempDir()
	out, err := restoreInto(t, dir, file, ids, nil, true)
	if err != nil || !out.Accepted {
		t.Fatalf("with the loss accepted: %+v, %v", out, err)
	}
	if _, err := restoreInto(t, dir, file, ids, newest, false); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("over another: %v", err)
	}
	n := begin(t, config(dir))
	if k := n.keep()["default"]; !bytes.Contains(bytes.Join(k, nil), []byte(acceptedLost)) {
		t.Error("the ledger does not say that the loss was accepted")
	}
	if status, _ := n.ask("POST", "/v1/events", bot, `{"conversation":"c","type":"message","text":"x"}`); status != 401 {
		t.Errorf("an access token, of which nobody knows whether it was revoked: %d", status)
	}
}

// TestRestoreUnfinished: a directory in which a restore was cut off is refused by everything, by name.
func TestRestoreUnfinished(t *testing.T) {
	w := begin(t, config(t.TempDir()))
	bot := w.token(`{"roles":["bot"],"bot":"shop"}`)
	for i := range 150 { // more than age holds in one piece
		w.says(bot, fmt.Sprintf("p%d@example.com", i), strings.Repeat("eins ", 200))
	}
	recipient, ids := newIdentity(t)
	file, newest := w.backup(recipient), w.keep()
	w.end()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	// The restore is called off in its middle, and the process dies: what it made stays.
	o := RestoreOrder{Backup: &dying{Reader: bytes.NewReader(file), left: len(file) - 200, die: func() {
		cancel()
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(dir, "..", "live"))); err != nil {
			t.Error(err)
		}
	}}, Identities: ids, Newest: given(newest)}
	live := filepath.Join(dir, "..", "live")
	if _, err := Restore(ctx, config(live), o); err == nil {
		t.Fatal("it was not cut off")
	}
	if _, err := Start(t.Context(), config(dir)); !errors.Is(err, ErrUnfinished) {
		t.Errorf("serve: %v", err)
	}
	if _, err := OpenOffline(t.Context(), config(dir)); !errors.Is(err, ErrUnfinished) {
		t.Errorf("offline: %v", err)
	}
	if _, err := CheckVault(t.Context(), config(dir), func(eventstore.TenantID, uint64, uint64) {}); !errors.Is(err, ErrUnfinished) {
		t.Errorf("check: %v", err)
	}
	if _, err := restoreInto(t, dir, file, ids, newest, false); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("again, in the same directory: %v", err)
	}
}

// dying gives a part of a file, and then does something and fails.
type dying struct {
	*bytes.Reader
	left int
	die  func()
}

func (d *dying) Read(p []byte) (int, error) {
	if d.left <= 0 {
		if d.die != nil {
			d.die()
			d.die = nil
		}
		return 0, io.ErrClosedPipe
	}
	n, err := d.Reader.Read(p[:min(len(p), d.left)])
	d.left -= n
	return n, err
}
