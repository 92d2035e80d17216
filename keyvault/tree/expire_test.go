package tree

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/keyvault/secret"
)

// archive is a store that also keeps every value that a row ever had, as an attacker may who copied the disk at every moment.
type archive struct {
	memory
	versions map[string][][]byte
}

func newArchive() *archive { return &archive{memory{}, map[string][][]byte{}} }

func (a *archive) Set(key, value []byte) error {
	a.versions[string(key)] = append(a.versions[string(key)], bytes.Clone(value))
	return a.memory.Set(key, value)
}

// opened finds every version of every record that a root key leads to, through whatever old rows.
func (a *archive) opened(t *Tree, rootKey secret.Bytes) (out []string) {
	type at struct {
		p Position
		e entry
	}
	seen := map[at]bool{}
	var follow func(p Position, e entry)
	follow = func(p Position, e entry) {
		if seen[at{p, e}] {
			return
		}
		seen[at{p, e}] = true
		aead, err := newAEAD(&e.key)
		if err != nil {
			panic(err)
		}
		if e.kind == kindNode {
			name := t.positionRow('N', p, e.generation)
			for _, v := range a.versions[string(name.key())] {
				if plain, err := open(aead, name, v); err == nil {
					n, err := decodeNode(plain)
					if err != nil {
						panic(err)
					}
					for i, child := range n.children {
						follow(p.child(i), child)
					}
				}
			}
			return
		}
		prefix := t.positionRow('B', p, e.generation)
		for key, versions := range a.versions {
			if !bytes.HasPrefix([]byte(key), prefix.key()) {
				continue
			}
			for _, v := range versions {
				name := append(slices.Clone(prefix), key[len(prefix.key()):]...)
				if plain, err := open(aead, name, v); err == nil {
					out = append(out, string(plain))
				}
			}
		}
	}
	aead, err := newAEAD((*treeKey)(rootKey.Reveal()))
	if err != nil {
		panic(err)
	}
	prefix := t.row('R')
	for key, versions := range a.versions {
		if !bytes.HasPrefix([]byte(key), prefix.key()) {
			continue
		}
		for _, v := range versions {
			if plain, err := open(aead, append(slices.Clone(prefix), key[len(prefix.key()):]...), v); err == nil {
				r, err := decodeRoot(plain)
				if err != nil {
					panic(err)
				}
				follow(Position{Trie: Leaves}, r.tries[0])
			}
		}
	}
	return out
}

// grove is a tree in which walks and all other changes take turns.
type grove struct {
	*archive
	t    *Tree
	root secret.Bytes
	ids  []PersonID
	plan map[PersonID]string
	rt   *rapid.T
	last byte
	// turns counts the pauses between steps.
	turns int
}

func (g *grove) must(err error) {
	if err != nil {
		g.rt.Fatal(err)
	}
}

func (g *grove) fresh() secret.Bytes {
	g.last++
	return key(g.last)
}

// enter puts a person in, at one of a few places so that the trie grows deep, and splits what is full.
func (g *grove) enter(value string) {
	var id PersonID
	binary.BigEndian.PutUint64(id[6:], rapid.Uint64().Draw(g.rt, "hash")&^(0x3ff<<40)|uint64(rapid.IntRange(0, 2).Draw(g.rt, "cluster"))<<62)
	id[15] = byte(len(g.ids))
	id[14] = byte(len(g.ids) >> 8)
	g.ids = append(g.ids, id)
	g.plan[id] = value
	full, err := g.t.PutRecord(g, id, []byte(value), true)
	g.must(err)
	if full {
		c, err := g.t.SplitLeaf(g, id, g.root)
		g.must(err)
		if c != nil {
			c.Apply()
		}
	}
}

// rekey takes a person out, as a shred does, or changes nothing, as a renewal does.
func (g *grove) rekey(e Edits) {
	next := g.fresh()
	e.Extra = key(0)
	c, err := g.t.Rekey(g, e, next)
	g.must(err)
	c.Apply()
	g.root = next
}

func (g *grove) between() {
	if g.turns++; g.turns%8 != 0 || g.turns > 160 { // a walk is slower than a tree can be made to grow
		return
	}
	for range rapid.IntRange(0, 3).Draw(g.rt, "between") {
		switch rapid.IntRange(0, 9).Draw(g.rt, "what") {
		case 0:
			g.rekey(Edits{})
		case 1, 2:
			id := rapid.SampledFrom(g.ids).Draw(g.rt, "gone")
			delete(g.plan, id)
			g.rekey(Edits{Records: map[PersonID][]byte{id: nil}})
		case 3: // a change of a record that keeps what is in it
			id := rapid.SampledFrom(g.ids).Draw(g.rt, "changed")
			if v, there := g.plan[id]; there {
				_, err := g.t.PutRecord(g, id, []byte(v), false)
				g.must(err)
			}
		default:
			for range rapid.IntRange(1, 40).Draw(g.rt, "strangers") {
				g.enter(fmt.Sprintf("new %d", len(g.ids)))
			}
		}
	}
}

// TestWalkLeavesNothing: whatever happens between its steps, and wherever it is cut off and gone on with, after a walk the root key leads to no version of any
// record from before it was changed, to every record that is there, and to the old ones before its end (or the test would prove nothing).
func TestWalkLeavesNothing(t *testing.T) {
	if os.Getenv("OUBLI_SOAK") == "" {
		if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
			f.Value.Set("20")
			defer f.Value.Set(f.DefValue)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		g := &grove{archive: newArchive(), rt: rt, root: key(1), last: 1, plan: map[PersonID]string{}}
		var err error
		g.t, err = Create(Config{Prefix: []byte("tenant"), Vault: [16]byte{1}, Store: g.memory, Entropy: config(g.memory).Entropy}, g, g.root, key(0))
		g.must(err)
		for range rapid.SampledFrom([]int{1, 60, 200, 500}).Draw(rt, "persons") {
			value := "kept"
			if rapid.IntRange(0, 3).Draw(rt, "old") > 0 {
				value = "old"
			}
			g.enter(fmt.Sprintf("%s %d", value, len(g.ids)))
		}
		g.rekey(Edits{})
		before := g.root
		old := func(plain []byte) bool { return bytes.HasPrefix(plain, []byte("old")) }
		w, cursor, changed := g.t.Walk(0, false), uint64(0), false
		for {
			limit := rapid.SampledFrom([]int{1, 40, 300}).Draw(rt, "limit")
			if _, done := w.Next(); done {
				break
			}
			g.between()
			if rapid.IntRange(0, 40).Draw(rt, "crash") == 0 { // what was not in a batch is forgotten, the rows are read anew
				g.t, err = Open(Config{Prefix: []byte("tenant"), Vault: [16]byte{1}, Store: g.memory, Entropy: config(g.memory).Entropy}, g.root)
				g.must(err)
				w = g.t.Walk(cursor, changed)
			}
			if g.turns > 160 {
				limit = 300
			}
			passed, err := w.Pass(func(_ PersonID, plain []byte) (bool, error) { return old(plain), nil })
			g.must(err)
			if passed {
				continue
			}
			c, err := w.Step(g, func(id PersonID, plain []byte) ([]byte, error) {
				if !old(plain) {
					return nil, nil
				}
				g.plan[id] = "kept " + g.plan[id][4:]
				return []byte(g.plan[id]), nil
			}, limit, g.root)
			g.must(err)
			if c != nil {
				c.Apply()
				changed = true
				cursor, _ = w.Next()
			}
		}
		g.between()
		if changed && !slices.ContainsFunc(g.opened(g.t, before), func(s string) bool { return old([]byte(s)) }) {
			rt.Fatal("the root key from before opens nothing old: the test proves nothing")
		}
		g.rekey(Edits{Top: changed})
		for _, s := range g.opened(g.t, g.root) {
			if old([]byte(s)) {
				rt.Fatalf("the root key leads to %q", s)
			}
		}
		found := map[PersonID]string{}
		_, err = g.t.Check(func(id PersonID, plain []byte) error { found[id] = string(plain); return nil }, func(string, PersonID) error { return nil })
		g.must(err)
		if len(found) != len(g.plan) {
			rt.Fatalf("%d records, want %d", len(found), len(g.plan))
		}
		for id, want := range g.plan {
			if found[id] != want {
				rt.Fatalf("a record says %q, want %q", found[id], want)
			}
		}
	})
}
