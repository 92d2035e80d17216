package keyvault_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
)

// diskVault opens a vault below dir on the disk.
func diskVault(dir string, create bool) (*keyvault.Vault, error) {
	return keyvault.Open(context.Background(), keyvault.Config{Dir: filepath.Join(dir, "vault"), Roots: filepath.Join(dir, "roots"), KEKFile: filepath.Join(dir, "kek"),
		Create: create})
}

// TestRolledBack: a database that was put back to an older copy is refused though nobody was erased in between, after a clean stop, after a
// crash, and while serving.
func TestRolledBack(t *testing.T) {
	for name, later := range map[string]func(t *testing.T, dir string){
		"clean stop": func(t *testing.T, dir string) {
			v := reopened(t, dir)
			if _, _, err := enter(t.Context(), v, web("lost")); err != nil {
				t.Fatal(err)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
		},
		"opened only": func(t *testing.T, dir string) { // what a crash leaves of a start
			v := reopened(t, dir)
			crashed := filepath.Join(t.TempDir(), "crashed")
			copyDir(t, dir, crashed)
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			for _, part := range []string{"vault", "roots"} {
				putBack(t, filepath.Join(crashed, part), filepath.Join(dir, part))
			}
		},
		"maintained": func(t *testing.T, dir string) {
			v := reopened(t, dir)
			putAside := filepath.Join(t.TempDir(), "early")
			copyDir(t, filepath.Join(dir, "vault"), putAside)
			if _, _, err := enter(t.Context(), v, web("lost")); err != nil {
				t.Fatal(err)
			}
			if err := v.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
			running := filepath.Join(t.TempDir(), "running")
			copyDir(t, filepath.Join(dir, "roots"), running)
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			putBack(t, running, filepath.Join(dir, "roots"))
			putBack(t, putAside, filepath.Join(dir, "vault"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			v, err := diskVault(dir, true)
			if err != nil {
				t.Fatal(err)
			}
			if err := v.CreateTenant(t.Context(), crashTenant); err != nil {
				t.Fatal(err)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			old := filepath.Join(t.TempDir(), "old")
			copyDir(t, filepath.Join(dir, "vault"), old)
			later(t, dir)
			if name != "maintained" {
				newer := filepath.Join(t.TempDir(), "newer")
				copyDir(t, filepath.Join(dir, "vault"), newer)
				putBack(t, old, filepath.Join(dir, "vault"))
				defer func() { // the newer one is still good
					putBack(t, newer, filepath.Join(dir, "vault"))
					if err := reopened(t, dir).Close(); err != nil {
						t.Error(err)
					}
				}()
			}
			if v, err := diskVault(dir, false); !errors.Is(err, eventstore.ErrDamaged) {
				t.Errorf("an older database: %v", err)
				if err == nil {
					v.Close()
				}
			}
		})
	}
}

// TestMintedIsDurable: whoever gets a gate of a person whose first contact is being synced, by handle or by id, waits until it is durable; all
// get the same person.
func TestMintedIsDurable(t *testing.T) {
	dir := t.TempDir()
	v, err := diskVault(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.CreateTenant(t.Context(), crashTenant); err != nil {
		t.Fatal(err)
	}
	const persons, callers = 200, 4
	var found [callers][persons]eventstore.PersonID
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range persons {
				now := time.Now()
				e, err := v.Enter(t.Context(), crashTenant, eventstore.Arrival{Identity: web(fmt.Sprint("v", i)), Time: now, Received: now}, accept)
				if err != nil {
					t.Error(err)
					return
				}
				found[c][i] = e.Gate.Person()
				e.Gate.Release()
			}
		})
	}
	wg.Wait()
	crashed := filepath.Join(t.TempDir(), "crashed")
	copyDir(t, dir, crashed)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if v, err = diskVault(crashed, false); err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	sound(t, v, "the copy")
	for i := range persons {
		for c := range callers {
			if found[c][i] != found[0][i] {
				t.Fatalf("handle %d names two persons", i)
			}
		}
		if g, err := v.Gate(t.Context(), crashTenant, found[0][i]); err != nil {
			t.Errorf("person %d: %v", i, err)
		} else {
			g.Release()
		}
	}
}

func reopened(t *testing.T, dir string) *keyvault.Vault {
	t.Helper()
	v, err := diskVault(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chmod(path, 0o600)
		}
		return err
	})
}

// putBack replaces a directory by a copy.
func putBack(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	copyDir(t, from, to)
}
