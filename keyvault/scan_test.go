package keyvault

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
)

// needles are byte strings that must stand in no file, found by their first 8 bytes.
type needles map[uint64][]needle

type needle struct {
	bytes []byte
	what  string
}

func (n needles) add(what string, b []byte) {
	h := binary.LittleEndian.Uint64(b)
	n[h] = append(n[h], needle{bytes.Clone(b), what})
}

// in calls found for each needle that stands in b.
func (n needles) in(b []byte, found func(what string)) {
	for i := 0; i+8 <= len(b); i++ {
		for _, x := range n[binary.LittleEndian.Uint64(b[i:])] {
			if bytes.HasPrefix(b[i:], x.bytes) {
				found(x.what)
			}
		}
	}
}

// drawn is a source of randomness that remembers every key that was drawn from it: data keys, person and set secrets, root, node and bucket keys,
// the tenant's own.
type drawn struct {
	mu   sync.Mutex
	n    int
	keys needles
}

func (d *drawn) Read(b []byte) (int, error) {
	rand.Read(b)
	d.mu.Lock()
	defer d.mu.Unlock()
	for at := 0; at+keySize <= len(b); at += keySize { // several may be drawn at once
		d.n++
		d.keys.add(fmt.Sprintf("key %d", d.n), b[at:][:keySize])
	}
	return len(b), nil
}

// files reads every file of a directory and calls each with it. One that is deleted meanwhile is left out.
func files(t *testing.T, dir string, each func(name string, b []byte)) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		n++
		each(strings.TrimPrefix(path, dir), b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// slotSealed is what stands in the register for the root key that a tenant has now.
func slotSealed(t *testing.T, dir string, slot int) []byte {
	t.Helper()
	b, err := os.ReadFile(dir + "/roots/" + register.FileName)
	if err != nil {
		t.Fatal(err)
	}
	head := binary.BigEndian.AppendUint32([]byte{'o', 'u', 'b', 'r', register.Version, 1}, 0) // full, of the first tenant
	at := bytes.Index(b, append(head, byte(slot)))
	if at < 0 || at%4096 != 0 {
		t.Fatalf("slot %d of the register is not found", slot)
	}
	return bytes.Clone(b[at+19:][:60])
}

// TestByteScanOfEveryKey: of all keys that the vault ever drew, living or dead, none stands in clear in any file, at any moment; and what sealed a root
// key in the register is nowhere once it has been replaced. Person by person is erased, in a tree that splits, with links, months, parts and a
// tenant's end in between. As a control, the scan finds what does stand in clear, and the register's sealed root before it is replaced.
func TestByteScanOfEveryKey(t *testing.T) {
	crowd, erasures := 90, 8
	if os.Getenv("OUBLI_SOAK") != "" {
		crowd, erasures = 5000, 300
	}
	dir := t.TempDir()
	d := &drawn{keys: needles{}}
	c := attackConfig(dir)
	c.Entropy = d
	v := mustOpen(t, c)
	if err := v.CreateTenant(t.Context(), attackTenant); err != nil {
		t.Fatal(err)
	}
	var all []eventstore.PersonID
	for i := range crowd {
		all = append(all, mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("visitor-%05d", i)}))
	}
	old := needles{}
	scan := func(when string) {
		t.Helper()
		d.mu.Lock()
		defer d.mu.Unlock()
		if n := files(t, dir, func(name string, b []byte) {
			for _, dead := range []needles{d.keys, old} {
				dead.in(b, func(what string) { t.Errorf("%s: %s stands in %s", when, what, name) })
			}
		}); n < 5 {
			t.Fatalf("%s: only %d files", when, n)
		}
	}
	tn, err := v.tenant(attackTenant)
	if err != nil {
		t.Fatal(err)
	}
	for i := range erasures {
		sealed := slotSealed(t, dir, tn.slot)
		p := all[i*crowd/erasures]
		switch i % 4 {
		case 1: // a linked set
			if err := v.Link(t.Context(), attackTenant, p, all[i*crowd/erasures+1]); err != nil {
				t.Fatal(err)
			}
		case 2: // many at once
			if _, err := v.Fence(t.Context(), attackTenant, all[i*crowd/erasures+1:][:3]); err != nil {
				t.Fatal(err)
			}
			if err := v.Shred(t.Context(), attackTenant, all[i*crowd/erasures+1:][:3], eventstore.ShredOptions{}); err != nil {
				t.Fatal(err)
			}
		case 3: // a part
			supersedeOne(t, v, p)
		}
		mustErase(t, v, p)
		old.add(fmt.Sprintf("the sealed root of before erasure %d", i), sealed)
		if i%(1+erasures/20) == 0 || i > erasures-3 {
			scan(fmt.Sprintf("erasure %d", i))
		}
	}
	if d.n < 3*crowd+5*erasures {
		t.Errorf("only %d keys were seen", d.n)
	}
	control := needles{}
	control.add("the present sealed root", slotSealed(t, dir, tn.slot))
	kek, err := os.ReadFile(dir + "/kek")
	if err != nil {
		t.Fatal(err)
	}
	control.add("the local key-encryption key", kek[:16])
	found := map[string]bool{}
	files(t, dir, func(_ string, b []byte) { control.in(b, func(what string) { found[what] = true }) })
	if len(found) != 2 {
		t.Errorf("control: the scan finds only %v", found)
	}
	if err := v.db.Flush(); err != nil {
		t.Fatal(err)
	}
	scan("flushed")
	if err := v.EraseTenant(t.Context(), attackTenant); err != nil {
		t.Fatal(err)
	}
	scan("the tenant erased")
	closeVault(t, v)
	scan("closed")
}

// supersedeOne erases a part of one person.
func supersedeOne(t *testing.T, v *Vault, p eventstore.PersonID) {
	t.Helper()
	members, err := v.Fence(t.Context(), attackTenant, []eventstore.PersonID{p})
	if err != nil {
		t.Fatal(err)
	}
	g, err := v.Successor(t.Context(), attackTenant, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Seal(t.Context(), 682, []byte("what stays"), nil); err != nil {
		t.Fatal(err)
	}
	g.Release()
	if err := v.Supersede(t.Context(), attackTenant, []eventstore.Succession{{Person: p, Reference: members[0].Reference, First: 10}}); err != nil {
		t.Fatal(err)
	}
}
