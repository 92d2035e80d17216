package keyvault_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
)

// golden is what the vault in testdata/v1 must answer, for as long as format 1 is read.
type golden struct {
	Vault, Alice, Visitor, Erased string
	Sealed, Associated            string
	Mark, RowMark, PeriodMark     string
	Control, MetaKey, MetaValue   string
	Reference, Owed               string
	Generation, Persons           int
}

const goldenDir = "testdata/v1"

var goldenPeriod = eventstore.PeriodOf(eventstore.Week, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), time.UTC)

// TestGolden opens a vault that was written when the format was fixed: every layer, from the key-encryption key to a record, a page, a tombstone,
// a meta row and an owed event, is read from its bytes.
func TestGolden(t *testing.T) {
	if os.Getenv("OUBLI_WRITE_GOLDEN") != "" {
		writeGolden(t)
	}
	b, err := os.ReadFile(goldenDir + "/answers.json")
	if err != nil {
		t.Fatal(err)
	}
	var want golden
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(goldenDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir+"/kek", 0o600); err != nil { // a checkout does not keep modes
		t.Fatal(err)
	}
	v, err := keyvault.Open(t.Context(), keyvault.Config{Dir: dir + "/vault", Roots: dir + "/roots", KEKFile: dir + "/kek"})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	sound(t, v, "golden")
	got := answers(t, v, want)
	if got.Generation <= want.Generation {
		t.Errorf("generation %d after opening, %d before: the root was not renewed", got.Generation, want.Generation)
	}
	got.Generation = want.Generation
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	plain := func(what string, b []byte, err error) {
		t.Helper()
		if err != nil || string(b) != "known text" {
			t.Errorf("%s: %v", what, err)
		}
	}
	sealed, _ := hex.DecodeString(want.Sealed)
	g, err := v.Gate(t.Context(), crashTenant, parse(t, want.Alice))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Release()
	text, err := g.Open(t.Context(), crashMonth, sealed, []byte(want.Associated))
	plain("an event", text, err)
	control, _ := hex.DecodeString(want.Control)
	text, err = v.OpenControl(t.Context(), crashTenant, control, []byte(want.Associated))
	plain("a control message", text, err)
	if _, err := v.Gate(t.Context(), crashTenant, parse(t, want.Erased)); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("the erased person: %v", err)
	}
}

func parse(t *testing.T, s string) eventstore.PersonID {
	t.Helper()
	p, err := eventstore.ParsePersonID(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// answers asks the vault what the file says; ciphertexts are as given.
func answers(t *testing.T, v *keyvault.Vault, in golden) golden {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	out := in
	out.Vault = v.Vault().String()
	alice, err := v.Resolve(t.Context(), crashTenant, email("alice@example.com"))
	must(err)
	visitor, err := v.Resolve(t.Context(), crashTenant, web("77"))
	must(err)
	out.Alice, out.Visitor = alice.String(), visitor.String()
	g, err := v.Gate(t.Context(), crashTenant, alice)
	must(err)
	defer g.Release()
	m, err := g.Mark(eventstore.MarkIdempotency, []byte("bot"), []byte("key"))
	must(err)
	row, err := g.Mark(eventstore.MarkRow)
	must(err)
	period, err := v.PeriodMark(t.Context(), crashTenant, visitor, goldenPeriod)
	must(err)
	out.Mark, out.RowMark, out.PeriodMark = hex.EncodeToString(m[:]), hex.EncodeToString(row[:]), hex.EncodeToString(period[:])
	value, err := v.Get(t.Context(), crashTenant, eventstore.TableSettings, in.MetaKey)
	must(err)
	out.MetaValue = string(value)
	set, err := v.Linked(t.Context(), crashTenant, alice)
	must(err)
	for _, r := range set {
		if r.Person == alice {
			out.Reference = r.Reference.String()
		}
	}
	owed, err := v.Outbox(t.Context(), crashTenant)
	must(err)
	out.Owed = ""
	for _, o := range owed {
		out.Owed += o.ID.String() + " " + string(o.Event.Kind)
	}
	s, err := v.Status(crashTenant)
	must(err)
	out.Generation, out.Persons = int(s.Generation), int(s.Persons)
	return out
}

func writeGolden(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.RemoveAll(goldenDir))
	must(os.MkdirAll(goldenDir, 0o755))
	dir, err := filepath.Abs(goldenDir)
	must(err)
	v, err := keyvault.Open(t.Context(), keyvault.Config{Dir: dir + "/vault", Roots: dir + "/roots", KEKFile: dir + "/kek", Create: true})
	must(err)
	must(v.CreateTenant(t.Context(), crashTenant))
	alice, _, err := enter(t.Context(), v, email("alice@example.com"))
	must(err)
	_, _, err = enter(t.Context(), v, web("77"))
	must(err)
	erased, _, err := enter(t.Context(), v, email("erased@example.com"), web("erased"))
	must(err)
	_, _, err = enter(t.Context(), v, email("alice@example.com"), web("77"))
	must(err)
	_, err = v.Fence(t.Context(), crashTenant, []eventstore.PersonID{erased})
	must(err)
	must(v.Shred(t.Context(), crashTenant, []eventstore.PersonID{erased}, eventstore.ShredOptions{}))
	in := golden{Erased: erased.String(), Associated: "bound", MetaKey: "a setting"}
	must(v.Put(t.Context(), crashTenant, eventstore.TableSettings, in.MetaKey, []byte("its value")))
	g, err := v.Gate(t.Context(), crashTenant, alice)
	must(err)
	sealed, err := g.Seal(t.Context(), crashMonth, []byte("known text"), []byte(in.Associated))
	must(err)
	g.Release()
	control, err := v.SealControl(t.Context(), crashTenant, []byte("known text"), []byte(in.Associated))
	must(err)
	in.Sealed, in.Control = hex.EncodeToString(sealed), hex.EncodeToString(control)
	b, err := json.MarshalIndent(answers(t, v, in), "", "  ")
	must(err)
	must(os.WriteFile(dir+"/answers.json", append(b, '\n'), 0o644))
	must(v.Close())
	must(os.Truncate(dir+"/roots/register", 4*4096)) // one tenant's pair is enough
}
