package ledger

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/logtest"
)

const tenant = eventstore.DefaultTenant

// start makes a ledger over an empty log.
func start(t *testing.T) (*Ledger, *logtest.Fake) {
	t.Helper()
	log := logtest.New()
	if err := log.OpenRecords(t.Context(), tenant, eventstore.RecordsLedger, eventstore.VaultID{}, true); err != nil {
		t.Fatal(err)
	}
	return reopen(t, log), log
}

func reopen(t *testing.T, records eventstore.Records) *Ledger {
	t.Helper()
	l := New(records)
	if err := l.Open(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	return l
}

func record(t *testing.T, l *Ledger, count uint64) uint64 {
	t.Helper()
	n, err := l.Record(t.Context(), tenant, eventstore.Entry{Act: eventstore.ActLookup, Token: "abc", Role: eventstore.RoleDPO, Count: count})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func head(t *testing.T, l *Ledger) Head {
	t.Helper()
	size, root, err := l.Head(tenant)
	if err != nil {
		t.Fatal(err)
	}
	return Head{size, root}
}

// stored reads all records.
func stored(t *testing.T, records eventstore.Records) (out []eventstore.Record) {
	t.Helper()
	for r, err := range records.ReadRecords(t.Context(), tenant, eventstore.RecordsLedger, 1) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func seq(records []eventstore.Record) iter.Seq2[eventstore.Record, error] {
	return func(yield func(eventstore.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// The leaves and roots of the Certificate Transparency test suite for RFC 6962.
func TestTreeKnownAnswers(t *testing.T) {
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	tr := &tree{}
	for _, l := range leaves {
		data, _ := hex.DecodeString(l)
		if err := tr.add(tlog.RecordHash(data)); err != nil {
			t.Fatal(err)
		}
	}
	for size, want := range roots {
		h, err := tr.at(uint64(size))
		if err != nil || hex.EncodeToString(h.Root[:]) != want {
			t.Errorf("root of %d leaves = %x, %v, want %s", size, h.Root, err, want)
		}
	}
}

func TestRecordAndReopen(t *testing.T) {
	l, log := start(t)
	for i := uint64(1); i <= 20; i++ {
		if n := record(t, l, i); n != i {
			t.Fatalf("number %d, want %d", n, i)
		}
	}
	if got := head(t, l); got != head(t, reopen(t, log)) || got.Size != 20 {
		t.Errorf("a ledger that is opened again has another head")
	}
	want := uint64(7)
	for e, err := range l.Entries(t.Context(), tenant, 7) {
		if err != nil || e.Number != want || e.Count != want || e.Time.IsZero() {
			t.Fatalf("entry %d = %+v, %v", want, e, err)
		}
		want++
	}
	if want != 21 {
		t.Errorf("entries end at %d", want)
	}
	if _, err := l.Record(t.Context(), tenant, eventstore.Entry{Act: "Not a code", Token: "abc"}); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("an act that is no code: %v", err)
	}
	if _, err := New(log).Record(t.Context(), tenant, known.entry); err == nil {
		t.Error("a ledger that is not open recorded")
	}
}

// Every proof between every two sizes holds, and none holds for anything else.
func TestProofs(t *testing.T) {
	const size = 17
	l, log := start(t)
	heads := []Head{head(t, l)}
	for i := range uint64(size) {
		record(t, l, i)
		heads = append(heads, head(t, l))
	}
	records := stored(t, log)
	for n := uint64(1); n <= size; n++ {
		for s := n; s <= size; s++ {
			p, h, err := l.ProveInclusion(tenant, n, s)
			if err != nil || h != heads[s] {
				t.Fatalf("ProveInclusion(%d, %d): %v", n, s, err)
			}
			if err := CheckInclusion(heads[s], n, records[n-1].Data, p); err != nil {
				t.Errorf("entry %d in %d: %v", n, s, err)
			}
			if CheckInclusion(heads[s], n, records[n%size].Data, p) == nil && s > 1 {
				t.Errorf("entry %d in %d: another record passes", n, s)
			}
			if CheckInclusion(heads[s-1], n, records[n-1].Data, p) == nil {
				t.Errorf("entry %d in %d: another head passes", n, s)
			}
		}
	}
	for older := uint64(0); older <= size; older++ {
		for newer := max(older, 1); newer <= size; newer++ {
			p, _, err := l.ProveConsistency(tenant, older, newer)
			if err != nil {
				t.Fatal(err)
			}
			if err := CheckConsistency(heads[older], heads[newer], p); err != nil {
				t.Errorf("from %d to %d: %v", older, newer, err)
			}
			forged := heads[older]
			forged.Root[3] ^= 1
			if !errors.Is(CheckConsistency(forged, heads[newer], p), eventstore.ErrDamaged) {
				t.Errorf("from %d to %d: a forged head passes", older, newer)
			}
		}
	}
	if _, _, err := l.ProveInclusion(tenant, size+1, 0); !errors.Is(err, eventstore.ErrNotFound) {
		t.Errorf("a number that is not there: %v", err)
	}
	if _, _, err := l.ProveInclusion(tenant, 1, size+1); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("a size that is not reached: %v", err)
	}
	if _, _, err := l.ProveConsistency(tenant, 3, 2); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("sizes the wrong way round: %v", err)
	}
}

// Any flipped byte of any record, and any record left out, swapped or added in front of the head, is found.
func TestMutations(t *testing.T) {
	l, log := start(t)
	for i := range uint64(9) {
		record(t, l, i+1)
	}
	at := head(t, l)
	record(t, l, 10)
	good := stored(t, log)
	if now, err := Verify(seq(good), at); err != nil || now != head(t, l) {
		t.Fatalf("the untouched ledger: %v", err)
	}
	if _, err := l.Verify(t.Context(), tenant, at); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, records []eventstore.Record) {
		t.Helper()
		for i := range records {
			records[i].Number = uint64(i + 1)
		}
		if _, err := Verify(seq(records), at); !errors.Is(err, eventstore.ErrDamaged) && !errors.Is(err, eventstore.ErrNewerVersion) {
			t.Errorf("%s: %v, want damage", what, err)
		}
	}
	for i := range at.Size {
		for b := range good[i].Data {
			for _, flip := range []byte{1, 0x20, 0xff} {
				bad := slices.Clone(good)
				bad[i].Data = bytes.Clone(bad[i].Data)
				bad[i].Data[b] ^= flip
				refused("a flipped byte", bad)
			}
		}
		refused("a record left out", slices.Delete(slices.Clone(good), int(i), int(i)+1))
		if i+1 < at.Size { // behind the head a record may say the same again
			refused("a record twice", slices.Insert(slices.Clone(good), int(i), good[i]))
		}
	}
	refused("a shorter ledger", slices.Clone(good[:8]))
	gap := slices.Delete(slices.Clone(good), 3, 4)
	if _, err := Verify(seq(gap), Head{Root: emptyRoot}); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("a missing number: %v", err)
	}
}

func TestConcurrentRecord(t *testing.T) {
	l, log := start(t)
	const callers, each = 16, 50
	var wg sync.WaitGroup
	seen := make([][]uint64, callers)
	for c := range callers {
		wg.Go(func() {
			for range each {
				n, err := l.Record(context.Background(), tenant, known.entry)
				if err != nil {
					t.Error(err)
					return
				}
				seen[c] = append(seen[c], n)
				if size, _, err := l.Head(tenant); err != nil || size < n {
					t.Errorf("entry %d is not under the head of %d: %v", n, size, err)
				}
			}
		})
	}
	wg.Wait()
	all := slices.Concat(seen...)
	slices.Sort(all)
	for i, n := range all {
		if n != uint64(i+1) {
			t.Fatalf("number %d stands at %d", n, i+1)
		}
	}
	if head(t, l) != head(t, reopen(t, log)) {
		t.Error("the tree grown by many callers is not the one of the records")
	}
}

// An entry that was stored although its caller was told otherwise is in the tree as soon as one behind it is.
func TestUncertain(t *testing.T) {
	l, log := start(t)
	record(t, l, 1)
	log.FailNext(eventstore.ErrUncertain, true)
	if _, err := l.Record(t.Context(), tenant, known.entry); err != eventstore.ErrUncertain {
		t.Fatalf("error %v", err)
	}
	if n := record(t, l, 3); n != 3 {
		t.Fatalf("number %d", n)
	}
	log.FailReads(eventstore.ErrUnavailable)
	if h := head(t, l); h.Size != 1 {
		t.Errorf("during an outage the head has %d entries, want the 1 that is certain", h.Size)
	}
	log.FailReads(nil)
	if h := head(t, l); h.Size != 3 || h != head(t, reopen(t, log)) {
		t.Errorf("the head has %d entries", h.Size)
	}
	log.FailNext(eventstore.ErrUnavailable, false)
	if _, err := l.Record(t.Context(), tenant, known.entry); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	if n := record(t, l, 4); n != 4 || head(t, l).Size != 4 {
		t.Errorf("after a failed entry the next has number %d", n)
	}
}

func TestOpenRefusesDamage(t *testing.T) {
	l, log := start(t)
	record(t, l, 1)
	if _, err := log.AppendRecord(t.Context(), tenant, eventstore.RecordsLedger, []byte("not an entry")); err != nil {
		t.Fatal(err)
	}
	if err := New(log).Open(t.Context(), tenant); !errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("Open = %v", err)
	}
	log.FailReads(eventstore.ErrUnavailable)
	if err := New(log).Open(t.Context(), tenant); !errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrDamaged) {
		t.Errorf("an outage: %v", err)
	}
}
