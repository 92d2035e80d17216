package endtoend

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/storetest"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/streams"
	"github.com/oubli-store/oubli/streams/natsembed"
)

// openParts opens the real vault and log in a directory that no server works on; the function returned closes them.
func openParts(t testing.TB, dir string, create bool) (storetest.Parts, func()) {
	t.Helper()
	vault, err := keyvault.Open(t.Context(), keyvault.Config{Dir: filepath.Join(dir, "vault"), Roots: filepath.Join(dir, "roots"),
		KEKFile: filepath.Join(dir, "kek"), Create: create})
	if err != nil {
		t.Fatal(err)
	}
	nats, err := natsembed.Start(t.Context(), natsembed.Config{Dir: filepath.Join(dir, "nats")})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect()
	if err != nil {
		t.Fatal(err)
	}
	log, err := streams.Open(t.Context(), streams.Config{Dir: filepath.Join(dir, "log"), Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	return storetest.Parts{Keys: vault, Log: log, Door: door.New(door.Rules{}), Chunks: log.Chunks(), Meta: vault}, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		conn.Close()
		if err := nats.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := vault.Close(); err != nil {
			t.Error(err)
		}
	}
}

// openStore opens the store of a stopped server's directory, with its default tenant.
func openStore(t testing.TB, dir string) (*eventstore.Store, func()) {
	t.Helper()
	p, closeAll := openParts(t, dir, false)
	store := eventstore.New(eventstore.Config{Keys: p.Keys, Log: p.Log, Door: p.Door, Chunks: p.Chunks, Meta: p.Meta})
	if err := store.Open(t.Context(), eventstore.DefaultTenant, false); err != nil {
		t.Fatal(err)
	}
	return store, closeAll
}

// TestStoreOverRealParts runs the suite of Store over the real vault and the real log.
func TestStoreOverRealParts(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Parts {
		parts, closeAll := openParts(t, t.TempDir(), true)
		t.Cleanup(closeAll)
		return parts
	})
}
