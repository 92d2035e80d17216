package tree

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oubli-store/oubli/keyvault/secret"
)

// memory is a store, and a batch that takes effect at once.
type memory map[string][]byte

// memories guards all of them: the parts of a batch join it while others are read.
var memories sync.RWMutex

func (m memory) Get(key []byte) ([]byte, error) {
	memories.RLock()
	defer memories.RUnlock()
	return m[string(key)], nil
}

func (m memory) Set(key, value []byte) error {
	memories.Lock()
	defer memories.Unlock()
	m[string(key)] = bytes.Clone(value)
	return nil
}

func (m memory) Delete(key []byte) error {
	memories.Lock()
	defer memories.Unlock()
	delete(m, string(key))
	return nil
}

func (m memory) Part() Batch { return &part{} }

func (m memory) Join(p Batch) error {
	for _, do := range *p.(*part) {
		do(m)
	}
	return nil
}

// part is what is to be done to a memory.
type part []func(memory)

func (p *part) Set(key, value []byte) error {
	k, v := bytes.Clone(key), bytes.Clone(value)
	*p = append(*p, func(m memory) { m.Set(k, v) })
	return nil
}

func (p *part) Delete(key []byte) error {
	k := bytes.Clone(key)
	*p = append(*p, func(m memory) { m.Delete(k) })
	return nil
}

func (p *part) Part() Batch        { return &part{} }
func (p *part) Join(q Batch) error { *p = append(*p, *q.(*part)...); return nil }

func (m memory) Scan(prefix []byte, visit func(key, value []byte) error) error {
	for _, row := range m.rows(string(prefix)) {
		if err := visit([]byte(row.key), row.value); err != nil {
			return err
		}
	}
	return nil
}

// ScanEach goes one way, as an iterator does.
func (m memory) ScanEach(prefixes [][]byte, visit func(i int, key, value []byte) error) error {
	all, at := m.rows(""), 0
	for i, prefix := range prefixes {
		for at < len(all) && all[at].key < string(prefix) {
			at++
		}
		for ; at < len(all) && strings.HasPrefix(all[at].key, string(prefix)); at++ {
			if err := visit(i, []byte(all[at].key), all[at].value); err != nil {
				return err
			}
		}
	}
	return nil
}

type stored struct {
	key   string
	value []byte
}

func (m memory) rows(prefix string) (rows []stored) {
	memories.RLock()
	defer memories.RUnlock()
	var found []string
	for k := range m {
		if strings.HasPrefix(k, prefix) {
			found = append(found, k)
		}
	}
	slices.Sort(found)
	for _, k := range found {
		rows = append(rows, stored{k, m[k]})
	}
	return rows
}

func config(m memory) Config {
	return Config{Prefix: []byte("tenant"), Vault: [16]byte{1}, Store: m, Entropy: rand.Reader, Nodes: 64}
}

func key(b byte) secret.Bytes { return secret.New(bytes.Repeat([]byte{b}, KeySize)) }

// grown makes a tree of n persons with a handle each.
func grown(t *testing.T, m memory, n int) (*Tree, []PersonID) {
	t.Helper()
	tr, err := Create(config(m), m, key(1), key(2))
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var ids []PersonID
	for i := range n {
		var id PersonID
		rand.Read(id[6:])
		ids = append(ids, id)
		full, err := tr.PutRecord(m, id, []byte(fmt.Sprint(i)), true)
		must(err)
		if full {
			c, err := tr.SplitLeaf(m, id, key(1))
			must(err)
			c.Apply()
		}
		handle := fmt.Sprintf("web:%d", i)
		slot, err := tr.Slot(handle)
		must(err)
		full, err = slot.Put(m, id)
		must(err)
		must(slot.Note())
		if full {
			c, err := tr.SplitPage(m, handle, key(1))
			must(err)
			c.Apply()
		}
	}
	return tr, ids
}

func holds(t *testing.T, tr *Tree, ids []PersonID, gone map[int]bool) {
	t.Helper()
	for i, id := range ids {
		record, err := tr.Record(id)
		if err != nil {
			t.Fatal(err)
		}
		who, found, err := tr.Handle(fmt.Sprintf("web:%d", i))
		if err != nil {
			t.Fatal(err)
		}
		if gone[i] != (record == nil) || gone[i] == found || !gone[i] && (string(record) != fmt.Sprint(i) || who != id) {
			t.Fatalf("person %d: record %q, handle %v, erased %v", i, record, found, gone[i])
		}
	}
}

// TestGrowth: splits lose nothing, the tree reads the same from its rows, and re-keying takes out what it is told to, only that, and
// leaves no row behind that opens under the old root key's place.
func TestGrowth(t *testing.T) {
	m := memory{}
	tr, ids := grown(t, m, 4500)
	holds(t, tr, ids, nil)
	s, err := tr.Shape()
	if err != nil || s.Depth != 4 {
		t.Fatalf("%+v, %v", s, err)
	}
	again, err := Open(config(m), key(1))
	if err != nil {
		t.Fatal(err)
	}
	holds(t, again, ids, nil)

	edits := Edits{Records: map[PersonID][]byte{}, Handles: map[string]*PersonID{}, Extra: key(3)}
	gone := map[int]bool{}
	for i := 0; i < len(ids); i += 900 {
		gone[i] = true
		edits.Records[ids[i]] = nil
		edits.Handles[fmt.Sprintf("web:%d", i)] = nil
	}
	c, err := again.Rekey(m, edits, key(4))
	if err != nil {
		t.Fatal(err)
	}
	c.Apply()
	holds(t, again, ids, gone)
	if _, err := Open(config(m), key(1)); !errors.Is(err, ErrWrongKey) {
		t.Errorf("under the old root key: %v", err)
	}
	fresh, err := Open(config(m), key(4))
	if err != nil {
		t.Fatal(err)
	}
	holds(t, fresh, ids, gone)
	s, err = surveyed(fresh)
	if err != nil || s.Records != 4495 || s.Handles != 4495 || len(m) != 1+s.Nodes+s.Records+s.Handles {
		t.Errorf("%d rows, %+v, %v", len(m), s, err)
	}
	if !fresh.Extra().Equal(key(3)) {
		t.Error("the owner's keys are lost")
	}
}

// TestNames: what a row of a page is called follows from the handle only with the page's key, which a re-keying draws anew, also for those who stay.
func TestNames(t *testing.T) {
	m := memory{}
	tr, ids := grown(t, m, 14)
	rows := func() map[string]bool {
		out := map[string]bool{}
		for row := range m {
			if strings.HasPrefix(row, "tenantBp") {
				out[row[len(row)-nameSize:]] = true
			}
		}
		return out
	}
	name := func(handle string) string {
		p, err := tr.find(Pages, tr.hashHandle(handle))
		if err != nil {
			t.Fatal(err)
		}
		n := tr.bucket(p).name(handle)
		return string(n[:])
	}
	before := rows()
	if len(before) != 14 || !before[name("web:3")] || before[name("web:14")] {
		t.Fatalf("%d rows", len(before))
	}
	c, err := tr.Rekey(m, Edits{Handles: map[string]*PersonID{"web:3": nil}, Extra: key(3)}, key(4))
	if err != nil {
		t.Fatal(err)
	}
	c.Apply()
	after := rows()
	if len(after) != 13 || !after[name("web:4")] || after[name("web:3")] {
		t.Errorf("%d rows after a re-keying", len(after))
	}
	for n := range after {
		if before[n] {
			t.Error("a name outlived its page's key")
		}
	}
	if id, found, err := tr.Handle("web:4"); err != nil || !found || id != ids[4] {
		t.Errorf("web:4: %v, %v", found, err)
	}
}

// TestDamage: a row with a wrong bit, a row in another's place and a newer row are told from each other, and none is read as "not there".
func TestDamage(t *testing.T) {
	m := memory{}
	_, ids := grown(t, m, 200)
	for row, value := range maps.Clone(m) {
		m[row] = append(bytes.Clone(value[:len(value)-1]), value[len(value)-1]^1)
		if err := walk(m, ids); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrWrongKey) {
			t.Errorf("a wrong bit in a row of kind %c: %v", row[6], err)
		}
		m[row] = append([]byte{Version + 1}, value[1:]...)
		if err := walk(m, ids); !errors.Is(err, ErrVersion) {
			t.Errorf("a newer row of kind %c: %v", row[6], err)
		}
		m[row] = value
	}
	if err := walk(m, ids); err != nil {
		t.Error(err)
	}
	if _, err := Open(config(memory{}), key(1)); !errors.Is(err, ErrNoRoot) {
		t.Errorf("no rows: %v", err)
	}
}

// walk reads the whole tree anew.
func walk(m memory, ids []PersonID) error {
	tr, err := Open(config(m), key(1))
	if err != nil {
		return err
	}
	_, err = surveyed(tr)
	return err
}

// surveyed is the shape of a tree, with the first damage in it.
func surveyed(t *Tree) (Shape, error) {
	var first error
	s, err := t.Survey(Surveyor{Record: func(PersonID, []byte) error { return nil }, Handle: func(string, PersonID) error { return nil },
		Damaged: func(d Damage) { first = cmp.Or(first, d.Err) }})
	return s, cmp.Or(first, err)
}
