package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/cmd/internal/checkpoint"
	"github.com/oubli-store/oubli/eventstore"
)

// TestRolledBack: a data directory that is put back to an older copy, wholly or in part, is not served where a checkpoint is kept outside, unless nothing is lost by
// it. The control: without the checkpoint the whole one is served.
func TestRolledBack(t *testing.T) {
	dir, source := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	c := config(dir)
	c.Checkpoint = source
	w := begin(t, c)
	bot, dpo := w.token(`{"roles":["bot"],"bot":"shop"}`), w.token(`{"roles":["dpo"]}`)
	alice := w.says(bot, "alice@example.com", "hello")
	w.end()
	old := t.TempDir()
	if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}

	w = begin(t, c)
	w.want(200, "POST", "/v1/persons/"+alice+"/erase", dpo, `{"reason":"person-request"}`)
	w.end()
	kept, err := checkpoint.Load(t.Context(), source)
	if err != nil || kept.Tenants[eventstore.DefaultTenant].Checkpoint.Size == 0 {
		t.Fatalf("%+v, %v", kept, err)
	}
	for _, parts := range [][]string{{"nats"}, {"log"}, {"vault"}, {"roots"}, {"nats", "log"}, {"vault", "roots"}, {"nats", "log", "vault", "roots", "projections"}} {
		name := strings.Join(parts, "+")
		bad := t.TempDir()
		if err := os.CopyFS(bad, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if err := errors.Join(os.RemoveAll(filepath.Join(bad, part)), os.CopyFS(filepath.Join(bad, part), os.DirFS(filepath.Join(old, part)))); err != nil {
				t.Fatal(err)
			}
		}
		// The list that a stop leaves would name the files; a directory that was put back while the server ran has none of its time.
		if err := os.Remove(filepath.Join(bad, stampFile)); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"kek", "admin.token"} {
			if err := os.Chmod(filepath.Join(bad, secret), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c := c
		c.Data = bad
		s, err := Start(t.Context(), c)
		if err == nil {
			_ = s.Stop(t.Context())
		}
		if name == "nats" || name == "log" { // each is made whole from the other: nothing is lost
			if err != nil {
				t.Errorf("%s rolled back: %v", name, err)
			}
			continue
		}
		if !errors.Is(err, eventstore.ErrDamaged) {
			t.Errorf("%s rolled back: %v", name, err)
		}
		if name == "vault+roots" && !strings.Contains(err.Error(), "the vault knows of") {
			t.Errorf("%s rolled back: the error does not name it: %v", name, err)
		}
		if len(parts) < 5 {
			continue
		}
		if !strings.Contains(err.Error(), "older than the checkpoint") {
			t.Errorf("%s rolled back: the error does not name it: %v", name, err)
		}
		c.Checkpoint = ""
		s, err = Start(t.Context(), c)
		if err != nil {
			t.Fatalf("%s rolled back, without a checkpoint: %v", name, err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	begin(t, c) // what was not rolled back is served as ever
}
