package door_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/door/recognise"
)

var bot = eventstore.Caller{Tenant: eventstore.DefaultTenant, Bot: "shop"}

func message(text string, entities ...eventstore.Entity) eventstore.Event {
	return eventstore.Event{Conversation: "c-1", Type: eventstore.TypeMessage, Text: text, Entities: entities}
}

func admit(t testing.TB, d *door.Door, e eventstore.Event) eventstore.Event {
	t.Helper()
	out, err := d.Admit(bot, e, now)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func everything(t door.Treatment) map[recognise.Kind]door.Treatment {
	out := map[recognise.Kind]door.Treatment{}
	for _, k := range recognise.Kinds() {
		out[k] = t
	}
	return out
}

func TestMaskByDefault(t *testing.T) {
	d := door.New(door.Rules{})
	for text, want := range map[string]string{
		"Ma carte est 4111 1111 1111 1111 🙂":              "Ma carte est [card] 🙂",
		"IBAN FR76 3000 6000 0112 3456 7890 189":          "IBAN [iban]",
		"n° 1 84 12 76 451 089 46.":                       "n° [nir].",
		"06 12 34 56 78, alice@example.com, 192.168.1.25": "06 12 34 56 78, alice@example.com, 192.168.1.25",
	} {
		if got := admit(t, d, message(text)).Text; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	all := door.New(door.Rules{Treatments: everything(door.Mask)})
	if got := admit(t, all, message("06 12 34 56 78, alice@example.com, 192.168.1.25")).Text; got != "[phone], [email], [ip]" {
		t.Errorf("with every rule on: %q", got)
	}
	none := door.New(door.Rules{Treatments: everything(door.Off)})
	if got := admit(t, none, message("4111 1111 1111 1111")).Text; got != "4111 1111 1111 1111" {
		t.Errorf("with every rule off: %q", got)
	}
}

func TestMaskElsewhere(t *testing.T) {
	d := door.New(door.Rules{})
	e := message("x")
	e.Slot = &eventstore.Slot{Name: "card", Value: json.RawMessage(`4111111111111111`)}
	e.Data = json.RawMessage(`{"a":["4111 1111 1111 1111",{"FR7630006000011234567890189":1,"n":12.50}],"b":null,"c":"<é>"}`)
	e.Handoff = &eventstore.Handoff{Reason: "says 4111111111111111"}
	before := string(e.Data)
	got := admit(t, d, e)
	if s := string(got.Slot.Value); s != `"[card]"` {
		t.Errorf("the slot is %s", s)
	}
	if s := string(got.Data); s != `{"a":["[card]",{"[iban]":1,"n":12.50}],"b":null,"c":"<é>"}` {
		t.Errorf("data is %s", s)
	}
	if got.Handoff.Reason != "says [card]" || string(e.Data) != before || e.Handoff.Reason == got.Handoff.Reason {
		t.Errorf("the reason is %q; what was given became %s, %q", got.Handoff.Reason, e.Data, e.Handoff.Reason)
	}
	e.Data = json.RawMessage(`{"z": 1,  "a" : [ ] }`)
	if got := admit(t, d, e); string(got.Data) != string(e.Data) {
		t.Errorf("data with nothing to mask became %s", got.Data)
	}
}

// What a bot has marked once is masked in the rest of the conversation, and in no other.
func TestNames(t *testing.T) {
	d := door.New(door.Rules{})
	first := message("Je suis Élodie Martin, bonjour", eventstore.Entity{Type: "name", Value: "Élodie Martin", Start: 8, End: 21, Sensitive: true})
	got := admit(t, d, first)
	if got.Text != "Je suis [name], bonjour" || got.Entities[0] != (eventstore.Entity{Type: "name", Value: "[name]", Start: 8, End: 14, Sensitive: true}) {
		t.Errorf("%q, %+v", got.Text, got.Entities)
	}
	for text, want := range map[string]string{
		"Merci, É́lodie":                "Merci, É́lodie", // another letter
		"Bien, ÉLODIE MARTIN.":          "Bien, [name].",
		"Bien, E\u0301lodie Martin !":   "Bien, [name] !",
		"Élodie Martinez":               "Élodie Martinez",
		"L'élodie martin de la famille": "L'[name] de la famille",
	} {
		if got := admit(t, d, message(text)).Text; got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	other := message("Élodie Martin")
	other.Conversation = "c-2"
	if got := admit(t, d, other).Text; got != "Élodie Martin" {
		t.Errorf("in another conversation: %q", got)
	}
	if got, err := d.Admit(bot, message("Élodie Martin"), now.Add(time.Hour)); err != nil || got.Text != "Élodie Martin" {
		t.Errorf("an hour later: %q, %v", got.Text, err)
	}
	kept := door.New(door.Rules{KeepSensitive: true})
	if got := admit(t, kept, first).Text; got != first.Text {
		t.Errorf("kept: %q", got)
	}
}

func TestFlag(t *testing.T) {
	d := door.New(door.Rules{Treatments: map[recognise.Kind]door.Treatment{recognise.Phone: door.Flag}})
	got := admit(t, d, message("é🙂 06 12 34 56 78"))
	if got.Text != "é🙂 06 12 34 56 78" || !reflect.DeepEqual(got.Entities, []eventstore.Entity{{Type: "phone", Start: 3, End: 17}}) {
		t.Errorf("%q, %+v", got.Text, got.Entities)
	}
}

func TestAllowLists(t *testing.T) {
	d := door.New(door.Rules{
		Types: []eventstore.EventType{eventstore.TypeMessage}, Purposes: []string{"analytics"}, Fields: []string{"text", "entities", "data"}, EntityTypes: []string{"order"},
		DataKeys: []string{"order"},
	})
	e := message("commande A17", eventstore.Entity{Type: "order", Start: 9, End: 12}, eventstore.Entity{Type: "mood", Start: 0, End: 8})
	e.Channel, e.Operator, e.Data = "web", "bob", json.RawMessage(`{"order":"A17","mood":"<3"}`)
	got := admit(t, d, e)
	if got.Channel != "" || got.Operator != "" || len(got.Entities) != 1 || string(got.Data) != `{"order":"A17"}` || got.Text != e.Text {
		t.Errorf("%+v", reflect.ValueOf(got).FieldByName("Data"))
	}
	e.Data = json.RawMessage(`[1]`)
	if got := admit(t, d, e); got.Data != nil {
		t.Errorf("data without keys became %s", got.Data)
	}
	feedback := eventstore.Event{Conversation: "c", Type: eventstore.TypeFeedback, Feedback: &eventstore.Feedback{Score: 1, Scale: 5}}
	if _, err := d.Admit(bot, feedback, now); !errors.Is(err, eventstore.ErrForbidden) {
		t.Errorf("a type that is not kept: %v", err)
	}
	consent := eventstore.Event{Conversation: "c", Type: eventstore.TypeConsent, Consent: &eventstore.Consent{Purpose: "marketing", Granted: true}}
	if _, err := d.Admit(bot, consent, now); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("a purpose that is not the tenant's: %v", err)
	}
	consent.Consent.Purpose = "storage"
	admit(t, d, consent)
}

// pieces of texts, some of them to be masked.
var pieces = []string{
	"Bonjour", "é", "🙂", "👩‍👧", "e\u0301", "4111 1111 1111 1111", "FR76 3000 6000 0112 3456 7890 189", "1 84 12 76 451 089 46", "06 12 34 56 78",
	"alice@example.com", "192.168.1.1", "732 829 320 00074", "[card]", " ", ", ", "\n", "12", "@", "+33", "שלום", "Élodie", "élodie",
}

// Whatever a text is made of: masking it again changes nothing, nothing that is masked is recognised in it any more, and every span still covers what it did.
func TestMaskProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := door.New(door.Rules{Treatments: everything(door.Mask)})
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12).Draw(t, "text"), rapid.SampledFrom([]string{"", " "}).Draw(t, "between"))
		n := utf8.RuneCountInString(text)
		var entities []eventstore.Entity
		for range rapid.IntRange(0, 3).Draw(t, "entities") {
			start := rapid.IntRange(0, n).Draw(t, "start")
			end := rapid.IntRange(start, n).Draw(t, "end")
			entities = append(entities, eventstore.Entity{Type: rapid.SampledFrom([]string{"name", "order", "x y"}).Draw(t, "type"), Value: string([]rune(text)[start:end]),
				Start: start, End: end, Sensitive: rapid.Bool().Draw(t, "sensitive")})
		}
		if text == "" {
			return
		}
		e, err := d.Admit(bot, message(text, entities...), now)
		if err != nil {
			t.Fatal(err)
		}
		if left := recognise.New(recognise.All, "FR").Find(e.Text); len(left) > 0 {
			t.Fatalf("%q became %q, which still holds %+v", text, e.Text, left)
		}
		handle := e.Identity
		e.Identity = nil // the one that an anonymous conversation is given
		again, err := d.Admit(bot, e, now)
		e.Identity = handle
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Fatalf("masked again %q became %q (%+v, %+v)", e.Text, again.Text, e.Entities, again.Entities)
		}
		points := []rune(e.Text)
		for i, x := range e.Entities {
			if x.Start < 0 || x.End < x.Start || x.End > len(points) {
				t.Fatalf("the span %+v of %q", x, e.Text)
			}
			was := entities[i]
			now, then := string(points[x.Start:x.End]), string([]rune(text)[was.Start:was.End])
			if now != then && was.End > was.Start && !strings.Contains(now, "[") {
				t.Fatalf("an entity of %q covered %q and covers %q in %q", text, then, now, e.Text)
			}
			if x.Sensitive && was.End > was.Start && strings.Contains(x.Value, strings.TrimSpace(then)) && utf8.RuneCountInString(strings.TrimSpace(then)) > 4 && !strings.Contains("[sensitive][name][order]", then) {
				t.Fatalf("the sensitive value %q is there: %+v", then, x)
			}
		}
	})
}

// Secrets drawn into every field of an event are in none of them afterwards.
func TestMaskedBytesAreGone(t *testing.T) {
	const secret = "4111 1111 1111 1111"
	d := door.New(door.Rules{})
	e := message("carte "+secret, eventstore.Entity{Type: "number", Value: secret, Start: 6, End: 6 + len(secret)})
	e.Slot = &eventstore.Slot{Name: "s", Value: json.RawMessage(`{"deep":["` + secret + `"]}`)}
	e.Data = json.RawMessage(`{"` + secret + `":"` + secret + `"}`)
	e.Handoff = &eventstore.Handoff{To: secret, Reason: secret}
	b, err := json.Marshal(admit(t, d, e))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "1111") {
		t.Errorf("left: %s", b)
	}
	if !slices.Contains(strings.Split(string(b), `"`), "[card]") {
		t.Errorf("no mask: %s", b)
	}
}

// An event that is sent again under its id after the door has learnt more is the same event.
func TestRetryAfterANameWasMarked(t *testing.T) {
	d := door.New(door.Rules{})
	first := admit(t, d, message("Élodie Martin ici"))
	admit(t, d, message("Élodie Martin", eventstore.Entity{Type: "name", Value: "Élodie Martin", Start: 0, End: 13, Sensitive: true}))
	retried := admit(t, d, message("Élodie Martin ici"))
	first.Identity = nil
	if again := admit(t, d, first); again.Text != retried.Text || first.Text == retried.Text {
		t.Errorf("first %q, again %q, stored and admitted again %q", first.Text, retried.Text, again.Text)
	}
}
