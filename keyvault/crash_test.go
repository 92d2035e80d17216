package keyvault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
)

const crashTenant eventstore.TenantID = "acme"

const crashMonth eventstore.KeyMonth = 682

func email(s string) eventstore.Identity { return eventstore.Identity{Namespace: "email", ID: s} }
func web(s string) eventstore.Identity   { return eventstore.Identity{Namespace: "web", ID: s} }

func accept(eventstore.State) error { return nil }

func memConfig(fs vfs.FS) keyvault.Config {
	return keyvault.Config{Dir: "/data/vault", Roots: "/data/roots", KEKFile: "/data/kek", FS: fs, Create: true}
}

// enter lets one event in and seals a text for its person.
func enter(ctx context.Context, v *keyvault.Vault, id eventstore.Identity, also ...eventstore.Identity) (eventstore.PersonID, []byte, error) {
	now := time.Now()
	e, err := v.Enter(ctx, crashTenant, eventstore.Arrival{Identity: id, Also: also, Time: now, Received: now}, accept)
	if err != nil {
		return eventstore.PersonID{}, nil, err
	}
	defer e.Gate.Release()
	sealed, err := e.Gate.Seal(ctx, crashMonth, []byte("a text"), nil)
	return e.Gate.Person(), sealed, err
}

// opens says whether a handle leads to a person whose text opens.
func opens(ctx context.Context, v *keyvault.Vault, id eventstore.Identity, p eventstore.PersonID, sealed []byte) error {
	got, err := v.Resolve(ctx, crashTenant, id)
	if err != nil {
		return fmt.Errorf("resolving: %w", err)
	}
	if got != p {
		return errors.New("the handle leads to somebody else")
	}
	g, err := v.Gate(ctx, crashTenant, p)
	if err != nil {
		return fmt.Errorf("the gate: %w", err)
	}
	defer g.Release()
	plain, err := g.Open(ctx, crashMonth, sealed, nil)
	if err == nil && !bytes.Equal(plain, []byte("a text")) {
		err = errors.New("another text")
	}
	return err
}

// fact is something that must hold from the end of one step to the beginning of another.
type fact struct {
	name     string
	from, to int
	check    func(*keyvault.Vault) error
}

// history is a run of steps and what must hold after each.
type history struct {
	ctx context.Context
	// copies are directories of further copies of the root register.
	copies []string
	step   atomic.Int32 // the step under way
	facts  []fact
}

func (h *history) holds(name string, check func(*keyvault.Vault) error) *fact {
	h.facts = append(h.facts, fact{name, int(h.step.Load()), 1 << 30, check})
	return &h.facts[len(h.facts)-1]
}

// over ends every fact of that name at the step under way.
func (h *history) over(names ...string) {
	for i := range h.facts {
		for _, n := range names {
			if h.facts[i].name == n && h.facts[i].to == 1<<30 {
				h.facts[i].to = int(h.step.Load())
			}
		}
	}
}

// play runs every kind of change of a vault.
func (h *history) play(v *keyvault.Vault) error {
	var alice, visitor eventstore.PersonID
	ctx := h.ctx
	in := func(name string, id eventstore.Identity, p *eventstore.PersonID, also ...eventstore.Identity) func() error {
		return func() error {
			q, sealed, err := enter(ctx, v, id, also...)
			if p != nil {
				*p = q
			}
			h.holds(name, func(v *keyvault.Vault) error { return opens(ctx, v, id, q, sealed) })
			return err
		}
	}
	steps := []func() error{
		func() error {
			h.holds("tenant", func(v *keyvault.Vault) error { _, err := v.Count(ctx, crashTenant); return err })
			return v.CreateTenant(ctx, crashTenant)
		},
		in("alice", email("alice@example.com"), &alice),
		in("visitor", web("77"), &visitor),
		in("bob", email("bob@example.com"), nil, web("78")),
		func() error {
			h.holds("link", func(v *keyvault.Vault) error {
				set, err := v.Linked(ctx, crashTenant, visitor)
				if err == nil && len(set) != 2 {
					err = errors.New("not linked")
				}
				return err
			})
			h.holds("debt", func(v *keyvault.Vault) error { return owesWhatItChanged(ctx, v, visitor) })
			_, _, err := enter(ctx, v, email("alice@example.com"), web("77"))
			return err
		},
		func() error {
			h.holds("restriction", func(v *keyvault.Vault) error {
				g, err := v.Gate(ctx, crashTenant, alice)
				if err == nil {
					defer g.Release()
					if !g.State().Restricted {
						err = errors.New("not restricted")
					}
				}
				return err
			})
			_, err := v.Change(ctx, crashTenant, visitor, eventstore.PersonRestricted, func(s eventstore.State) eventstore.State { s.Restricted = true; return s })
			return err
		},
		func() error {
			h.holds("meta", func(v *keyvault.Vault) error {
				_, err := v.Get(ctx, crashTenant, eventstore.TableSettings, "k")
				return err
			})
			return v.PutIf(ctx, crashTenant, eventstore.TableSettings, "k", []byte("value"))
		},
	}
	for i := range 70 { // past a split of the leaf and of the page
		steps = append(steps, in("stranger", web(fmt.Sprintf("s%d", i)), nil))
	}
	steps = append(steps, h.erasures(v, &alice, &visitor, in("after", web("after"), nil))...)
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
		h.step.Add(1)
	}
	return nil
}

// erasures fences and shreds a linked set, lets a stranger in, and erases the tenant.
func (h *history) erasures(v *keyvault.Vault, alice, visitor *eventstore.PersonID, after func() error) []func() error {
	ctx := h.ctx
	return []func() error{func() error {
		h.over("alice", "visitor", "link", "debt", "restriction")
		h.holds("fence", func(v *keyvault.Vault) error {
			if _, err := v.Gate(ctx, crashTenant, *alice); !errors.Is(err, eventstore.ErrFenced) {
				return fmt.Errorf("a fenced person's gate: %v", err)
			}
			return nil
		})
		_, err := v.Fence(ctx, crashTenant, []eventstore.PersonID{*visitor})
		return err
	}, func() error {
		h.over("fence")
		h.holds("erased", func(v *keyvault.Vault) error {
			for _, p := range []eventstore.PersonID{*alice, *visitor} {
				if _, err := v.Gate(ctx, crashTenant, p); !errors.Is(err, eventstore.ErrErased) {
					return fmt.Errorf("an erased person's gate: %v", err)
				}
			}
			for _, id := range []eventstore.Identity{email("alice@example.com"), web("77")} {
				if _, err := v.Resolve(ctx, crashTenant, id); !errors.Is(err, eventstore.ErrNotFound) {
					return fmt.Errorf("an erased handle: %v", err)
				}
			}
			return nil
		})
		return v.Shred(ctx, crashTenant, []eventstore.PersonID{*alice, *visitor}, eventstore.ShredOptions{})
	}, after, func() error {
		h.over("tenant", "bob", "stranger", "meta", "erased", "after")
		h.holds("tenant erased", func(v *keyvault.Vault) error {
			if _, err := v.Gate(ctx, crashTenant, *alice); !errors.Is(err, eventstore.ErrErased) {
				return fmt.Errorf("a gate of an erased tenant: %v", err)
			}
			return nil
		})
		return v.EraseTenant(ctx, crashTenant)
	}, func() error { return nil }}
}

// owesWhatItChanged: a linked set is restricted, all of it, if and only if the stream is owed the event that says so.
func owesWhatItChanged(ctx context.Context, v *keyvault.Vault, member eventstore.PersonID) error {
	set, err := v.Linked(ctx, crashTenant, member)
	if err != nil {
		return err
	}
	owed, err := v.Outbox(ctx, crashTenant)
	if err != nil {
		return err
	}
	told := slices.ContainsFunc(owed, func(o eventstore.Owed) bool { return o.Event.Kind == eventstore.PersonRestricted })
	for _, r := range set {
		if r.State.Restricted != told {
			return fmt.Errorf("restricted %v, and the stream is owed it: %v", r.State.Restricted, told)
		}
	}
	return nil
}

// crash is a disk as a crash may have left it.
type crash struct {
	fs   *vfs.MemFS
	step int
	at   int
}

// TestCrashAtEveryWrite plays a history on a disk that is copied, as a crash would leave it, before every write; then the copies are opened
// and audited: every step is wholly done or not begun, what was acknowledged holds, and the vault goes on working. Without OUBLI_SOAK every write is
// audited in two of the four settings, the many alike of the first strangers in half of one.
func TestCrashAtEveryWrite(t *testing.T) {
	soak := os.Getenv("OUBLI_SOAK") != ""
	for i, setting := range []struct {
		percent int
		copies  []string
	}{{0, nil}, {50, nil}, {100, nil}, {50, []string{"/other/roots"}}} {
		percent := setting.percent
		t.Run(fmt.Sprintf("%d%% of the unsynced writes, %d more copies", percent, len(setting.copies)), func(t *testing.T) {
			t.Parallel()
			mem := vfs.NewCrashableMem()
			if err := mem.MkdirAll("/data", 0o700); err != nil {
				t.Fatal(err)
			}
			syncRoot(t, mem)
			h := &history{ctx: t.Context(), copies: setting.copies}
			var mu sync.Mutex
			var crashes []crash
			writes := 0
			rng := rand.New(rand.NewPCG(uint64(percent), 1))
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
					mu.Lock()
					defer mu.Unlock()
					step, at := int(h.step.Load()), writes
					writes++
					if every := 2; !soak {
						if step > 8 && step < 62 { // the first strangers
							every = 8
						}
						if at%every != i%every {
							return nil
						}
					}
					clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
					crashes = append(crashes, crash{clone, step, at})
				}
				return nil
			}))
			v, err := keyvault.Open(t.Context(), h.config(fs))
			if err != nil {
				t.Fatal(err)
			}
			if err := h.play(v); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			all := crashes
			mu.Unlock()
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			for _, c := range all {
				h.audit(t, c, soak)
			}
			t.Logf("%d writes, a crash at %d of them", writes, len(all))
		})
	}
}

func syncRoot(t *testing.T, fs vfs.FS) {
	t.Helper()
	d, err := fs.OpenDir("/")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		t.Fatal(err)
	}
}

func (h *history) config(fs vfs.FS) keyvault.Config {
	c := memConfig(fs)
	c.RootCopies = h.copies
	return c
}

// audit opens what a crash left and looks at everything; of the strangers who came long before the crash, unless it is a soak, at every eighth.
func (h *history) audit(t *testing.T, c crash, soak bool) {
	t.Helper()
	if len(h.copies) > 0 && c.step > 0 && (soak || c.at%6 == 3) {
		h.alone(t, c)
	}
	v, err := keyvault.Open(h.ctx, h.config(c.fs))
	if err != nil {
		t.Fatalf("crash %d in step %d: Open: %v", c.at, c.step, err)
	}
	for _, f := range h.facts {
		if !soak && f.name == "stranger" && f.from < c.step-4 && f.from%8 != 0 {
			continue
		}
		if f.from < c.step && c.step < f.to {
			if err := f.check(v); err != nil {
				t.Errorf("crash %d in step %d: %s: %v", c.at, c.step, f.name, err)
			}
		}
	}
	tenants, err := v.Tenants(h.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(tenants) == 1 {
		sound(t, v, fmt.Sprintf("crash %d in step %d", c.at, c.step))
		if p, _, err := enter(h.ctx, v, web("goes on")); err != nil {
			t.Errorf("crash %d in step %d: goes on: %v", c.at, c.step, err)
		} else if _, err := v.Fence(h.ctx, crashTenant, []eventstore.PersonID{p}); err != nil {
			t.Error(err)
		} else if err := v.Shred(h.ctx, crashTenant, []eventstore.PersonID{p}, eventstore.ShredOptions{}); err != nil {
			t.Error(err)
		}
		sound(t, v, fmt.Sprintf("after crash %d in step %d", c.at, c.step))
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}

// alone opens what a crash left with each copy of the register alone, on a copy of the disk.
func (h *history) alone(t *testing.T, c crash) {
	t.Helper()
	for _, dir := range append([]string{"/data/roots"}, h.copies...) {
		one := memConfig(whole(c.fs))
		one.Roots, one.RootsLost = dir, true
		v, err := keyvault.Open(h.ctx, one)
		if err != nil {
			t.Fatalf("crash %d in step %d, with %s alone: %v", c.at, c.step, dir, err)
		}
		if v.LostCopies() != 1 {
			t.Errorf("%d copies were given up", v.LostCopies())
		}
		for _, f := range h.facts {
			if f.from < c.step && c.step < f.to {
				if err := f.check(v); err != nil {
					t.Errorf("crash %d in step %d, with %s alone: %s: %v", c.at, c.step, dir, f.name, err)
				}
			}
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
}

// sound is the one auditor's last word: nothing is damaged.
func sound(t testing.TB, v *keyvault.Vault, when string) {
	t.Helper()
	r, err := v.Check(t.Context(), crashTenant)
	if err != nil {
		t.Fatalf("%s: Check: %v", when, err)
	}
	for _, d := range r.Damage {
		t.Errorf("%s: %s", when, d)
	}
}
