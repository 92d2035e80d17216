package keyvault_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/keyvault/register"
)

const (
	homeRoots = "/data/roots"
	awayRoots = "/away/roots"
)

// copied is a vault with two copies of its register, one person who stays and one who is erased.
type copied struct {
	*testing.T
	mem         *vfs.MemFS
	stays, goes eventstore.PersonID
	sealed      []byte
}

func newCopied(t *testing.T) *copied {
	t.Helper()
	c := &copied{T: t, mem: vfs.NewCrashableMem()}
	if err := errors.Join(c.mem.MkdirAll("/data", 0o700), c.mem.MkdirAll("/away", 0o700)); err != nil {
		t.Fatal(err)
	}
	syncRoot(t, c.mem)
	v := c.open(c.mem, true, false, homeRoots, awayRoots)
	var err1, err2 error
	err := v.CreateTenant(t.Context(), crashTenant)
	c.stays, c.sealed, err1 = enter(t.Context(), v, web("stays"))
	c.goes, _, err2 = enter(t.Context(), v, web("goes"))
	if err := errors.Join(err, err1, err2, v.Close()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *copied) try(fs vfs.FS, create, lost bool, dirs ...string) (*keyvault.Vault, error) {
	k := memConfig(fs)
	k.Roots, k.RootCopies, k.RootsLost, k.Create = dirs[0], dirs[1:], lost, create
	return keyvault.Open(c.Context(), k)
}

func (c *copied) open(fs vfs.FS, create, lost bool, dirs ...string) *keyvault.Vault {
	c.Helper()
	v, err := c.try(fs, create, lost, dirs...)
	if err != nil {
		c.Fatalf("%v: %v", dirs, err)
	}
	return v
}

func (c *copied) erase(v *keyvault.Vault) {
	c.Helper()
	_, err := v.Fence(c.Context(), crashTenant, []eventstore.PersonID{c.goes})
	if err := errors.Join(err, v.Shred(c.Context(), crashTenant, []eventstore.PersonID{c.goes}, eventstore.ShredOptions{}), v.Close()); err != nil {
		c.Fatal(err)
	}
}

// fine looks at both persons and closes.
func (c *copied) fine(v *keyvault.Vault, when string) {
	c.Helper()
	sound(c, v, when)
	if err := opens(c.Context(), v, web("stays"), c.stays, c.sealed); err != nil {
		c.Errorf("%s: %v", when, err)
	}
	if _, err := v.Gate(c.Context(), crashTenant, c.goes); !errors.Is(err, eventstore.ErrErased) {
		c.Errorf("%s: the erased person's gate: %v", when, err)
	}
	if err := v.Close(); err != nil {
		c.Errorf("%s: %v", when, err)
	}
}

func (c *copied) bytes(fs vfs.FS, dir string) []byte {
	c.Helper()
	f, err := fs.Open(dir + "/" + register.FileName)
	if err != nil {
		c.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		c.Fatal(err)
	}
	return b
}

// put replaces the register file of a copy.
func (c *copied) put(fs vfs.FS, dir string, b []byte) {
	c.Helper()
	f, err := fs.Create(dir+"/"+register.FileName, vfs.WriteCategoryUnspecified)
	if err != nil {
		c.Fatal(err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		c.Fatal(err)
	}
}

// whole copies a disk.
func whole(disk *vfs.MemFS) *vfs.MemFS {
	return disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

// sealedRoots is what a copy holds of the first tenant's root: both slots as they are on the disk.
func sealedRoots(file []byte) (out [][]byte) {
	for slot := range 2 {
		if b := file[4096*(2+slot):]; b[5] == 1 {
			out = append(out, b[19:][:60])
		}
	}
	return out
}

// TestStaleCopy: a copy that was away during an erasure is given back. Wherever a crash stops that start, the copy's old root is gone when a vault has been
// opened with it, and the vault is whole.
func TestStaleCopy(t *testing.T) {
	c := newCopied(t)
	c.erase(c.open(c.mem, false, true, homeRoots)) // the other copy is given up
	old := sealedRoots(c.bytes(c.mem, awayRoots))
	if len(old) != 1 {
		t.Fatalf("the copy that is away holds %d roots", len(old))
	}
	for _, percent := range []int{0, 100} { // between them a directory would lose a name and keep a later one, which the database does not survive
		disk := whole(c.mem)
		rng := rand.New(rand.NewPCG(uint64(percent), 5))
		var mu sync.Mutex
		var crashes []*vfs.MemFS
		fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				mu.Lock()
				defer mu.Unlock()
				crashes = append(crashes, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
			}
			return nil
		}))
		c.fine(c.open(fs, false, false, homeRoots, awayRoots), "given back")
		for i, crashed := range crashes {
			if os.Getenv("OUBLI_SOAK") == "" && (i%2 == 0) != (percent == 0) {
				continue // of every crash, one of both
			}
			v := c.open(crashed, false, false, awayRoots, homeRoots)
			if bytes.Contains(c.bytes(crashed, awayRoots), old[0]) {
				t.Error("the vault is open and the old root is still in the copy that came back")
			}
			c.fine(v, "given back, crashed")
			// Both are whole: each alone opens it.
			c.fine(c.open(crashed, false, true, awayRoots), "the one that came back alone")
		}
		if len(crashes) < 10 {
			t.Fatalf("only %d crashes", len(crashes))
		}
	}
}

// TestErasedTenantInStaleCopy: a copy that comes back still holds the root of a tenant that was erased meanwhile, and of one whose making failed.
func TestErasedTenantInStaleCopy(t *testing.T) {
	c := newCopied(t)
	old := sealedRoots(c.bytes(c.mem, awayRoots))
	v := c.open(c.mem, false, true, homeRoots)
	if err := errors.Join(v.EraseTenant(t.Context(), crashTenant), v.Close()); err != nil {
		t.Fatal(err)
	}
	v = c.open(c.mem, false, false, homeRoots, awayRoots)
	defer v.Close()
	if len(old) != 1 || bytes.Contains(c.bytes(c.mem, awayRoots), old[0]) {
		t.Error("the root of the erased tenant is still in the copy that came back")
	}
}

// TestCopiesRefused: what does not fit together is refused, and not one byte of the registers changes.
func TestCopiesRefused(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(*copied)
		dirs []string
		lost bool
		says string
	}{
		"one is not given":       {func(*copied) {}, []string{homeRoots}, false, "1 of 2 copies are missing"},
		"the other is not given": {func(*copied) {}, []string{awayRoots}, false, "1 of 2 copies are missing"},
		"one is not mounted": {func(c *copied) {
			c.no(errors.Join(c.mem.Rename("/away", "/elsewhere"), c.mem.MkdirAll(awayRoots, 0o700)))
		}, []string{homeRoots, awayRoots}, false, "is its volume mounted"},
		"its directory is gone": {func(c *copied) { c.no(c.mem.RemoveAll("/away")) }, []string{homeRoots, awayRoots}, false, "directory is missing"},
		"twice the same copy": {func(c *copied) {
			c.no(c.mem.MkdirAll("/third", 0o700))
			_, err := vfs.Clone(c.mem, c.mem, awayRoots, "/third/roots")
			c.no(err)
		}, []string{homeRoots, awayRoots, "/third/roots"}, false, "nobody keeps track"},
		"the same directory twice": {func(*copied) {}, []string{homeRoots, homeRoots}, false, "given twice"},
		"of another vault": {func(c *copied) {
			other := newCopied(c.T)
			c.no(c.mem.RemoveAll("/away"))
			_, err := vfs.Clone(other.mem, c.mem, "/away", "/away")
			c.no(err)
		}, []string{homeRoots, awayRoots}, false, "root register"},
		"without its key": {func(c *copied) { c.no(c.mem.Remove(awayRoots + "/register.key")) }, []string{homeRoots, awayRoots}, true, "register.key is missing"},
		"its header is damaged": {func(c *copied) {
			b := c.bytes(c.mem, awayRoots)
			b[30] ^= 1
			b[4096+30] ^= 1
			c.put(c.mem, awayRoots, b)
		}, []string{homeRoots, awayRoots}, true, "header is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCopied(t)
			test.do(c)
			before := c.bytes(c.mem, homeRoots)
			v, err := c.try(c.mem, false, test.lost, test.dirs...)
			if err == nil {
				v.Close()
			}
			if (!errors.Is(err, eventstore.ErrDamaged) && !errors.Is(err, eventstore.ErrInUse)) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
			if !bytes.Equal(before, c.bytes(c.mem, homeRoots)) {
				t.Error("a refusal changed the register")
			}
		})
	}
}

func (c *copied) no(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// TestNewerCopy: database and one copy were put back together to an older state; the other copy is newer, which is noticed, and its root is not
// overwritten.
func TestNewerCopy(t *testing.T) {
	c := newCopied(t)
	older := whole(c.mem)
	c.erase(c.open(c.mem, false, false, homeRoots, awayRoots))
	c.no(older.RemoveAll("/away"))
	_, err := vfs.Clone(c.mem, older, "/away", "/away")
	c.no(err)
	before := c.bytes(older, awayRoots)
	for _, dirs := range [][]string{{homeRoots, awayRoots}, {awayRoots, homeRoots}} {
		v, err := c.try(older, false, false, dirs...)
		if err == nil {
			v.Close()
		}
		if !errors.Is(err, eventstore.ErrDamaged) || !strings.Contains(err.Error(), "newer") {
			t.Errorf("%v: %v", dirs, err)
		}
	}
	if !bytes.Equal(before, c.bytes(older, awayRoots)) {
		t.Error("the newer root was overwritten")
	}
}

// TestEmptyCopy: a new directory is filled, also in place of a copy that was given up, and one copy alone is then enough.
func TestEmptyCopy(t *testing.T) {
	c := newCopied(t)
	c.no(errors.Join(c.mem.RemoveAll("/away"), c.mem.MkdirAll(awayRoots, 0o700), c.mem.MkdirAll("/third/roots", 0o700)))
	v := c.open(c.mem, false, true, homeRoots, awayRoots, "/third/roots")
	if v.LostCopies() != 1 {
		t.Errorf("%d copies were given up", v.LostCopies())
	}
	c.erase(v)
	for _, dir := range []string{homeRoots, awayRoots, "/third/roots"} {
		disk := whole(c.mem)
		c.fine(c.open(disk, false, true, dir), dir+" alone")
	}
	if _, err := c.try(c.mem, false, false, homeRoots, awayRoots); !errors.Is(err, register.ErrMissing) {
		t.Errorf("the third one left out: %v", err)
	}
}

// TestCopyFails: while one copy cannot be written, events come in and are read, nobody is erased and nothing is lost; and when it can be written again,
// erasures go on.
func TestCopyFails(t *testing.T) {
	c := newCopied(t)
	var broken atomic.Bool
	fs := errorfs.Wrap(c.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasPrefix(op.Path, awayRoots) {
			return errorfs.ErrInjected
		}
		return nil
	}))
	v := c.open(fs, false, false, homeRoots, awayRoots)
	broken.Store(true)
	_, err := v.Fence(t.Context(), crashTenant, []eventstore.PersonID{c.goes})
	c.no(err)
	if err := v.Shred(t.Context(), crashTenant, []eventstore.PersonID{c.goes}, eventstore.ShredOptions{}); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("an erasure without one copy: %v", err)
	}
	if err := opens(t.Context(), v, web("stays"), c.stays, c.sealed); err != nil {
		t.Error(err)
	}
	if _, _, err := enter(t.Context(), v, web("another")); err != nil {
		t.Errorf("a first contact without one copy: %v", err)
	}
	if !v.RegisterFails() {
		t.Error("the vault does not say that a copy cannot be written")
	}
	broken.Store(false)
	c.no(v.Shred(t.Context(), crashTenant, []eventstore.PersonID{c.goes}, eventstore.ShredOptions{}))
	if v.RegisterFails() {
		t.Error("the vault says that a copy cannot be written, and it can")
	}
	c.fine(v, "written again")
}

// TestRotateKEKCopies: a rotation that is cut off between two copies leaves two wrappings; the next start, with whichever key opens one, makes them one, and
// so does rotating again.
func TestRotateKEKCopies(t *testing.T) {
	c := newCopied(t)
	c.no((register.FileKMS{FS: c.mem}).Create("/data/kek2"))
	var left atomic.Int32
	fs := errorfs.Wrap(c.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasPrefix(op.Path, awayRoots) && left.Add(-1) == 0 {
			return errorfs.ErrInjected
		}
		return nil
	}))
	for k := int32(1); ; k++ {
		v := c.open(fs, false, false, homeRoots, awayRoots)
		left.Store(k)
		err := v.RotateKEK(c.Context(), newKEK, func() error { return nil })
		left.Store(0)
		if err == nil {
			c.no(v.Close())
			if k < 5 {
				t.Errorf("only %d writes were seen", k-1)
			}
			break
		}
		disk := whole(c.mem)
		for _, kek := range []string{"", newKEK} {
			settled := whole(disk)
			cfg := memConfig(settled)
			cfg.Create, cfg.Roots, cfg.RootCopies, cfg.KEK = false, homeRoots, []string{awayRoots}, kek
			w, err := keyvault.Open(context.Background(), cfg)
			if errors.Is(err, register.ErrKEK) {
				continue
			}
			c.no(err)
			c.no(w.Close())
			for _, dir := range []string{homeRoots, awayRoots} { // one wrapping now
				cfg.FS, cfg.Roots, cfg.RootCopies, cfg.RootsLost = whole(settled), dir, nil, true
				w, err := keyvault.Open(context.Background(), cfg)
				c.no(err)
				c.no(w.Close())
			}
		}
		// Once every copy has the new wrapping, the process that knows the old one can do no more.
		if err := v.RotateKEK(c.Context(), newKEK, func() error { return nil }); err != nil && !errors.Is(err, register.ErrKEK) {
			t.Fatalf("write %d: rotating again: %v", k, err)
		}
		c.no(v.Close())
		// Back to the first key, for the next round.
		cfg := memConfig(c.mem)
		cfg.Create, cfg.RootCopies, cfg.KEK = false, []string{awayRoots}, newKEK
		w, err := keyvault.Open(c.Context(), cfg)
		c.no(err)
		c.no(errors.Join(w.RotateKEK(c.Context(), register.FileScheme+"/data/kek", func() error { return nil }), w.Close()))
	}
}
