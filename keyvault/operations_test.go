package keyvault_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/keyvault/register"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// many of a crowd are looked at one by one; all are counted.
const many = 8

// oldMonth is one that is over.
const oldMonth = crashMonth - 30

// scene is a stopped vault with some actors, on a disk that can be cloned.
type scene struct {
	disk    *vfs.MemFS
	actors  []*actor
	watched []eventstore.Identity
	// members are what the last fence answered.
	members []eventstore.Member
}

func (s *scene) actor(name string) *actor {
	return s.actors[slices.IndexFunc(s.actors, func(a *actor) bool { return a.name == name })]
}

func (s *scene) ids(names ...string) (out []eventstore.PersonID) {
	for _, n := range names {
		out = append(out, s.actor(n).id)
	}
	return out
}

func (s *scene) see(t testing.TB, v *keyvault.Vault, when string) string {
	t.Helper()
	return observe(t, v, when, s.actors, s.watched...)
}

// operation is one kind of change of a vault.
type operation struct {
	name string
	// crowd is how many more persons there are before (their leaf and page are one).
	crowd int
	// before is done before the vault is closed and the operation begins.
	before func(ctx context.Context, v *keyvault.Vault, s *scene) error
	// do is the operation; again says that doing it a second time answers this.
	do    func(ctx context.Context, v *keyvault.Vault, s *scene) error
	again error
	// lasting says that the operation is several changes, each whole; what is seen between them is none of this test's business, but that
	// doing it again completes it.
	lasting bool
	// rekeys says that what it changes is which key-encryption key opens the vault.
	rekeys  bool
	watched []eventstore.Identity
}

func fenceAll(names ...string) func(context.Context, *keyvault.Vault, *scene) error {
	return func(ctx context.Context, v *keyvault.Vault, s *scene) (err error) {
		s.members, err = v.Fence(ctx, crashTenant, s.ids(names...))
		return err
	}
}

func crowd(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("crowd-%d", i))
	}
	return names
}

func operations() []operation {
	shred := func(o eventstore.ShredOptions, names ...string) func(context.Context, *keyvault.Vault, *scene) error {
		return func(ctx context.Context, v *keyvault.Vault, s *scene) error {
			return v.Shred(ctx, crashTenant, s.ids(names...), o)
		}
	}
	first := func(id eventstore.Identity, also ...eventstore.Identity) func(context.Context, *keyvault.Vault, *scene) error {
		return func(ctx context.Context, v *keyvault.Vault, _ *scene) error {
			_, _, err := enter(ctx, v, id, also...)
			return err
		}
	}
	return []operation{
		{name: "create a tenant", again: eventstore.ErrConflict,
			before: func(ctx context.Context, v *keyvault.Vault, _ *scene) error { return v.EraseTenant(ctx, crashTenant) },
			do:     func(ctx context.Context, v *keyvault.Vault, _ *scene) error { return v.CreateTenant(ctx, "other") }},
		{name: "first contact", do: first(web("new")), watched: []eventstore.Identity{web("new")}, lasting: true}, // the person, then the month's key
		{name: "first contact of two handles", do: first(web("new"), web("newer")), watched: []eventstore.Identity{web("new")}, lasting: true},
		{name: "link by an event", do: first(email("bob@example.com"), web("dave"))},
		{name: "link", again: eventstore.ErrConflict, do: func(ctx context.Context, v *keyvault.Vault, s *scene) error {
			return v.Link(ctx, crashTenant, s.actor("alice").id, s.actor("dave").id)
		}},
		{name: "a new month", do: func(ctx context.Context, v *keyvault.Vault, s *scene) error {
			g, err := v.Gate(ctx, crashTenant, s.actor("alice").id)
			if err != nil {
				return err
			}
			defer g.Release()
			_, err = g.Seal(ctx, crashMonth+5, []byte("x"), nil)
			return err
		}},
		{name: "split", crowd: tree.BucketMax - 4, do: first(web("new")), watched: []eventstore.Identity{web("new")}, lasting: true},
		{name: "state", do: func(ctx context.Context, v *keyvault.Vault, s *scene) error {
			return v.SetState(ctx, crashTenant, s.actor("dave").id, func(s eventstore.State) eventstore.State { s.Restricted = true; return s })
		}},
		{name: "meta", do: func(ctx context.Context, v *keyvault.Vault, _ *scene) error {
			return v.Put(ctx, crashTenant, eventstore.TableSettings, "k", []byte("value"))
		}},
		{name: "fence", do: fenceAll("bob")},
		{name: "unfence", before: fenceAll("bob"), do: func(ctx context.Context, v *keyvault.Vault, s *scene) error {
			return v.Unfence(ctx, crashTenant, s.ids("bob"))
		}},
		{name: "shred", before: fenceAll("bob"), do: shred(eventstore.ShredOptions{}, "bob", "carol")},
		{name: "shred in a split tree", crowd: tree.BucketMax, before: fenceAll("bob"), do: shred(eventstore.ShredOptions{}, "bob", "carol")},
		{name: "shred with a debt", before: func(ctx context.Context, v *keyvault.Vault, s *scene) error {
			return errors.Join(v.Link(ctx, crashTenant, s.actor("alice").id, s.actor("dave").id), fenceAll("bob")(ctx, v, s))
		}, do: shred(eventstore.ShredOptions{}, "bob")},
		{name: "shred of many", crowd: tree.BucketMax, before: fenceAll(crowd(many)...), do: shred(eventstore.ShredOptions{}, crowd(many)...)},
		{name: "shred with a longer refusal", before: fenceAll("alice"), do: shred(eventstore.ShredOptions{RefuseUntil: time.Now().Add(1000 * time.Hour)}, "alice")},
		{name: "stage a successor", before: fenceAll("bob"), do: func(ctx context.Context, v *keyvault.Vault, s *scene) error {
			g, err := v.Successor(ctx, crashTenant, s.actor("bob").id)
			if err == nil {
				g.Release()
			}
			return err
		}},
		{name: "partial erasure", before: stage("bob", "carol"), do: supersede},
		{name: "shred of who has a successor", before: stage("bob", "carol"), do: shred(eventstore.ShredOptions{}, "bob")},
		{name: "expire months", crowd: tree.BucketMax, lasting: true, before: func(ctx context.Context, v *keyvault.Vault, s *scene) error {
			return v.SetState(ctx, crashTenant, s.actor("dave").id, func(s eventstore.State) eventstore.State { s.Hold = true; return s })
		}, do: func(ctx context.Context, v *keyvault.Vault, s *scene) error {
			e, err := v.Expire(ctx, crashTenant, oldMonth+1, nil)
			if err == nil && (len(e.Spared) != 1 || e.Spared[0] != s.actor("dave").id) {
				err = fmt.Errorf("%d persons were spared", len(e.Spared))
			}
			return err
		}},
		{name: "renewal of the root", lasting: true, watched: []eventstore.Identity{web("new")}, do: func(ctx context.Context, v *keyvault.Vault, s *scene) error {
			return errors.Join(first(web("new"))(ctx, v, s), v.Maintain(ctx))
		}},
		{name: "rotate the key-encryption key", rekeys: true, again: eventstore.ErrConflict, before: fenceAll("bob"), do: func(ctx context.Context, v *keyvault.Vault, _ *scene) error {
			return v.RotateKEK(ctx, newKEK, func() error { return nil })
		}},
		{name: "erase the tenant", again: eventstore.ErrErased, do: func(ctx context.Context, v *keyvault.Vault, _ *scene) error { return v.EraseTenant(ctx, crashTenant) }},
	}
}

// stage fences a set and seals a copy of each member's text for the successor.
func stage(names ...string) func(context.Context, *keyvault.Vault, *scene) error {
	return func(ctx context.Context, v *keyvault.Vault, s *scene) error {
		if err := fenceAll(names...)(ctx, v, s); err != nil {
			return err
		}
		for _, id := range s.ids(names...) {
			g, err := v.Successor(ctx, crashTenant, id)
			if err != nil {
				return err
			}
			_, err = g.Seal(ctx, crashMonth, []byte("what stays"), nil)
			g.Release()
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func supersede(ctx context.Context, v *keyvault.Vault, s *scene) error {
	var all []eventstore.Succession
	for _, m := range s.members {
		all = append(all, eventstore.Succession{Person: m.Person, Reference: m.Reference, First: 100})
	}
	return v.Supersede(ctx, crashTenant, all)
}

// set makes the scene of an operation and stops its vault.
func (o operation) set(t *testing.T) *scene {
	t.Helper()
	s := &scene{disk: vfs.NewCrashableMem(), watched: o.watched}
	if err := s.disk.MkdirAll("/data", 0o700); err != nil {
		t.Fatal(err)
	}
	syncRoot(t, s.disk)
	if o.rekeys {
		if err := (register.FileKMS{FS: s.disk}).Create("/data/kek2"); err != nil {
			t.Fatal(err)
		}
	}
	v := newMem(t, s.disk)
	add := func(name string, ids ...eventstore.Identity) {
		t.Helper()
		a := &actor{name: name, handles: ids, texts: map[eventstore.KeyMonth][]byte{}}
		var err error
		if a.id, a.texts[crashMonth], err = enter(t.Context(), v, ids[0], ids[1:]...); err != nil {
			t.Fatal(err)
		}
		g, err := v.Gate(t.Context(), crashTenant, a.id)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Release()
		if len(s.actors) >= 4+many {
			return // one of the crowd
		}
		if a.texts[oldMonth], err = g.Seal(t.Context(), oldMonth, []byte("a text"), nil); err != nil {
			t.Fatal(err)
		}
		s.actors = append(s.actors, a)
	}
	add("alice", email("alice@example.com"), web("alice-1"))
	add("bob", email("bob@example.com"))
	add("carol", web("carol"))
	add("dave", web("dave"))
	for _, name := range crowd(o.crowd) {
		add(name, web(name))
	}
	if err := v.Link(t.Context(), crashTenant, s.actor("bob").id, s.actor("carol").id); err != nil {
		t.Fatal(err)
	}
	owed, err := v.Outbox(t.Context(), crashTenant)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range owed {
		if err := v.Sent(t.Context(), crashTenant, o.ID); err != nil {
			t.Fatal(err)
		}
	}
	if o.before != nil {
		if err := o.before(t.Context(), v, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// trial is one run of an operation on a clone of its scene's disk.
type trial struct {
	*testing.T
	o             operation
	s             *scene
	before, after string
	soak          bool
}

func (x *trial) open(fs vfs.FS, when string) *keyvault.Vault {
	x.Helper()
	c := memConfig(fs)
	v, err := keyvault.Open(x.Context(), c)
	if x.o.rekeys && errors.Is(err, register.ErrKEK) {
		c.KEK = newKEK
		v, err = keyvault.Open(x.Context(), c)
	}
	if err != nil {
		x.Fatalf("%s: Open: %v", when, err)
	}
	return v
}

// key says, if that is what the operation changes, which key-encryption key opens a disk whose vault is not running: one of both, never none and never
// both, and no other wrapping is left beside.
func (x *trial) key(disk *vfs.MemFS, when string) string {
	x.Helper()
	if !x.o.rekeys {
		return ""
	}
	var opened []string
	for _, kek := range []string{"", newKEK} {
		c := memConfig(whole(disk))
		c.Create, c.KEK = false, kek
		v, err := keyvault.Open(x.Context(), c)
		switch {
		case err == nil:
			if err := v.Close(); err != nil {
				x.Errorf("%s: Close: %v", when, err)
			}
			opened = append(opened, "\nopens with the key "+kek)
			for _, name := range []string{"register.key.old", "register.key.new"} {
				if _, err := c.FS.Stat("/data/roots/" + name); err == nil {
					x.Errorf("%s: %s is still there after a start", when, name)
				}
			}
		case !errors.Is(err, register.ErrKEK):
			x.Errorf("%s: with the key %q: %v", when, kek, err)
		}
	}
	if len(opened) != 1 {
		x.Fatalf("%s: %d of the two key-encryption keys open the vault", when, len(opened))
	}
	return opened[0]
}

// see is what the auditor says of the vault, and which key opened the disk at its start.
func (x *trial) see(v *keyvault.Vault, key, when string) string {
	x.Helper()
	return x.s.see(x, v, when) + key
}

func (x *trial) clone(percent int, rng *rand.Rand) *vfs.MemFS {
	return x.s.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
}

// settled opens what is left of a disk: the operation is wholly done or not begun, and done when it is done again.
func (x *trial) settled(disk *vfs.MemFS, done bool, when string) {
	x.Helper()
	key := x.key(disk, when)
	v := x.open(disk, when)
	defer func() {
		if err := v.Close(); err != nil {
			x.Errorf("%s: Close: %v", when, err)
		}
	}()
	switch saw := x.see(v, key, when); {
	case saw == x.after:
	case done:
		x.Errorf("%s: it was acknowledged and this is left of it:\n%s\nwant\n%s", when, saw, x.after)
	case x.o.lasting && strings.Contains(saw, "sealed"):
		x.Errorf("%s: something does not open and is not expired:\n%s", when, saw)
	case saw != x.before && !x.o.lasting:
		x.Errorf("%s: half done:\n%s\nbefore it was\n%s\nafter\n%s", when, saw, x.before, x.after)
	}
	if err := x.o.do(x.Context(), v, x.s); err != nil && !errors.Is(err, x.o.again) {
		x.Errorf("%s: again: %v", when, err)
	}
	if saw := x.see(v, x.key(disk, when+", again"), when+", again"); saw != x.after {
		x.Errorf("%s: done again, there is\n%s\nwant\n%s", when, saw, x.after)
	}
}

// crashes runs the operation on a disk that is copied, as a power cut would leave it, before every write, and settles every copy.
func (x *trial) crashes(percents []int) {
	x.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	mem := x.clone(100, rng)
	type left struct {
		fs   *vfs.MemFS
		when string
	}
	var all []left
	cut := func(n int) {
		kept := percents
		if !x.soak {
			kept = percents[len(all)%len(percents):][:1] // they take turns
		}
		for _, percent := range kept {
			all = append(all, left{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), fmt.Sprintf("power cut before write %d, %d%% of the unsynced kept", n, percent)})
		}
	}
	disk := &faultFS{FS: mem}
	disk.before = func() { cut(disk.n) }
	v := x.open(disk, "at first")
	if x.before == "" {
		x.before = x.see(v, x.key(mem, "before"), "before")
	}
	writes, _, err := disk.during(fault{}, func() error { return x.o.do(x.Context(), v, x.s) })
	if err != nil {
		x.Fatal(err)
	}
	acknowledged := mem.CrashClone(vfs.CrashCloneCfg{})
	x.after = x.see(v, x.key(mem, "after"), "after")
	if err := v.Close(); err != nil {
		x.Fatal(err)
	}
	for _, l := range all {
		x.settled(l.fs, false, l.when)
	}
	x.settled(acknowledged, true, "power cut after the answer")
	if writes < 2 {
		x.Fatalf("%d writes: the operation does nothing", writes)
	}
	x.Logf("%d writes, %d power cuts", writes, len(all)+1)
}

// fails runs the operation on a disk whose k-th write fails, and settles what is left when the process starts again, and after a power cut too. It
// says whether there was a k-th.
func (x *trial) fails(f fault) bool {
	x.Helper()
	when := fmt.Sprintf("write %d fails (forever %v, persisted %v)", f.at, f.forever, f.persisted)
	rng := rand.New(rand.NewPCG(uint64(f.at), 3))
	mem := x.clone(100, rng)
	disk := &faultFS{FS: mem}
	v := x.open(disk, when)
	_, failed, err := disk.during(f, func() error { return x.o.do(x.Context(), v, x.s) })
	if err != nil && !errors.Is(err, eventstore.ErrUnavailable) && !errors.Is(err, errInjected) && !errors.Is(err, eventstore.ErrUncertain) {
		x.Errorf("%s: the answer is no outage: %v", when, err)
	}
	if err != nil && errors.Is(err, eventstore.ErrErased) {
		x.Errorf("%s: an outage is answered as an erasure: %v", when, err)
	}
	cut := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
	_ = v.Close() // the database reports its failed log again

	restart := (f.at%2 == 0) != f.persisted // a soak does both
	if x.soak || restart {
		x.settled(mem, err == nil, when+", process started again")
	}
	if x.soak || !restart {
		x.settled(cut, err == nil, when+", power cut")
	}
	return failed > 0
}

// TestEveryOperationAtEveryWrite: whatever an operation writes, at every write the power may fail, or the disk, once or for good, with or without
// keeping what it says it did not; afterwards the operation is wholly done or not begun, an acknowledged one is done, the vault is sound, nobody is
// resurrected, and the operation can be completed. Keeping more subsets of what was not synced, and every kind of failure, is for the soak.
func TestEveryOperationAtEveryWrite(t *testing.T) {
	soak := os.Getenv("OUBLI_SOAK") != ""
	for _, o := range operations() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			x := &trial{T: t, o: o, s: o.set(t), soak: soak}
			percents := []int{0, 50}
			if soak {
				percents = []int{0, 10, 25, 50, 50, 50, 75, 90, 100}
			}
			x.crashes(percents)
			kinds := []fault{{}, {persisted: true}}
			if soak {
				kinds = append(kinds, fault{forever: true}, fault{forever: true, persisted: true})
			}
			for _, f := range kinds {
				for f.at = 1; x.fails(f); f.at++ {
					if f.at > 500 {
						t.Fatal("there is no end of writes")
					}
				}
			}
		})
	}
}
