package projections

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/release"
)

// books are a stream of releases and a ledger that outlive any crash. The fail-th write from now on fails: it is done nevertheless, if persisted.
type books struct {
	records   [][]byte
	entries   []eventstore.Entry
	fail      int
	persisted bool
	// onWrite is called before each write.
	onWrite func()
	random  io.Reader
}

func newBooks() *books { return &books{random: rand.NewChaCha8([32]byte{7})} }

func (b *books) write(do func()) error {
	if b.onWrite != nil {
		b.onWrite()
	}
	if b.fail--; b.fail == 0 {
		if b.persisted {
			do()
		}
		return eventstore.ErrUncertain
	}
	do()
	return nil
}

func (b *books) OpenRecords(context.Context, eventstore.TenantID, eventstore.RecordStream, eventstore.VaultID, bool) error {
	return nil
}

func (b *books) AppendRecord(_ context.Context, _ eventstore.TenantID, _ eventstore.RecordStream, record []byte) (uint64, error) {
	err := b.write(func() { b.records = append(b.records, bytes.Clone(record)) })
	return uint64(len(b.records)), err
}

func (b *books) ReadRecords(_ context.Context, _ eventstore.TenantID, _ eventstore.RecordStream, from uint64) iter.Seq2[eventstore.Record, error] {
	return func(yield func(eventstore.Record, error) bool) {
		for n := max(from, 1); n <= uint64(len(b.records)); n++ {
			if !yield(eventstore.Record{Number: n, Data: b.records[n-1]}, nil) {
				return
			}
		}
	}
}

func (b *books) Record(_ context.Context, _ eventstore.TenantID, e eventstore.Entry) (uint64, error) {
	err := b.write(func() { b.entries = append(b.entries, e) })
	return uint64(len(b.entries)), err
}

func (b *books) Entries(context.Context, eventstore.TenantID) iter.Seq2[eventstore.Entry, error] {
	return func(yield func(eventstore.Entry, error) bool) {
		for _, e := range b.entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// releases are those of the stream, the first of each name, and what was let expire before.
func (b *books) releases() (out []*release.Release, before time.Time) {
	if b == nil {
		return nil, before
	}
	seen := map[string]bool{}
	for _, r := range b.records {
		record, err := release.Decode(r)
		if err != nil {
			panic(err)
		}
		if record.Expired != nil {
			before = record.Expired.Before
			continue
		}
		if name := record.Release.Projection + record.Release.Period.String(); !seen[name] {
			seen[name] = true
			out = append(out, record.Release)
		}
	}
	return out, before
}

// closed says in the plainest way whether nothing of an instant is counted for a projection in a period that is open.
func (b *books) closed(projection string, period eventstore.Period, at time.Time) bool {
	all, before := b.releases()
	if !before.IsZero() && !period.Next().Date().After(before) {
		return true
	}
	for _, r := range all {
		if r.Projection != projection || r.Period.Kind != period.Kind {
			continue
		}
		zone, err := time.LoadLocation(r.Zone)
		if err != nil {
			panic(err)
		}
		from, to := begin(r.Period, zone), begin(r.Period.Next(), zone)
		if r.Period == period || !at.Before(from) && at.Before(to) {
			return true
		}
	}
	return false
}

// audit: every release is in the ledger, no period was released twice with different figures, and no budget is overspent nor charged twice for one thing.
func (b *books) audit(t testing.TB, s Settings) {
	t.Helper()
	hashes := map[[32]byte]bool{}
	charged, spent := map[eventstore.ScopeCode]int{}, map[string]release.Epsilon{}
	for _, e := range b.entries {
		switch e.Act {
		case eventstore.ActReleased:
			hashes[[32]byte(e.Subject)] = true
		case eventstore.ActBudgetCharged:
			charged[e.Scope]++
			spent[year(e.Scope)] += release.Epsilon(e.Count)
		}
	}
	for what, n := range charged {
		if n > 1 {
			t.Errorf("%s was charged %d times", what, n)
		}
	}
	for y, e := range spent {
		if e > s.Budget {
			t.Errorf("%s lost ε %s of %s", y, e, s.Budget)
		}
	}
	first := map[string][]byte{}
	for _, record := range b.records {
		r, err := release.Decode(record)
		if err != nil {
			t.Fatal(err)
		}
		if r.Release == nil {
			continue
		}
		if !hashes[release.Hash(record)] {
			t.Errorf("the release of %s is not in the ledger", r.Release.Period)
		}
		name := r.Release.Projection + " " + r.Release.Period.String()
		if before, again := first[name]; again && !bytes.Equal(before, record) {
			t.Errorf("%s was released twice with different figures", name)
		}
		first[name] = record
		noised := r.Release.Rules.Epsilon > 0 && r.Release.Withheld != release.WithheldBudget
		if n := charged[scope(r.Release.Projection, r.Release.Period)]; noised != (n == 1) {
			t.Errorf("%s was charged %d times", name, n)
		}
	}
}

// closeNow closes what asked says, as a runner between two batches does.
func (r *runner) closeNow(asked func(eventstore.Period) bool) error {
	if err := r.round(); err != nil {
		return err
	}
	err := r.p.closeDue(context.Background(), r.t, r.cache, asked)
	if err != nil {
		r.t.known = false
	}
	return err
}

// closeAll closes everything that has ended, whatever fails on the way, up to some tries.
func (r *runner) closeAll(t testing.TB) {
	t.Helper()
	for range 10 {
		err := r.closeNow(func(eventstore.Period) bool { return true })
		if err == nil {
			return
		}
		if !errors.Is(err, eventstore.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	t.Fatal("periods do not close")
}

// rebuild brings the rows that are made anew on by some messages, beginning if there are none; the outcome is left to the law.
func (r *runner) rebuild(t testing.TB, some int) {
	t.Helper()
	ctx := context.Background()
	err := r.p.findShadow(ctx, r.t)
	if err == nil {
		err = r.p.beginShadow(ctx, r.t)
	}
	if err == nil {
		s := r.t.shadow
		s.known = false
		if err = r.p.countUpTo(ctx, s.tenant, s.cache, some); err == nil && s.position.Load() >= r.t.position.Load() {
			r.t, r.cache, err = r.p.rebuildOn(ctx, r.t, r.cache)
		}
	}
	if err != nil && !errors.Is(err, eventstore.ErrFenced) && !errors.Is(err, eventstore.ErrUnavailable) {
		t.Fatal(err)
	}
}
