package keyvault_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
)

// TestRefusalExpires: an event from before an erasure is refused for 24 hours, also after the vault was opened again; within the two hours
// after that its key is gone, with a new root.
func TestRefusalExpires(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC).Unix())
	clock := func() time.Time { return time.Unix(now.Load(), 0) }
	dir := t.TempDir()
	c := keyvault.Config{Dir: dir + "/vault", Roots: dir + "/roots", KEKFile: dir + "/kek", Now: clock, Create: true}
	v, err := keyvault.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.CreateTenant(t.Context(), crashTenant); err != nil {
		t.Fatal(err)
	}
	old := clock().Add(-time.Minute)
	send := func() error {
		e, err := v.Enter(t.Context(), crashTenant, eventstore.Arrival{Identity: web("v"), Time: old, Received: clock()}, accept)
		if err == nil {
			e.Gate.Release()
		}
		return err
	}
	if err := send(); err != nil {
		t.Fatal(err)
	}
	p, err := v.Resolve(t.Context(), crashTenant, web("v"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Fence(t.Context(), crashTenant, []eventstore.PersonID{p}); err != nil {
		t.Fatal(err)
	}
	if err := v.Shred(t.Context(), crashTenant, []eventstore.PersonID{p}, eventstore.ShredOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if v, err = keyvault.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	defer func() { v.Close() }()
	generation := func() uint64 {
		t.Helper()
		if err := v.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		s, err := v.Status(crashTenant)
		if err != nil {
			t.Fatal(err)
		}
		return s.Generation
	}
	first := generation()
	now.Add(24*3600 - 1)
	if err := send(); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("one second before its end: %v", err)
	}
	now.Add(2)
	if g := generation(); g != first {
		t.Errorf("generation %d, want %d: other erasures of that hour may still count", g, first)
	}
	now.Add(3600)
	if g := generation(); g != first+1 {
		t.Errorf("generation %d, want %d: the key must be shredded", g, first+1)
	}
	sound(t, v, "after")
	if err := send(); err != nil {
		t.Errorf("after 24 hours: %v", err)
	}
}
