package rights

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/logtest"
)

// restored is a world that was restored from a backup of the vault alone.
func (w *world) restored(keys *keystest.Fake) *world {
	f := &faults{}
	out := &world{t: w.t, keys: keys, log: logtest.New(), f: f, ledger: &entries{f: f, fail: errors.New("a restore made a ledger entry of its own")}, clock: w.now().Add(time.Hour)}
	keys.Now, keys.Patience = out.now, time.Millisecond
	out.must(out.log.Open(context.Background(), tenant, keys.Vault(), true, nil))
	return out
}

// from yields the entries of a ledger.
func (l *entries) from() Entries {
	return func(yield func(eventstore.Entry, error) bool) {
		for _, e := range slices.Clone(l.all) {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// holds says what a vault holds of a person: erased, or months, state and refusals of consent.
func (w *world) holds(p eventstore.PersonID) string {
	set, err := w.keys.Linked(context.Background(), tenant, p)
	if errors.Is(err, eventstore.ErrErased) {
		return "erased"
	}
	w.must(err)
	for _, r := range set {
		if r.Person != p {
			continue
		}
		refused := []string{}
		for purpose, granted := range r.State.Consents {
			if !granted {
				refused = append(refused, purpose)
			}
		}
		slices.Sort(refused)
		return fmt.Sprintf("restricted %v, objected %v, hold %v, refused %v, months %v", r.State.Restricted, r.State.Objected, r.State.Hold, refused, r.Months)
	}
	return "nobody"
}

// month is the k-th month of the histories below.
func month(k int) time.Time {
	return time.Date(2024, time.Month(1+k), 10, 0, 0, 0, 0, time.UTC)
}

// past is a world with six persons who spoke in three months; the first two are linked, and so are the next two.
func past(t testing.TB) (*world, []eventstore.PersonID) {
	w := newWorld(t)
	var all []eventstore.PersonID
	for i := range 6 {
		for k := range 3 {
			w.clock = month(k)
			p := w.append(fmt.Sprintf("web:visitor-%d", i), "hello")
			if k == 0 {
				all = append(all, p)
			}
		}
	}
	for _, i := range []int{0, 2} {
		w.must(w.keys.Link(context.Background(), tenant, all[i], all[i+1]))
	}
	w.clock = month(8)
	return w, all
}

// answer does what the store does with a consent event.
func (w *world) answer(p eventstore.PersonID, purpose string, granted bool) {
	ctx := context.Background()
	set, err := w.keys.Linked(ctx, tenant, p)
	w.must(err)
	act := eventstore.ActConsentWithdrawn
	if granted {
		act = eventstore.ActConsentGiven
	}
	_, err = w.ledger.Record(ctx, tenant, eventstore.Entry{Time: w.now(), Act: act, Token: "bot", Role: eventstore.RoleBot, References: references(set), Purpose: purpose})
	w.must(err)
	_, err = w.keys.Change(ctx, tenant, p, "", func(st eventstore.State) eventstore.State {
		st.Consents = maps.Clone(st.Consents)
		if st.Consents == nil {
			st.Consents = map[string]bool{}
		}
		st.Consents[purpose] = granted
		return st
	})
	w.must(err)
}

// expire does what retention does.
func (w *world) expire(k int) {
	before := eventstore.KeyMonthOf(month(k), month(k))
	_, err := w.ledger.Record(context.Background(), tenant, eventstore.Entry{Time: w.now(), Act: eventstore.ActExpired, Token: eventstore.TokenSystem, Before: before})
	w.must(err)
	_, err = w.keys.Expire(context.Background(), tenant, before, nil)
	w.must(err)
}

// TestReapply: whenever the backup was made, and whatever happened before it and since, the restored vault holds of everybody what the one that was lost held, but
// for consents that were given since: those are asked for again. Doing it again changes nothing.
func TestReapply(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w, all := past(t)
		s, ctx := w.service(), context.Background()
		steps := rapid.IntRange(1, 14).Draw(rt, "steps")
		at := rapid.IntRange(0, steps).Draw(rt, "backup")
		var backup *keystest.Fake
		given := false
		for i := range steps + 1 {
			if i == at {
				backup = w.keys.Clone()
			}
			if i == steps {
				break
			}
			p := rapid.SampledFrom(all).Draw(rt, "person")
			held := w.holds(p)
			switch step := rapid.SampledFrom([]string{"erase", "expire", "withdraw", "give", "set", "set", "set"}).Draw(rt, "step"); {
			case step == "expire":
				w.expire(rapid.IntRange(1, 3).Draw(rt, "before"))
			case held == "erased":
			case step == "erase":
				if _, err := s.Erase(ctx, tenant, dpo, p, asked); err != nil && !errors.Is(err, eventstore.ErrHold) {
					rt.Fatal(err)
				}
			case step == "withdraw" || step == "give":
				given = given || step == "give" && i >= at
				w.answer(p, rapid.SampledFrom([]string{"storage", "analytics"}).Draw(rt, "purpose"), step == "give")
			default:
				c := rapid.SampledFrom([]Change{Restrict, Unrestrict, Object, Unobject, Hold, Unhold}).Draw(rt, "change")
				if _, err := s.Set(ctx, tenant, dpo, p, c, ""); err != nil {
					rt.Fatal(err)
				}
			}
		}
		r := w.restored(backup)
		again := r.service()
		for range 2 {
			if _, err := again.Reapply(ctx, tenant, w.ledger.from()); err != nil {
				rt.Fatal(err)
			}
		}
		report, err := again.Reapply(ctx, tenant, w.ledger.from())
		if err != nil || report.Erased+report.States+uint64(report.Expired) != 0 || report.Entries != uint64(len(w.ledger.all)) {
			rt.Errorf("a third time there was something to do: %+v, %v", report, err)
		}
		for _, v := range []*world{w, r} { // the next run of retention takes what holds that are over have spared
			reached, err := v.keys.Expired(ctx, tenant)
			v.must(err)
			_, err = v.keys.Expire(ctx, tenant, reached, nil)
			v.must(err)
		}
		for i, p := range all {
			if got, want := r.holds(p), w.holds(p); got != want && !given {
				rt.Errorf("person %d of the restored vault: %s; want %s", i, got, want)
			}
		}
	})
}

// TestReapplyEveryWriteFails: a restore that is cut off at any write goes on where it was. Without OUBLI_SOAK every write fails in two of the four ways, which
// take turns.
func TestReapplyEveryWriteFails(t *testing.T) {
	ctx := context.Background()
	w, all := past(t)
	backup := w.keys.Clone()
	s := w.service()
	for _, c := range []Change{Restrict, Object} {
		if _, err := s.Set(ctx, tenant, dpo, all[2], c, ""); err != nil {
			t.Fatal(err)
		}
	}
	w.answer(all[3], "storage", false)
	if _, err := s.Set(ctx, tenant, dpo, all[4], Hold, ""); err != nil {
		t.Fatal(err)
	}
	w.expire(2)
	if _, err := s.Erase(ctx, tenant, dpo, all[0], asked); err != nil {
		t.Fatal(err)
	}
	if got := w.holds(all[4]); len(got) == 0 || w.holds(all[0]) != "erased" {
		t.Fatal(got)
	}
	for _, m := range []mode{{false, false}, {true, false}, {false, true}, {true, true}} {
		k := 1
		for ; ; k++ {
			if os.Getenv("OUBLI_SOAK") == "" && (k%2 == 0) == (m.stored != m.crash) {
				continue
			}
			r := w.restored(backup.Clone())
			r.f.armed, r.f.at, r.f.mode = true, k, m
			_, err := r.service().Reapply(ctx, tenant, w.ledger.from())
			struck := r.f.n >= k
			if err != nil && !struck { // a write that has nothing to do any more is not struck
				t.Errorf("write %d (%+v): %v", k, m, err)
			}
			r.f.armed, r.f.dead = false, false
			again := r.service()
			if err := again.Resume(ctx, tenant); err != nil {
				t.Errorf("write %d (%+v): Resume: %v", k, m, err)
			}
			if _, err := again.Reapply(ctx, tenant, w.ledger.from()); err != nil {
				t.Errorf("write %d (%+v): Reapply again: %v", k, m, err)
			}
			for i, p := range all {
				if got, want := r.holds(p), w.holds(p); got != want {
					t.Errorf("write %d (%+v): person %d: %s; want %s", k, m, i, got, want)
				}
			}
			if rows, _, err := again.rows(ctx, tenant); err != nil || len(rows) != 1 || !rows[0].Again || rows[0].Entry == 0 {
				t.Errorf("write %d (%+v): %d erasures, %v", k, m, len(rows), err)
			}
			r.finish(again)
			if rows, _, _ := again.rows(ctx, tenant); len(rows) == 1 && !rows[0].reached(Completed) {
				t.Errorf("write %d (%+v): the erasure is not completed", k, m)
			}
			if !struck || t.Failed() {
				break
			}
		}
		if k < 12 {
			t.Errorf("only %d writes were seen", k-1)
		}
	}
}

// TestReapplyPart: a reference names a record, so whoever lost a part since the backup is erased wholly, and counted.
func TestReapplyPart(t *testing.T) {
	ctx := context.Background()
	w, all := past(t)
	backup := w.keys.Clone()
	set, err := w.keys.Linked(ctx, tenant, all[0])
	w.must(err)
	for _, e := range []eventstore.Entry{
		{Act: eventstore.ActErased, References: references(set), Scope: eventstore.ScopeCodeConversation, Reason: eventstore.ReasonPersonRequest},
		{Act: eventstore.ActErased, References: []eventstore.LedgerReference{{1}}, Scope: eventstore.ScopeCodeAll},
	} {
		_, err := w.ledger.Record(ctx, tenant, e)
		w.must(err)
	}
	r := w.restored(backup)
	report, err := r.service().Reapply(ctx, tenant, w.ledger.from())
	if err != nil || report.Erased != 2 || report.Whole != 2 || r.holds(all[1]) != "erased" || r.holds(all[2]) == "erased" {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestReapplyRefuses: an entry that does not name its records cannot be carried out, and an error of the ledger ends it before anything is done.
func TestReapplyRefuses(t *testing.T) {
	w, all := past(t)
	set, err := w.keys.Linked(context.Background(), tenant, all[0])
	w.must(err)
	erased := eventstore.Entry{Act: eventstore.ActErased, References: references(set), Count: 2}
	for name, entries := range map[string]Entries{
		"not named": func(yield func(eventstore.Entry, error) bool) {
			_ = yield(erased, nil) && yield(eventstore.Entry{Act: eventstore.ActErased, Count: 3}, nil)
		},
		"damaged": func(yield func(eventstore.Entry, error) bool) {
			_ = yield(erased, nil) && yield(eventstore.Entry{}, eventstore.ErrDamaged)
		},
	} {
		if _, err := w.service().Reapply(context.Background(), tenant, entries); !errors.Is(err, eventstore.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if w.holds(all[0]) == "erased" {
			t.Errorf("%s: something was done", name)
		}
	}
}

// TestReapplyOverWork: whatever was under way when the backup was made, the ledger decides.
func TestReapplyOverWork(t *testing.T) {
	ctx := context.Background()
	for name, work := range map[string]func(s *Service, p eventstore.PersonID) error{
		"a part": func(s *Service, p eventstore.PersonID) error {
			_, err := s.Erase(ctx, tenant, dpo, p, Request{Reason: eventstore.ReasonPersonRequest, Scope: eventstore.Scope{Before: "2024-02-01"}})
			return err
		},
		"everything": func(s *Service, p eventstore.PersonID) error {
			_, err := s.Erase(ctx, tenant, dpo, p, asked)
			return err
		},
		"a restriction": func(s *Service, p eventstore.PersonID) error {
			_, err := s.Set(ctx, tenant, dpo, p, Restrict, "")
			return err
		},
	} {
		for k := 1; ; k++ {
			w, all := past(t)
			w.f.armed, w.f.at, w.f.n, w.f.mode = true, k, 0, mode{stored: true, crash: true}
			_ = work(w.service(), all[0])
			struck := w.f.n >= k
			w.f.armed, w.f.dead = false, false
			backup := w.keys.Clone()
			entered := len(w.ledger.of(eventstore.ActErased)) > 0
			if name != "a part" { // it cannot be completed without the real store
				s := w.service()
				w.must(s.Resume(ctx, tenant))
				if _, err := s.Set(ctx, tenant, dpo, all[0], Unrestrict, ""); err != nil && !errors.Is(err, eventstore.ErrErased) {
					t.Fatal(err)
				}
			}
			r := w.restored(backup)
			again := r.service()
			if _, err := again.Reapply(ctx, tenant, w.ledger.from()); err != nil {
				t.Fatalf("%s, write %d: %v", name, k, err)
			}
			r.must(again.Resume(ctx, tenant))
			r.passed = 1 << 40 // the sequences are those of the other world's stream
			for range 2 {
				r.later(time.Minute)
				again.pass(ctx)
			}
			for i, p := range all {
				want := "erased"
				if name != "a part" || i > 1 || !entered {
					want = w.holds(p)
				}
				if got := r.holds(p); got != want {
					t.Errorf("%s, write %d: person %d: %s; want %s", name, k, i, got, want)
				}
			}
			if left := len(again.book.tenants[tenant].pending()); left != 0 {
				t.Errorf("%s, write %d: %d erasures are not completed", name, k, left)
			}
			if !struck || t.Failed() {
				break
			}
		}
	}
}
