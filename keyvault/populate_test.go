package keyvault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/tree"
)

func visitor(i int) eventstore.Identity {
	return eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("visitor-%d", i)}
}

// wantPopulated wants a vault in which n visitors are, each of whom can be found, sealed for, and erased, and more can come.
func wantPopulated(t *testing.T, v *Vault, n int) {
	t.Helper()
	ctx := t.Context()
	check := func(persons int) {
		t.Helper()
		r, err := v.Check(ctx, attackTenant)
		if err != nil || len(r.Damage) > 0 || r.Persons != persons || r.Handles != persons {
			t.Fatalf("of %d persons: %+v %v", persons, r, err)
		}
		if c, err := v.Count(ctx, attackTenant); err != nil || c != uint64(persons) {
			t.Fatalf("%d persons are counted, %v", c, err)
		}
	}
	check(n)
	var out []eventstore.PersonID
	for i := range n {
		id, err := v.Resolve(ctx, attackTenant, visitor(i))
		if err != nil {
			t.Fatalf("visitor %d: %v", i, err)
		}
		if i%3 == 0 {
			out = append(out, id)
		}
		if i%50 == 1 {
			g, err := v.Gate(ctx, attackTenant, id)
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			if _, err := g.Seal(ctx, eventstore.KeyMonthOf(now, now), []byte("x"), nil); err != nil {
				t.Error(err)
			}
			g.Release()
		}
	}
	for i := range 100 {
		mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("later-%d", i)})
	}
	check(n + 100)
	if _, err := v.Fence(ctx, attackTenant, out); err != nil {
		t.Fatal(err)
	}
	if err := v.Shred(ctx, attackTenant, out, eventstore.ShredOptions{}); err != nil {
		t.Fatal(err)
	}
	check(n + 100 - len(out))
	if _, err := v.Resolve(ctx, attackTenant, visitor(0)); !errors.Is(err, eventstore.ErrNotFound) {
		t.Errorf("an erased visitor: %v", err)
	}
}

// TestPopulate: a vault that was built from below is one that grew.
func TestPopulate(t *testing.T) {
	for _, n := range []int{1, tree.BucketMax, tree.BucketMax + 1, 700, 4000} {
		v, fs := newMemVault(t)
		if err := v.Populate(t.Context(), attackTenant, n, visitor, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := v.Populate(t.Context(), attackTenant, 1, visitor, time.Now()); !errors.Is(err, eventstore.ErrConflict) {
			t.Errorf("populated twice: %v", err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		c := memVault(fs, "/a")
		c.CacheSize = 64 // less than there are nodes
		v = mustOpen(t, c)
		wantPopulated(t, v, n)
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPopulateRefuses: who has the name of another, or comes in an expired month, leaves the tenant empty and good.
func TestPopulateRefuses(t *testing.T) {
	v, _ := newMemVault(t)
	defer v.Close()
	same := func(i int) eventstore.Identity { return visitor(i % 299) }
	if err := v.Populate(t.Context(), attackTenant, 300, same, time.Now()); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("two of one name: %v", err)
	}
	ctx, end := context.WithCancel(t.Context())
	dying := func(i int) eventstore.Identity {
		if i == 20_000 {
			end()
		}
		return visitor(i)
	}
	if err := v.Populate(ctx, attackTenant, 30_000, dying, time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
	if err := v.Populate(t.Context(), attackTenant, 300, visitor, time.Now()); err != nil {
		t.Fatal(err)
	}
	wantPopulated(t, v, 300)
}

// TestPopulateCrashes: after a crash at any time all are in, or nobody, and the vault goes on.
func TestPopulateCrashes(t *testing.T) {
	const n = 6000
	for _, kept := range []int{0, 50, 100} {
		fs := vfs.NewCrashableMem()
		if err := fs.MkdirAll("/a", 0o700); err != nil {
			t.Fatal(err)
		}
		syncDir(t, fs, "/")
		c := memVault(fs, "/a")
		c.Create = true
		v := mustOpen(t, c)
		if err := v.CreateTenant(t.Context(), attackTenant); err != nil {
			t.Fatal(err)
		}
		var copies []*vfs.MemFS
		var mu sync.Mutex
		crash := func() *vfs.MemFS {
			return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rand.New(rand.NewPCG(1, uint64(kept)))})
		}
		seen := func(i int) eventstore.Identity {
			if i%(n/3) == n/4 {
				mu.Lock()
				defer mu.Unlock()
				copies = append(copies, crash())
			}
			return visitor(i)
		}
		if err := v.Populate(t.Context(), attackTenant, n, seen, time.Now()); err != nil {
			t.Fatal(err)
		}
		done := crash()
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		for _, crashed := range copies {
			v := mustOpen(t, memVault(crashed, "/a"))
			if c, err := v.Count(t.Context(), attackTenant); err != nil || c != 0 {
				t.Fatalf("%d persons before it returned, %v", c, err)
			}
			if err := v.Populate(t.Context(), attackTenant, 300, visitor, time.Now()); err != nil {
				t.Fatal(err)
			}
			wantPopulated(t, v, 300)
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
		}
		v = mustOpen(t, memVault(done, "/a"))
		wantPopulated(t, v, n)
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func syncDir(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	d, err := fs.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		t.Fatal(err)
	}
}
