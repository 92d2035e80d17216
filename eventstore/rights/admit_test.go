package rights

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// bar erases a person and has their handles refused for long.
func (w *world) bar(p eventstore.PersonID) {
	w.t.Helper()
	r := asked
	r.RefuseFor = 300 * 24 * time.Hour
	_, err := w.service().Erase(context.Background(), tenant, dpo, p, r)
	w.must(err)
}

func (w *world) refuses(handle string) bool {
	w.t.Helper()
	w.later(48 * time.Hour) // past the refusal of what is older than an erasure
	_, err := w.try(handle, "I am back")
	if err != nil && !errors.Is(err, eventstore.ErrErased) {
		w.t.Fatal(err)
	}
	return err != nil
}

// TestAdmit: whoever was refused comes back with all their handles; the ledger has the act before it, by a reference and without a handle. Without the
// entry nothing is lifted.
func TestAdmit(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.bar(w.a)
	w.bar(w.c)
	s := w.service()
	back := []eventstore.Identity{identity("web:visitor-77")}
	var until time.Time
	for _, e := range w.ledger.of(eventstore.ActErased) {
		if until = e.Until; until.Sub(e.Time) < 299*24*time.Hour {
			t.Errorf("the ledger says that handles are refused until %v", e.Until)
		}
	}
	w.ledger.fail = eventstore.ErrUnavailable
	if _, err := s.Admit(ctx, tenant, support, back, ""); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("without a ledger: %v", err)
	}
	w.ledger.fail = nil
	if !w.refuses("web:visitor-77") {
		t.Error("it was lifted without an entry")
	}
	if _, err := s.Admit(ctx, tenant, support, back, "curiosity"); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("for no reason: %v", err)
	}
	done, err := s.Admit(ctx, tenant, support, back, eventstore.ReasonPersonRequest)
	if err != nil || done.Handles != 2 {
		t.Errorf("admitted %d handles, %v; want 2", done.Handles, err)
	}
	if w.refuses("web:visitor-77") || w.refuses("email:alice@example.com") {
		t.Error("who was admitted is refused")
	}
	if !w.refuses("email:carol@example.com") {
		t.Error("somebody else was admitted")
	}
	if _, err := s.Admit(ctx, tenant, support, back, ""); !errors.Is(err, eventstore.ErrNotFound) {
		t.Errorf("once more: %v", err)
	}
	entries := w.ledger.of(eventstore.ActAdmitted)
	if len(entries) != 2 || len(entries[0].References) != 1 || entries[0].Token != support.Token || len(entries[1].References) != 0 {
		t.Errorf("the ledger says %+v", entries)
	}
}

// TestReapplyRefusals: a longer refusal comes back with the erasure that is applied again, unless it was lifted since; one from before the backup is lifted if it
// was; one of somebody who came after the backup cannot come back, and is counted.
func TestReapplyRefusals(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	for _, name := range []string{"early", "early-back", "later", "later-back"} {
		w.append("web:"+name, "hello")
	}
	erase := func(names ...string) {
		for _, name := range names {
			p, err := w.keys.Resolve(ctx, tenant, identity("web:"+name))
			w.must(err)
			w.bar(p)
		}
	}
	admit := func(name string) {
		_, err := w.service().Admit(ctx, tenant, support, []eventstore.Identity{identity("web:" + name)}, "")
		w.must(err)
	}
	erase("early", "early-back")
	backup := w.keys.Clone()
	w.append("web:late", "hello")
	w.append("web:late-back", "hello")
	erase("later", "later-back", "late", "late-back")
	w.bar(w.b) // and a, with them
	for _, name := range []string{"early-back", "later-back", "late-back"} {
		admit(name)
	}
	r := w.restored(backup)
	for i := range 2 {
		report, err := r.service().Reapply(ctx, tenant, w.ledger.from())
		if err != nil || report.Refusals != 3 || report.RefusalsLost != 1 {
			t.Errorf("time %d: %+v, %v; want 3 refusals and 1 lost", i, report, err)
		}
	}
	for handle, want := range map[string]bool{"web:early": true, "web:early-back": false, "web:later": true, "web:later-back": false, "web:late": false, "web:late-back": false,
		"email:alice@example.com": true, "web:visitor-77": true, "email:carol@example.com": false} {
		if got := r.refuses(handle); got != want {
			t.Errorf("%s is refused: %v, want %v", handle, got, want)
		}
	}
}
