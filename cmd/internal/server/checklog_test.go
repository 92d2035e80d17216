package server

import (
	"bytes"
	"context"
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
	for _, lost := range []string{"CONV_acme", "BLOB_acme", "LEDGER_acme", "STATS_acme"} {
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

// TestOlderDirectory: the stream of attachments is made for a tenant of before there were any, and missed where it was made.
func TestOlderDirectory(t *testing.T) {
	dir := t.TempDir()
	w := begin(t, config(dir))
	shop, dpo := w.token(`{"roles":["bot"],"bot":"shop"}`), w.token(`{"roles":["dpo"]}`)
	person := w.says(shop, "alice@example.com", "bonjour")
	w.end()
	for _, gone := range []string{"log", "nats/jetstream/$G/streams/BLOB_default"} {
		if err := os.RemoveAll(filepath.Join(dir, gone)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := RebuildLog(t.Context(), config(dir), nil); err != nil {
		t.Fatal(err)
	}
	checked := func() string {
		t.Helper()
		all, err := CheckLog(t.Context(), config(dir), nil)
		if err != nil || len(all) != 1 || all[0].New || all[0].Events == 0 {
			t.Fatalf("%+v %v", all, err)
		}
		return strings.Join(all[0].Damage, "\n")
	}
	if damage := checked(); !strings.Contains(damage, "BLOB_default") {
		t.Errorf("a check without the stream of attachments: %q", damage)
	}
	if s, err := Start(t.Context(), config(dir)); !errors.Is(err, eventstore.ErrDamaged) || !strings.Contains(err.Error(), "BLOB_default") {
		if err == nil {
			_ = s.Stop(t.Context())
		}
		t.Fatalf("without the stream of attachments: %v", err)
	}

	// An older program has not noted that it made one.
	c := config(dir)
	c.asItIs = true
	s, err := openStoppedServer(t.Context(), c, func(*Server, context.Context) error { return nil })
	if err == nil {
		err = errors.Join(s.vault.Delete(t.Context(), eventstore.DefaultTenant, tableServer, attachmentsRow), s.Stop(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
	if damage := checked(); damage != "" {
		t.Errorf("a check of an older directory: %q", damage)
	}
	body := bytesOf(1, 100)
	for range 2 {
		w = begin(t, config(dir))
		if status, out := w.send(shop, recordingOf("alice@example.com", "c1"), "a.wav", "audio/wav", body); status != 201 || out["person"] != person {
			t.Errorf("%d %v", status, out)
		}
		if _, got := w.get(shop, w.file(dpo, person)); !bytes.Equal(got, body) {
			t.Errorf("%d bytes", len(got))
		}
		w.end()
	}
}
