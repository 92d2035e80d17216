package endtoend

import (
	"bytes"
	"context"
	"net/http"
	"reflect"
	"sort"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/bench/corpora"
	"github.com/oubli-store/oubli/eventstore"
)

// imported is what the answer to an import says.
type imported struct {
	Imported, Duplicates int
	RefusedCount         int `json:"refused_count"`
	Complete             bool
}

func (w *world) imports(s source) (out imported) {
	w.Helper()
	status, b := w.do(http.MethodPost, "/v1/import/"+s.format+"", "application/octet-stream", bytes.NewReader(s.bytes))
	if status != http.StatusOK {
		w.Fatalf("%s: status %d: %s", s.name, status, b)
	}
	decode(w, b, &out)
	if out.RefusedCount > 0 || !out.Complete {
		w.Errorf("%s: %d refused, complete %v: %.500s", s.name, out.RefusedCount, out.Complete, b)
	}
	return out
}

// TestRealConversations takes all the real data from import to an erased person: everything that was said is stored once, an import again
// changes nothing, transcripts are what was said, and erasing the one who took part in the most dialogues touches nobody else.
func TestRealConversations(t *testing.T) {
	all := sources(t)
	w := begin(t)
	// The conversations are years old: an archive needs a retention that lets it stay.
	if status, b := w.do(http.MethodPut, "/v1/settings", "application/json", strings.NewReader(`{"retention":"36500d"}`)); status != http.StatusOK {
		t.Fatalf("the retention: status %d: %s", status, b)
	}
	total := 0
	for _, s := range all {
		first := w.imports(s)
		if first.Imported == 0 || first.Duplicates > 0 {
			t.Errorf("%s: %d imported, %d duplicates at the first time", s.name, first.Imported, first.Duplicates)
		}
		before := total
		total += first.Imported
		again := w.imports(s)
		if again.Imported != 0 || again.Duplicates != first.Imported {
			t.Errorf("%s again: %d imported, %d duplicates, want none and %d", s.name, again.Imported, again.Duplicates, first.Imported)
		}
		t.Logf("%s: %d events", s.name, total-before)
	}
	t.Logf("%d events of %d sources", total, len(all))
	said := map[string]int{}
	for _, s := range all {
		for words, n := range s.texts {
			said[words] += n
		}
	}
	stored, events := w.stored()
	if events != total {
		t.Errorf("%d events are stored, %d were imported", events, total)
	}
	for words, n := range said {
		if stored[words] != n {
			t.Errorf("something that was said %d times is stored %d times (%d characters)", n, stored[words], len(words))
		}
	}
	w.diablaTranscripts()
}

// stored counts the texts of everything in the stream, through the store, in a copy of the directory made with the server stopped.
func (w *world) stored() (texts map[string]int, events int) {
	w.Helper()
	w.stop()
	dir := copyOf(w.T, w.dir)
	w.start()
	texts = map[string]int{}
	store, closeAll := openStore(w, dir)
	defer closeAll()
	for item, err := range store.Replay(context.Background(), eventstore.DefaultTenant, 0) {
		if err != nil {
			w.Fatal(err)
		}
		if item.Event == nil {
			continue
		}
		events++
		e := item.Event.Event
		switch {
		case e.Text != "":
			texts[e.Text]++
		case e.Handoff != nil && e.Handoff.To != "": // what a live agent's system says at a handoff
			texts[e.Handoff.To]++
		}
	}
	return texts, events
}

// diablaTranscripts compares each participant's transcript with the source, then erases the busiest.
func (w *world) diablaTranscripts() {
	w.Helper()
	wrote, takes := map[string][]string{}, map[string]int{}
	for _, d := range dialogues(w.T, corpora.Dir()) {
		takes[d.french]++
		takes[d.english]++
		for _, u := range d.turns {
			writer := d.english
			if u.Language == "french" {
				writer = d.french
			}
			wrote[writer] = append(wrote[writer], u.Text)
		}
	}
	persons, before := map[string]eventstore.PersonID{}, map[string][]eventstore.Recorded{}
	var busiest string
	for number := range takes {
		p := w.person(eventstore.Identity{Namespace: "diabla", ID: number})
		if p.IsZero() {
			w.Fatal("a participant is not found")
		}
		persons[number], before[number] = p, w.events(p)
		if got := messages(before[number]); !reflect.DeepEqual(got, wrote[number]) {
			w.Errorf("participant %s: the transcript is not what was written: %d and %d messages", number, len(got), len(wrote[number]))
		}
		if takes[number] > takes[busiest] || takes[number] == takes[busiest] && number < busiest {
			busiest = number
		}
	}
	w.Logf("%d participants; erasing the one with %d dialogues and %d events", len(persons), takes[busiest], len(before[busiest]))
	w.erase(persons[busiest])
	if got := w.status(persons[busiest]); got != http.StatusGone {
		w.Errorf("the erased participant answers %d, want 410", got)
	}
	if !w.person(eventstore.Identity{Namespace: "diabla", ID: busiest}).IsZero() {
		w.Error("the erased participant is still found")
	}
	for number, p := range persons {
		if number != busiest && !reflect.DeepEqual(w.events(p), before[number]) {
			w.Errorf("participant %s changed when another was erased", number)
		}
	}
}

// messages are the texts of a transcript, in order; feedback has none.
func messages(events []eventstore.Recorded) (out []string) {
	sort.SliceStable(events, func(i, j int) bool { return events[i].Sequence < events[j].Sequence })
	for _, e := range events {
		if e.Event.Text != "" {
			out = append(out, e.Event.Text)
		}
	}
	return out
}
