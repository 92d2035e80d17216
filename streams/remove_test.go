package streams

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

func TestRemoveLeavesNoTrace(t *testing.T) {
	r := newRoom(t, func(c *Config) { c.Settle, c.RemoveRate = quick, 5000 })
	r.openTenant()
	ctx := context.Background()
	bob := newPerson(t)
	var alice []eventstore.PersonID
	prefix := [8]byte{0xEE, 1, 2, 3, 4, 5, 6, 7}
	var rowed eventstore.Message
	for i := range 300 {
		p := newPerson(t)
		m := newMessage(t, p, 200)
		if i%10 == 0 {
			alice = append(alice, p)
			copy(m.Row[:], prefix[:])
			m.Row[8], m.Row[9] = 1, byte(i)
			rowed = m
		}
		r.append(m)
		r.append(newMessage(t, bob, 200))
	}
	control := r.append(newMessage(t, eventstore.PersonID{}, 50)).Sequence
	r.append(newMessage(t, alice[0], 200)) // the last one of all
	var done, left uint64
	progress := func(d, l uint64) { done, left = d, l }
	for range 2 {
		if err := r.s.Remove(ctx, tenant, eventstore.Removal{Persons: alice, Control: []uint64{control}, Prefixes: [][8]byte{prefix}}, progress); err != nil {
			t.Fatal(err)
		}
	}
	if done != 32 || left != 0 {
		t.Fatalf("progress said %d done, %d left", done, left)
	}
	if err := r.s.AwaitTrim(ctx, tenant); err != nil {
		t.Fatal(err)
	}
	if at, err := r.s.Committed(ctx, tenant); err != nil || at != 602 {
		t.Fatalf("committed %d, %v", at, err)
	}
	r.stop()
	for _, p := range alice {
		scan(t, r.dir, []byte(p.String()))
		scan(t, r.dir, p[:])
	}
	r.startServer()
	r.openLog()
	r.openTenant()
	if got := r.read(bob, 0); len(got) != 300 {
		t.Fatalf("bob has %d events", len(got))
	}
	if got := r.append(rowed); got.Duplicate || got.Sequence != 603 {
		t.Fatalf("the row outlived its prefix: %+v", got)
	}
}

// scan fails if a file below dir holds the bytes.
func scan(t *testing.T, dir string, needle []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, needle) {
			return fmt.Errorf("%s holds it", path)
		}
		return err
	})
	if err != nil {
		t.Fatalf("a trace of a removed person: %v", err)
	}
}
