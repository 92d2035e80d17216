package endtoend

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/logtest"
	"github.com/oubli-store/oubli/projections"
)

const shop eventstore.TenantID = "shop"

// follow runs projections over a store until they have passed what is committed, and returns their cells.
func follow(t rapid.TB, dir string, c projections.Config) map[string][]projections.ExactCell {
	c.Dir = dir
	p, err := projections.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, shop) }()
	committed, err := c.Store.Committed(ctx, shop)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); p.Passed(shop) < committed; {
		if time.Now().After(deadline) {
			t.Fatal("the projections stand still")
		}
		time.Sleep(100 * time.Microsecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	out := map[string][]projections.ExactCell{}
	d, err := p.Dictionary(context.Background(), shop)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range d.Tables {
		if out[table.Name], err = projections.Exact(p, shop, table.Name); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLawOverStore is the law over [eventstore.Store] itself: appends that link visitors who log in, and erasures in the machine's order.
func TestLawOverStore(t *testing.T) {
	base := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		ctx, keys := context.Background(), keystest.New()
		store := eventstore.New(eventstore.Config{Keys: keys, Log: logtest.New(), Door: door.New(door.Rules{})})
		must := func(err error) {
			rt.Helper()
			if err != nil {
				rt.Fatal(err)
			}
		}
		must(keys.CreateTenant(ctx, shop))
		must(store.Open(ctx, shop, true))
		c := projections.Config{Store: store, Keys: keys}
		dir := filepath.Join(base, fmt.Sprint("live", runs))
		var persons []eventstore.PersonID
		for i := range rapid.IntRange(1, 25).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				follow(rt, dir, c)
			case 1:
				if len(persons) > 0 {
					erase(rt, ctx, keys, store, persons[rapid.IntRange(0, len(persons)-1).Draw(rt, "erased")])
				}
			default:
				e := eventstore.Event{
					Key: fmt.Sprint("key", i), Type: eventstore.TypeMessage, Author: eventstore.AuthorUser, Conversation: "c", Text: "text", Language: "fr",
					Identity: &eventstore.Identity{Namespace: "web", ID: fmt.Sprint("visitor", rapid.IntRange(0, 4).Draw(rt, "visitor"))},
					Intent:   &eventstore.Intent{Name: "order", Confidence: 0.5},
				}
				if rapid.Bool().Draw(rt, "logs in") {
					e.Also = []eventstore.Identity{{Namespace: "email", ID: fmt.Sprintf("person%d@example.com", rapid.IntRange(0, 2).Draw(rt, "login"))}}
				}
				receipt, err := store.Append(ctx, eventstore.Caller{Tenant: shop, Bot: "shop"}, e)
				if errors.Is(err, eventstore.ErrErased) {
					continue // It came within the millisecond of the erasure.
				}
				must(err)
				persons = append(persons, receipt.Person)
			}
		}
		live := follow(rt, dir, c)
		rebuilt := follow(rt, filepath.Join(base, fmt.Sprint("fresh", runs)), c)
		if !reflect.DeepEqual(live, rebuilt) {
			rt.Fatalf("incremental %v\nrebuilt %v", live, rebuilt)
		}
	})
}

func erase(t *rapid.T, ctx context.Context, keys *keystest.Fake, store *eventstore.Store, id eventstore.PersonID) {
	members, err := keys.Fence(ctx, shop, []eventstore.PersonID{id})
	if err != nil {
		t.Fatal(err)
	}
	e := eventstore.PersonEvent{Kind: eventstore.PersonErased}
	var months []eventstore.KeyMonth
	for _, m := range members {
		e.Persons = append(e.Persons, m.Person)
		months = append(months, m.Months...)
	}
	if len(e.Persons) == 0 {
		return
	}
	periods := eventstore.PeriodsOf(months)
	marks, err := keys.FencedPeriodMarks(ctx, shop, id, periods)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range marks {
		e.Marks = append(e.Marks, eventstore.PeriodMark{Period: periods[i], Mark: m})
	}
	if _, err := store.Announce(ctx, shop, e); err != nil {
		t.Fatal(err)
	}
	if err := keys.Shred(ctx, shop, e.Persons, eventstore.ShredOptions{}); err != nil {
		t.Fatal(err)
	}
}
