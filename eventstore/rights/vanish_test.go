package rights

import (
	"context"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// TestVanish: removed is said once a search finds nothing, not before; what came in meanwhile is swept and searched for again.
func TestVanish(t *testing.T) {
	w := newWorld(t)
	s := w.service()
	ctx := context.Background()
	e, err := s.Erase(ctx, tenant, support, w.a, asked)
	w.must(err)
	look := func(search Search, stages int) {
		t.Helper()
		got, err := s.Erasure(ctx, tenant, e.ID)
		w.must(err)
		if got.Search != search || len(got.Stages) != stages || (stages == 6) != !got.Stages[Removed].IsZero() {
			t.Fatalf("the search found %q, the stages are %v; want %q and %d", got.Search, got.Stages, search, stages)
		}
	}
	turn := func() {
		w.later(time.Minute)
		s.pass(ctx)
	}
	w.catchUp()
	turn()
	look("", 4) // swept, not searched yet
	if got, _ := s.Erasure(ctx, tenant, e.ID); got.Swept.IsZero() || got.RemovedMessages == 0 {
		t.Errorf("swept at %v, %d messages", got.Swept, got.RemovedMessages)
	}
	s.pass(ctx)
	look("", 4) // too early
	for _, c := range []struct {
		left   eventstore.Traces
		search Search
	}{
		{eventstore.Traces{Journal: []eventstore.PersonID{w.b}, Files: []eventstore.PersonID{w.a}, Searched: true}, SearchJournal},
		{eventstore.Traces{Files: []eventstore.PersonID{w.b}, Searched: true}, SearchFiles},
		{eventstore.Traces{Files: []eventstore.PersonID{w.c}, Searched: true}, SearchNothing}, // somebody else
	} {
		w.log.Leave(c.left)
		turn()
		if c.search == SearchNothing {
			look(c.search, 6)
			break
		}
		look(c.search, 4)
		w.log.Leave(eventstore.Traces{Searched: true})
		s.pass(ctx)
		look(c.search, 4) // not looked at again so soon
	}

	// Files that nobody here can search: it is said.
	w.log.Leave(eventstore.Traces{})
	if e, err = s.Erase(ctx, tenant, support, w.c, asked); err != nil {
		t.Fatal(err)
	}
	w.finish(s)
	look(SearchJournalOnly, 6)
}

// TestVanishAfterCrash: another process goes on with the sweep that was done, and searches.
func TestVanishAfterCrash(t *testing.T) {
	w := newWorld(t)
	s := w.service()
	ctx := context.Background()
	e, err := s.Erase(ctx, tenant, support, w.a, asked)
	w.must(err)
	w.catchUp()
	w.later(time.Minute)
	s.pass(ctx)
	again := w.service()
	w.must(again.Resume(ctx, tenant))
	w.later(time.Minute)
	again.pass(ctx)
	if got, err := again.Erasure(ctx, tenant, e.ID); err != nil || got.Search != SearchNothing || len(got.Stages) != 6 {
		t.Errorf("%+v, %v", got, err)
	}
	if n := len(w.ledger.of(eventstore.ActErased)); n != 1 {
		t.Errorf("%d ledger entries", n)
	}
}
