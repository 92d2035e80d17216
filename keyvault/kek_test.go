package keyvault_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/keyvault/register"
)

const newKEK = register.FileScheme + "/data/kek2"

// openWith opens the vault with one key-encryption key.
func openWith(t *testing.T, fs vfs.FS, uri string) (*keyvault.Vault, error) {
	t.Helper()
	c := memConfig(fs)
	c.Create, c.KEK = false, uri
	return keyvault.Open(t.Context(), c)
}

// TestRotateKEKCrash rotates the key-encryption key of a vault with people in it, one of them erased, on a disk that is copied as a crash would leave it
// before every write. Each copy opens with the old key or with the new one, and with everybody who shall be there.
func TestRotateKEKCrash(t *testing.T) {
	for _, percent := range []int{0, 50, 100} {
		mem := vfs.NewCrashableMem()
		if err := errors.Join(mem.MkdirAll("/data", 0o700), (register.FileKMS{FS: mem}).Create("/data/kek2")); err != nil {
			t.Fatal(err)
		}
		syncRoot(t, mem)
		var (
			mu       sync.Mutex // the database deletes files in the background
			crashes  []*vfs.MemFS
			rotating atomic.Bool
		)
		rng := rand.New(rand.NewPCG(uint64(percent), 3))
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if rotating.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				crashes = append(crashes, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
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
		alice, sealed, err1 := enter(t.Context(), v, email("alice@example.com"))
		bob, _, err2 := enter(t.Context(), v, email("bob@example.com"))
		_, err3 := v.Fence(t.Context(), crashTenant, []eventstore.PersonID{bob})
		if err := errors.Join(err1, err2, err3, v.Shred(t.Context(), crashTenant, []eventstore.PersonID{bob}, eventstore.ShredOptions{}), v.Close()); err != nil {
			t.Fatal(err)
		}
		if v, err = openWith(t, fs, ""); err != nil {
			t.Fatal(err)
		}
		if err := v.RotateKEK(t.Context(), newKEK, func() error { rotating.Store(true); return nil }); err != nil {
			t.Fatal(err)
		}
		rotating.Store(false)
		if err := v.RotateKEK(t.Context(), newKEK, func() error { return nil }); !errors.Is(err, eventstore.ErrConflict) {
			t.Errorf("a second rotation: %v", err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := openWith(t, mem, ""); !errors.Is(err, register.ErrKEK) {
			t.Errorf("the old key after the rotation: %v", err)
		}
		if len(crashes) < 8 {
			t.Fatalf("only %d writes were seen", len(crashes))
		}
		for i, c := range append(crashes, mem) {
			when := fmt.Sprintf("%d%%, crash %d of %d", percent, i, len(crashes))
			v, err := openWith(t, c, "")
			if errors.Is(err, register.ErrKEK) {
				v, err = openWith(t, c, newKEK)
			}
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			if err := opens(t.Context(), v, email("alice@example.com"), alice, sealed); err != nil {
				t.Errorf("%s: alice: %v", when, err)
			}
			if _, err := v.Gate(t.Context(), crashTenant, bob); !errors.Is(err, eventstore.ErrErased) {
				t.Errorf("%s: bob's gate: %v", when, err)
			}
			sound(t, v, when)
			if err := v.Close(); err != nil {
				t.Error(err)
			}
			for _, name := range []string{"register.key.old", "register.key.new"} {
				if _, err := c.Stat("/data/roots/" + name); err == nil {
					t.Errorf("%s: %s is still there after the start", when, name)
				}
			}
		}
	}
}

// TestRotateKEKRefuses: to the same key, to one that is not there, and on a closed vault.
func TestRotateKEKRefuses(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/data", 0o700); err != nil {
		t.Fatal(err)
	}
	v, err := keyvault.Open(t.Context(), memConfig(fs))
	if err != nil {
		t.Fatal(err)
	}
	record := func() error { t.Error("it was recorded"); return nil }
	if err := v.RotateKEK(t.Context(), register.FileScheme+"/data/kek", record); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("to the same key: %v", err)
	}
	for _, uri := range []string{register.FileScheme + "/data/none", "nobody-kms://key"} {
		if err := v.RotateKEK(t.Context(), uri, record); err == nil {
			t.Errorf("to %s", uri)
		}
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if err := v.RotateKEK(t.Context(), newKEK, record); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("on a closed vault: %v", err)
	}
	if v, err = openWith(t, fs, ""); err != nil {
		t.Fatalf("after all that: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}
