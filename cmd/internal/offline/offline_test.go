package offline

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
)

func config(dir string) server.Config {
	return server.Config{Server: settings.Server{Data: dir, Listen: "127.0.0.1:0", NATSListen: ""}}
}

// ended stops what stops within a time.
func ended(t *testing.T, stop func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := stop(ctx); err != nil {
		t.Error(err)
	}
}

// acts lists the acts in the ledger.
func acts(t *testing.T, r *Rooms) (out []eventstore.Act) {
	t.Helper()
	for n, err := range r.Ledger.Entries(t.Context(), eventstore.DefaultTenant, 1) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n.Entry.Act)
	}
	return out
}

// TestOpen: a server and an offline command exclude each other, and what the command records is there for the server and for the next command.
func TestOpen(t *testing.T) {
	c := config(t.TempDir())
	s, err := server.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), c); !errors.Is(err, eventstore.ErrInUse) {
		t.Errorf("while the server runs: %v", err)
	}
	ended(t, s.Stop)
	r, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Start(t.Context(), c); !errors.Is(err, eventstore.ErrInUse) {
		t.Errorf("a server beside it: %v", err)
	}
	before := acts(t, r)
	n, err := r.Record(t.Context(), eventstore.ActKEKRotated)
	if err != nil || n != uint64(len(before))+1 {
		t.Fatalf("entry %d after %d: %v", n, len(before), err)
	}
	ended(t, r.Close)
	if s, err = server.Start(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	ended(t, s.Stop)
	if r, err = Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	defer ended(t, r.Close)
	after := acts(t, r)
	if len(after) < len(before)+1 || after[len(before)] != eventstore.ActKEKRotated {
		t.Errorf("the ledger: %v, then %v", before, after)
	}
}

// TestOpenRefuses: a directory that is none, and one whose first start was not finished, are named and left as they are.
func TestOpenRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := Open(t.Context(), config(dir)); !errors.Is(err, eventstore.ErrNotFound) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory was made")
	}
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "oubli-data"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), config(dir)); !errors.Is(err, eventstore.ErrNotFound) {
		t.Errorf("an unfinished first start: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files are there: %v", len(entries), err)
	}
}

// TestOpenLostLedger: without the ledger nothing is done.
func TestOpenLostLedger(t *testing.T) {
	c := config(t.TempDir())
	s, err := server.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ended(t, s.Stop)
	if err := os.RemoveAll(filepath.Join(c.Data, "nats")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), c); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("without nats/: %v", err)
	}
}
