package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// TestCheckLog: everything is walked, damage is named, and not one byte changes.
func TestCheckLog(t *testing.T) {
	var d damagedWorld
	d.build(t)
	before := contents(t, d.dir)
	var done, total uint64
	all, err := CheckLog(t.Context(), config(d.dir), func(n, of uint64) { done, total = n, of })
	if err != nil || len(all) != 2 || done != total || done == 0 {
		t.Fatalf("%+v %v, %d of %d", all, err, done, total)
	}
	for _, c := range all {
		if c.Events == 0 || c.Records == 0 || c.New || len(c.Damage) != 0 {
			t.Errorf("%+v", c)
		}
	}
	unchanged(t, before, contents(t, d.dir))

	// The streams of before the last events, and none at all of a tenant.
	to := filepath.Join(d.dir, "nats")
	if err := errors.Join(os.RemoveAll(to), copyAll(to, os.DirFS(filepath.Join(d.older, "nats")))); err != nil {
		t.Fatal(err)
	}
	for _, lost := range []string{"CONV_acme", "LEDGER_acme", "STATS_acme"} {
		if err := os.RemoveAll(filepath.Join(to, "jetstream", "$G", "streams", lost)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(d.dir, "log")); err != nil {
		t.Fatal(err)
	}
	before = contents(t, d.dir)
	if _, err := CheckLog(t.Context(), config(d.dir), nil); !errors.Is(err, eventstore.ErrDamaged) || !strings.Contains(err.Error(), "log is missing") {
		t.Errorf("without log/: %v", err)
	}
	unchanged(t, before, contents(t, d.dir))
	if _, err := RebuildLog(t.Context(), config(d.dir), nil); !errors.Is(err, eventstore.ErrDamaged) || !strings.Contains(err.Error(), "tenant acme") {
		t.Errorf("a rebuild that finds no stream of a tenant: %v", err)
	}
	before = contents(t, d.dir)
	all, err = CheckLog(t.Context(), config(d.dir), func(uint64, uint64) {})
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v %v", all, err)
	}
	if damage := strings.Join(all[0].Damage, "\n"); !strings.Contains(damage, "neither log/ nor nats/") {
		t.Errorf("a lost tenant: %q", damage)
	}
	if len(all[1].Damage) != 0 {
		t.Errorf("the other tenant: %q", all[1].Damage)
	}
	unchanged(t, before, contents(t, d.dir))
	elsewhere := config(d.dir)
	elsewhere.NATS = "nats://127.0.0.1:1"
	if _, err := CheckLog(t.Context(), elsewhere, nil); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("with an external server: %v", err)
	}
}

// TestRebuildLog: a server whose log/ was lost goes on over one that was made anew: what was said is there, what is sent again is a duplicate, what was erased stays so.
func TestRebuildLog(t *testing.T) {
	var d damagedWorld
	d.build(t)
	if err := os.RemoveAll(filepath.Join(d.dir, "log")); err != nil {
		t.Fatal(err)
	}
	if s, err := Start(t.Context(), config(d.dir)); !errors.Is(err, eventstore.ErrDamaged) || !strings.Contains(err.Error(), "oubli log rebuild") {
		if err == nil {
			_ = s.Stop(t.Context())
		}
		t.Fatalf("without log/: %v", err)
	}
	all, err := RebuildLog(t.Context(), config(d.dir), nil)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v %v", all, err)
	}
	if _, err := RebuildLog(t.Context(), config(d.dir), nil); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("a second time: %v", err)
	}
	w := begin(t, config(d.dir))
	defer w.end()
	for i := range d.tenants {
		x := d.tenants[i]
		if body := w.want(200, "GET", "/v1/persons/"+x.kept+"/events", x.dpo, ""); !strings.Contains(fmt.Sprint(body), x.text) {
			t.Errorf("tenant %d: %s", i, body)
		}
		w.want(410, "GET", "/v1/persons/"+x.erased+"/events", x.dpo, "")
	}
}
