package server

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/oubli-store/oubli/cmd/internal/backup"
)

func newIdentity(t *testing.T) (recipient string, ids backup.Identities) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	ids, err = backup.ReadIdentities(strings.NewReader(id.String()))
	if err != nil {
		t.Fatal(err)
	}
	return id.Recipient().String(), ids
}

// TestBackupOverHTTP: the file opens for its recipient and holds what the server has; nobody else finds anything in it; the ledger knows first.
func TestBackupOverHTTP(t *testing.T) {
	w := begin(t, config(t.TempDir()))
	bot := w.token(`{"roles":["bot"],"bot":"shop"}`)
	w.says(bot, "alice@example.com", "Bonjour du fond du jardin")
	recipient, ids := newIdentity(t)
	status, text := w.ask("POST", "/v1/backup", w.admin, `{"recipients":["`+recipient+`"],"expires":"7d"}`)
	if status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	for _, clear := range []string{"alice", "jardin", "default", "oubli backup"} {
		if strings.Contains(text, clear) {
			t.Errorf("%q stands in clear in the backup", clear)
		}
	}
	snapshot, err := w.vault.Snapshot(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	root := snapshot.Tenants[0].Root.Reveal()
	for what, form := range map[string]string{"raw": string(root), "hex": hex.EncodeToString(root), "base64": base64.StdEncoding.EncodeToString(root)} {
		if strings.Contains(text, form) {
			t.Errorf("the root key stands in the backup, %s", what)
		}
	}
	snapshot.Close()
	r, err := backup.NewReader(strings.NewReader(text), ids)
	if err != nil {
		t.Fatal(err)
	}
	if d := r.Header.Expires.Sub(r.Header.Moment); d != 7*24*time.Hour || r.Header.Vault != w.vault.Vault() {
		t.Errorf("%+v", r.Header)
	}
	count := map[backup.Kind]int{}
	made := false
	for {
		s, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, err := range r.Items() {
			if err != nil {
				t.Fatal(err)
			}
			count[s.Kind]++
			made = made || s.Kind == backup.Ledger && bytes.Contains(i.Value, []byte("backup-made"))
		}
	}
	if count[backup.Events] != 1 || count[backup.Vault] == 0 || count[backup.Ledger] < 3 || !made {
		t.Errorf("it holds %v, made %v", count, made)
	}
	for body, want := range map[string]int{
		`{}`: 400, `{"recipients":["AGE-SECRET-KEY-1QQQ"]}`: 400, `{"recipients":["` + recipient + `"],"expires":"forever"}`: 400,
		`{"recipients":["` + recipient + `"],"expires":"1m"}`: 400, `{"x":1}`: 400, `x`: 400,
	} {
		if status, text := w.ask("POST", "/v1/backup", w.admin, body); status != want || strings.Contains(text, "SECRET") {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if status, _ := w.ask("POST", "/v1/backup", bot, `{"recipients":["`+recipient+`"]}`); status != 403 {
		t.Errorf("a bot: %d", status)
	}
}

// TestBackupRecipientsAreTheOperators: who manages the instance does not choose who can read everything in it.
func TestBackupRecipientsAreTheOperators(t *testing.T) {
	mine, _ := newIdentity(t)
	other, _ := newIdentity(t)
	c := config(t.TempDir())
	c.BackupRecipients = mine
	w := begin(t, c)
	if status, text := w.ask("POST", "/v1/backup", w.admin, `{"recipients":["`+other+`"]}`); status != 403 {
		t.Errorf("another's key: %d %s", status, text)
	}
	if status, _ := w.ask("POST", "/v1/backup", w.admin, `{}`); status != 200 {
		t.Errorf("the operator's own: %d", status)
	}
	c = config(t.TempDir())
	c.Production = true
	p := begin(t, c)
	if status, text := p.ask("POST", "/v1/backup", p.admin, `{"recipients":["`+other+`"]}`); status != 403 || !strings.Contains(text, "in production") {
		t.Errorf("in production without recipients: %d %s", status, text)
	}
}

// TestBackupOnTime: the first is made at the start, none again after a restart before it is due, and the status says so.
func TestBackupOnTime(t *testing.T) {
	recipient, ids := newIdentity(t)
	c := config(t.TempDir())
	c.BackupDir, c.BackupEvery, c.BackupKeep, c.BackupRecipients = filepath.Join(t.TempDir(), "backups"), "24h", "60d", recipient
	w := begin(t, c)
	var files []string
	for range 400 {
		if files, _ = filepath.Glob(c.BackupDir + "/*.age"); len(files) == 1 && !w.backups.Status().Last.IsZero() {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if len(files) != 1 {
		t.Fatalf("there is no backup: %s", w.log)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := backup.NewReader(f, ids); err != nil {
		t.Error(err)
	}
	out := w.want(200, "GET", "/v1/vault/status", w.admin, "")
	if out["backup_next"] == nil || out["backup_files"] != 1.0 {
		t.Errorf("%v", out)
	}
	if _, text := w.ask("GET", "/metrics", w.admin, ""); !strings.Contains(text, "oubli_backup_next_timestamp_seconds") {
		t.Error("no metric")
	}
	w.end()
	w = begin(t, c)
	for range 100 {
		if !w.backups.Status().Next.IsZero() {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if files, _ := filepath.Glob(c.BackupDir + "/*"); len(files) != 1 {
		t.Errorf("after a restart there are %v", files)
	}
	if next := w.backups.Status().Next; next.Before(time.Now().Add(23 * time.Hour)) {
		t.Errorf("the next is due %v", next)
	}
}

// TestBackupThatFails: a directory that cannot be written is told, and serving goes on.
func TestBackupThatFails(t *testing.T) {
	recipient, _ := newIdentity(t)
	c := config(t.TempDir())
	c.BackupDir, c.BackupRecipients = filepath.Join(t.TempDir(), "file"), recipient
	if err := errors.Join(os.WriteFile(c.BackupDir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	w := begin(t, c)
	text := ""
	for range 400 {
		if _, text = w.ask("GET", "/readyz", w.admin, ""); strings.Contains(text, "backup") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if !strings.Contains(text, `"ready"`) || !strings.Contains(text, "could not be made") {
		t.Errorf("readyz: %s", text)
	}
}
