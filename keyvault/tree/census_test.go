package tree

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestCensus: whatever is put, split, re-keyed, put out of the cache and opened anew, no census ever says of a handle that names somebody that it is
// lacking; and a census that knows its bucket says it of one that names nobody.
func TestCensus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := memory{}
		c := config(m)
		c.Nodes = rapid.IntRange(1, 8).Draw(t, "nodes in the cache")
		tr, err := Create(c, m, key(1), key(2))
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(err)
		handles, n := map[string]bool{}, 0
		slots := map[string]*Slot{} // found earlier, not put yet
		var put func(h string, s *Slot, beside int)
		put = func(h string, s *Slot, beside int) {
			_, err := s.Moved()
			must(err)
			if _, found, err := s.Get(); err != nil || found {
				must(err)
				return
			}
			b := memory{}
			full, err := s.Put(b, PersonID{15: 1})
			must(err)
			for range beside { // others come in, and push nodes out of the cache, before the row of this one is seen
				other := fmt.Sprintf("web:%d", n)
				n++
				s, err := tr.Slot(other)
				must(err)
				put(other, s, -1) // nobody splits meanwhile
			}
			maps.Copy(m, b)
			must(s.Note())
			handles[h] = true
			if full && beside >= 0 {
				if c, err := tr.SplitPage(m, h, key(1)); err != nil {
					t.Fatal(err)
				} else if c != nil {
					c.Apply()
				}
			}
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1, 2:
				for range rapid.IntRange(1, 120).Draw(t, "puts") {
					h := fmt.Sprintf("web:%d", n)
					n++
					s, err := tr.Slot(h)
					must(err)
					if rapid.IntRange(0, 9).Draw(t, "later") == 0 {
						slots[h] = s
						continue
					}
					put(h, s, 0)
				}
				h := fmt.Sprintf("web:%d", n)
				n++
				s, err := tr.Slot(h)
				must(err)
				put(h, s, rapid.IntRange(0, 40).Draw(t, "beside"))
			case 3:
				if len(handles) > 0 {
					h := slices.Min(slices.Collect(maps.Keys(handles)))
					c, err := tr.Rekey(m, Edits{Handles: map[string]*PersonID{h: nil}, Extra: key(2)}, key(1))
					must(err)
					c.Apply()
					delete(handles, h)
				}
			case 4:
				for _, h := range slices.Sorted(maps.Keys(slots)) {
					put(h, slots[h], 0)
				}
				tr, err = Open(c, key(1))
				must(err)
				clear(slots)
			}
			for i := range n {
				h := fmt.Sprintf("web:%d", i)
				s, err := tr.Slot(h)
				must(err)
				_, found, err := s.Get()
				must(err)
				if found != handles[h] || found && s.Lacks() {
					t.Fatalf("handle %d: put %v, found %v, lacking %v", i, handles[h], found, s.Lacks())
				}
			}
		}
		s, err := tr.Slot("web:new")
		must(err)
		put("web:new", s, 0)
		other, err := tr.Slot("web:never")
		must(err)
		if other.place.Position == s.place.Position && !other.Lacks() && other.place.census.known {
			t.Fatal("a census that knows its bucket does not lack who never came") // one in 2^32 for each item
		}
	})
}

// TestNote: while a handle is being put, its node leaves the cache, and another put in the same page takes a new census, before the row of the first
// is seen. After its Note the new census has it too.
func TestNote(t *testing.T) {
	m := memory{}
	tr, _ := grown(t, m, 700)
	tr.c.Nodes = 2 // a way
	clear(tr.nodes)
	slot := func(h string) *Slot {
		s, err := tr.Slot(h)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	name, b := "web:first", memory{}
	for slot(name).place.Depth != 2 { // a longer way does not stay in the cache
		name += "+"
	}
	first := slot(name)
	if _, err := first.Put(b, PersonID{15: 1}); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		if i == 10_000 {
			t.Fatal("no other handle falls into the page with a new census")
		}
		other := slot(fmt.Sprintf("web:other-%d", i)) // whose way pushes nodes out
		if other.place.Position != first.place.Position || other.place.census == first.place.census {
			continue
		}
		if _, err := other.Put(m, PersonID{15: 2}); err != nil {
			t.Fatal(err)
		}
		if other.place.census.known {
			break
		}
	}
	if !slot(name).Lacks() {
		t.Fatal("the new census has what is not written yet; the test sees nothing")
	}
	maps.Copy(m, b)
	if err := first.Note(); err != nil {
		t.Fatal(err)
	}
	if slot(name).Lacks() {
		t.Error("a handle is there and the census of its page does not have it")
	}
}
