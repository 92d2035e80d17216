package keyvault

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
	"pgregory.net/rapid"
)

// imageOf copies a snapshot, as a backup does.
func imageOf(t testing.TB, s *Snapshot, moment time.Time) Image {
	t.Helper()
	im := Image{Vault: s.Vault, Moment: moment}
	for _, tn := range s.Tenants {
		tn.Root = secret.New(bytes.Clone(tn.Root.Reveal()))
		im.Tenants = append(im.Tenants, tn)
	}
	var all []Row
	for r, err := range s.Rows(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Row{bytes.Clone(r.Key), bytes.Clone(r.Value)})
	}
	im.Rows = rowsOf(all)
	return im
}

func rowsOf(all []Row) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func imageNow(t testing.TB, v *Vault) Image {
	t.Helper()
	s, err := v.Snapshot(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return imageOf(t, s, time.Now())
}

// memVault is a vault in memory; there may be a key-encryption key already.
func memVault(fs vfs.FS, at string) Config {
	return Config{Dir: at + "/vault", Roots: at + "/roots", KEKFile: at + "/kek", FS: fs}
}

func newMemVault(t testing.TB) (*Vault, vfs.FS) {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/a", 0o700); err != nil {
		t.Fatal(err)
	}
	c := memVault(fs, "/a")
	c.Create = true
	v := mustOpen(t, c)
	if err := v.CreateTenant(t.Context(), attackTenant); err != nil {
		t.Fatal(err)
	}
	return v, fs
}

// facts is everything that a vault answers about people who were in it.
func facts(t testing.TB, v *Vault, people []eventstore.PersonID, ids []eventstore.Identity, sealed map[eventstore.PersonID][]byte) map[string]string {
	t.Helper()
	ctx, out := t.Context(), map[string]string{}
	say := func(key string, err error, what any) {
		switch {
		case errors.Is(err, eventstore.ErrNotFound):
			out[key] = "not found" // lost in one, never there in the other
		case err != nil:
			out[key] = err.Error()
		default:
			out[key] = fmt.Sprintf("%+v", what)
		}
	}
	for _, id := range ids {
		p, err := v.Resolve(ctx, attackTenant, id)
		say("resolve "+id.ID, err, p)
	}
	for _, p := range people {
		set, err := v.Linked(ctx, attackTenant, p)
		say("linked "+p.String(), err, set)
		g, err := v.Gate(ctx, attackTenant, p)
		if err != nil {
			say("gate "+p.String(), err, nil)
			continue
		}
		plain, err := g.Open(ctx, 682, sealed[p], nil)
		say("open "+p.String(), err, plain)
		m, err := g.Mark(eventstore.MarkIdempotency, []byte("k"))
		say("mark "+p.String(), err, m)
		g.Release()
		pm, err := v.PeriodMark(ctx, attackTenant, p, eventstore.PeriodOf(eventstore.Day, time.Unix(1795341600, 0), time.UTC))
		say("period "+p.String(), err, pm)
	}
	n, err := v.Count(ctx, attackTenant)
	say("count", err, n)
	owed, err := v.Outbox(ctx, attackTenant)
	say("outbox", err, owed)
	meta, err := v.List(ctx, attackTenant, eventstore.TableRequests)
	say("meta", err, meta)
	return out
}

// TestRestoreIsIdentity: what is restored from a snapshot answers everything as the vault did at the moment, whatever happened to it, and is sound.
func TestRestoreIsIdentity(t *testing.T) {
	if os.Getenv("OUBLI_SOAK") == "" {
		if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
			f.Value.Set("12")
			defer f.Value.Set(f.DefValue)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		v, fs := newMemVault(t)
		now := time.Now()
		var people []eventstore.PersonID
		var ids []eventstore.Identity
		sealed := map[eventstore.PersonID][]byte{}
		crowd := rapid.SampledFrom([]int{0, 3, 80}).Draw(rt, "crowd")
		for i := range rapid.IntRange(1, 12).Draw(rt, "steps") + crowd {
			act := "enter"
			if i >= crowd {
				act = rapid.SampledFrom([]string{"enter", "enter", "link", "erase", "fence", "state", "meta"}).Draw(rt, "act")
			}
			var p eventstore.PersonID
			if len(people) > 0 {
				p = people[rapid.IntRange(0, len(people)-1).Draw(rt, "who")]
			} else {
				act = "enter"
			}
			switch act {
			case "enter":
				id := eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("visitor-%d", i)}
				e, err := v.Enter(t.Context(), attackTenant, eventstore.Arrival{Identity: id, Time: now, Received: now}, func(eventstore.State) error { return nil })
				if err != nil {
					rt.Fatal(err)
				}
				p = e.Gate.Person()
				sealed[p], err = e.Gate.Seal(t.Context(), 682, []byte("text"), nil)
				e.Gate.Release()
				if err != nil {
					rt.Fatal(err)
				}
				people, ids = append(people, p), append(ids, id)
			case "link":
				_ = v.Link(t.Context(), attackTenant, p, people[0]) // themselves, linked already, erased: all may be
			case "erase":
				if _, err := v.Fence(t.Context(), attackTenant, []eventstore.PersonID{p}); err == nil {
					if err := v.Shred(t.Context(), attackTenant, []eventstore.PersonID{p}, eventstore.ShredOptions{}); err != nil {
						rt.Fatal(err)
					}
				}
			case "fence":
				_, _ = v.Fence(t.Context(), attackTenant, []eventstore.PersonID{p})
			case "state":
				_ = v.SetState(t.Context(), attackTenant, p, func(s eventstore.State) eventstore.State {
					s.Restricted, s.Consents = true, map[string]bool{"storage": true}
					return s
				})
			case "meta":
				if err := v.Put(t.Context(), attackTenant, eventstore.TableRequests, fmt.Sprint("row", i), []byte("value")); err != nil {
					rt.Fatal(err)
				}
			}
		}
		want := facts(t, v, people, ids, sealed)
		control, err := v.SealControl(t.Context(), attackTenant, []byte("an event"), []byte("ad"))
		if err != nil {
			rt.Fatal(err)
		}
		im := imageNow(t, v)
		late := mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: "too-late"})
		closeVault(t, v)

		if err := Restore(t.Context(), memVault(fs, "/b"), im, nil); err != nil {
			rt.Fatal(err)
		}
		w := mustOpen(t, memVault(fs, "/b"))
		defer closeVault(t, w)
		got := facts(t, w, people, ids, sealed)
		if !reflect.DeepEqual(got, want) {
			for _, k := range slices.Sorted(maps.Keys(want)) {
				if got[k] != want[k] {
					rt.Errorf("%s: %s, was %s", k, got[k], want[k])
				}
			}
		}
		if w.Vault() != v.id {
			rt.Error("another vault id")
		}
		if plain, err := w.OpenControl(t.Context(), attackTenant, control, []byte("ad")); err != nil || string(plain) != "an event" {
			rt.Errorf("a person event: %s, %v", plain, err)
		}
		if _, err := w.Gate(t.Context(), attackTenant, late); !errors.Is(err, eventstore.ErrKeyLost) || !errors.Is(err, eventstore.ErrNotFound) || errors.Is(err, eventstore.ErrErased) {
			rt.Errorf("somebody who came after the backup: %v", err)
		}
		r, err := w.Check(t.Context(), attackTenant)
		if err != nil || len(r.Damage) > 0 {
			rt.Errorf("the restored vault: %v %v", r.Damage, err)
		}
		mustEnter(t, w, eventstore.Identity{Namespace: "web", ID: "goes-on"})
		if _, err := w.Restored(attackTenant); err != nil {
			rt.Error(err)
		}
	})
}

// TestRestoreRekeys: the root keys of a backup open its own rows, and nothing of the vault that was restored from it; its keys are in no file.
func TestRestoreRekeys(t *testing.T) {
	dir := t.TempDir()
	v := mustOpen(t, attackConfig(dir+"/a"))
	if err := v.CreateTenant(t.Context(), attackTenant); err != nil {
		t.Fatal(err)
	}
	var people []eventstore.PersonID
	for i := range 100 {
		people = append(people, mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("bystander-%03d", i)}))
	}
	if err := v.Put(t.Context(), attackTenant, eventstore.TableRequests, "row", []byte("a value")); err != nil {
		t.Fatal(err)
	}
	theirs := planted(t, v, people)
	im := imageNow(t, v)
	root := string(im.Tenants[0].Root.Reveal())
	var rows []Row
	for r := range im.Rows {
		rows = append(rows, r)
	}
	im.Rows = rowsOf(rows)
	id := v.id
	closeVault(t, v)
	c := attackConfig(dir + "/b")
	if err := os.MkdirAll(dir+"/b", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Restore(t.Context(), c, im, nil); err != nil {
		t.Fatal(err)
	}

	control := newThief(t, id)
	control.Learn([]byte(root))
	for _, r := range rows {
		control.Row(r.Key, r.Value)
	}
	control.run()
	for what, b := range theirs {
		if !control.Has(b) {
			t.Errorf("control: the backup's rows and root do not give a %s; the test sees nothing", what)
		}
	}
	a := thieves{t, control.Again()} // with every key of the tree in the backup
	a.take(dir + "/b/vault")
	a.run()
	if n := a.Opened(); n > 0 {
		t.Errorf("the backup's keys open %d rows of the restored vault", n)
	}
	if _, err := os.Stat(dir + "/b/vault.restoring"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the backup's rows are left behind: %v", err)
	}
	closeVault(t, mustOpen(t, c))
}

// TestRestoreCrashes: before every write of a restore the disk is copied as a crash may leave it. What is found there opens only if it is whole.
func TestRestoreCrashes(t *testing.T) {
	v, _ := newMemVault(t)
	var people []eventstore.PersonID
	var ids []eventstore.Identity
	for i := range 70 {
		id := eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("visitor-%d", i)}
		people, ids = append(people, mustEnter(t, v, id)), append(ids, id)
	}
	mustErase(t, v, people[3])
	im := imageNow(t, v)
	want := facts(t, v, people, ids, nil)
	closeVault(t, v)
	for _, percent := range []int{0, 50, 100} {
		mem := vfs.NewCrashableMem()
		if err := mem.MkdirAll("/b", 0o700); err != nil {
			t.Fatal(err)
		}
		d, err := mem.OpenDir("/")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var crashes []vfs.FS
		rng := rand.New(rand.NewPCG(uint64(percent), 2))
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				mu.Lock()
				defer mu.Unlock()
				crashes = append(crashes, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
			}
			return nil
		}))
		if err := Restore(t.Context(), memVault(fs, "/b"), im, nil); err != nil {
			t.Fatal(err)
		}
		done := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
		whole, unfinished := 0, 0
		for i, disk := range append(crashes, done) {
			w, err := Open(t.Context(), memVault(disk, "/b"))
			if err != nil {
				if !errors.Is(err, eventstore.ErrDamaged) && !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%d%%, crash %d: %v", percent, i, err)
				}
				if errors.Is(err, ErrUnfinished) {
					unfinished++
				}
				continue
			}
			whole++
			if got := facts(t, w, people, ids, nil); !reflect.DeepEqual(got, want) {
				t.Errorf("%d%%, crash %d: it opens and is not whole", percent, i)
			}
			closeVault(t, w)
		}
		if whole == 0 || unfinished == 0 {
			t.Errorf("%d%%: %d crashes left a whole vault, %d an unfinished one; the test sees nothing", percent, whole, unfinished)
		}
		t.Logf("%d%%: %d crashes, %d unfinished, %d whole", percent, len(crashes), unfinished, whole)
	}
}

// TestRestoreFails: a write that fails ends the restore with an error, and leaves no vault that opens.
func TestRestoreFails(t *testing.T) {
	v, _ := newMemVault(t)
	mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: "visitor"})
	im := imageNow(t, v)
	closeVault(t, v)
	for k := 1; ; k++ {
		mem := vfs.NewMem()
		if err := mem.MkdirAll("/b", 0o700); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		n, hit := 0, false
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
			if n++; n == k {
				hit = true
				return errorfs.ErrInjected
			}
			return nil
		}))
		err := func() (err error) {
			defer func() {
				if r := recover(); r != nil { // Pebble gives up; the process would end
					err = fmt.Errorf("%v", r)
				}
			}()
			return Restore(t.Context(), memVault(fs, "/b"), im, nil)
		}()
		mu.Lock()
		was := hit
		mu.Unlock()
		if !was {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		w, opened := Open(t.Context(), memVault(mem, "/b"))
		if opened == nil {
			if r, err := w.Check(t.Context(), attackTenant); err != nil || len(r.Damage) > 0 || r.Persons != 1 {
				t.Errorf("write %d failed: a vault opens that is not whole: %+v, %v", k, r, err)
			}
			closeVault(t, w)
		}
		if err == nil && opened != nil {
			t.Errorf("write %d failed: the restore said nothing, and the vault does not open: %v", k, opened)
		}
	}
}

// TestRestoreRefuses: directories with a vault in them, rows that were cut, another's root key.
func TestRestoreRefuses(t *testing.T) {
	v, fs := newMemVault(t)
	mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: "visitor"})
	im := imageNow(t, v)
	closeVault(t, v)
	if err := Restore(t.Context(), memVault(fs, "/a"), im, nil); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("over a vault: %v", err)
	}
	var all []Row
	for r := range im.Rows {
		all = append(all, r)
	}
	at := 0
	refused := func(what string, im Image, want error) {
		t.Helper()
		at++
		dir := fmt.Sprintf("/r%d", at)
		if err := fs.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := Restore(t.Context(), memVault(fs, dir), im, nil); !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
		if w, err := Open(t.Context(), memVault(fs, dir)); !errors.Is(err, ErrUnfinished) {
			t.Errorf("%s: and then it opens (%v, %v)", what, w, err)
		}
	}
	for i, r := range all {
		if r.Key[5] != rowCount {
			c := im
			c.Rows = rowsOf(append(slices.Clone(all[:i]), all[i+1:]...))
			if r.Key[5] == 'B' {
				continue // a record that is not there is not noticed here: the file's hash and counts say so
			}
			refused(fmt.Sprintf("without a row of kind %c", r.Key[5]), c, eventstore.ErrDamaged)
		}
	}
	c := im
	c.Rows = rowsOf(append(slices.Clone(all), Row{append(tenantPrefix(0), 'z', 1), []byte{1}}))
	refused("a row of another kind", c, eventstore.ErrNewerVersion)
	c.Rows = rowsOf(append(slices.Clone(all), Row{append(tenantPrefix(9), rowTombstone), nil}))
	refused("a row of no tenant", c, eventstore.ErrDamaged)
	c = im
	c.Tenants = slices.Clone(im.Tenants)
	c.Tenants[0].Root = secret.New(make([]byte, 32))
	refused("another root key", c, eventstore.ErrDamaged)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fs.MkdirAll("/z", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Restore(ended, memVault(fs, "/z"), im, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("it was called off: %v", err)
	}
}

// TestSnapshotIsOfOneMoment: while persons come in, every snapshot is a whole vault; those in it before at was called are in it, those after are not.
func TestSnapshotIsOfOneMoment(t *testing.T) {
	v, fs := newMemVault(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				p := mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("v-%d-%d", g, i)})
				if i%5 == 0 {
					mustErase(t, v, p)
				}
			}
		})
	}
	for i := range 5 {
		before := mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("before-%d", i)})
		s, err := v.Snapshot(t.Context(), func(context.Context, []eventstore.TenantID) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		after := mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("after-%d", i)})
		im := imageOf(t, s, time.Now())
		root := s.Tenants[0].Root
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(root.Reveal(), make([]byte, keySize)) {
			t.Error("the root key of a closed snapshot is not wiped")
		}
		dir := fmt.Sprintf("/s%d", i)
		if err := fs.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := Restore(t.Context(), memVault(fs, dir), im, nil); err != nil {
			t.Fatal(err)
		}
		w := mustOpen(t, memVault(fs, dir))
		if g, err := w.Gate(t.Context(), attackTenant, before); err != nil {
			t.Error(err)
		} else {
			g.Release()
		}
		if _, err := w.Gate(t.Context(), attackTenant, after); !errors.Is(err, eventstore.ErrNotFound) {
			t.Errorf("who came afterwards: %v", err)
		}
		if r, err := w.Check(t.Context(), attackTenant); err != nil || len(r.Damage) > 0 {
			t.Errorf("%v %v", r.Damage, err)
		}
		closeVault(t, w)
	}
	close(stop)
	wg.Wait()
	closeVault(t, v)
}
