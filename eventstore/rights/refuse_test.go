package rights

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

func TestParseRefuseFor(t *testing.T) {
	for s, want := range map[string]time.Duration{"": 0, "1d": 24 * time.Hour, "365d": 365 * 24 * time.Hour, "732d": eventstore.MaxRefusal} {
		if got, err := ParseRefuseFor(s); got != want || err != nil {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"0d", "733d", "99999d", "1", "d", "-1d", "+1d", "1h", "1.5d", " 1d"} {
		if got, err := ParseRefuseFor(s); !errors.Is(err, eventstore.ErrInvalid) || got != 0 {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

// TestEraseRefusesForLonger: whatever write of an erasure fails or is its last before a crash, its handles are refused until the moment that was
// counted from the request, and admitted from then on; another erasure's are not refused.
func TestEraseRefusesForLonger(t *testing.T) {
	for _, m := range []mode{{false, false}, {true, true}} {
		for k := 0; ; k++ {
			w := newWorld(t)
			ctx := context.Background()
			w.f.armed, w.f.at, w.f.n, w.f.mode = k > 0, k, 0, m
			r := asked
			r.RefuseFor = 48 * time.Hour
			began := w.now()
			s := w.service()
			e, err := s.Erase(ctx, tenant, dpo, w.a, r)
			hit := w.f.n >= k
			w.f.armed, w.f.dead = false, false
			if err != nil {
				w.later(time.Minute)
				s = w.service()
				w.must(s.Resume(ctx, tenant))
				if e, err = s.Erase(ctx, tenant, dpo, w.a, r); err != nil { // withdrawn: asked for again
					t.Fatalf("write %d: again: %v", k, err)
				}
			}
			if until := e.RefusedUntil.Sub(began); until < r.RefuseFor || until > r.RefuseFor+2*time.Minute {
				t.Errorf("write %d: refused for %v", k, until)
			}
			if got, err := s.Erasure(ctx, tenant, e.ID); err != nil || !got.RefusedUntil.Equal(e.RefusedUntil) {
				t.Errorf("write %d: the register says %v: %v", k, got.RefusedUntil, err)
			}
			w.later(e.RefusedUntil.Sub(w.now()) - time.Second)
			if _, err := w.try("email:alice@example.com", "I am back"); !errors.Is(err, eventstore.ErrErased) {
				t.Errorf("write %d: a second before its end: %v", k, err)
			}
			w.later(2 * time.Second)
			if _, err := w.try("email:alice@example.com", "I am back"); err != nil {
				t.Errorf("write %d: after its end: %v", k, err)
			}
			if k > 0 && !hit {
				break
			}
		}
	}
	w := newWorld(t)
	r := asked
	r.RefuseFor = eventstore.MaxRefusal + 1
	if _, err := w.service().Erase(context.Background(), tenant, dpo, w.a, r); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("for too long: %v", err)
	}
	r.RefuseFor, r.Scope = time.Hour, eventstore.Scope{Before: "2026-01-31"}
	if _, err := w.service().Erase(context.Background(), tenant, dpo, w.a, r); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("for a part: %v", err)
	}
}
