package keyvault

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// TestAttackerOfAPart: copies of the vault from before the erasure of a part, from its middle and from its end, with the present register and the
// key-encryption key, open nothing that the old record sealed, and everything that stays; once the person is wholly erased they open
// nothing of the successor either. Nothing is closed in between, so that no renewed root explains it. With the register of the middle everything
// comes out: so the test can see.
func TestAttackerOfAPart(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	v := mustOpen(t, attackConfig(dir))
	if err := v.CreateTenant(ctx, attackTenant); err != nil {
		t.Fatal(err)
	}
	alice := mustEnter(t, v, eventstore.Identity{Namespace: "email", ID: "alice@example.com"})
	visitor := mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: "visitor-seventy-seven"})
	var others []eventstore.PersonID
	for i := range 100 {
		others = append(others, mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("bystander-%03d", i)}))
	}
	if err := v.Link(ctx, attackTenant, alice, visitor); err != nil {
		t.Fatal(err)
	}
	set := []eventstore.PersonID{alice, visitor}
	secrets := func(ids ...eventstore.PersonID) map[string][]byte {
		out := planted(t, v, ids)
		for what, b := range out { // planted reads what the vault may wipe
			if out[what] = bytes.Clone(b); len(b) < keySize {
				delete(out, what) // a handle: that stays
			}
		}
		return out
	}
	var copies []string
	snapshot := func(name string) string {
		to := copyDir(t, dir, t.TempDir()+"/"+name)
		copies = append(copies, to)
		return to
	}
	attack := func(registers ...string) thieves {
		a := newThief(t, v.id)
		for _, c := range append(copies, dir) {
			a.take(copyDir(t, c+"/vault", t.TempDir()+"/vault"))
		}
		for _, r := range append(registers, dir) {
			a.roots(t, copyDir(t, r+"/roots", t.TempDir()+"/roots"), dir+"/kek")
		}
		a.run()
		return a
	}
	has := func(when string, a thieves, what map[string][]byte, want bool) {
		t.Helper()
		for name, b := range what {
			if a.Has(b) != want {
				t.Errorf("%s: %s: the attacker has it: %v", when, name, !want)
			}
		}
	}

	old, theirs := secrets(set...), secrets(others...)
	snapshot("before")
	members, err := v.Fence(ctx, attackTenant, set)
	if err != nil {
		t.Fatal(err)
	}
	var all []eventstore.Succession
	for _, m := range members {
		g, err := v.Successor(ctx, attackTenant, m.Person)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Seal(ctx, 682, []byte("what stays"), nil); err != nil {
			t.Fatal(err)
		}
		g.Release()
		all = append(all, eventstore.Succession{Person: m.Person, Reference: m.Reference, First: 9})
	}
	middle := snapshot("middle")
	if err := v.Supersede(ctx, attackTenant, all); err != nil {
		t.Fatal(err)
	}
	next := secrets(set...)
	for what, b := range next {
		if bytes.Equal(b, old[what]) {
			t.Fatalf("the successor has the old %s", what)
		}
	}
	a := attack()
	has("superseded", a, old, false)
	has("superseded", a, next, true)
	has("superseded", a, theirs, true)
	control := attack(middle)
	has("control", control, old, true)
	has("control", control, next, true)

	snapshot("end")
	mustErase(t, v, visitor)
	a = attack()
	has("wholly erased", a, old, false)
	has("wholly erased", a, next, false)
	has("wholly erased", a, theirs, true)
	closeVault(t, v)
}
