package tree

import (
	"errors"
	"fmt"
	"testing"
)

// TestSplitMany: buckets that are split together, siblings among them, and some that are named twice or are not full, lose nothing; an error leaves what was not
// committed as it was.
func TestSplitMany(t *testing.T) {
	m := memory{}
	tr, ids := grown(t, m, 600)
	var full []Full
	for i := 600; i < 2400; i++ {
		id := PersonID{6: byte(i * 7), 7: byte(i), 8: byte(i >> 8), 15: 1}
		ids = append(ids, id)
		for trie, hash := range map[Trie]uint64{Leaves: tr.LeafHash(id), Pages: tr.PageHash(fmt.Sprintf("web:%d", i))} {
			full = append(full, Full{trie, hash})
		}
		if _, err := tr.PutRecord(m, id, []byte(fmt.Sprintf("record %d", i)), true); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.PutHandle(m, id, fmt.Sprintf("web:%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	before, err := tr.Shape()
	if err != nil {
		t.Fatal(err)
	}
	n, broken := 0, errors.New("broken")
	commit := func(split func(Batch) (*Change, error)) error {
		part := &part{}
		c, err := split(part)
		if err != nil || c == nil {
			return err
		}
		if n++; n == 20 {
			return broken
		}
		if err := m.Join(part); err != nil {
			return err
		}
		c.Apply()
		return nil
	}
	if err := tr.Split(full, key(1), commit); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if err := tr.Split(full, key(1), commit); err != nil {
		t.Fatal(err)
	}
	after, err := surveyed(tr)
	if err != nil || after.Nodes != before.Nodes+n-1 || after.Records != 2400 || after.Handles != 2400 || len(m) != 1+after.Nodes+after.Records+after.Handles {
		t.Errorf("%d rows, %+v after %+v and %d splits, %v", len(m), after, before, n, err)
	}
	for i := range ids {
		if id, found, err := tr.Handle(fmt.Sprintf("web:%d", i)); err != nil || !found || id != ids[i] {
			t.Fatalf("web:%d: %v %v", i, found, err)
		}
		if r, err := tr.Record(ids[i]); err != nil || r == nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
}
