package rights

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// stateOf is the state of every member of a linked set, which must be one.
func (w *world) stateOf(person eventstore.PersonID) eventstore.State {
	w.t.Helper()
	set, err := w.keys.Linked(context.Background(), tenant, person)
	w.must(err)
	for _, r := range set {
		if !r.State.Equal(set[0].State) {
			w.t.Fatalf("the members of a set differ: %+v, %+v", r.State, set[0].State)
		}
	}
	return set[0].State
}

func TestSet(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	w.must(s.Resume(ctx, tenant))
	for _, c := range []struct {
		change Change
		want   Standing
		act    eventstore.Act
	}{
		{Object, Standing{State: StateObjected, Objected: true}, eventstore.ActObjected},
		{Hold, Standing{State: StateHeld, Objected: true, Hold: true}, eventstore.ActHeld},
		{Restrict, Standing{State: StateRestricted, Restricted: true, Objected: true, Hold: true}, eventstore.ActRestricted},
		{Restrict, Standing{State: StateRestricted, Restricted: true, Objected: true, Hold: true}, eventstore.ActRestricted},
		{Unobject, Standing{State: StateRestricted, Restricted: true, Hold: true}, eventstore.ActUnobjected},
		{Unhold, Standing{State: StateRestricted, Restricted: true}, eventstore.ActUnheld},
		{Unrestrict, Standing{State: StateActive}, eventstore.ActUnrestricted},
	} {
		before := len(w.ledger.of(c.act))
		got, err := s.Set(ctx, tenant, support, w.b, c.change, eventstore.ReasonPersonRequest)
		w.must(err)
		c.want.Person, c.want.Persons = w.b, got.Persons
		if fmt.Sprint(got) != fmt.Sprint(c.want) || len(got.Persons) != 2 {
			t.Errorf("%s: %+v, want %+v", c.change, got, c.want)
		}
		st := w.stateOf(w.a)
		if st.Restricted != c.want.Restricted || st.Objected != c.want.Objected || st.Hold != c.want.Hold {
			t.Errorf("%s: the vault says %+v", c.change, st)
		}
		entries := w.ledger.of(c.act)
		if len(entries) != before+1 || len(entries[before].References) != 2 || entries[before].Token != support.Token || entries[before].Reason != eventstore.ReasonPersonRequest {
			t.Errorf("%s: the ledger says %+v", c.change, entries)
		}
	}
	want := []eventstore.PersonEventKind{eventstore.PersonLinked, eventstore.PersonObjected, eventstore.PersonRestricted, eventstore.PersonUnobjected, eventstore.PersonUnrestricted}
	if got := w.told(w.a); !slices.Equal(got, want) {
		t.Errorf("the stream says %q, want %q", got, want)
	}
	if w.stateOf(w.c).Restricted || len(w.told(w.c)) != 0 {
		t.Error("somebody else is concerned")
	}
	if rows, err := w.keys.List(ctx, tenant, eventstore.TableStates); err != nil || len(rows) != 0 {
		t.Errorf("%d intents are left, %v", len(rows), err)
	}

	for _, bad := range []func() error{
		func() error { _, err := s.Set(ctx, tenant, dpo, w.a, "forget", ""); return err },
		func() error { _, err := s.Set(ctx, tenant, dpo, w.a, Restrict, "she asked"); return err },
	} {
		if err := bad(); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("what is no code: %v", err)
		}
	}
	if _, err := s.Set(ctx, tenant, dpo, eventstore.PersonID{1}, Restrict, ""); !errors.Is(err, eventstore.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := s.Erase(ctx, tenant, dpo, w.c, asked); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Set(ctx, tenant, dpo, w.c, Restrict, ""); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("an erased person: %v", err)
	}
}

// Every write of a change goes wrong, once failed and once failed but stored, with and without the process dying. Then it is wholly done, with entry,
// state and person event, or nothing is; and the last change that is asked for is the one that stands.
func TestEveryWriteOfAChangeFails(t *testing.T) {
	for _, m := range []mode{{false, false}, {true, false}, {false, true}, {true, true}} {
		t.Run(fmt.Sprintf("stored=%v,crash=%v", m.stored, m.crash), func(t *testing.T) {
			k := 1
			for oneFaultyChange(t, k, m) {
				k++
			}
			if k < 7 {
				t.Errorf("only %d writes were seen", k-1)
			}
		})
	}
}

func oneFaultyChange(t *testing.T, k int, m mode) (struck bool) {
	w := newWorld(t)
	ctx := context.Background()
	s := w.service()
	w.must(s.Resume(ctx, tenant))
	w.f.armed, w.f.at, w.f.n, w.f.mode = true, k, 0, m
	_, err := s.Set(ctx, tenant, dpo, w.a, Restrict, "")
	if err == nil {
		s.pass(ctx)
	}
	struck = w.f.n >= k
	w.f.armed, w.f.dead = false, false
	if m.crash {
		s = w.service()
		w.must(s.Resume(ctx, tenant))
	}
	s.pass(ctx)
	on := w.stateOf(w.a).Restricted
	if err == nil && !on {
		t.Errorf("write %d: an acknowledged change is undone", k)
	}
	if told := slices.Contains(w.told(w.b), eventstore.PersonRestricted); told != on {
		t.Errorf("write %d: restricted %v, the stream was told: %v", k, on, told)
	}
	if on && len(w.ledger.of(eventstore.ActRestricted)) == 0 {
		t.Errorf("write %d: an effect without an entry", k)
	}
	if x, y := slices.Index(w.f.trace, "ledger "+string(eventstore.ActRestricted)), slices.Index(w.f.trace, "change"); y >= 0 && (x < 0 || x > y) {
		t.Errorf("write %d: the change comes before its entry", k)
	}
	if _, err := s.Set(ctx, tenant, dpo, w.b, Unrestrict, ""); err != nil {
		t.Fatalf("write %d: asked for the opposite: %v", k, err)
	}
	s.pass(ctx)
	again := w.service()
	w.must(again.Resume(ctx, tenant))
	again.pass(ctx)
	told := w.told(w.a)
	if w.stateOf(w.a).Restricted || on && told[len(told)-1] != eventstore.PersonUnrestricted {
		t.Errorf("write %d: the last change does not stand; the stream says %q", k, told)
	}
	if owed, err := w.keys.Outbox(ctx, tenant); err != nil || len(owed) != 0 {
		t.Errorf("write %d: %d events are still owed (%v)", k, len(owed), err)
	}
	if rows, err := w.keys.List(ctx, tenant, eventstore.TableStates); err != nil || len(rows) != 0 {
		t.Errorf("write %d: %d intents are left (%v)", k, len(rows), err)
	}
	return struck && !t.Failed()
}
