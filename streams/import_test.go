package streams

import (
	"context"
	"errors"
	"iter"
	"path/filepath"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

func each[T any](all []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, x := range all {
			if !yield(x, nil) {
				return
			}
		}
	}
}

// TestImport: a stream that is imported elsewhere has the same messages under the same sequences, and with a log/ made for it goes on as the old one
// would have.
func TestImport(t *testing.T) {
	from := newRoom(t, nil)
	p := live(from)
	to := &room{t: t, dir: t.TempDir()}
	to.startServer()
	t.Cleanup(to.stop)
	ctx := context.Background()
	n, err := Import(ctx, to.config(), tenant, vault, p.last, each(p.messages))
	if err != nil || n != uint64(len(p.messages)) {
		t.Fatalf("imported %d: %v", n, err)
	}
	for _, kind := range recordStreams {
		var records []eventstore.Record
		for r, err := range from.s.ReadRecords(ctx, tenant, kind, 1) {
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, r)
		}
		if n, err := ImportRecords(ctx, to.config(), tenant, kind, vault, each(records)); err != nil || n != uint64(len(records)) {
			t.Fatalf("imported %d records: %v", n, err)
		}
	}
	if _, err := Import(ctx, to.config(), tenant, vault, p.last, each(p.messages)); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := to.rebuild(p); err != nil {
		t.Fatal(err)
	}
	to.openLog()
	p.lives(to)
	to.restart()
	to.openTenant()
	if got := to.replay(0); len(got) != len(p.messages)+1 {
		t.Errorf("%d messages after a restart", len(got))
	}
}

// TestImportOfNothing: of a stream whose messages are all gone the last sequence stays.
func TestImportOfNothing(t *testing.T) {
	to := &room{t: t, dir: t.TempDir()}
	to.startServer()
	t.Cleanup(to.stop)
	ctx := context.Background()
	if _, err := Import(ctx, to.config(), tenant, vault, 41, each([]eventstore.Stored(nil))); err != nil {
		t.Fatal(err)
	}
	for _, kind := range recordStreams {
		if _, err := ImportRecords(ctx, to.config(), tenant, kind, vault, each([]eventstore.Record(nil))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := to.rebuild(&past{}); err != nil {
		t.Fatal(err)
	}
	to.openLog()
	to.openTenant()
	if a := to.append(newMessage(t, newPerson(t), 10)); a.Sequence != 42 {
		t.Errorf("the next message is at %d", a.Sequence)
	}
}

// TestImportRefuses: what does not ascend, and records with a gap.
func TestImportRefuses(t *testing.T) {
	to := &room{t: t, dir: t.TempDir()}
	to.startServer()
	t.Cleanup(to.stop)
	ctx := context.Background()
	m := eventstore.Stored{Sequence: 5, Person: newPerson(t)}
	if _, err := Import(ctx, to.config(), tenant, vault, 9, each([]eventstore.Stored{m, m})); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("twice the same sequence: %v", err)
	}
	r := []eventstore.Record{{Number: 1}, {Number: 3}}
	if _, err := ImportRecords(ctx, to.config(), tenant, eventstore.RecordsLedger, vault, each(r)); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("records with a gap: %v", err)
	}
	if entries, err := filepath.Glob(filepath.Join(to.log(), "*")); err != nil || len(entries) != 0 {
		t.Errorf("an import wrote to log/: %v, %v", entries, err)
	}
}
