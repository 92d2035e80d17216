package keyvault_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
)

// TestRegisterFails: every write and sync of the register during a shred fails once, and persistently; the error is an outage, and
// either the person is whole, or the erasure is completed when the vault is opened again.
func TestRegisterFails(t *testing.T) {
	for _, copies := range [][]string{nil, {"/data/more"}} {
		for _, forever := range []bool{false, true} {
			for k := int32(1); failedShred(t, copies, k, forever); k++ {
			}
		}
	}
}

// failedShred lets the k-th register operation of a shred fail, in whatever copy; it reports whether there was a k-th.
func failedShred(t *testing.T, copies []string, k int32, forever bool) bool {
	t.Helper()
	mem := vfs.NewCrashableMem()
	if err := mem.MkdirAll("/data", 0o700); err != nil {
		t.Fatal(err)
	}
	config := (&history{copies: copies}).config
	var on, hit atomic.Bool
	var n atomic.Int32
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !on.Load() || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !strings.HasSuffix(op.Path, "/register") {
			return nil
		}
		if i := n.Add(1); i == k || forever && i > k {
			hit.Store(true)
			return errorfs.ErrInjected
		}
		return nil
	}))
	v, err := keyvault.Open(t.Context(), config(fs))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.CreateTenant(t.Context(), crashTenant); err != nil {
		t.Fatal(err)
	}
	p, _, err := enter(t.Context(), v, web("v"))
	if err != nil {
		t.Fatal(err)
	}
	q, sealed, err := enter(t.Context(), v, web("other"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Fence(t.Context(), crashTenant, []eventstore.PersonID{p}); err != nil {
		t.Fatal(err)
	}
	on.Store(true)
	err = v.Shred(t.Context(), crashTenant, []eventstore.PersonID{p}, eventstore.ShredOptions{})
	on.Store(false)
	if err != nil && (!errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrErased)) {
		t.Errorf("write %d: %v", k, err)
	}
	if err != nil && v.Shred(t.Context(), crashTenant, []eventstore.PersonID{p}, eventstore.ShredOptions{}) == nil {
		sound(t, v, "after a second try")
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if v, err = keyvault.Open(t.Context(), config(mem)); err != nil {
		t.Fatalf("write %d: opening again: %v", k, err)
	}
	defer v.Close()
	if err := v.Shred(t.Context(), crashTenant, []eventstore.PersonID{p}, eventstore.ShredOptions{}); err != nil {
		t.Errorf("write %d: shredding again: %v", k, err)
	}
	sound(t, v, "opened again")
	if _, err := v.Gate(t.Context(), crashTenant, p); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("write %d: the person: %v", k, err)
	}
	if err := opens(t.Context(), v, web("other"), q, sealed); err != nil {
		t.Errorf("write %d: the survivor: %v", k, err)
	}
	return hit.Load()
}

// TestDiskFails: when a commit fails the vault stops, says that it is an outage, and is whole when it is opened again.
func TestDiskFails(t *testing.T) {
	mem := vfs.NewCrashableMem()
	if err := mem.MkdirAll("/data", 0o700); err != nil {
		t.Fatal(err)
	}
	syncRoot(t, mem)
	var on atomic.Bool
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if on.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasSuffix(op.Path, ".log") {
			return errorfs.ErrInjected
		}
		return nil
	}))
	v, err := keyvault.Open(t.Context(), memConfig(fs))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.CreateTenant(t.Context(), crashTenant); err != nil {
		t.Fatal(err)
	}
	p, sealed, err := enter(t.Context(), v, web("v"))
	if err != nil {
		t.Fatal(err)
	}
	on.Store(true)
	for range 2 { // the second call meets a vault that has stopped
		_, _, err = enter(t.Context(), v, web("w"))
		if !errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrErased) {
			t.Errorf("a commit that fails: %v", err)
		}
	}
	if _, err := v.Gate(t.Context(), crashTenant, p); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("a gate of a stopped vault: %v", err)
	}
	on.Store(false)
	_ = v.Close() // Pebble reports its failed log again
	v, err = keyvault.Open(t.Context(), memConfig(mem.CrashClone(vfs.CrashCloneCfg{})))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	sound(t, v, "opened again")
	if err := opens(t.Context(), v, web("v"), p, sealed); err != nil {
		t.Error(err)
	}
}
