package rights

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

const twoYears = 730 * 24 * time.Hour

// oldWorld is a world two years later: a and b were silent since, c spoke again, the person returned is on hold.
func oldWorld(t testing.TB) (*world, eventstore.PersonID) {
	w := newWorld(t)
	held := w.append("email:dora@example.com", "a claim")
	w.hold(held, true)
	w.later(twoYears + 20*24*time.Hour)
	w.append("email:carol@example.com", "it is me again")
	return w, held
}

// aging is a service that lets events expire.
func (w *world) aging() *Service {
	s := w.service()
	s.c.Settle = time.Nanosecond
	s.c.Retention = func(eventstore.TenantID) (time.Duration, error) { return twoYears, nil }
	return s
}

// count is how many messages of a person are stored.
func (w *world) count(p eventstore.PersonID) uint64 {
	w.t.Helper()
	n, err := w.log.Count(context.Background(), tenant, p)
	w.must(err)
	return n
}

var november = eventstore.KeyMonthOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))

// expired checks everything that a completed run must leave.
func (w *world) expired(s *Service, held eventstore.PersonID) {
	w.t.Helper()
	ctx := context.Background()
	e, err := s.Expiry(ctx, tenant)
	w.must(err)
	if _, done := e.Stages[Completed]; !done || e.Before != "2026-12-01" || e.Spared != 1 {
		w.t.Errorf("the run is %+v", e)
	}
	if entries := w.ledger.of(eventstore.ActExpired); len(entries) == 0 || entries[0].Before != november+1 || entries[0].Token != eventstore.TokenSystem {
		w.t.Errorf("the ledger says %+v", entries)
	}
	if m, err := w.keys.Expired(ctx, tenant); m != november+1 || err != nil {
		w.t.Errorf("the vault says %v, %v", m, err)
	}
	for _, p := range []eventstore.PersonID{w.a, w.b} {
		if _, err := w.keys.Gate(ctx, tenant, p); !errors.Is(err, eventstore.ErrErased) || w.count(p) != 0 {
			w.t.Errorf("of a silent person %d messages are left, %v", w.count(p), err)
		}
	}
	if w.count(w.c) != 1 || w.count(held) != 1 {
		w.t.Errorf("of who spoke again %d messages are left, of who is on hold %d", w.count(w.c), w.count(held))
	}
	if set, err := w.keys.Linked(ctx, tenant, w.c); err != nil || len(set[0].Months) != 1 {
		w.t.Errorf("who spoke again: %v, %v", set, err)
	}
	w.must(w.reads(held, 1))
	all, err := s.Erasures(ctx, tenant)
	w.must(err)
	if len(all) != 1 || all[0].Reason != eventstore.ReasonRetention || len(all[0].Persons) != 2 {
		w.t.Errorf("erasures: %+v", all)
	}
}

// reads says whether so many events of a person open.
func (w *world) reads(p eventstore.PersonID, n int) error {
	all, err := (&stream{w.keys, w.log, w.f}).read(context.Background(), tenant, p)
	if err == nil && len(all) != n {
		err = fmt.Errorf("%d events open, want %d", len(all), n)
	}
	return err
}

// TestExpiry: what is older than retention goes, in the order ledger, stream, keys, messages, silent persons; those on hold once their hold is over.
func TestExpiry(t *testing.T) {
	w, held := oldWorld(t)
	s, ctx := w.aging(), t.Context()
	w.f.trace = nil
	w.must(s.ageTenant(ctx, tenant))
	w.expired(s, held)
	at := -1
	for _, name := range []string{"ledger expired", "announce", "expire keys", "expire messages", "ledger person-erased", "fence", "announce", "shred"} {
		next := slices.Index(w.f.trace[at+1:], name)
		if next < 0 {
			t.Fatalf("%q is not where it belongs: %v", name, w.f.trace)
		}
		at += 1 + next
	}
	// The same day, and the next: nothing to do, nothing written.
	w.f.trace = nil
	for range 2 {
		w.must(s.ageTenant(ctx, tenant))
		w.later(25 * time.Hour)
	}
	if len(w.f.trace) != 0 {
		t.Errorf("without a reason: %v", w.f.trace)
	}
	w.hold(held, false)
	w.must(s.ageTenant(ctx, tenant))
	if _, err := w.keys.Gate(ctx, tenant, held); !errors.Is(err, eventstore.ErrErased) || w.count(held) != 0 {
		t.Errorf("after the hold %d messages are left, %v", w.count(held), err)
	}
	if n := len(w.ledger.of(eventstore.ActExpired)); n != 2 {
		t.Errorf("%d ledger entries", n)
	}
}

// TestExpiryFaults: whatever write goes wrong, however, the run is completed by those that follow, and nothing goes before the ledger knows.
func TestExpiryFaults(t *testing.T) {
	for _, m := range []mode{{false, false}, {true, false}, {false, true}, {true, true}} {
		t.Run(fmt.Sprintf("stored=%v,crash=%v", m.stored, m.crash), func(t *testing.T) {
			t.Parallel()
			for k := 1; ; k++ {
				w, held := oldWorld(t)
				s, ctx := w.aging(), t.Context()
				w.f.armed, w.f.at, w.f.n, w.f.mode = true, k, 0, m
				err := s.ageTenant(ctx, tenant)
				struck := w.f.n >= k
				w.f.armed, w.f.dead = false, false
				if !struck {
					w.must(err)
					w.expired(s, held)
					if k < 18 {
						t.Errorf("only %d writes were seen", k-1)
					}
					return
				}
				if len(w.ledger.of(eventstore.ActExpired)) == 0 {
					w.must(w.reads(w.c, 4))
				}
				if m.crash {
					s = w.aging()
					w.must(s.Resume(ctx, tenant))
				}
				for range 2 {
					w.must(s.ageTenant(ctx, tenant))
					w.finish(s)
				}
				w.expired(s, held)
				if t.Failed() {
					t.Fatalf("write %d", k)
				}
			}
		})
	}
}

// TestExpiryDaily: the service does it by itself, once a day, and what is asked for at once.
func TestExpiryDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, held := oldWorld(t)
		s := w.aging()
		s.c.Poll = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.must(s.Run(ctx)) }()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.expired(s, held)
		w.later(20 * 24 * time.Hour) // December is over two years ago
		w.later(20 * 24 * time.Hour)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if m, err := w.keys.Expired(ctx, tenant); m != november+2 || err != nil {
			t.Errorf("a month later: %v, %v", m, err)
		}
		e, err := s.Expire(ctx, tenant, dpo, november+10)
		if err != nil || e.Before != "2027-09-01" || len(e.Stages) != 1 {
			t.Errorf("asked: %+v, %v", e, err)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if e, err = s.Expiry(ctx, tenant); err != nil || e.Stages[Completed].IsZero() {
			t.Errorf("at once: %+v, %v", e, err)
		}
		if _, err := s.Expire(ctx, tenant, dpo, november+24); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("what is to be kept: %v", err)
		}
		cancel()
		<-done
	})
}

// TestSilentSpeaks: whoever is about to be erased because nothing is left, and speaks at that moment, is not.
func TestSilentSpeaks(t *testing.T) {
	w, _ := oldWorld(t)
	s, ctx := w.aging(), t.Context()
	s.c.Keys = &speaking{Keys: s.c.Keys, speak: func() { w.append("web:visitor-77", "hello again") }}
	w.must(s.ageTenant(ctx, tenant))
	w.must(w.reads(w.b, 1))
	if _, err := w.keys.Gate(ctx, tenant, w.a); err != nil {
		t.Errorf("the rest of the linked set: %v", err)
	}
	if len(w.ledger.of(ActErasureRefused)) != 1 {
		t.Error("the ledger does not say that nothing was erased")
	}
	if all, err := s.Erasures(ctx, tenant); err != nil || len(all) != 0 {
		t.Errorf("erasures: %v, %v", all, err)
	}
	e, err := s.Erase(ctx, tenant, dpo, w.a, asked) // nothing is in its way
	if err != nil || len(e.Persons) != 2 {
		t.Errorf("%+v, %v", e, err)
	}
}

// speaking lets somebody speak in the last moment before a fence.
type speaking struct {
	eventstore.Keys
	speak func()
}

func (k *speaking) Fence(ctx context.Context, t eventstore.TenantID, p []eventstore.PersonID) ([]eventstore.Member, error) {
	if k.speak != nil {
		k.speak()
		k.speak = nil
	}
	return k.Keys.Fence(ctx, t, p)
}

// TestExpiryIsSaid: whoever reads a person of whom retention took something is told before which day, in every answer, also in the written copy; of others,
// and of who is on hold, nothing of the kind is said.
func TestExpiryIsSaid(t *testing.T) {
	w, held := oldWorld(t)
	s, ctx := w.aging(), t.Context()
	fresh := w.append("email:frida@example.com", "hello")
	says := func(p eventstore.PersonID, want string) {
		t.Helper()
		shown, err := s.Show(ctx, tenant, dpo, p)
		w.must(err)
		found, err := s.Lookup(ctx, tenant, dpo, shown.Identities)
		w.must(err)
		read, err := s.Transcript(ctx, tenant, dpo, p, eventstore.ReadOptions{})
		w.must(err)
		d, err := s.Export(ctx, tenant, dpo, p)
		w.must(err)
		var b bytes.Buffer
		w.must(s.ExportTo(ctx, &b, tenant, dpo, p))
		var written Document
		w.must(json.Unmarshal(b.Bytes(), &written))
		for _, got := range []string{shown.ExpiredBefore, found[0].ExpiredBefore, read.ExpiredBefore, d.ExpiredBefore, written.ExpiredBefore} {
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		if bytes.Contains(b.Bytes(), []byte("expired_before")) != (want != "") {
			t.Errorf("the copy says it: %v", want == "")
		}
	}
	for _, p := range []eventstore.PersonID{w.c, held, fresh} {
		says(p, "")
	}
	w.must(s.ageTenant(ctx, tenant))
	says(w.c, "2026-12-01")
	says(held, "")
	says(fresh, "")
	// A linked set says what any of it lost.
	w.must(w.keys.Link(ctx, tenant, w.c, fresh))
	says(fresh, "2026-12-01")
	w.append("email:dora@example.com", "is it settled?")
	w.hold(held, false)
	w.must(s.ageTenant(ctx, tenant))
	w.later(25 * time.Hour)
	w.must(s.ageTenant(ctx, tenant))
	says(held, "2026-12-01")
}
