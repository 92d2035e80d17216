package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/door/recognise"
)

// numbered is a list of n names.
func numbered(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("n", i)
	}
	return strings.Join(names, ",")
}

// allows says whether a refusal says what is allowed of a setting: what is said speaks of it, or lists what there is.
func allows(refusal, name string) bool {
	topic, _, _ := strings.Cut(name, "_")
	topics := map[string]string{"timezone": "time zone", "dpo": "contact", "epsilon": "", "stats": "stats_retention", "SECRET": "there are timezone"}
	if t, other := topics[topic]; other {
		topic = t
	}
	return strings.Contains(refusal, topic)
}

// TestRules: what is set is what the door is told, and the defaults are the door's own.
func TestRules(t *testing.T) {
	r := Defaults().Rules()
	if !reflect.DeepEqual(r, door.Rules{Regions: []string{"FR"}, Treatments: door.DefaultTreatments}) {
		t.Errorf("the defaults are %+v", r)
	}
	a, _ := start(t)
	if err := a.Put(t.Context(), tenant, map[string]string{
		"storage": "after-consent", "purposes": "support:contract, analytics : consent,\nstorage:consent", "phone_regions": "BE, FR",
		"mask_phone": "mask", "mask_ip": "flag", "mask_card": "off", "keep_sensitive": "true",
		"keep_types": "message, custom", "keep_fields": "none", "keep_entities": "order", "keep_data": "none", "withdrawal": "erase",
	}); err != nil {
		t.Fatal(err)
	}
	s, err := a.Get(t.Context(), tenant)
	if err != nil || !s.ErasesOnWithdrawal() {
		t.Fatal(err)
	}
	treatments := map[recognise.Kind]door.Treatment{recognise.Card: door.Off, recognise.IBAN: door.Mask, recognise.NIR: door.Mask, recognise.Email: door.Off,
		recognise.Phone: door.Mask, recognise.SIRET: door.Off, recognise.IP: door.Flag}
	want := door.Rules{ConsentFirst: true, Purposes: []string{"storage", "analytics"}, Regions: []string{"BE", "FR"}, Treatments: treatments, KeepSensitive: true,
		Types: []eventstore.EventType{eventstore.TypeMessage, eventstore.TypeCustom}, Fields: []string{}, EntityTypes: []string{"order"}, DataKeys: []string{}}
	if got := s.Rules(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

// TestPrivacySettings: what people are told comes back as it was set.
func TestPrivacySettings(t *testing.T) {
	a, _ := start(t)
	if err := a.Put(t.Context(), tenant, map[string]string{
		"purposes": "support:contract,analytics:consent", "recipients": "nlu-provider\nCourrier & Cie", "place": "Paris, France",
		"notices": `[{"version":"v3","language":"fr","text":"Bonjour,\nvos messages sont gardés."},{"version":"v3","language":"en","text":"Hello"}]`,
	}); err != nil {
		t.Fatal(err)
	}
	s, err := a.Get(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.PurposeList(); !slices.Equal(got, []Purpose{{"support", BasisContract}, {"analytics", BasisConsent}}) {
		t.Errorf("purposes %v", got)
	}
	if got := s.RecipientList(); !slices.Equal(got, []string{"nlu-provider", "Courrier & Cie"}) {
		t.Errorf("recipients %v", got)
	}
	if got := s.NoticeList(); len(got) != 2 || got[0].Text != "Bonjour,\nvos messages sont gardés." {
		t.Errorf("notices %v", got)
	}
}

// TestNames: each setting is a member of the JSON, is named in the refusal of others, and the lists that texts repeat are the door's.
func TestNames(t *testing.T) {
	names := strings.Split(generalNames+", "+privacyNames+", "+doorNames, ", ")
	var described []string
	for _, d := range Describe() {
		described = append(described, d.Name)
	}
	if !slices.Equal(names, described) {
		t.Errorf("named %v\ndescribed %v", names, described)
	}
	if fields := strings.Split(fieldNames, ", "); !slices.Equal(fields, door.OptionalFields) {
		t.Errorf("fields %v", fields)
	}
	for n := range strings.SplitSeq(typeNames, ", ") {
		e := eventstore.Event{Conversation: "c", Bot: "b", Type: eventstore.EventType(n)}
		if err := e.Check(); err != nil && strings.Contains(err.Error(), "none of those that exist") {
			t.Errorf("%s is no type of events", n)
		}
	}
}
