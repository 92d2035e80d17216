package sample

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"github.com/oubli-store/oubli/eventstore"
)

func collect(g *Generator) (events []eventstore.Event) {
	for e := range g.Events() {
		events = append(events, e)
	}
	return events
}

func TestEqualOptionsGiveEqualEvents(t *testing.T) {
	a := collect(New(Options{Seed: 5, Events: 3000}))
	b := collect(New(Options{Seed: 5, Events: 3000}))
	if len(a) != 3000 || !reflect.DeepEqual(a, b) {
		t.Fatalf("two runs of %d and %d events differ", len(a), len(b))
	}
	if reflect.DeepEqual(a, collect(New(Options{Seed: 6, Events: 3000}))) {
		t.Error("another seed gives the same events")
	}
	if more := collect(New(Options{Seed: 5, Persons: 90})); len(more) < 90*perPerson*4 {
		t.Errorf("90 persons without a number of events: %d events", len(more))
	}
}

var (
	testDomain = regexp.MustCompile(`^[a-z]+\.[a-z]+\d+@example\.(com|org|net|fr)$`)
	namespaces = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
)

func TestEventsAreWithinTheContract(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	g := New(Options{Seed: 2, Events: 40_000, Start: start, Days: 60})
	keys := map[string]bool{}
	last := map[eventstore.ConversationID]time.Time{}
	types := map[eventstore.EventType]int{}
	languages := map[string]int{}
	variables := regexp.MustCompile(`[{}]`)
	for e := range g.Events() {
		if keys[e.Key] || e.Key == "" || len(e.Key) > eventstore.MaxIdempotencyKey {
			t.Fatal("an idempotency key is missing, long or used twice")
		}
		keys[e.Key] = true
		if err := e.Check(); err != nil {
			t.Fatal(err)
		}
		types[e.Type]++
		languages[e.Language]++
		if e.Time.Before(last[e.Conversation]) {
			t.Fatal("time goes back within a conversation")
		}
		last[e.Conversation] = e.Time
		if e.Time.Before(start) || e.Time.After(start.AddDate(0, 0, 61)) {
			t.Fatal("an event lies outside of the days")
		}
		if e.Conversation == "" || e.Bot == "" || e.BotVersion == "" || e.Channel == "" {
			t.Fatal("a field is missing")
		}
		if !utf8.ValidString(e.Text) || variables.MatchString(e.Text) {
			t.Fatalf("a variable was left in %q", e.Text)
		}
		for _, id := range append(e.Also, *e.Identity) {
			checkIdentity(t, id)
		}
		runes := []rune(e.Text)
		for _, n := range e.Entities {
			if string(runes[n.Start:n.End]) != n.Value {
				t.Fatalf("an entity is %q and not %q", string(runes[n.Start:n.End]), n.Value)
			}
		}
		if e.Channel == "voice" && strings.ContainsFunc(e.Text, func(r rune) bool { return r > 0xffff }) {
			t.Fatalf("somebody speaks an emoji: %q", e.Text)
		}
	}
	for _, want := range []eventstore.EventType{"message", "slot", "handoff", "feedback", "consent", "notice", "conversation"} {
		if types[want] == 0 {
			t.Errorf("no %s in the sample", want)
		}
	}
	if fr := float64(languages["fr"]) / 40_000; fr < 0.55 || fr > 0.8 {
		t.Errorf("French is %.2f of the events", fr)
	}
}

func checkIdentity(t *testing.T, id eventstore.Identity) {
	t.Helper()
	if !namespaces.MatchString(id.Namespace) || id.ID == "" || len(id.ID) > eventstore.MaxIdentity {
		t.Fatalf("bad identity %s:%s", id.Namespace, id.ID)
	}
	switch id.Namespace {
	case "email":
		if !testDomain.MatchString(id.ID) {
			t.Fatalf("%s is not at an example domain", id.ID)
		}
	case "phone":
		n, err := phonenumbers.Parse(id.ID, "")
		if err != nil || !phonenumbers.IsValidNumber(n) || phonenumbers.Format(n, phonenumbers.E164) != id.ID {
			t.Fatalf("%s is not a number in E.164", id.ID)
		}
	}
}

func TestPhoneNumbersAreDistinct(t *testing.T) {
	for language, n := range []int{len(frenchNumbers) * 10_000, len(englishNumbers) * 1_000} {
		seen := map[string]bool{}
		for i := range n {
			seen[phone(language, i)] = true
		}
		if len(seen) != n || seen[""] || phone(language, n) != "" {
			t.Errorf("language %d: %d numbers for %d persons", language, len(seen), n)
		}
	}
}

func TestEmailAddressesAreDistinct(t *testing.T) {
	g := New(Options{Persons: 5000})
	seen := map[string]bool{}
	for i := range 5000 {
		seen[g.person(i).email] = true
	}
	if len(seen) != 5000 {
		t.Errorf("%d addresses for 5000 persons", len(seen))
	}
}

func TestEachLanguageHasTwelveScripts(t *testing.T) {
	for i, l := range libraries() {
		if len(l.scripts) < 12 {
			t.Errorf("%s has %d scripts", languageTags[i], len(l.scripts))
		}
		if len(l.scripts[0].channels) != 5 {
			t.Errorf("the first script in %s is the fallback and must suit every channel", languageTags[i])
		}
	}
}

func TestBadScriptsAreFound(t *testing.T) {
	for _, bad := range []string{"# a x resolved web", "# a 1 resolved web\nu hello: no confidence", "# a 1 resolved web\nb: {nothing}",
		"# a 1 resolved web\nz: hello", "# a 1 resolved web\ns order nothing", "# a 1 resolved web\nf x"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was accepted", bad)
				}
			}()
			compile(bad)
		}()
	}
}

// TestDemoPerson counts the demonstration's person anew from the events.
func TestDemoPerson(t *testing.T) {
	g := New(Options{Seed: 7, Events: 20_000})
	p := g.Demo()
	if len(p.Identities) < 4 || p.Events < 30 || p.Conversations < 4 {
		t.Fatalf("the person has %d handles, %d events, %d conversations", len(p.Identities), p.Events, p.Conversations)
	}
	mine := map[eventstore.Identity]bool{}
	for _, id := range p.Identities {
		mine[id] = true
	}
	events, conversations, linked := 0, map[eventstore.ConversationID]bool{}, false
	for e := range g.Events() {
		if mine[*e.Identity] {
			events++
			conversations[e.Conversation] = true
			linked = linked || len(e.Also) > 0
		}
	}
	if events != p.Events || len(conversations) != p.Conversations || !linked {
		t.Errorf("counted %d events in %d conversations, linked %v; Demo says %d in %d", events, len(conversations), linked, p.Events, p.Conversations)
	}
}

func BenchmarkEvents(b *testing.B) {
	n := 0
	for range New(Options{Seed: 1, Events: b.N}).Events() {
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// A conversation as it reads.
func Example() {
	g := New(Options{Seed: 3, Events: 200})
	for e := range g.Events() {
		if e.Conversation == "c-6" && e.Text != "" {
			fmt.Printf("%s: %s\n", e.Author, e.Text)
		}
	}
	// Output:
	// user: Bonjour, le suivi de Y65682 n'a pas bougé depuis jeudi.
	// bot: Je suis désolé pour ce retard, Aïcha. Le transporteur a signalé un incident à Nîmes.
	// user: Je voudrais parler à quelqu'un, s'il vous plaît.
	// operator: Bonjour Aïcha, c'est Clotilde. Je reprends votre dossier Y65682 tout de suite.
	// user: Et dans combien de temps j'aurai une réponse ?
	// operator: Si rien n'a bougé sous 48 h, je vous renvoie le vélo d'appartement sans frais.
}
