package keyvault

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
)

// TestCheckGoesOn damages rows of every kind, flipped, moved, missing, and wants each of them named, and everything else counted.
func TestCheckGoesOn(t *testing.T) {
	v, err := Open(t.Context(), attackConfig(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.CreateTenant(t.Context(), attackTenant); err != nil {
		t.Fatal(err)
	}
	const persons = 300 // past a split of leaves and pages
	for i := range persons {
		mustEnter(t, v, eventstore.Identity{Namespace: "web", ID: fmt.Sprintf("secret-%d", i)})
	}
	if err := v.Put(t.Context(), attackTenant, eventstore.TableSettings, "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if r, err := v.Check(t.Context(), attackTenant); err != nil || len(r.Damage) != 0 || r.Persons != persons || r.Handles != persons {
		t.Fatalf("%+v %v", r, err)
	}
	tn, _ := v.tenant(attackTenant)
	records, handles := storedRows(t, tn, 'B', 'l'), storedRows(t, tn, 'B', 'p')
	set := func(key, value []byte) {
		t.Helper()
		if err := v.db.Set(key, value, pebble.Sync); err != nil {
			t.Fatal(err)
		}
	}
	flipped := func(r rawRow) []byte { b := bytes.Clone(r.value); b[len(b)/2] ^= 1; return b }
	var want []string
	record := func(i int) eventstore.PersonID {
		key := records[i].key
		return eventstore.PersonID(key[len(key)-16:])
	}
	for _, i := range []int{3, 150, 299} {
		set(records[i].key, flipped(records[i]))
		want = append(want, "record: that of "+record(i).String())
	}
	set(records[7].key, records[8].value) // another person's
	want = append(want, "record: that of "+record(7).String())
	set(records[9].key, records[9].value[:20])
	want = append(want, "record: that of "+record(9).String())
	set(handles[20].key, flipped(handles[20]))
	set(handles[21].key, handles[22].value)
	if err := v.db.Delete(handles[23].key, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	want = append(want, "handle: in p", "handle: in p", "does not lead there")
	for _, m := range storedRows(t, tn, 'M') {
		set(m.key, flipped(m))
	}
	want = append(want, "meta: row 1")
	r, err := v.Check(t.Context(), attackTenant)
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Clone(r.Damage)
	for _, w := range want {
		i := slices.IndexFunc(all, func(d string) bool { return strings.Contains(d, w) })
		if i < 0 {
			t.Errorf("%q is not told", w)
			continue
		}
		all = slices.Delete(all, i, i+1)
	}
	for _, d := range all { // the two handles that do not open are missing to their persons too
		if !strings.HasPrefix(d, "handle: the 1. of ") {
			t.Errorf("told besides: %s", d)
		}
	}
	if len(all) > 2 || strings.Contains(fmt.Sprint(r.Damage), "secret") {
		t.Errorf("%q", all)
	}
	if r.Persons != persons-5 || r.Handles != persons-3 {
		t.Errorf("%d persons and %d handles were opened", r.Persons, r.Handles)
	}
	for _, n := range storedRows(t, tn, 'N', 'l') {
		set(n.key, flipped(n))
	}
	if r, err = v.Check(t.Context(), attackTenant); err != nil || !slices.ContainsFunc(r.Damage, func(d string) bool { return strings.HasPrefix(d, "node: in l0/") }) || r.Handles != persons-3 {
		t.Errorf("without the leaves' node: %d handles, %v: %q", r.Handles, err, r.Damage)
	}
}

type rawRow struct{ key, value []byte }

// storedRows reads a tenant's rows of a kind.
func storedRows(t *testing.T, tn *tenant, kind ...byte) (out []rawRow) {
	t.Helper()
	err := rows{tn.v.db}.Scan(append(tn.prefix(), kind...), func(k, v []byte) error {
		out = append(out, rawRow{bytes.Clone(k), bytes.Clone(v)})
		return nil
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("%d rows: %v", len(out), err)
	}
	return out
}
