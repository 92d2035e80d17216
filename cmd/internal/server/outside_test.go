package server

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// TestRestoreCheckpoint: the checkpoint that a server kept outside says what happened after the backup; the restored server goes on beside it. A data directory
// that survived and is older than the checkpoint is refused.
func TestRestoreCheckpoint(t *testing.T) {
	c := config(t.TempDir())
	c.Checkpoint = filepath.Join(t.TempDir(), "checkpoint")
	w := begin(t, c)
	bot := w.token(`{"roles":["bot"],"bot":"shop"}`)
	alice := w.says(bot, "alice@example.com", "eins")
	bob := w.says(bot, "bob@example.com", "zwei")
	recipient, ids := newIdentity(t)
	file := w.backup(recipient)
	older := t.TempDir()
	w.end()
	if err := os.CopyFS(older, os.DirFS(c.Data)); err != nil {
		t.Fatal(err)
	}
	w = begin(t, c)
	w.want(200, "POST", "/v1/persons/"+alice+"/erase", w.admin, `{"reason":"person-request"}`)
	if err := w.keeper.Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.end()
	order := func(from string) RestoreOrder {
		return RestoreOrder{Backup: bytes.NewReader(file), Identities: ids,
			Newest: func(ctx context.Context, v eventstore.VaultID) (Ledgers, func(), error) {
				var s *Surviving
				if from != "" {
					var err error
					if s, err = OpenSurviving(ctx, config(""), from, v); err != nil {
						return nil, nil, err
					}
					defer s.Close()
				}
				o, err := OpenOutside(ctx, c.Checkpoint, v, s)
				return o, func() {}, err
			}}
	}
	if _, err := Restore(t.Context(), config(filepath.Join(t.TempDir(), "x")), order(older)); !errors.Is(err, ErrOldLedger) {
		t.Errorf("a data directory that is older than the checkpoint: %v", err)
	}
	restored := c
	restored.Data = t.TempDir()
	out, err := Restore(t.Context(), restored, order(""))
	if err != nil || out.Tenants[0].Again.Erased != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	n := begin(t, restored)
	dpo := n.token(`{"roles":["dpo"]}`)
	if got := n.texts(dpo, alice) + " " + n.texts(dpo, bob); got != "410 zwei" {
		t.Errorf("%s", got)
	}
}
