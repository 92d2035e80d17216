package keyvault_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// image copies a scene as a backup does, again and again: every call gives an image that may be used up.
func (s *scene) image(t *testing.T) func() keyvault.Image {
	t.Helper()
	v := newOn(t, memConfig(s.disk))
	n, err := v.Snapshot(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	im := keyvault.Image{Vault: n.Vault, Moment: time.Now()}
	roots := [][]byte{}
	for _, tenant := range n.Tenants {
		roots = append(roots, bytes.Clone(tenant.Root.Reveal()))
		im.Tenants = append(im.Tenants, tenant)
	}
	var rows []keyvault.Row
	for r, err := range n.Rows(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, keyvault.Row{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)})
	}
	if err := errors.Join(n.Close(), v.Close()); err != nil {
		t.Fatal(err)
	}
	return func() keyvault.Image {
		out := im
		out.Tenants = slices.Clone(im.Tenants)
		for i := range out.Tenants {
			out.Tenants[i].Root = secret.New(bytes.Clone(roots[i]))
		}
		out.Rows = func(yield func(keyvault.Row, error) bool) {
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
		}
		return out
	}
}

func newOn(t *testing.T, c keyvault.Config) *keyvault.Vault {
	t.Helper()
	v, err := keyvault.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// empty is a disk to restore to.
func empty(t *testing.T) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	if err := mem.MkdirAll("/data", 0o700); err != nil {
		t.Fatal(err)
	}
	syncRoot(t, mem)
	return mem
}

// TestRestoreAtEveryWrite: a vault with a linked set, a fence, an erased person and a tree that has split is restored, and at every write the power
// fails, or the disk, with or without keeping what it says it did not. What is left does not open, or the one auditor describes it as it describes the vault
// that the backup was made of; a restore that was acknowledged is there.
func TestRestoreAtEveryWrite(t *testing.T) {
	t.Parallel()
	o := operation{crowd: tree.BucketMax, before: fenceAll("bob")}
	s := o.set(t)
	v := newOn(t, memConfig(s.disk))
	_, err := v.Fence(t.Context(), crashTenant, s.ids("alice"))
	if err := errors.Join(err, v.Shred(t.Context(), crashTenant, s.ids("alice"), eventstore.ShredOptions{})); err != nil {
		t.Fatal(err)
	}
	want := s.see(t, v, "before")
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	image := s.image(t)

	whole, refused := 0, 0
	left := func(disk *vfs.MemFS, done bool, when string) {
		t.Helper()
		c := memConfig(disk)
		c.Create = false
		w, err := keyvault.Open(t.Context(), c)
		if err != nil {
			refused++
			if done {
				t.Errorf("%s: the restore was acknowledged and the vault does not open: %v", when, err)
			}
			if !errors.Is(err, eventstore.ErrDamaged) && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %v", when, err)
			}
			return
		}
		whole++
		if saw := s.see(t, w, when); saw != want {
			t.Errorf("%s: it opens, and there is\n%s\nwant\n%s", when, saw, want)
		}
		if err := w.Close(); err != nil {
			t.Errorf("%s: Close: %v", when, err)
		}
	}

	rng := rand.New(rand.NewPCG(7, 7))
	mem := empty(t)
	type cut struct {
		fs   *vfs.MemFS
		when string
	}
	var cuts []cut
	percents := []int{0, 50, 100}
	disk := &faultFS{FS: mem}
	disk.before = func() {
		p := percents[len(cuts)%len(percents)]
		cuts = append(cuts, cut{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: p, RNG: rng}), fmt.Sprintf("power cut %d, %d%% of the unsynced kept", len(cuts), p)})
	}
	restore := func(d *faultFS, f fault) (failed int, err error) {
		_, failed, err = d.during(f, func() error { return keyvault.Restore(t.Context(), memConfig(d), image(), nil) })
		return failed, err
	}
	if _, err := restore(disk, fault{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range cuts {
		left(c.fs, false, c.when)
	}
	left(mem.CrashClone(vfs.CrashCloneCfg{}), true, "power cut after the answer")
	if len(cuts) < 30 || whole == 0 || refused == 0 {
		t.Errorf("%d power cuts, %d left a vault, %d none; the test sees nothing", len(cuts), whole, refused)
	}
	t.Logf("%d power cuts: %d left a vault, %d none", len(cuts), whole, refused)

	for _, persisted := range []bool{false, true} {
		for k := 1; ; k++ {
			if k > 500 {
				t.Fatal("there is no end of writes")
			}
			mem := empty(t)
			failed, err := restore(&faultFS{FS: mem}, fault{at: k, persisted: persisted})
			if failed == 0 {
				if err != nil {
					t.Error(err)
				}
				t.Logf("%d writes failed (persisted %v)", k-1, persisted)
				break
			}
			when := fmt.Sprintf("write %d fails (persisted %v)", k, persisted)
			after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
			if os.Getenv("OUBLI_SOAK") != "" || k%2 == 0 {
				left(mem, err == nil, when+", process started again")
			}
			if os.Getenv("OUBLI_SOAK") != "" || k%2 == 1 {
				left(after, err == nil, when+", power cut")
			}
		}
	}
}
