package keyvault

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
)

const attackTenant eventstore.TenantID = "acme"

func attackConfig(dir string) Config {
	return Config{Dir: dir + "/vault", Roots: dir + "/roots", KEKFile: dir + "/kek", Create: true}
}

func mustOpen(t testing.TB, c Config) *Vault {
	t.Helper()
	v, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustEnter(t testing.TB, v *Vault, id eventstore.Identity, also ...eventstore.Identity) eventstore.PersonID {
	t.Helper()
	now := time.Now()
	e, err := v.Enter(t.Context(), attackTenant, eventstore.Arrival{Identity: id, Also: also, Time: now, Received: now}, func(eventstore.State) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer e.Gate.Release()
	if _, err := e.Gate.Seal(t.Context(), 682, []byte("text"), nil); err != nil {
		t.Fatal(err)
	}
	return e.Gate.Person()
}

func mustErase(t testing.TB, v *Vault, p eventstore.PersonID) {
	t.Helper()
	if _, err := v.Fence(t.Context(), attackTenant, []eventstore.PersonID{p}); err != nil {
		t.Fatal(err)
	}
	if err := v.Shred(t.Context(), attackTenant, []eventstore.PersonID{p}, eventstore.ShredOptions{}); err != nil {
		t.Fatal(err)
	}
}

func copyDir(t *testing.T, from, to string) string {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// planted are the bytes that belong to one person, and to what seals them.
func planted(t *testing.T, v *Vault, ids []eventstore.PersonID) map[string][]byte {
	t.Helper()
	tn, err := v.tenant(attackTenant)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for i, id := range ids {
		r, err := tn.record(id)
		if err != nil || r == nil {
			t.Fatal("no record", err)
		}
		out[fmt.Sprintf("person secret %d", i)] = r.own.Reveal()
		out[fmt.Sprintf("set secret %d", i)] = r.set.Reveal()
		for _, k := range r.months {
			out[fmt.Sprintf("data key %d", i)] = k.key.Reveal()
		}
		for _, h := range r.identities {
			out[fmt.Sprintf("handle %d %s", i, h.Namespace)] = []byte(h.ID)
		}
	}
	return out
}

// attacker knows root keys and tries every key that it comes upon on every row that it holds.
type attacker struct {
	rows  map[string][][]byte // row key: values, of every copy
	keys  map[string]bool
	plain [][]byte
}

func (a *attacker) take(t *testing.T, dir string) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{Merger: adder, Logger: quiet{&Vault{}}, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = rows{db}.Scan([]byte{rowTenant}, func(k, v []byte) error {
		a.rows[string(k)] = append(a.rows[string(k)], bytes.Clone(v))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// roots takes the root keys of a register, by means of the key-encryption key.
func (a *attacker) roots(t *testing.T, dir, kekFile string) {
	t.Helper()
	kek, err := register.KEK(nil, register.FileScheme+kekFile)
	if err != nil {
		t.Fatal(err)
	}
	id, key, _, err := register.LoadKey(vfs.Default, dir, kek)
	if err != nil {
		t.Fatal(err)
	}
	f, _, err := register.Open(vfs.Default, register.Options{Dirs: []string{dir}, Vault: id, Key: key, KEK: kek})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	held, err := f.Held(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range held[0].Slots {
		if s.State == register.Full {
			a.keys[string(s.Root.Key.Reveal())] = true
		}
	}
}

// run opens whatever opens, until nothing more does.
func (a *attacker) run(vault [16]byte) {
	tried := map[string]bool{}
	for {
		var fresh []string
		for k := range a.keys {
			if !tried[k] {
				fresh = append(fresh, k)
			}
		}
		if len(fresh) == 0 {
			return
		}
		for _, k := range fresh {
			tried[k] = true
			aead, err := subtle.NewAESGCM([]byte(k))
			if err != nil {
				continue
			}
			for row, values := range a.rows {
				for _, value := range values {
					a.open(aead.Decrypt, vault, row, value)
				}
			}
		}
	}
}

func (a *attacker) open(decrypt func(c, ad []byte) ([]byte, error), vault [16]byte, row string, value []byte) {
	if len(value) < 29 {
		return
	}
	bound := append(append([]byte("oubli/tree/1\x00"), vault[:]...), row...)
	plain, err := decrypt(value[1:], bound)
	if err != nil {
		bound = append(append([]byte("oubli/vault/1\x00"), vault[:]...), row...)
		if plain, err = decrypt(value, bound); err != nil {
			return
		}
	}
	a.plain = append(a.plain, plain)
	step, from := 1, 0 // a root node: anything may be a key
	switch row[5] {
	case 'N':
		step, from = 41, 9
	case 'R':
	default:
		return
	}
	for i := from; i+32 <= len(plain); i += step {
		a.keys[string(plain[i:i+32])] = true
	}
}

func (a *attacker) has(b []byte) bool {
	for _, p := range a.plain {
		if bytes.Contains(p, b) {
			return true
		}
	}
	return false
}

// names says whether a guessed handle can be told from the key of some row, under any key that the attacker has.
func (a *attacker) names(handle string) bool {
	for k := range a.keys {
		h := hmac.New(sha256.New, []byte(k))
		h.Write([]byte("oubli/handle/1\x00" + handle))
		name := h.Sum(nil)[:16]
		for row := range a.rows {
			if strings.HasSuffix(row, string(name)) {
				return true
			}
		}
	}
	return false
}

// TestAttacker: a copy of the vault from before the erasure, the present one, the present register and the key-encryption key open nothing
// of the erased person, and everything of everybody else; with the register of before, they open the person: so the test can see.
func TestAttacker(t *testing.T) {
	dir := t.TempDir()
	v := mustOpen(t, attackConfig(dir))
	if err := v.CreateTenant(t.Context(), attackTenant); err != nil {
		t.Fatal(err)
	}
	alice := mustEnter(t, v, eventstore.Identity{Namespace: "email", ID: "alice@example.com"})
	visitor := mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: "visitor-seventy-seven"})
	var others []eventstore.PersonID
	for i := range 100 { // splits what alice is in
		others = append(others, mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("bystander-%03d", i)}))
	}
	mustEnter(t, v, eventstore.Identity{Namespace: "email", ID: "alice@example.com"}, eventstore.Identity{Namespace: "web", ID: "visitor-seventy-seven"})
	hers, theirs := planted(t, v, []eventstore.PersonID{alice, visitor}), planted(t, v, others)
	id := v.id
	closeVault(t, v)
	before := copyDir(t, dir, t.TempDir()+"/before")

	v = mustOpen(t, attackConfig(dir))
	mustErase(t, v, alice)
	closeVault(t, v)

	attack := func(oldRegister bool) *attacker {
		a := &attacker{rows: map[string][][]byte{}, keys: map[string]bool{}}
		a.take(t, copyDir(t, before+"/vault", t.TempDir()+"/old"))
		a.take(t, copyDir(t, dir+"/vault", t.TempDir()+"/now"))
		a.roots(t, copyDir(t, dir+"/roots", t.TempDir()+"/roots"), dir+"/kek")
		if oldRegister {
			a.roots(t, copyDir(t, before+"/roots", t.TempDir()+"/roots"), dir+"/kek")
		}
		a.run(id)
		return a
	}
	a := attack(false)
	for what, b := range hers {
		if a.has(b) {
			t.Errorf("the attacker has her %s", what)
		}
	}
	for what, b := range theirs {
		if !a.has(b) {
			t.Errorf("a bystander's %s is lost", what)
		}
	}
	if a.names("email:alice@example.com") || a.names("web:visitor-seventy-seven") {
		t.Error("the attacker can test a guess at her handles")
	}
	if !a.names("web:bystander-000") {
		t.Error("a bystander's handle is not found; the test of guesses sees nothing")
	}
	control := attack(true)
	if !control.names("email:alice@example.com") {
		t.Error("control: with the old register too a guess at her handle cannot be tested; the test sees nothing")
	}
	for what, b := range hers {
		if !control.has(b) {
			t.Errorf("control: with the old register too her %s does not come out; the test sees nothing", what)
		}
	}

	// The old vault under the present register is refused as what it is.
	os.RemoveAll(before + "/roots")
	copyDir(t, dir+"/roots", before+"/roots")
	if err := os.Chmod(before+"/kek", 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), attackConfig(before)); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("an old vault under a newer register: %v", err)
	}
}

func closeVault(t testing.TB, v *Vault) {
	t.Helper()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestByteScan: no key and no handle stands in clear in any file, before or after an erasure, and nothing of the old slot is left.
func TestByteScan(t *testing.T) {
	dir := t.TempDir()
	v := mustOpen(t, attackConfig(dir))
	if err := v.CreateTenant(t.Context(), attackTenant); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("bystander-%03d", i)})
	}
	alice := mustEnter(t, v, eventstore.Identity{Namespace: "email", ID: "alice@example.com"}, eventstore.Identity{Namespace: "phone", ID: "+33612345678"})
	if err := v.Put(t.Context(), attackTenant, eventstore.TableRequests, "alice-request", []byte("alice-wants-out")); err != nil {
		t.Fatal(err)
	}
	hers := planted(t, v, []eventstore.PersonID{alice})
	hers["meta key"], hers["meta value"] = []byte("alice-request"), []byte("alice-wants-out")
	tn, _ := v.tenant(attackTenant)
	for what, s := range map[string]secret.Bytes{"root key": tn.root, "control key": tn.own.control, "outbox key": tn.own.outbox} {
		hers[what] = bytes.Clone(s.Reveal())
	}
	db := &attacker{rows: map[string][][]byte{}, keys: map[string]bool{string(tn.root.Reveal()): true}}
	err := rows{v.db}.Scan([]byte{rowTenant}, func(k, val []byte) error {
		if k[5] == 'R' || k[5] == 'N' {
			db.rows[string(k)] = [][]byte{bytes.Clone(val)}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	db.run(v.id)
	for i, p := range db.plain {
		for at := 0; at+41 <= len(p) && len(p)%41 == 0; at += 41 {
			hers[fmt.Sprintf("key %d of node %d", at/41, i)] = p[at+9:][:32]
		}
	}
	sealed := slotSealed(t, dir, tn.slot)
	hers["sealed root key"] = nil
	scan := func(when string) {
		t.Helper()
		n := 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // the database has deleted it meanwhile
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			n++
			for what, p := range hers {
				if len(p) > 0 && bytes.Contains(b, p) {
					t.Errorf("%s: %s stands in %s", when, what, filepath.Base(path))
				}
			}
			return err
		})
		if err != nil || n < 5 {
			t.Fatalf("%s: %d files: %v", when, n, err)
		}
	}
	scan("before")
	if err := v.db.Flush(); err != nil {
		t.Fatal(err)
	}
	mustErase(t, v, alice)
	hers["sealed root key"] = sealed
	scan("after the erasure")
	if err := v.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := v.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
		t.Fatal(err)
	}
	closeVault(t, v)
	scan("after Close")
}
