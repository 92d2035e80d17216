package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/cmd/internal/api"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
)

// damagedWorld is the data directory of a stopped server with two tenants, an older copy of it, and what must be answered.
type damagedWorld struct {
	dir, older string
	// tenants: token of a DPO, who was erased, who stays and what they said.
	tenants [2]struct{ dpo, erased, kept, text string }
}

func (d *damagedWorld) build(t *testing.T) {
	t.Helper()
	d.dir, d.older = filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "older")
	w := begin(t, config(d.dir))
	w.want(201, "POST", "/v1/tenants", w.admin, `{"tenant":"acme"}`)
	var bots [2]string
	for i, tenant := range []string{"default", "acme"} {
		x := &d.tenants[i]
		bots[i] = w.token(`{"roles":["bot"],"bot":"shop"}`, api.TenantHeader, tenant)
		x.dpo = w.token(`{"roles":["dpo"]}`, api.TenantHeader, tenant)
		x.text = "a word in " + tenant
		x.erased = w.says(bots[i], "alice@example.com", "a secret in "+tenant)
		x.kept = w.says(bots[i], "bob@example.com", x.text)
	}
	w.end()
	if err := copyAll(d.older, os.DirFS(d.dir)); err != nil {
		t.Fatal(err)
	}
	w = begin(t, config(d.dir))
	for i := range d.tenants {
		w.want(200, "POST", "/v1/persons/"+d.tenants[i].erased+"/erase", d.tenants[i].dpo, `{"reason":"person-request"}`)
		w.says(bots[i], "carol@example.com", "later")
	}
	w.end()
}

// TestVaultRolledBack: a vault directory that was put back to an older copy is refused, with and without an erasure in between.
func TestVaultRolledBack(t *testing.T) {
	var d damagedWorld
	d.build(t)
	w := begin(t, config(d.older))
	w.end()
	between := filepath.Join(t.TempDir(), "between")
	if err := copyAll(between, os.DirFS(filepath.Join(d.older, "vault"))); err != nil {
		t.Fatal(err)
	}
	w = begin(t, config(d.older))
	w.says(w.admin2(), "dave@example.com", "lost with the vault")
	w.end()
	for dir, vault := range map[string]string{d.dir: filepath.Join(d.older, "vault"), d.older: between} {
		if dir == d.older {
			vault = between
		}
		now := filepath.Join(dir, "vault")
		if err := errors.Join(os.Rename(now, now+".away"), copyAll(now, os.DirFS(vault))); err != nil {
			t.Fatal(err)
		}
		if s, err := Start(t.Context(), config(dir)); !errors.Is(err, eventstore.ErrDamaged) || !strings.Contains(err.Error(), "vault") {
			t.Errorf("%v", err)
			if err == nil {
				(&world{T: t, Server: s}).end()
			}
		}
		if err := errors.Join(os.RemoveAll(now), os.Rename(now+".away", now)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCheckVault: everything is counted and compared, a record that the ledger says was erased is found, and not one byte changes.
func TestCheckVault(t *testing.T) {
	var d damagedWorld
	d.build(t)
	before := contents(t, d.dir)
	told := map[eventstore.TenantID]uint64{}
	all, err := CheckVault(t.Context(), config(d.dir), func(id eventstore.TenantID, done, of uint64) {
		if told[id] = done; of != 2 {
			t.Errorf("%d persons", of)
		}
	})
	if err != nil || len(all.Tenants) != 2 || len(told) != 2 || told["acme"] != 2 || all.Damages() != 0 || len(all.Files) != 0 {
		t.Fatalf("%+v %v, told %v", all, err, told)
	}
	for _, c := range all.Tenants {
		if c.Persons != 2 || c.Erased != 1 || c.Compared != 1 || c.LedgerEntries == 0 || len(c.Damage) != 0 {
			t.Errorf("%+v", c)
		}
	}
	unchanged(t, before, contents(t, d.dir))

	// The vault and its roots of before the erasures, under the ledger of after them.
	for _, part := range []string{"vault", "roots"} {
		to := filepath.Join(d.dir, part)
		if err := errors.Join(os.RemoveAll(to), copyAll(to, os.DirFS(filepath.Join(d.older, part)))); err != nil {
			t.Fatal(err)
		}
	}
	before = contents(t, d.dir)
	all, err = CheckVault(t.Context(), config(d.dir), func(eventstore.TenantID, uint64, uint64) {})
	if err != nil || len(all.Tenants) != 2 || !slices.ContainsFunc(all.Files, func(f string) bool { return strings.Contains(f, "roots/register ") }) {
		t.Fatalf("%+v %v", all, err)
	}
	for i, c := range all.Tenants {
		erased := d.tenants[1-i].erased // the list is in the order of names
		if len(c.Damage) != 1 || !strings.Contains(c.Damage[0], "still holds it") || !strings.Contains(c.Damage[0], erased) {
			t.Errorf("%+v, want %s", c, erased)
		}
	}
	unchanged(t, before, contents(t, d.dir))
	if _, found := (keyvault.Report{}).Holder(eventstore.LedgerReference{}); found {
		t.Error("an empty report holds a record")
	}
}

// TestCheckVaultGoesOn: a tenant whose root is lost and a ledger that is cut are told, and the other tenant is looked at all the same.
func TestCheckVaultGoesOn(t *testing.T) {
	var d damagedWorld
	d.build(t)
	path := filepath.Join(d.dir, "roots", "register")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const firstOfAcme = 4096 * (2 + 2) // behind the header and the pair of the tenant default
	for i := range 2 * 4096 {
		b[firstOfAcme+i] ^= 1
	}
	ledger := filepath.Join(d.dir, "nats", "jetstream", "$G", "streams", "LEDGER_default")
	if err := errors.Join(os.WriteFile(path, b, 0o600), os.RemoveAll(ledger)); err != nil {
		t.Fatal(err)
	}
	before := contents(t, d.dir)
	found, err := CheckVault(t.Context(), config(d.dir), func(eventstore.TenantID, uint64, uint64) {})
	if err != nil || len(found.Tenants) != 2 || len(found.Files) < 2 {
		t.Fatalf("%+v %v", found, err)
	}
	acme, standard := found.Tenants[0], found.Tenants[1]
	if len(acme.Damage) != 1 || !strings.Contains(acme.Damage[0], "no slot of the root register") {
		t.Errorf("%+v", acme)
	}
	if standard.Persons != 2 || len(standard.Damage) != 1 || !strings.Contains(standard.Damage[0], "LEDGER_default") {
		t.Errorf("%+v", standard)
	}
	unchanged(t, before, contents(t, d.dir))
}

// copyAll copies a directory, for the owner alone.
func copyAll(to string, from fs.FS) error {
	if err := os.CopyFS(to, from); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			err = os.Chmod(path, 0o600)
		}
		return err
	})
}

// contents reads every file but locks.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "LOCK" {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func unchanged(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, b := range before {
		if a, there := after[name]; !there || a != b {
			t.Errorf("%s was changed", name)
		}
	}
	for name := range after {
		if _, there := before[name]; !there {
			t.Errorf("%s was made", name)
		}
	}
}
