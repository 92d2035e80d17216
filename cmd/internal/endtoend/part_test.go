package endtoend

import (
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

// TestPartOfAPerson: a visitor who logs in has three conversations under two persons; one of them is erased, over the real vault and the real stream. The
// rest has the same ids, bodies and order, before and after a restart and after the removal, and a retry of it is a duplicate.
func TestPartOfAPerson(t *testing.T) {
	w := begin(t)
	alice, visitor := identity("email", "alice@example.com"), identity("web", "visitor-77")
	var receipts []eventstore.Receipt
	var sent []eventstore.Event
	say := func(id *eventstore.Identity, conversation, text string, also ...eventstore.Identity) {
		e := said(id, conversation, text)
		e.Key, e.Also = fmt.Sprint("key-", len(sent)), also
		sent, receipts = append(sent, e), append(receipts, w.append(e))
	}
	for i := range 3 {
		say(visitor, "c-1", fmt.Sprint("Où est ma commande ? ", i))
		say(alice, "c-2", fmt.Sprint("Mon médecin a dit que… ", i))
		say(visitor, "c-2", fmt.Sprint("…et j'ai peur. ", i))
		say(alice, "c-3", fmt.Sprint("Merci ! ", i))
	}
	say(alice, "c-1", "C'est encore moi.", *visitor)
	bob := w.append(said(identity("email", "bob@example.com"), "c-2", "Moi aussi, j'ai une c-2."))
	person := receipts[0].Person
	before := w.events(person)
	if len(before) != 13 {
		t.Fatalf("%d events", len(before))
	}
	kept := slices.DeleteFunc(slices.Clone(before), func(r eventstore.Recorded) bool { return r.Event.Conversation == "c-2" })
	same := func(when string) {
		t.Helper()
		got := w.events(person)
		plain := func(in []eventstore.Recorded) (out []eventstore.Recorded) {
			for _, r := range in {
				r.Sequence = 0
				out = append(out, r)
			}
			return out
		}
		if !reflect.DeepEqual(plain(got), plain(kept)) {
			t.Fatalf("%s: %d events are left, want %d", when, len(got), len(kept))
		}
		if !slices.IsSortedFunc(got, func(a, b eventstore.Recorded) int { return int(a.Sequence) - int(b.Sequence) }) {
			t.Errorf("%s: the sequences do not ascend", when)
		}
		if len(w.events(bob.Person)) != 1 {
			t.Errorf("%s: somebody else's conversation of that name is gone", when)
		}
	}
	bot := before[0].Event.Bot
	scope := eventstore.Scope{Conversation: "c-2", Bot: bot}
	ask := map[string]any{"reason": "person-request", "scope": scope}
	path := "/v1/persons/" + person.String() + "/erase"
	done := post[rights.Erasure](w, path, ask)
	if done.Scope != scope || done.ErasedEvents != 6 || done.KeptEvents != 7 || len(done.Persons) != 2 || done.Stages[rights.Shredded].IsZero() {
		t.Errorf("the answer: %+v", done)
	}
	same("superseded")
	if again := post[rights.Erasure](w, path, ask); again.ID != done.ID {
		t.Error("asked again, it is another erasure")
	}
	for i, e := range sent {
		if e.Conversation == "c-2" {
			e.Time = before[0].Received
			if status, b := w.send(e); status != http.StatusGone {
				t.Errorf("an erased event, again: status %d: %s", status, b)
			}
		} else if r := w.append(e); !r.Duplicate || r.ID != receipts[i].ID {
			t.Errorf("an event that stays, again: %+v", r)
		}
	}
	w.stop()
	w.start()
	same("restarted")
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, b := w.do(http.MethodGet, "/v1/erasures/"+done.ID, "", nil)
		var e rights.Erasure
		decode(w, b, &e)
		// The search that completes it waits for the journal: half a minute.
		if done := !e.Stages[rights.Completed].IsZero(); done || os.Getenv("OUBLI_SOAK") == "" && e.RemovedMessages >= 13 && e.LeftMessages == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not complete: %+v", e)
		}
	}
	same("removed")
	if status, b := w.do(http.MethodGet, "/v1/persons/"+person.String(), "", nil); status != http.StatusOK {
		t.Errorf("show: %d", status)
	} else {
		var p rights.Person
		if decode(w, b, &p); p.Events != 7 || len(p.Persons) != 2 {
			t.Errorf("shown: %+v", p)
		}
	}
	scope.Conversation = "c-99"
	if status, b := w.sendJSON(path, map[string]any{"reason": "person-request", "scope": scope}); status != http.StatusNotFound {
		t.Errorf("a scope that nothing is in: status %d: %s", status, b)
	}
	w.erase(person)
	if got := w.status(receipts[1].Person); got != http.StatusGone {
		t.Errorf("wholly erased, the other member answers %d", got)
	}
}
