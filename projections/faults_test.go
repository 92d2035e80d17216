package projections

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/oubli-store/oubli/eventstore"
)

// fatal is told when a database ends the process, of which in tests only the goroutine ends.
var fatal atomic.Pointer[chan struct{}]

func init() {
	exit = func(int) {
		c := fatal.Load()
		if c == nil {
			panic("the database ended the process")
		}
		select {
		case *c <- struct{}{}:
		default:
		}
		runtime.Goexit()
	}
}

var errDisk = fmt.Errorf("the disk fails: %w", syscall.EIO)

// failing fails one operation of a kind: the left-th.
type failing struct {
	kind errorfs.OpReadWrite
	left atomic.Int64
}

func (f *failing) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == f.kind && f.left.Add(-1) == 0 {
		return errDisk
	}
	return nil
}

func (f *failing) String() string { return "failing" }

// TestFailedWrites: whatever write or sync fails, and whether what it wrote is on disk after all or not, nothing but what is durable was
// acknowledged, and the next start counts everything once.
func TestFailedWrites(t *testing.T) {
	failed, fatals := 0, 0
	for _, keep := range []int{0, 100} {
		for k := int64(1); ; k++ {
			w, mem, inject := newWorld(), vfs.NewCrashableMem(), &failing{kind: errorfs.OpIsWrite}
			inject.left.Store(k)
			steps, next := story(w), 0
			died, done := make(chan struct{}, 1), make(chan error, 1)
			fatal.Store(&died)
			var acknowledged atomic.Uint64
			go func() {
				defer func() { // A directory that cannot be synced makes the database panic: the process ends as well.
					if v := recover(); v != nil {
						if err, ok := v.(error); !ok || !errors.Is(err, errDisk) {
							panic(v)
						}
						died <- struct{}{}
					}
				}()
				p, err := open(w.config(), w, errorfs.Wrap(mem, inject))
				if err != nil {
					done <- err
					return
				}
				r := newRunner(t, p)
				for next < len(steps) && err == nil {
					steps[next]()
					next++
					w.flush()
					w.commit()
					err = r.round()
					acknowledged.Store(p.Passed(acme))
				}
				done <- errors.Join(err, p.Close())
			}()
			select {
			case <-died:
				fatals++
			case err := <-done:
				if err != nil && !errors.Is(err, errDisk) {
					t.Fatalf("write %d: %v", k, err)
				}
			}
			if inject.left.Load() > 0 {
				break
			}
			failed++
			again := w.open(t, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: rand.New(rand.NewPCG(uint64(k), 7))}))
			if at := again.Passed(acme); at < acknowledged.Load() {
				t.Fatalf("write %d: acknowledged %d, found %d", k, acknowledged.Load(), at)
			}
			audit(t, again)
			r := newRunner(t, again)
			for ; next < len(steps); next++ {
				steps[next]()
			}
			w.catchUp(t, r)
			audit(t, again)
			if got, want := exact(t, again), w.expected(models); !reflect.DeepEqual(got, want) {
				t.Fatalf("write %d: %v\nwant %v", k, got, want)
			}
			closing(t, again)
		}
	}
	if failed < 40 || fatals == 0 {
		t.Fatalf("only %d writes failed, %d of them for good", failed, fatals)
	}
	t.Logf("%d writes failed, %d ended the process", failed, fatals)
}

// TestFailedReads: a read that fails in the middle of an event leaves nothing half counted: the same runner and a new one both go on as if
// nothing had been.
func TestFailedReads(t *testing.T) {
	failed, refused := 0, 0
	for k := int64(1); ; k++ {
		w, mem, inject := newWorld(), vfs.NewMem(), &failing{kind: errorfs.OpIsRead}
		fs := errorfs.Wrap(mem, inject)
		steps := story(w)
		p := w.open(t, fs)
		r := newRunner(t, p)
		for range 100 {
			w.mint()
		}
		talk := func(intent string) {
			for _, id := range w.order {
				w.say(id, message("fr", intent))
			}
		}
		for _, step := range append(steps[:2:2], func() { talk("order") }, func() { talk("refund") }) {
			step()
			w.catchUp(t, r)
			if err := p.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		closing(t, p)
		p = w.open(t, fs)
		r = newRunner(t, p)
		for _, step := range steps[2:] {
			step()
		}
		talk("order")
		talk("hello")
		w.flush()
		w.commit()
		inject.left.Store(k)
		err := r.round()
		hit := inject.left.Load() <= 0
		inject.left.Store(0)
		if hit {
			failed++
			if err != nil && !errors.Is(err, errDisk) {
				t.Fatalf("read %d: %v", k, err)
			}
			if err != nil {
				refused++
			}
			audit(t, p)
		}
		if k%2 == 0 {
			r = newRunner(t, p)
		}
		w.catchUp(t, r)
		audit(t, p)
		if got, want := exact(t, p), w.expected(models); !reflect.DeepEqual(got, want) {
			t.Fatalf("read %d: %v\nwant %v", k, got, want)
		}
		closing(t, p)
		if !hit {
			break
		}
	}
	if refused < 3 {
		t.Fatalf("%d reads failed, and only %d rounds", failed, refused)
	}
	t.Logf("%d reads failed, %d rounds", failed, refused)
}

// TestFlippedBits: one flipped bit in any file gives ErrDamaged or the right figures, never others.
func TestFlippedBits(t *testing.T) {
	w, mem := newWorld(), vfs.NewMem()
	p := w.open(t, mem)
	r := newRunner(t, p)
	for i, step := range story(w) {
		step()
		w.catchUp(t, r)
		if i == 2 {
			if err := p.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	closing(t, p)
	want := w.expected(models)
	names, err := mem.List("projections")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	random := rand.New(rand.NewPCG(11, 22))
	damaged, right := map[string]int{}, map[string]int{}
	for _, name := range names {
		content := readAll(t, mem, name)
		kind := strings.TrimRight(strings.TrimLeft(name, "0123456789"), "0123456789.")
		for range min(len(content), 150) {
			at, bit := random.IntN(len(content)), byte(1)<<random.IntN(8)
			fs := vfs.NewMem()
			for _, n := range names {
				b := readAll(t, mem, n)
				if n == name {
					b[at] ^= bit
				}
				writeAll(t, fs, n, b)
			}
			switch got, err := w.reopened(fs); {
			case err == nil && reflect.DeepEqual(got, want):
				right[kind]++
			case errors.Is(err, eventstore.ErrDamaged), errors.Is(err, eventstore.ErrNewerVersion):
				damaged[kind]++
			default:
				t.Errorf("%s, byte %d: %v, %v", name, at, got, err)
			}
		}
	}
	if damaged[".sst"] == 0 || damaged["MANIFEST-"] == 0 {
		t.Errorf("damage was seen in %v, and none in %v", damaged, right)
	}
	t.Logf("damage was seen in %v, and none in %v", damaged, right)
}

// reopened opens a database, counts what is left to count and reads everything.
func (w *world) reopened(fs vfs.FS) (out map[string][]ExactCell, err error) {
	p, err := open(w.config(), w, fs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	tenant, err := p.tenant(context.Background(), acme)
	if err != nil {
		return nil, err
	}
	if err := p.round(context.Background(), tenant, newCache()); err != nil {
		return nil, err
	}
	out = map[string][]ExactCell{}
	for _, m := range p.models {
		if out[m.Name], err = Exact(p, acme, m.Name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readAll(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(fs.PathJoin("projections", name))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

func writeAll(t *testing.T, fs vfs.FS, name string, b []byte) {
	t.Helper()
	if err := fs.MkdirAll("projections", 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(fs.PathJoin("projections", name), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
