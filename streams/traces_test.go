package streams

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// TestTracesWherever: an id is found wherever it stands in a file, also where two pieces meet; a message at or above the bound is no trace.
func TestTracesWherever(t *testing.T) {
	sp := convSpec(tenant)
	p, other := newPerson(t), newPerson(t)
	dir := filepath.Join(t.TempDir(), "jetstream", "$G", "streams", sp.stream(), "msgs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "..", "..", "..", "..", "..")
	record := binary.LittleEndian.AppendUint64(nil, 7)
	record = append(record, make([]byte, 10)...)
	record = append(record, sp.person(p)...)
	for _, at := range []int{0, 1, searchBytes - 100, searchBytes - 60, searchBytes - 40, searchBytes - 20, searchBytes - 1, searchBytes, 2*searchBytes - 70, 3*searchBytes - len(record)} {
		file := bytes.Repeat([]byte{'x'}, 3*searchBytes)
		copy(file[at:], record)
		if err := os.WriteFile(filepath.Join(dir, "1.blk"), file, 0o600); err != nil {
			t.Fatal(err)
		}
		for below, want := range map[uint64]bool{8: true, 7: false, 1 << 63: true} {
			found, err := lookout{p: {below: below}, other: {below: below}}.inFiles(context.Background(), sp, root)
			if err != nil || found[p] != want || found[other] {
				t.Errorf("at %d, below %d: %v, %v", at, below, found, err)
			}
		}
	}
	if _, err := (lookout{p: {below: 1}}).inFiles(context.Background(), sp, t.TempDir()); err == nil {
		t.Error("files that are not there were searched")
	}
}

// TestTracesOfWhatOnlyLooksRemoved: a purge by subject leaves the bytes, and they are found.
func TestTracesOfWhatOnlyLooksRemoved(t *testing.T) {
	r := newRoom(t, quickSettle)
	r.openTenant()
	p := r.fill(5)
	keeper := r.fill(5)
	r.trimmed()
	of := []eventstore.Removed{{Person: p}}
	st, err := r.js().Stream(context.Background(), "CONV_default")
	if err != nil {
		t.Fatal(err)
	}
	for at := uint64(1); at <= 5; at++ {
		if err := st.DeleteMsg(context.Background(), at); err != nil { // deleted, and not overwritten
			t.Fatal(err)
		}
	}
	if n, err := r.s.Count(context.Background(), tenant, p); n != 0 || err != nil {
		t.Fatalf("%d messages are left, %v", n, err)
	}
	found, err := r.s.Traces(context.Background(), tenant, of)
	if err != nil || len(found.Files) != 1 || !found.Searched {
		t.Errorf("bytes that were left: %+v, %v", found, err)
	}
	if got := r.read(keeper, 0); len(got) != 5 {
		t.Errorf("the other has %d", len(got))
	}
}

// TestTracesInTheSummary: what the server wrote at its last stop lists who is removed since, until it is written anew; it is taken away, and nothing else is
// lost with it.
func TestTracesInTheSummary(t *testing.T) {
	r := newRoom(t, func(c *Config) { c.Settle, c.RemoveRate = quick, 5000 })
	r.openTenant()
	p := r.fill(5)
	keeper := r.fill(5)
	r.trimmed()
	restart := func() {
		r.stop()
		r.startServer()
		r.openLog()
		r.openTenant()
	}
	restart()
	ctx, of := context.Background(), []eventstore.Removed{{Person: p}}
	summary := filepath.Join(r.s.c.Files, "jetstream", "$G", "streams", "CONV_default", "msgs", summaryFile)
	listed := func() bool {
		b, err := os.ReadFile(summary)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return bytes.Contains(b, []byte(p.String()))
	}
	if !listed() {
		t.Fatal("the summary does not list who has messages")
	}
	if found, err := r.s.Traces(ctx, tenant, of); err != nil || len(found.Files) != 1 {
		t.Errorf("before the removal: %+v, %v", found, err)
	}
	if !listed() {
		t.Error("a summary that is right was taken away")
	}
	if err := r.s.Remove(ctx, tenant, eventstore.Removal{Persons: []eventstore.PersonID{p}}, nil); err != nil {
		t.Fatal(err)
	}
	r.trimmed()
	if found, err := r.s.Traces(ctx, tenant, of); err != nil || found.Found(p) || !found.Searched {
		t.Errorf("after the removal: %+v, %v", found, err)
	}
	if listed() {
		t.Error("the summary lists who is gone")
	}
	restart()
	if _, err := os.Stat(summary); err != nil {
		t.Errorf("no summary was written at the stop: %v", err)
	}
	if got := r.read(keeper, 0); len(got) != 5 {
		t.Errorf("the other has %d", len(got))
	}
}
