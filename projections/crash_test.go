package projections

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/oubli-store/oubli/eventstore"
)

// crasher takes a copy of the disk as a power loss at the k-th write would leave it.
type crasher struct {
	mu      sync.Mutex
	left    int
	mem     *vfs.MemFS
	keep    int
	copied  *vfs.MemFS
	atWrite func()
}

func (c *crasher) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		c.atWrite()
		c.copied = c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.keep, RNG: rand.New(rand.NewPCG(uint64(c.keep), 7))})
	}
	return nil
}

func (c *crasher) String() string { return "crasher" }

// story is a fixed history with everything in it, in steps.
func story(w *world) []func() {
	a, b, c, d := w.mint(), w.mint(), w.mint(), w.mint()
	talk := func(p eventstore.PersonID, text string) {
		w.say(p, eventstore.Event{Type: eventstore.TypeMessage, Bot: "shop", Conversation: "c", Text: text, Language: "fr",
			Intent: &eventstore.Intent{Name: "order", Confidence: 0.7}})
	}
	return []func(){
		func() { talk(a, "1"); talk(b, "2"); talk(c, "3"); talk(d, "4") },
		func() { w.link(a, b); talk(b, "5") },
		func() { w.tell(eventstore.PersonRestricted, c); talk(c, "6") },
		func() { w.tell(eventstore.PersonUnrestricted, c); talk(c, "7"); talk(a, "8") },
		func() { w.erase(d); talk(a, "9") },
		func() { w.reseal(b, func() bool { return true }) },
	}
}

// TestCrashAtEveryWrite: whatever write a power loss comes at, and however much of what was not synced survives, the database opens with what it had
// acknowledged, its tables agree with each other, and going on counts everything once.
func TestCrashAtEveryWrite(t *testing.T) {
	crashes := 0
	for k := 1; ; k++ {
		w, mem := newWorld(), vfs.NewCrashableMem()
		var running atomic.Pointer[tenant]
		acknowledged := uint64(0)
		c := &crasher{left: k, mem: mem, keep: k * 37 % 101, atWrite: func() {
			if t := running.Load(); t != nil {
				acknowledged = t.position.Load()
			}
		}}
		p := w.open(t, errorfs.Wrap(mem, c))
		r := newRunner(t, p)
		running.Store(r.t)
		for _, step := range story(w) {
			step()
			w.catchUp(t, r)
		}
		closing(t, p)
		c.mu.Lock()
		copied := c.copied
		c.mu.Unlock()
		if copied == nil {
			break
		}
		crashes++

		again := w.open(t, copied)
		at := again.Passed(acme)
		if at < acknowledged {
			t.Fatalf("write %d: acknowledged %d, found %d", k, acknowledged, at)
		}
		r = newRunner(t, again)
		audit(t, again)
		w.catchUp(t, r)
		if got, want := exact(t, again), w.expected(models); !reflect.DeepEqual(got, want) {
			t.Fatalf("write %d: %v\nwant %v", k, got, want)
		}
		closing(t, again)
	}
	if crashes < 20 {
		t.Fatalf("only %d writes were seen", crashes)
	}
	t.Logf("%d crashes", crashes)
}

// audit recounts every cell from what the tags added to it.
func audit(t testing.TB, p *Projections) {
	t.Helper()
	f := p.newFold(newRunner(t, p).t, newCache(), 0)
	defer f.discard()
	keys, values, err := scan(p.db, f.t.key(tableTag))
	if err != nil {
		t.Fatal(err)
	}
	type count struct {
		marks map[eventstore.Mark]bool
		sums  []uint64
	}
	want := map[cellKey]*count{}
	parts := map[string]bool{}
	for i, k := range keys {
		rest := k[len(f.t.prefix)+1:]
		period := parsePeriod(rest)
		row, err := f.parseTagRow(period, values[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range row.parts {
			parts[string(rest)+string([]byte{p.model})+string(p.cell[:])] = true
			key := cellKey{model: p.model, period: period, id: p.cell}
			c := want[key]
			if c == nil {
				c = &count{map[eventstore.Mark]bool{}, make([]uint64, f.model(p.model).Width())}
				want[key] = c
			}
			c.marks[row.mark] = true
			if period.Kind == eventstore.Day {
				for j, n := range p.sums {
					c.sums[j] += n
				}
			}
		}
	}
	auditMembers(t, p, f)
	found := 0
	for _, m := range p.models {
		err := f.t.eachCell(p.db, m, func(s storedCell) error {
			found++
			if c := want[s.key]; c == nil || uint64(len(c.marks)) != s.persons || !reflect.DeepEqual(c.sums, s.sums) {
				t.Errorf("cell %v of %s: %d persons, %v; its tags say %+v", s.values, s.key.period, s.persons, s.sums, c)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found != len(want) {
		t.Errorf("%d cells, and tags in %d", found, len(want))
	}
	auditTalk(t, p, f, parts)
	auditHistories(t, p, f)
}

// auditMembers: the row of a mark in a cell says how many tags of it stand there, and there is none for marks that do not.
func auditMembers(t testing.TB, p *Projections, f *fold) {
	t.Helper()
	keys, values, err := scan(p.db, f.t.key(tableTag))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{}
	for i, k := range keys {
		period := parsePeriod(k[len(f.t.prefix)+1:])
		row, err := f.parseTagRow(period, values[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range row.parts {
			want[string(f.t.personKey(cellKey{model: part.model, period: period, id: part.cell}, row.mark[:]))]++
		}
	}
	keys, values, err = scan(p.db, f.t.key(tablePerson))
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range keys {
		if n, _ := binary.Uvarint(values[i]); n != want[string(k)] {
			t.Errorf("a mark in a cell stands for %d tags, want %d", n, want[string(k)])
		}
	}
	if len(keys) != len(want) {
		t.Errorf("%d marks stand in cells, want %d", len(keys), len(want))
	}
}

// auditHistories: no history stands without its tag's row in the month.
func auditHistories(t testing.TB, p *Projections, f *fold) {
	t.Helper()
	keys, _, err := scan(p.db, f.t.key(tableHistory))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		at := k[len(f.t.prefix)+1 : len(k)-markSize]
		if _, found, err := get(p.db, f.t.key(tableTag, at)); err != nil || !found {
			t.Errorf("a history without its tag's row (%v)", err)
		}
	}
}

// auditTalk: no conversation row stands without its tag's part, so that nothing of somebody who was taken out is left.
func auditTalk(t testing.TB, p *Projections, f *fold, parts map[string]bool) {
	t.Helper()
	keys, _, err := scan(p.db, f.t.key(tableTalk))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		rest := k[len(f.t.prefix)+1 : len(k)-markSize]
		at := rest[:periodSize+markSize]
		model, cell := rest[len(at)], rest[len(at)+1:]
		if !parts[string(at)+string([]byte{model})+string(cell)] {
			t.Error("a conversation row without its tag's part")
		}
	}
}
