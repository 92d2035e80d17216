package server

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oubli-store/oubli/eventstore"
)

// TestWholePath: an event comes in, is read, counted, erased; the others stay; all of it again after a restart.
func TestWholePath(t *testing.T) {
	dir := t.TempDir()
	w := begin(t, config(dir))
	bot := w.token(`{"roles":["bot"],"bot":"shop"}`)
	alice := w.says(bot, "alice@example.com", "a secret of Alice")
	bob := w.says(bot, "bob@example.com", "a word of Bob")
	dpo := w.token(`{"roles":["dpo"]}`)
	if status, text := w.ask("GET", "/v1/persons/"+alice+"/events", dpo, ""); status != 200 || !strings.Contains(text, "a secret of Alice") {
		t.Fatalf("%d %s", status, text)
	}
	if status, text := w.ask("GET", "/v1/persons/"+alice+"/export", dpo, ""); status != 200 || !strings.Contains(text, "a secret of Alice") {
		t.Errorf("%d %s", status, text)
	}
	found := w.want(200, "POST", "/v1/persons/lookup", dpo, `{"identities":[{"namespace":"email","id":"ALICE@example.com"}]}`)
	if len(found["persons"].([]any)) != 1 {
		t.Errorf("%v", found)
	}
	done := w.want(200, "POST", "/v1/persons/"+alice+"/erase", dpo, `{"reason":"person-request"}`)
	again := w.want(200, "POST", "/v1/persons/"+alice+"/erase", dpo, `{"reason":"person-request"}`)
	if done["erasure"] != again["erasure"] {
		t.Errorf("%v, then %v", done, again)
	}
	gone := func() {
		t.Helper()
		for _, path := range []string{"", "/events", "/export"} {
			if status, text := w.ask("GET", "/v1/persons/"+alice+path, dpo, ""); status != 410 || !strings.Contains(text, "urn:oubli:erased") {
				t.Errorf("%s: %d %s", path, status, text)
			}
		}
		if status, text := w.ask("GET", "/v1/persons/"+bob+"/events", dpo, ""); status != 200 || !strings.Contains(text, "a word of Bob") {
			t.Errorf("%d %s", status, text)
		}
	}
	gone()
	stats := w.want(200, "GET", "/v1/stats/activity", w.token(`{"roles":["analyst"]}`), "")
	if stats["projection"] != "activity" {
		t.Errorf("%v", stats)
	}
	if status, text := w.ask("GET", "/readyz", "", ""); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	w.end()
	w = begin(t, config(dir))
	gone()
	_, entries := w.ask("GET", "/v1/ledger", dpo, "", "Accept", "application/x-ndjson")
	for _, act := range []string{"tenant-created", "token-created", "person-looked-up", "transcript-read", "person-exported", "person-erased"} {
		if !strings.Contains(entries, `"`+act+`"`) {
			t.Errorf("the ledger has no %s: %s", act, entries)
		}
	}
	for _, secret := range []string{"Alice", "alice", "Bob", bot, dpo, "c-alice"} {
		if strings.Contains(w.log.String()+entries, secret) {
			t.Errorf("%s stands in the log or the ledger", secret)
		}
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s stands in %s", secret, path)
			}
			return nil
		})
	}
}

// TestStopIsClean: nothing is left running, and stopping again does nothing.
func TestStopIsClean(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s, err := Start(t.Context(), config(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 {
		if err := s.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Wait(ctx); err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// TestTwoServers: the second one on a directory says that it is in use, and harms nothing.
func TestTwoServers(t *testing.T) {
	dir := t.TempDir()
	w := begin(t, config(dir))
	if _, err := Start(t.Context(), config(dir)); !errors.Is(err, eventstore.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
	w.says(w.admin2(), "alice@example.com", "still there")
}

// admin2 is a bot's token.
func (w *world) admin2() string { return w.token(`{"roles":["bot"],"bot":"shop"}`) }

// TestDirectories: what is not a data directory, or of a newer version, or damaged, is refused by name and left as it is.
func TestDirectories(t *testing.T) {
	write := func(name, text string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) }
	}
	for name, test := range map[string]struct {
		make func(dir string) error
		want error
		says string
	}{
		"newer":    {write(formatFile, formatPrefix+"2\n"), eventstore.ErrNewerVersion, "version 2"},
		"damaged":  {write(formatFile, "something else"), eventstore.ErrDamaged, formatFile},
		"foreign":  {write("thesis.txt", "my only copy"), nil, "neither empty nor a data directory"},
		"no vault": {write(formatFile, formatLine()), nil, "vault"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := test.make(dir); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadDir(dir)
			_, err := Start(t.Context(), config(dir))
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
			if after, _ := os.ReadDir(dir); len(after) > len(before)+1 {
				t.Errorf("%v, before %v", after, before)
			}
		})
	}
	if _, err := Start(t.Context(), config("")); err == nil {
		t.Error("started without a data directory")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), config(filepath.Join(file, "data"))); !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), "stands in the way") {
		t.Errorf("%v", err)
	}
}

// TestLostVault: a data directory whose vault is gone is not begun anew.
func TestLostVault(t *testing.T) {
	dir := t.TempDir()
	w := begin(t, config(dir))
	w.end()
	if err := os.RemoveAll(filepath.Join(dir, "vault")); err != nil {
		t.Fatal(err)
	}
	if s, err := Start(t.Context(), config(dir)); err == nil || !strings.Contains(err.Error(), "vault") {
		t.Errorf("%v %v", s, err)
	}
}

// TestAddressInUse says which address, and gives the directory free.
func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := config(t.TempDir())
	c.Listen = l.Addr().String()
	if _, err := Start(t.Context(), c); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), c.Listen) {
		t.Errorf("%v", err)
	}
	c.Listen = "127.0.0.1:0"
	begin(t, c)
}

// TestFirstStartInterrupted: a first start that did not come to its end is finished by the next.
func TestFirstStartInterrupted(t *testing.T) {
	dir := t.TempDir()
	w := begin(t, config(dir))
	w.end()
	if err := errors.Join(os.Truncate(filepath.Join(dir, formatFile), 5), os.Remove(filepath.Join(dir, stampFile))); err != nil {
		t.Fatal(err)
	}
	w = begin(t, config(dir))
	w.says(w.admin2(), "alice@example.com", "hello")
	w.end()
	if b, err := os.ReadFile(filepath.Join(dir, formatFile)); err != nil || string(b) != formatLine() {
		t.Errorf("%q %v", b, err)
	}
}

// TestProduction: there the admin token reaches no person.
func TestProduction(t *testing.T) {
	c := config(t.TempDir())
	c.Production = true
	w := begin(t, c)
	if status, text := w.ask("GET", "/v1/erasures", w.admin, ""); status != 403 {
		t.Errorf("%d %s", status, text)
	}
	w.want(200, "GET", "/v1/vault/status", w.admin, "")
	if strings.Contains(w.log.String(), "every role") {
		t.Error("the log says that the token holds every role")
	}
}

// TestTrying: without production the server says what the token can do.
func TestTrying(t *testing.T) {
	w := begin(t, config(t.TempDir()))
	w.want(200, "GET", "/v1/erasures", w.admin, "")
	if !strings.Contains(w.log.String(), "every role") || strings.Contains(w.log.String(), w.admin) {
		t.Errorf("%s", w.log)
	}
	info, err := os.Stat(w.AdminToken())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

// TestDisks: a disk that is read-only or full is named, and the data directory survives it.
func TestDisks(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=192k"); err != nil {
		t.Skipf("no disk can be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	data := filepath.Join(dir, "data")
	if _, err := Start(t.Context(), config(data)); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "full") {
		t.Errorf("%v", err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=512m"); err != nil {
		t.Fatal(err)
	}
	w := begin(t, config(data))
	w.end()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=512m"); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), config(data)); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("%v", err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=512m"); err != nil {
		t.Fatal(err)
	}
	w = begin(t, config(data))
	person := w.says(w.admin2(), "alice@example.com", "hello")
	w.fillDisk(dir)
	event := `{"identity":{"namespace":"email","id":"alice@example.com"},"conversation":"c","type":"message","author":"user","bot":"b","text":"more"}`
	w.eventually("events are refused", func() bool {
		status, answer := w.ask("POST", "/v1/events", w.admin, event)
		return status == 503 && strings.Contains(answer, "disk")
	})
	if status, answer := w.ask("POST", "/v1/persons/"+person+"/erase", w.admin, `{"reason":"person-request"}`); status != 200 || !strings.Contains(answer, "shredded") {
		t.Errorf("an erasure on a full disk: %d %s", status, answer)
	}
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	w.eventually("events are taken again", func() bool {
		status, _ := w.ask("POST", "/v1/events", w.admin, event)
		return status == 201
	})
	w.end()
}

// fillDisk leaves so little room on a disk that no event is taken.
func (w *world) fillDisk(dir string) {
	w.Helper()
	left, err := free(dir)
	if err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, left-minFree), 0o600); err != nil {
		w.Fatal(err)
	}
}

// eventually asks until the answer is yes; a look at the disk holds for a short while.
func (w *world) eventually(what string, yes func() bool) {
	w.Helper()
	for end := time.Now().Add(20 * freeFor); !yes(); {
		if time.Now().After(end) {
			w.Fatalf("not in time: %s", what)
		}
	}
}
