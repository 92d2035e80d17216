package demo

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/sample"
)

func id(namespace, id string) *eventstore.Identity {
	return &eventstore.Identity{Namespace: namespace, ID: id}
}

func TestChooseFollowsLinks(t *testing.T) {
	anna, boris := *id("email", "anna@example.com"), *id("email", "boris@example.com")
	events := []eventstore.Event{
		{Identity: id("web", "1"), Conversation: "a"},
		{Identity: id("web", "1"), Conversation: "a", Also: []eventstore.Identity{anna}},
		{Identity: id("web", "2"), Conversation: "b", Also: []eventstore.Identity{anna}},
		{Identity: &anna, Conversation: "c"},
		// Somebody with more handles, but of two people.
		{Identity: id("web", "kiosk"), Conversation: "d", Also: []eventstore.Identity{boris, *id("email", "carl@example.com"), *id("web", "3")}},
		// Somebody with fewer handles and more events.
		{Identity: id("web", "4"), Conversation: "e"}, {Identity: id("web", "4"), Conversation: "e"}, {Identity: id("web", "4"), Conversation: "e"},
		{Conversation: "f"},
	}
	for range 5 {
		p := choose(slices.Values(events))
		if p.email != anna || len(p.handles) != 3 || p.events != 4 || p.conversations != 3 {
			t.Fatalf("chose somebody with %d handles, %d events, %d conversations", len(p.handles), p.events, p.conversations)
		}
	}
}

func TestChooseIsSteadyOverTheSample(t *testing.T) {
	g := sample.New(sample.Options{Seed: seed, Events: 5000, Start: time.Now().AddDate(0, 0, -days-1), Days: days})
	first := choose(g.Events())
	if len(first.handles) < 2 || first.events < 10 {
		t.Errorf("%d handles, %d events: too little to show", len(first.handles), first.events)
	}
	if again := choose(g.Events()); again.email != first.email {
		t.Error("another person the second time")
	}
}

func TestSearchFindsTraces(t *testing.T) {
	var tr traces
	tr.of(eventstore.Event{Text: "a text of some length", Conversation: "conversation-1", Key: "key-00001", Also: []eventstore.Identity{*id("web", "visitor-9")}})
	tr.add("short")
	if len(tr.known) != 4 || tr.texts != 1 {
		t.Fatalf("%d traces, %d texts", len(tr.known), tr.texts)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"none": "short", "text": "…a text of some length…", "sub/conversation-1": "", "key": "\x00key-00001\xff", "handle": "visitor-9", "near": "visitor-8 key-00002",
	} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hits, files, size, err := tr.search(dir)
	if err != nil || len(hits) != 4 || files != 6 || size == 0 {
		t.Errorf("%d hits in %d files of %d bytes, error %v", len(hits), files, size, err)
	}
	if _, _, _, err := tr.search(filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing directory was searched")
	}
}

func TestMixTakesPartsFromSeveralDirectories(t *testing.T) {
	r := &run{dir: t.TempDir()}
	a, b := t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b} {
		os.MkdirAll(filepath.Join(dir, partVault, "sub"), 0o700)
		os.WriteFile(filepath.Join(dir, partVault, "sub", "f"), []byte(dir), 0o600)
		os.WriteFile(filepath.Join(dir, partKEK), []byte(dir), 0o600)
	}
	parts := from(a, partVault)
	parts[partKEK] = b
	c, err := r.mix("mix", parts)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{partVault + "/sub/f": a, partKEK: b} {
		if got, err := os.ReadFile(filepath.Join(string(c), name)); err != nil || string(got) != want {
			t.Errorf("%s comes from %s, error %v", name, got, err)
		}
	}
	if _, err := r.mix("none", from(a, partRoots)); err == nil {
		t.Error("a part that is not there was copied")
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 20050: "20,050", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s", n, got)
		}
	}
}
