package keyvault_test

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
)

func newTenant(t testing.TB, c keyvault.Config) *keyvault.Vault {
	t.Helper()
	v := openVault(t, c)
	if err := v.CreateTenant(t.Context(), crashTenant); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestFirstContacts: concurrent first contacts, many of them of one identity, yield one person each, across splits.
func TestFirstContacts(t *testing.T) {
	v := newTenant(t, keyvault.Config{CacheSize: 16})
	const callers, identities = 16, 600
	var seen sync.Map
	var minted atomic.Int64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range identities / 4 {
				id := web(fmt.Sprintf("v%d", (c%4)*identities/4+i)) // four callers for each identity
				now := time.Now()
				e, err := v.Enter(t.Context(), crashTenant, eventstore.Arrival{Identity: id, Time: now, Received: now}, accept)
				if err != nil {
					t.Error(err)
					return
				}
				if e.Minted {
					minted.Add(1)
				}
				if p, other := seen.LoadOrStore(id, e.Gate.Person()); other && p != e.Gate.Person() {
					t.Error("one identity, two persons")
				}
				e.Gate.Release()
			}
		})
	}
	wg.Wait()
	if n, err := v.Count(t.Context(), crashTenant); n != identities || minted.Load() != identities || err != nil {
		t.Errorf("%d persons, %d minted, want %d: %v", n, minted.Load(), identities, err)
	}
	sound(t, v, "after")
	s, err := v.Status(crashTenant)
	if err != nil || s.Depth < 1 || s.Nodes < 2 || s.Persons != identities {
		t.Errorf("status: %+v, %v", s, err)
	}
}

// TestNothingAfterShred: whatever goroutines do with gates, once Shred has returned nothing of the person seals, opens or marks; the others
// go on.
func TestNothingAfterShred(t *testing.T) {
	v := newTenant(t, keyvault.Config{CacheSize: 64})
	ctx := t.Context()
	for round := range 20 {
		p, sealed, err := enter(ctx, v, web(fmt.Sprintf("p%d", round)))
		if err != nil {
			t.Fatal(err)
		}
		var gone atomic.Bool
		end := make(chan struct{})
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for {
					select {
					case <-end:
						return
					default:
					}
					was := gone.Load()
					g, err := v.Gate(ctx, crashTenant, p)
					if err != nil {
						if !errors.Is(err, eventstore.ErrFenced) && !errors.Is(err, eventstore.ErrErased) {
							t.Errorf("Gate: %v", err)
						}
						continue
					}
					_, err1 := g.Seal(ctx, crashMonth+eventstore.KeyMonth(w), []byte("x"), nil)
					_, err2 := g.Open(ctx, crashMonth, sealed, nil)
					_, err3 := g.Mark(eventstore.MarkRow)
					g.Release()
					if was {
						t.Errorf("a gate after Shred returned: %v %v %v", err1, err2, err3)
					}
				}
			})
			wg.Go(func() { // strangers move the buckets meanwhile
				for i := 0; ; i++ {
					select {
					case <-end:
						return
					default:
					}
					if _, _, err := enter(ctx, v, web(fmt.Sprintf("s%d-%d-%d", round, w, i))); err != nil {
						t.Errorf("a stranger: %v", err)
					}
				}
			})
		}
		if _, err := v.Fence(ctx, crashTenant, []eventstore.PersonID{p}); err != nil {
			t.Fatal(err)
		}
		if err := v.Shred(ctx, crashTenant, []eventstore.PersonID{p}, eventstore.ShredOptions{}); err != nil {
			t.Fatal(err)
		}
		gone.Store(true)
		close(end)
		wg.Wait()
		if _, err := v.Gate(ctx, crashTenant, p); !errors.Is(err, eventstore.ErrErased) {
			t.Errorf("Gate: %v", err)
		}
	}
	sound(t, v, "after")
}

// TestConcurrentShreds share re-keyings and end in one sound tree.
func TestConcurrentShreds(t *testing.T) {
	v := newTenant(t, keyvault.Config{})
	ctx := t.Context()
	var persons []eventstore.PersonID
	for i := range 200 {
		p, _, err := enter(ctx, v, web(fmt.Sprintf("p%d", i)))
		if err != nil {
			t.Fatal(err)
		}
		persons = append(persons, p)
	}
	before, err := v.Status(crashTenant)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, p := range persons[:100] {
		wg.Go(func() {
			if _, err := v.Fence(ctx, crashTenant, []eventstore.PersonID{p}); err != nil {
				t.Error(err)
			}
			if err := v.Shred(ctx, crashTenant, []eventstore.PersonID{p}, eventstore.ShredOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	sound(t, v, "after")
	after, err := v.Status(crashTenant)
	if err != nil || after.Persons != 100 || after.Generation == before.Generation {
		t.Errorf("%+v, %v", after, err)
	}
	t.Logf("100 shreds shared %d re-keyings", after.Generation-before.Generation)
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	c := keyvault.Config{Dir: dir + "/vault", Roots: dir + "/roots", KEKFile: dir + "/kek", Create: true}
	open := func() error {
		v, err := keyvault.Open(t.Context(), c)
		if err == nil {
			err = v.Close()
		}
		return err
	}
	v, err := keyvault.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.CreateTenant(t.Context(), crashTenant); err != nil {
		t.Fatal(err)
	}
	if err := open(); !errors.Is(err, eventstore.ErrInUse) {
		t.Errorf("a second time: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	with := func(name string, change func([]byte) []byte, want error) {
		t.Helper()
		old, err := os.ReadFile(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		if b := change(append([]byte{}, old...)); b == nil {
			os.Remove(dir + name)
		} else if err := os.WriteFile(dir+name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
		if err := os.WriteFile(dir+name, old, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flip := func(i int) func([]byte) []byte { return func(b []byte) []byte { b[i] ^= 0x40; return b } }
	newer := func(i int) func([]byte) []byte { return func(b []byte) []byte { b[i]++; return b } }
	gone := func([]byte) []byte { return nil }
	with("/roots/register", gone, eventstore.ErrDamaged)
	both := func(at int, change func(int) func([]byte) []byte) func([]byte) []byte { // the header and the root stand in either of two blocks
		return func(b []byte) []byte { return change(at)(change(at + 4096)(b)) }
	}
	with("/roots/register", both(2*4096+30, flip), eventstore.ErrDamaged)
	with("/roots/register", both(12, flip), eventstore.ErrDamaged)
	with("/roots/register", both(10, newer), eventstore.ErrNewerVersion)
	with("/roots/register", func(b []byte) []byte { return b[:100] }, eventstore.ErrDamaged)
	with("/roots/register.key", flip(30), eventstore.ErrDamaged)
	with("/roots/register.key", newer(9), eventstore.ErrNewerVersion)
	with("/kek", func(b []byte) []byte { return b[:31] }, eventstore.ErrDamaged)
	if err := os.Rename(dir+"/vault", dir+"/away"); err != nil {
		t.Fatal(err)
	}
	if err := open(); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("roots without their database: %v", err)
	}
	os.RemoveAll(dir + "/vault")
	os.Rename(dir+"/away", dir+"/vault")
	if err := open(); err != nil {
		t.Errorf("as it was: %v", err)
	}
	c.Create = false
	if err := open(); err != nil {
		t.Errorf("without Create: %v", err)
	}
	with("/roots/register", flip(12), nil) // the header's other block says the same; last, because this start renews the root
}
