package tree

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// seeded is an entropy reader that gives the same again, for one goroutine: under -race it is seen if more draw from it.
type seeded struct{ n byte }

func (s *seeded) Read(b []byte) (int, error) {
	for i := range b {
		if s.n++; s.n == 0 {
			s.n = 1
		}
		b[i] = s.n
	}
	return len(b), nil
}

// TestResealInParallel: a re-keying of many buckets at once draws the same keys whoever re-seals first, and moves all that stay.
func TestResealInParallel(t *testing.T) {
	m := memory{}
	tr, ids := grown(t, m, 4500)
	edits := Edits{Records: map[PersonID][]byte{}, Handles: map[string]*PersonID{}, Extra: key(3)}
	gone := map[int]bool{}
	for i := 0; i < len(ids); i += 5 {
		gone[i] = true
		edits.Records[ids[i]], edits.Handles[fmt.Sprintf("web:%d", i)] = nil, nil
	}
	names := func() [32]byte {
		again, err := Open(Config{Prefix: []byte("tenant"), Vault: [16]byte{1}, Store: m, Entropy: &seeded{}, Nodes: 64}, key(1))
		if err != nil {
			t.Fatal(err)
		}
		into := memory{}
		if _, err := again.Rekey(into, edits, key(4)); err != nil {
			t.Fatal(err)
		}
		var rows []string // a page's rows are named under its key
		for _, r := range into.rows("") {
			rows = append(rows, r.key)
		}
		return sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(rows)), "")))
	}
	first := names()
	for range 3 {
		if names() != first {
			t.Fatal("the same entropy gives other keys")
		}
	}
	c, err := tr.Rekey(m, edits, key(4))
	if err != nil {
		t.Fatal(err)
	}
	c.Apply()
	fresh, err := Open(config(m), key(4))
	if err != nil {
		t.Fatal(err)
	}
	holds(t, fresh, ids, gone)
	s, err := surveyed(fresh)
	if err != nil || s.Records != 3600 || s.Handles != 3600 || len(m) != 1+s.Nodes+s.Records+s.Handles {
		t.Errorf("%d rows, %+v, %v", len(m), s, err)
	}
}

// TestResealFails: one damaged row among many buckets fails the re-keying, whichever goroutine meets it.
func TestResealFails(t *testing.T) {
	m := memory{}
	tr, ids := grown(t, m, 4500)
	edits := Edits{Records: map[PersonID][]byte{}, Extra: key(3)}
	for _, id := range ids {
		edits.Records[id] = nil
	}
	rows := m.rows("tenantBl")
	for _, at := range []int{0, len(rows) / 2, len(rows) - 1} {
		good := m[rows[at].key]
		m[rows[at].key] = good[:len(good)-1]
		if _, err := tr.Rekey(memory{}, edits, key(4)); !errors.Is(err, ErrDamaged) {
			t.Errorf("row %d of %d: %v", at, len(rows), err)
		}
		m[rows[at].key] = good
	}
}

// TestRecordsOf: many records at once are those that are read one by one.
func TestRecordsOf(t *testing.T) {
	m := memory{}
	tr, ids := grown(t, m, 700)
	want := append(slices.Clone(ids[100:300]), PersonID{6: 0xff}, ids[100])
	found := map[PersonID]string{}
	if err := tr.RecordsOf(want, func(id PersonID, plain []byte) error {
		if _, twice := found[id]; twice {
			t.Error("a record is visited twice")
		}
		found[id] = string(plain)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i := 100; i < 300; i++ {
		if found[ids[i]] != fmt.Sprint(i) {
			t.Fatalf("person %d: %q", i, found[ids[i]])
		}
	}
	if len(found) != 200 {
		t.Errorf("%d records", len(found))
	}
}
