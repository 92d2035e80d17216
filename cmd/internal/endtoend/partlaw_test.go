package endtoend

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/logtest"
	"github.com/oubli-store/oubli/eventstore/rights"
	"github.com/oubli-store/oubli/projections"
)

// counted is a ledger that only counts.
type counted struct{ n atomic.Uint64 }

func (c *counted) Record(context.Context, eventstore.TenantID, eventstore.Entry) (uint64, error) {
	return c.n.Add(1), nil
}

// TestLawOverRights is the law over the machine of erasures itself, with parts: what the projections say after appends, logins, erasures of conversations,
// of days and of everybody, in whatever order and wherever the projections stood, is what a rebuild says; and the events that they count are those that
// can be read.
func TestLawOverRights(t *testing.T) {
	base := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		w := newRightsWorld(rt)
		dir := filepath.Join(base, fmt.Sprint("live", runs))
		for i := range rapid.IntRange(1, 25).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				follow(rt, dir, w.c)
			case 1:
				w.erase(rt, eventstore.ScopeAll)
			case 2:
				w.erase(rt, eventstore.Scope{Bot: "shop", Conversation: eventstore.ConversationID(rapid.SampledFrom([]string{"c0", "c1"}).Draw(rt, "erased"))})
			case 3:
				w.erase(rt, eventstore.Scope{Before: time.Now().UTC().AddDate(0, 0, -rapid.IntRange(0, 3).Draw(rt, "ago")).Format(time.DateOnly)})
			case 4:
				follow(rt, dir, w.c) // what is removed, projections have passed
				w.remove(rt)
			default:
				w.say(rt, i)
			}
		}
		live := follow(rt, dir, w.c)
		rebuilt := follow(rt, filepath.Join(base, fmt.Sprint("fresh", runs)), w.c)
		if !reflect.DeepEqual(live, rebuilt) {
			rt.Fatalf("incremental %v\nrebuilt %v", live, rebuilt)
		}
		var figures uint64
		for _, cell := range live["activity"] {
			if cell.Period.Kind == eventstore.Day {
				figures += cell.Sums[1]
			}
		}
		if readable := w.readable(rt); figures != readable {
			rt.Fatalf("%d messages are counted, %d can be read", figures, readable)
		}
	})
}

// rightsWorld is the store and the machine over fakes.
type rightsWorld struct {
	keys    *keystest.Fake
	log     *logtest.Fake
	store   *eventstore.Store
	rights  *rights.Service
	c       projections.Config
	persons []eventstore.PersonID
}

func newRightsWorld(t *rapid.T) *rightsWorld {
	ctx := context.Background()
	w := &rightsWorld{keys: keystest.New(), log: logtest.New()}
	w.store = eventstore.New(eventstore.Config{Keys: w.keys, Log: w.log, Door: door.New(door.Rules{})})
	if err := errors.Join(w.keys.CreateTenant(ctx, shop), w.store.Open(ctx, shop, true)); err != nil {
		t.Fatal(err)
	}
	w.rights = rights.New(rights.Config{Keys: w.keys, Meta: w.keys, Log: w.log, Ledger: &counted{}, Store: w.store, Settle: time.Nanosecond, Poll: time.Millisecond})
	w.c = projections.Config{Store: w.store, Keys: w.keys}
	return w
}

func (w *rightsWorld) say(t *rapid.T, i int) {
	e := eventstore.Event{
		Key: fmt.Sprint("key", i), Type: eventstore.TypeMessage, Author: eventstore.AuthorUser, Text: "text", Language: "fr",
		Conversation: eventstore.ConversationID(rapid.SampledFrom([]string{"c0", "c1", "c2"}).Draw(t, "conversation")),
		Identity:     &eventstore.Identity{Namespace: "web", ID: fmt.Sprint("visitor", rapid.IntRange(0, 3).Draw(t, "visitor"))},
		Time:         time.Now().UTC().AddDate(0, 0, -rapid.IntRange(0, 4).Draw(t, "days ago")),
	}
	if rapid.Bool().Draw(t, "logs in") {
		e.Also = []eventstore.Identity{{Namespace: "email", ID: fmt.Sprintf("person%d@example.com", rapid.IntRange(0, 1).Draw(t, "login"))}}
	}
	receipt, err := w.store.Append(context.Background(), eventstore.Caller{Tenant: shop, Bot: "shop"}, e)
	if errors.Is(err, eventstore.ErrErased) {
		return // older than an erasure of its handle
	}
	if err != nil {
		t.Fatal(err)
	}
	w.persons = append(w.persons, receipt.Person)
}

func (w *rightsWorld) erase(t *rapid.T, scope eventstore.Scope) {
	if len(w.persons) == 0 {
		return
	}
	person := rapid.SampledFrom(w.persons).Draw(t, "person")
	_, err := w.rights.Erase(context.Background(), shop, rights.Actor{Token: "dpo", Role: eventstore.RoleDPO}, person,
		rights.Request{Reason: eventstore.ReasonPersonRequest, Scope: scope})
	if err != nil && !errors.Is(err, eventstore.ErrNotFound) {
		t.Fatal(err)
	}
}

// remove lets all erasures complete.
func (w *rightsWorld) remove(t *rapid.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.rights.Run(ctx) }()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		all, err := w.rights.Erasures(ctx, shop)
		if err != nil {
			t.Fatal(err)
		}
		open := 0
		for _, e := range all {
			if e.Stages[rights.Completed].IsZero() {
				open++
			}
		}
		if open == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d erasures do not complete", open)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// readable counts the messages of everybody.
func (w *rightsWorld) readable(t *rapid.T) (n uint64) {
	seen := map[eventstore.EventID]bool{}
	for _, p := range w.persons {
		for r, err := range w.store.Read(context.Background(), shop, p, eventstore.ReadOptions{}) {
			if errors.Is(err, eventstore.ErrErased) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !seen[r.ID] {
				seen[r.ID] = true
				n++
			}
		}
	}
	return n
}
