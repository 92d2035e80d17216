package projections

import (
	"fmt"
	"os"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/activity"
	"github.com/oubli-store/oubli/projections/outcomes"
	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/release"
)

// crowd has many persons say one thing on one day.
func crowd(w *world, n int, intent string) (out []eventstore.PersonID) {
	for i := range n {
		p := w.mint()
		out = append(out, p)
		w.say(p, eventstore.Event{Type: eventstore.TypeMessage, Bot: "shop", Conversation: eventstore.ConversationID(fmt.Sprint(i)), Text: "text", Language: "fr",
			Intent: &eventstore.Intent{Name: intent, Confidence: 0.7}})
	}
	return out
}

// closeStory is a history of two days that are closed, with an erasure and a late event between them.
func closeStory(w *world) []func() {
	n := 12
	if w.rules.Epsilon > 0 {
		n = 80 // more than the threshold, so that there is something to be noised
	}
	var first []eventstore.PersonID
	return []func(){
		func() { first = crowd(w, n, "order") },
		func() { w.now = w.now.AddDate(0, 0, 4) },
		func() { w.erase(first[0]); crowd(w, 11, "refund") },
		func() { w.now = w.now.AddDate(0, 0, 40) },
	}
}

func noisyRules() Settings {
	return Settings{Epsilon: release.MaxEpsilon, Budget: 100 * release.MaxEpsilon, Bound: 5}
}

// TestCloseAtEveryWrite: whatever write of a close fails, done or not done, in the ledger or in the stream of releases, and with the process ending there or going on: each period is
// released once, charged once, and what is open agrees with a rebuild. With noise and without.
func TestCloseAtEveryWrite(t *testing.T) {
	for _, rules := range []Settings{{}, noisyRules()} {
		for _, persisted := range []bool{false, true} {
			for _, dies := range []bool{false, true} {
				t.Run(fmt.Sprintf("noise %v persisted %v dies %v", rules.Epsilon > 0, persisted, dies), func(t *testing.T) {
					stride := 1
					if rules.Epsilon > 0 && os.Getenv("OUBLI_SOAK") == "" {
						stride = 5
					}
					for fail := 1; everyWrite(t, rules, fail, persisted, dies); fail += stride {
					}
				})
			}
		}
	}
}

// openTwo opens the database for two models alone, one of them of conversations, so that there are fewer writes to fail.
func (w *world) openTwo(t testing.TB, fs vfs.FS) *Projections {
	t.Helper()
	p := w.open(t, fs)
	p.models = []*readmodel.Model{activity.Model, outcomes.Model}
	return p
}

// everyWrite is false once no write is left to fail.
func everyWrite(t *testing.T, rules Settings, fail int, persisted, dies bool) bool {
	w := newWorld()
	w.books, w.rules, w.k = newBooks(), rules, 10
	w.books.fail, w.books.persisted = fail, persisted
	fs := vfs.NewMem()
	p := w.openTwo(t, fs)
	r := newRunner(t, p)
	for _, step := range closeStory(w) {
		step()
		w.flush()
		w.commit()
		if err := r.closeNow(func(eventstore.Period) bool { return false }); err != nil && dies {
			closing(t, p)
			p = w.openTwo(t, fs)
			r = newRunner(t, p)
		}
		r.closeAll(t)
	}
	checkClosed(t, w, p)
	closing(t, p)
	return w.books.fail <= 0
}

func checkClosed(t *testing.T, w *world, p *Projections) {
	t.Helper()
	w.books.audit(t, w.rules)
	releases, _ := w.books.releases()
	if want := 5 * len(p.models); len(releases) != want { // two days, two weeks, one month
		t.Errorf("%d releases, want %d", len(releases), want)
	}
	if len(releases) == 0 || len(releases[0].Rows) == 0 {
		t.Error("nothing was published")
	}
	for _, m := range p.models {
		if cells, err := Exact(p, acme, m.Name); err != nil || len(cells) != 0 {
			t.Errorf("%d cells are left, %v", len(cells), err)
		}
	}
	for _, table := range append([]byte{tableCell, tablePerson, tableDraft}, openTables...) {
		if n, err := count(p.db, p.tenants[acme].key(table)); err != nil || n != 0 {
			t.Errorf("%d rows of table %c are left, %v", n, table, err)
		}
	}
	fresh := w.openTwo(t, vfs.NewMem())
	defer closing(t, fresh)
	w.catchUp(t, newRunner(t, fresh))
	for _, m := range p.models {
		for _, kind := range kinds {
			if a, b := w.released(t, p, m.Name, kind), w.released(t, fresh, m.Name, kind); !reflect.DeepEqual(a, b) || len(a) != map[eventstore.PeriodKind]int{eventstore.Day: 2, eventstore.Week: 2, eventstore.Month: 1}[kind] {
				t.Errorf("%d releases of %s, rebuilt %d", len(a), m.Name, len(b))
			}
		}
	}
}

// TestCloseCrashes: the same with a power loss at every write of the database, whatever of what was not synced survives.
func TestCloseCrashes(t *testing.T) {
	crashes := 0
	stride := 9
	if os.Getenv("OUBLI_SOAK") != "" {
		stride = 1
	}
	for k := 1; ; k += stride {
		w, mem := newWorld(), vfs.NewCrashableMem()
		w.books, w.rules, w.k = newBooks(), noisyRules(), 10
		var then *books
		steps := 0
		c := &crasher{left: k, mem: mem, keep: k * 37 % 101, atWrite: func() {
			copied := *w.books
			copied.records, copied.entries = append([][]byte(nil), w.books.records...), append([]eventstore.Entry(nil), w.books.entries...)
			then = &copied
		}}
		p := w.openTwo(t, errorfs.Wrap(mem, c))
		r := newRunner(t, p)
		story := closeStory(w)
		for _, step := range story {
			step()
			w.flush()
			w.commit()
			if err := r.closeNow(func(eventstore.Period) bool { return true }); err != nil {
				t.Fatal(err)
			}
			c.mu.Lock()
			crashed := c.copied != nil
			c.mu.Unlock()
			if steps++; crashed {
				break
			}
		}
		closing(t, p)
		if c.copied == nil {
			break
		}
		crashes++
		w.books = then
		again := w.openTwo(t, c.copied)
		r = newRunner(t, again)
		w.flush()
		w.commit()
		r.closeAll(t)
		for _, step := range story[steps:] {
			step()
			w.flush()
			w.commit()
			r.closeAll(t)
		}
		audit(t, again)
		checkClosed(t, w, again)
		closing(t, again)
	}
	if crashes < 8 {
		t.Fatalf("only %d writes were seen", crashes)
	}
	t.Logf("%d crashes", crashes)
}
