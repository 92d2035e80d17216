package keyvault_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
)

// names says what an event of now, which names a handle, meets.
func names(t testing.TB, v *keyvault.Vault, now time.Time, id eventstore.Identity) error {
	e, err := v.Enter(t.Context(), crashTenant, eventstore.Arrival{Identity: id, Time: now, Received: now}, accept)
	if err == nil {
		e.Gate.Release()
	}
	return err
}

func eraseUntil(t testing.TB, v *keyvault.Vault, until time.Time, ids ...eventstore.PersonID) {
	t.Helper()
	if _, err := v.Fence(t.Context(), crashTenant, ids); err != nil {
		t.Fatal(err)
	}
	if err := v.Shred(t.Context(), crashTenant, ids, eventstore.ShredOptions{RefuseUntil: until}); err != nil {
		t.Fatal(err)
	}
}

// TestLongerRefusalExpires: a handle is refused, whatever the event's time, until the moment that was asked for, across restarts; the key goes when
// the month is over, with a new root.
func TestLongerRefusalExpires(t *testing.T) {
	var now atomic.Int64
	set := func(at time.Time) { now.Store(at.Unix()) }
	clock := func() time.Time { return time.Unix(now.Load(), 0) }
	start := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	set(start)
	c := memConfig(vfs.NewMem())
	c.Now = clock
	v, err := keyvault.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { v.Close() }()
	if err := v.CreateTenant(t.Context(), crashTenant); err != nil {
		t.Fatal(err)
	}
	until := map[eventstore.Identity]time.Time{}
	for i, days := range []int{10, 20, 100, 5000} {
		id := email(fmt.Sprintf("p%d@example.com", i))
		if err := names(t, v, clock(), id); err != nil {
			t.Fatal(err)
		}
		p, err := v.Resolve(t.Context(), crashTenant, id)
		if err != nil {
			t.Fatal(err)
		}
		until[id] = start.AddDate(0, 0, days)
		eraseUntil(t, v, until[id], p)
	}
	last := email("p3@example.com")
	until[last] = start.Add(eventstore.MaxRefusal)
	maintained := func(at time.Time) uint64 {
		t.Helper()
		set(at)
		if err := v.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		s, err := v.Status(crashTenant)
		if err != nil {
			t.Fatal(err)
		}
		return s.Generation
	}
	check := func(when string) {
		t.Helper()
		for id, end := range until {
			err := names(t, v, clock(), id)
			if clock().Before(end) && !errors.Is(err, eventstore.ErrErased) {
				t.Errorf("%s: a refused handle: %v", when, err)
			}
			if !clock().Before(end) {
				if err != nil {
					t.Errorf("%s: a handle whose refusal is over: %v", when, err)
				}
				delete(until, id)
			}
		}
		if err := names(t, v, clock(), web("bystander")); err != nil {
			t.Errorf("%s: a bystander: %v", when, err)
		}
		sound(t, v, when)
	}
	check("at once")
	for _, day := range []int{9, 10, 11, 19, 20, 30} { // the 31st of January
		for _, at := range []time.Time{start.AddDate(0, 0, day).Add(-time.Second), start.AddDate(0, 0, day)} {
			set(at)
			check(fmt.Sprint(at))
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			if v, err = keyvault.Open(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			check(fmt.Sprint(at, ", opened again"))
		}
	}
	february := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	before := maintained(february.Add(-time.Second))
	if g := maintained(february.Add(-time.Second)); g != before {
		t.Errorf("generation %d, want %d: nothing is due before the month is over", g, before)
	}
	if g := maintained(february); g != before+1 {
		t.Errorf("generation %d, want %d: the month's key must be shredded", g, before+1)
	}
	check("February")
	maintained(until[last].Add(-time.Second))
	check("two years but a second later")
	if len(until) != 1 {
		t.Errorf("%d refusals are left, want 1", len(until))
	}
	maintained(until[last])
	check("two years later")
}

// TestLongerRefusalCrash: whatever write a crash cuts off, the person is there whole or is erased and refused.
func TestLongerRefusalCrash(t *testing.T) {
	for _, percent := range []int{0, 50, 100} {
		mem := vfs.NewCrashableMem()
		if err := mem.MkdirAll("/data", 0o700); err != nil {
			t.Fatal(err)
		}
		syncRoot(t, mem)
		var mu sync.Mutex
		var crashes []*vfs.MemFS
		on := false
		rng := rand.New(rand.NewPCG(uint64(percent), 7))
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if on && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				crashes = append(crashes, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
			}
			return nil
		}))
		v := newMem(t, fs)
		p, sealed, err := enter(t.Context(), v, email("alice@example.com"), web("v"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Fence(t.Context(), crashTenant, []eventstore.PersonID{p}); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		on = true
		mu.Unlock()
		if err := v.Shred(t.Context(), crashTenant, []eventstore.PersonID{p}, eventstore.ShredOptions{RefuseUntil: time.Now().Add(time.Hour * 1000)}); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		on = false
		crashes = append(crashes, mem.CrashClone(vfs.CrashCloneCfg{}))
		mu.Unlock()
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		erased := 0
		for i, c := range crashes {
			v, err := keyvault.Open(t.Context(), memConfig(c))
			if err != nil {
				t.Fatal(err)
			}
			sound(t, v, fmt.Sprint("crash ", i))
			_, err = v.Gate(t.Context(), crashTenant, p)
			if gone := errors.Is(err, eventstore.ErrErased); !gone {
				if err := v.Unfence(t.Context(), crashTenant, []eventstore.PersonID{p}); err != nil {
					t.Fatal(err)
				}
				for _, h := range []eventstore.Identity{email("alice@example.com"), web("v")} {
					if err := opens(t.Context(), v, h, p, sealed); err != nil {
						t.Errorf("crash %d: %v", i, err)
					}
				}
			} else {
				erased++
				for _, h := range []eventstore.Identity{email("alice@example.com"), web("v")} {
					if err := names(t, v, time.Now().Add(time.Minute), h); !errors.Is(err, eventstore.ErrErased) {
						t.Errorf("crash %d: erased and not refused: %v", i, err)
					}
				}
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if erased == 0 || erased == len(crashes) {
			t.Errorf("%d of %d crashes came after the erasure", erased, len(crashes))
		}
	}
}

func newMem(t testing.TB, fs vfs.FS) *keyvault.Vault {
	t.Helper()
	v, err := keyvault.Open(t.Context(), memConfig(fs))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.CreateTenant(t.Context(), crashTenant); err != nil {
		t.Fatal(err)
	}
	return v
}
