package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var id = Identity{Name: "default/CONV", Created: 42, Vault: [16]byte{7}}

const dir = "/log/default/CONV"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func group(first uint64, texts ...string) Group {
	g := Group{First: first}
	for _, s := range texts {
		g.Entries = append(g.Entries, Entry{Data: []byte(s)})
	}
	return g
}

// contents opens a journal and gives the text of each entry by its sequence.
func contents(fs vfs.FS) (*Journal, map[uint64]string, []uint64, error) {
	got := map[uint64]string{}
	var removed []uint64
	j, err := Open(fs, dir, id, func(rec any) error {
		switch rec := rec.(type) {
		case Group:
			for i, e := range rec.Entries {
				got[rec.First+uint64(i)] = string(e.Data)
			}
		case Removal:
			removed = append(removed, rec.Sequences...)
		}
		return nil
	})
	return j, got, removed, err
}

func TestAppendRollTrimOpen(t *testing.T) {
	fs := vfs.NewMem()
	j, err := Create(fs, dir, id, 1)
	must(t, err)
	long := strings.Repeat("x", 100_000) // over several blocks
	must(t, j.Append(group(1, "a", long)))
	must(t, j.Sync())
	if err := j.Append(group(9, "gap")); err == nil {
		t.Fatal("a gap was written")
	}
	must(t, j.Roll(3))
	must(t, j.Append(group(3, "c")))
	must(t, j.Remove(Removal{Sequences: []uint64{2}, Total: 1}))
	must(t, j.Sync())
	must(t, j.Close())

	j, got, removed, err := contents(fs)
	must(t, err)
	if len(got) != 3 || got[2] != long || got[3] != "c" || len(removed) != 1 || j.First() != 1 || j.Last() != 3 {
		t.Fatalf("%d entries, removed %v, %d to %d", len(got), removed, j.First(), j.Last())
	}
	if err := j.Append(group(4, "x")); err == nil {
		t.Fatal("a journal that was opened was written without a new segment")
	}
	must(t, j.Roll(4))
	must(t, j.Trim(j.Closed()[0].Number))
	if j.First() != 3 {
		t.Fatalf("begins at %d after trimming", j.First())
	}
	var seen int
	must(t, j.Scan(3, func(rec any) error { seen++; return nil }))
	if seen != 2 {
		t.Fatalf("scan saw %d records", seen)
	}
	must(t, j.Close())
}

func TestOpenRefuses(t *testing.T) {
	build := func() vfs.FS {
		fs := vfs.NewMem()
		j, err := Create(fs, dir, id, 1)
		must(t, err)
		for i := range uint64(4) {
			must(t, j.Append(group(1+i, "entry")))
			must(t, j.Sync())
			must(t, j.Roll(2+i))
		}
		must(t, j.Close())
		return fs
	}
	refused := func(what string, fs vfs.FS, id Identity, want error) {
		t.Helper()
		_, err := Open(fs, dir, id, func(any) error { return nil })
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	fs := build()
	must(t, fs.Remove(fs.PathJoin(dir, name(2))))
	refused("a segment is missing", fs, id, ErrDamaged)
	fs = build()
	corrupt(t, fs, name(2), -3) // the last entry of a segment that others follow
	refused("an entry is unreadable", fs, id, ErrDamaged)
	other := id
	other.Vault[0]++
	refused("another vault", build(), other, ErrDamaged)
	other = id
	other.Created++
	refused("another stream", build(), other, ErrDamaged)
	fs = vfs.NewMem()
	must(t, fs.MkdirAll(dir, 0o700))
	refused("no segment", fs, id, ErrDamaged)
}

// corrupt flips a bit of a file; a negative offset counts from its end.
func corrupt(t *testing.T, fs vfs.FS, file string, at int64) {
	t.Helper()
	path := fs.PathJoin(dir, file)
	info, err := fs.Stat(path)
	must(t, err)
	if at < 0 {
		at += info.Size()
	}
	f, err := fs.Open(path)
	must(t, err)
	b := make([]byte, info.Size())
	_, err = f.ReadAt(b, 0)
	must(t, err)
	must(t, f.Close())
	b[at] ^= 1
	out, err := fs.Create(path, category)
	must(t, err)
	_, err = out.Write(b)
	must(t, err)
	must(t, errors.Join(out.Sync(), out.Close()))
}

func TestReadErrorIsNoTornEnd(t *testing.T) {
	mem := vfs.NewMem()
	j, err := Create(mem, dir, id, 1)
	must(t, err)
	must(t, j.Append(group(1, strings.Repeat("x", 200_000))))
	must(t, errors.Join(j.Sync(), j.Close()))
	for k := range 20 {
		reads := 0
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpFileRead {
				if reads++; reads == k+1 {
					return errorfs.ErrInjected
				}
			}
			return nil
		}))
		_, got, _, err := contents(fs)
		if err == nil && len(got) != 1 {
			t.Fatalf("read error %d was taken for the end of the journal", k)
		}
	}
}

// history runs a fixed workload; after an error it starts a new segment and goes on with other texts, as the writer does. Acknowledged is
// what was synced; refused are texts that the journal was told are void; open is what may or may not come back.
type history struct {
	acked   map[uint64]string
	last    uint64
	first   uint64 // what is below may be trimmed
	refused map[string]bool
	crashed func() bool
}

func (h *history) run(fs vfs.FS) {
	h.acked, h.refused, h.first = map[uint64]string{}, map[string]bool{}, 1
	j, err := Create(fs, dir, id, 1)
	if err != nil {
		return
	}
	defer func() { _ = j.Close() }()
	for step := 0; step < 13 && !h.crashed(); step++ {
		g := group(h.last+1, fmt.Sprintf("%d.a", step), fmt.Sprintf("%d.b", step), strings.Repeat("z", step%3*20000))
		err := j.Append(g)
		if err == nil {
			err = j.Sync()
		}
		if err != nil {
			if j.Roll(h.last+1) == nil && !h.crashed() {
				h.refused[string(g.Entries[0].Data)] = true
			}
			continue
		}
		for i, e := range g.Entries {
			h.acked[g.First+uint64(i)] = string(e.Data)
		}
		h.last = g.Last()
		if step%4 == 3 && j.Roll(h.last+1) == nil && step == 11 {
			h.first = j.Closed()[1].First
			_ = j.Trim(j.Closed()[0].Number)
		}
	}
}

// audit checks what a crash left.
func (h *history) audit(t *testing.T, what string, fs vfs.FS) {
	t.Helper()
	j, got, _, err := contents(fs)
	if err != nil {
		if len(h.acked) == 0 {
			return // its creation was not acknowledged
		}
		t.Fatalf("%s: %v", what, err)
	}
	for at, text := range h.acked {
		if at >= h.first && got[at] != text {
			t.Fatalf("%s: the acknowledged entry %d is %.20q, not %.20q", what, at, got[at], text)
		}
	}
	for at, text := range got {
		if h.refused[text] {
			t.Fatalf("%s: the entry %d, refused for sure, is back", what, at)
		}
	}
	must(t, j.Roll(j.Last()+1))
	must(t, j.Append(group(j.Last()+1, "after")))
	must(t, errors.Join(j.Sync(), j.Close()))
	if _, again, _, err := contents(fs); err != nil || len(again) != len(got)+1 {
		t.Fatalf("%s: after the recovery: %d entries of %d, %v", what, len(again), len(got)+1, err)
	}
}

// TestCrashAtEveryWrite crashes before the k-th writing operation, for every k, with none, some or all of the unsynced bytes kept.
func TestCrashAtEveryWrite(t *testing.T) {
	for k := 0; ; k++ {
		for _, percent := range []int{0, 50, 100} {
			mem := vfs.NewCrashableMem()
			var clone *vfs.MemFS
			n := 0
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
					return nil
				}
				if n++; n == k+1 {
					clone = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, uint64(k)))})
				}
				if n > k {
					return errorfs.ErrInjected
				}
				return nil
			}))
			h := history{crashed: func() bool { return clone != nil }}
			h.run(fs)
			if clone == nil {
				if k < 50 {
					t.Fatalf("the workload has only %d writes", k)
				}
				return
			}
			h.audit(t, fmt.Sprintf("crash at write %d, %d %% kept", k, percent), clone)
		}
	}
}

// TestFailAtEveryWrite fails the k-th writing operation and goes on; a power failure comes later.
func TestFailAtEveryWrite(t *testing.T) {
	for k := 0; ; k++ {
		for _, percent := range []int{0, 50, 100} {
			mem := vfs.NewCrashableMem()
			n := 0
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
					return nil
				}
				if n++; n == k+1 {
					return errorfs.ErrInjected
				}
				return nil
			}))
			h := history{crashed: func() bool { return false }}
			h.run(fs)
			if n <= k {
				return
			}
			clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(2, uint64(k)))})
			h.audit(t, fmt.Sprintf("failure of write %d, %d %% kept", k, percent), clone)
		}
	}
}
