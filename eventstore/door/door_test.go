package door_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
)

var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ namespace, in, want string }{
		{"email", " Alice@Example.COM ", "alice@example.com"},
		{"email", "E\u0301lise@exemple.fr", "\u00e9lise@exemple.fr"},
		{"email", "alice+tag@example.com", "alice+tag@example.com"},
		{"email", "alice", ""},
		{"email", "@example.com", ""},
		{"email", "alice@", ""},
		{"email", "Alice <alice@example.com>", ""},
		{"email", "alice bob@example.com", ""},
		{"phone", "06 12 34 56 78", "+33612345678"},
		{"phone", "+33 6 12 34 56 78", "+33612345678"},
		{"phone", "0033612345678", "+33612345678"},
		{"phone", "+44 20 7946 0958", "+442079460958"},
		{"phone", "12", ""},
		{"phone", "call me", ""},
		{"phone", "", ""},
		{"web", "\t visitor-77 \n", "visitor-77"},
		{"web", "Visitor", "Visitor"},
		{"web", "   ", ""},
		{"web", "a\x00b", ""},
		{"web", "a\xffb", ""},
		{"web", strings.Repeat("x", 513), ""},
		{"Web", "x", ""},
		{"", "x", ""},
		{"conversation", "shop/ c1", "shop/ c1"},
	} {
		got, err := door.New(door.Rules{}).Canonical(eventstore.DefaultTenant, eventstore.Identity{Namespace: c.namespace, ID: c.in})
		if c.want == "" {
			if !errors.Is(err, eventstore.ErrInvalid) {
				t.Errorf("%s %q: %q, %v", c.namespace, c.in, got.ID, err)
			}
			if err != nil && len(c.in) > 2 && strings.Contains(err.Error(), c.in) {
				t.Errorf("the error repeats %q", c.in)
			}
			continue
		}
		if err != nil || got.ID != c.want || got.Namespace != c.namespace {
			t.Errorf("%s %q: %q, %v, want %q", c.namespace, c.in, got.ID, err, c.want)
		}
	}
	if got, err := door.New(door.Rules{Regions: []string{"GB"}}).Canonical(eventstore.DefaultTenant, eventstore.Identity{Namespace: "phone", ID: "020 7946 0958"}); err != nil || got.ID != "+442079460958" {
		t.Errorf("a national number of another region: %q, %v", got.ID, err)
	}
}

func TestCanonicalTwiceIsOnce(t *testing.T) {
	d := door.New(door.Rules{})
	rapid.Check(t, func(t *rapid.T) {
		id := eventstore.Identity{
			Namespace: rapid.SampledFrom([]string{"email", "phone", "web"}).Draw(t, "namespace"),
			ID:        rapid.OneOf(rapid.String(), rapid.StringMatching(`[\pL\s]{1,8}@[\pL.]{1,8}`), rapid.StringMatching(`\+?[0-9 ]{3,18}`)).Draw(t, "id"),
		}
		once, err := d.Canonical(eventstore.DefaultTenant, id)
		if err != nil {
			return
		}
		twice, err := d.Canonical(eventstore.DefaultTenant, once)
		if err != nil || twice != once {
			t.Fatalf("%q became %q, then %q, %v", id.ID, once.ID, twice.ID, err)
		}
	})
}

func TestAdmit(t *testing.T) {
	d := door.New(door.Rules{})
	caller := eventstore.Caller{Tenant: "default", Bot: "shop-fr"}
	also := []eventstore.Identity{{Namespace: "email", ID: "ALICE@example.com"}, {Namespace: "web", ID: " v "}, {Namespace: "web", ID: "v"}}
	in := eventstore.Event{
		Type: eventstore.TypeMessage, Conversation: "c1", Text: " Bonjour ",
		Identity: &eventstore.Identity{Namespace: "email", ID: " Alice@Example.com"}, Also: also,
		Time: now.In(time.FixedZone("", 3600)),
	}
	got, err := d.Admit(caller, in, now)
	if err != nil {
		t.Fatal(err)
	}
	want := in
	want.Identity = &eventstore.Identity{Namespace: "email", ID: "alice@example.com"}
	want.Also = []eventstore.Identity{{Namespace: "web", ID: "v"}}
	want.Bot, want.Time = "shop-fr", now
	if !reflect.DeepEqual(got, want) {
		t.Errorf("admitted as bot %v, identity %v, %d handles, time %v", got.Bot, *got.Identity == *want.Identity, len(got.Also), got.Time)
	}
	if in.Identity.ID != " Alice@Example.com" || also[1].ID != " v " {
		t.Error("the event that was given has changed")
	}

	in.Identity, in.Also = nil, nil
	got, err = d.Admit(caller, in, now)
	if err != nil || *got.Identity != (eventstore.Identity{Namespace: "conversation", ID: "shop-fr/c1"}) {
		t.Errorf("an event without an identity: %v, %v", got.Identity != nil, err)
	}
}

func TestAdmitRefuses(t *testing.T) {
	d := door.New(door.Rules{})
	good := func() eventstore.Event {
		return eventstore.Event{Type: eventstore.TypeMessage, Conversation: "c1", Text: "Bonjour"}
	}
	shop := eventstore.Caller{Tenant: "default", Bot: "shop-fr"}
	for name, c := range map[string]struct {
		caller eventstore.Caller
		change func(*eventstore.Event)
		want   error
	}{
		"another bot":            {shop, func(e *eventstore.Event) { e.Bot = "other" }, eventstore.ErrForbidden},
		"no bot and no identity": {eventstore.Caller{}, func(e *eventstore.Event) {}, eventstore.ErrInvalid},
		"ahead":                  {shop, func(e *eventstore.Event) { e.Time = now.Add(5*time.Minute + 1) }, eventstore.ErrInvalid},
		"nothing said":           {shop, func(e *eventstore.Event) { e.Text = "" }, eventstore.ErrInvalid},
		"the reserved namespace": {shop, func(e *eventstore.Event) {
			e.Identity = &eventstore.Identity{Namespace: "conversation", ID: "shop-fr/c1"}
		}, eventstore.ErrInvalid},
		"a bad handle": {shop, func(e *eventstore.Event) { e.Also = []eventstore.Identity{{Namespace: "phone", ID: "x"}} }, eventstore.ErrInvalid},
		"a long text":  {shop, func(e *eventstore.Event) { e.Text = strings.Repeat("x", eventstore.MaxText+1) }, eventstore.ErrTooLarge},
		"bad data":     {shop, func(e *eventstore.Event) { e.Data = []byte(`{"a":}`) }, eventstore.ErrInvalid},
		"a long conversation": {eventstore.Caller{Bot: eventstore.BotID(strings.Repeat("b", 256))},
			func(e *eventstore.Event) { e.Conversation = eventstore.ConversationID(strings.Repeat("c", 256)) }, eventstore.ErrInvalid},
	} {
		e := good()
		c.change(&e)
		if _, err := d.Admit(c.caller, e, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	e := good()
	e.Time = now.Add(5 * time.Minute)
	if _, err := d.Admit(shop, e, now); err != nil {
		t.Errorf("5 minutes ahead: %v", err)
	}
}

func TestConsent(t *testing.T) {
	yes, no := map[string]bool{"storage": true}, map[string]bool{"storage": false}
	for _, c := range []struct {
		rules door.Rules
		typ   eventstore.EventType
		state eventstore.State
		want  error
	}{
		{door.Rules{}, eventstore.TypeMessage, eventstore.State{}, nil},
		{door.Rules{}, eventstore.TypeMessage, eventstore.State{Known: true, Objected: true, Hold: true}, nil},
		{door.Rules{}, eventstore.TypeMessage, eventstore.State{Restricted: true}, eventstore.ErrWithheld},
		{door.Rules{}, eventstore.TypeConsent, eventstore.State{Restricted: true}, nil},
		{door.Rules{}, eventstore.TypeNotice, eventstore.State{Consents: no}, nil},
		{door.Rules{}, eventstore.TypeMessage, eventstore.State{Consents: no}, eventstore.ErrConsent},
		{door.Rules{}, eventstore.TypeMessage, eventstore.State{Consents: map[string]bool{"analytics": false}}, nil},
		{door.Rules{ConsentFirst: true}, eventstore.TypeMessage, eventstore.State{}, eventstore.ErrConsent},
		{door.Rules{ConsentFirst: true}, eventstore.TypeMessage, eventstore.State{Consents: yes}, nil},
		{door.Rules{ConsentFirst: true}, eventstore.TypeConsent, eventstore.State{}, nil},
	} {
		err := door.New(c.rules).Consent(eventstore.Caller{}, eventstore.Event{Type: c.typ}, c.state)
		if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%+v, %s, %+v: %v, want %v", c.rules, c.typ, c.state, err, c.want)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add("email", " Alice@Example.com")
	f.Add("phone", "06 12 34 56 78")
	f.Add("web", "e\u0301")
	d := door.New(door.Rules{})
	f.Fuzz(func(t *testing.T, namespace, id string) {
		once, err := d.Canonical(eventstore.DefaultTenant, eventstore.Identity{Namespace: namespace, ID: id})
		if err != nil {
			return
		}
		if twice, err := d.Canonical(eventstore.DefaultTenant, once); err != nil || twice != once {
			t.Fatalf("%q, then %q, %v", once.ID, twice.ID, err)
		}
	})
}

func ExampleDoor_Canonical() {
	id, err := door.New(door.Rules{}).Canonical(eventstore.DefaultTenant, eventstore.Identity{Namespace: "phone", ID: "06 12 34 56 78"})
	fmt.Println(id.ID, err)
	fmt.Println(id) // a handle does not print by itself
	// Output:
	// +33612345678 <nil>
	// [redacted]
}
