package door

import (
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door/recognise"
)

// Rules are what a tenant decides. The zero value is the default: it masks payment cards, bank accounts and social security numbers, and keeps the rest as it is sent.
type Rules struct {
	// Regions are the countries of national phone numbers (ISO 3166-1); the first is that of phone handles. None: FR.
	Regions []string
	// ConsentFirst keeps ordinary events only of persons who gave consent to storage.
	ConsentFirst bool
	// Purposes are those for which consent can be given or withdrawn; PurposeStorage always is one. None: any.
	Purposes []string
	// Treatments say what is done with what is recognised in a text. What is not named is treated as [DefaultTreatments] says.
	Treatments map[recognise.Kind]Treatment
	// KeepSensitive keeps the spans of entities that a bot marked as sensitive, which otherwise are masked.
	KeepSensitive bool
	// Types are the event types that are kept; notice and consent always are. None: all.
	Types []eventstore.EventType
	// Fields are the optional fields that are kept, of [OptionalFields]; EntityTypes the types of entities; DataKeys the keys of data, at its top. nil: all; empty:
	// none of them.
	Fields, EntityTypes, DataKeys []string
}

// Treatment is what is done with something that was recognised.
type Treatment string

// The treatments.
const (
	// Mask replaces it by its kind in brackets, before the event is sealed.
	Mask Treatment = "mask"
	// Flag keeps it, and adds an entity of its kind so that readers see it.
	Flag Treatment = "flag"
	// Off does not look for it.
	Off Treatment = "off"
)

// DefaultTreatments are those of a tenant that says nothing.
var DefaultTreatments = map[recognise.Kind]Treatment{
	recognise.Card: Mask, recognise.IBAN: Mask, recognise.NIR: Mask,
	recognise.Email: Off, recognise.Phone: Off, recognise.SIRET: Off, recognise.IP: Off,
}

// OptionalFields are the fields that a tenant may leave out of every event.
var OptionalFields = []string{
	"operator", "bot_version", "channel", "language", "text", "intent", "entities", "slot", "handoff", "feedback", "disclosure", "status", "approver", "data",
}

// policy is a tenant's rules, made ready.
type policy struct {
	Rules
	region  string
	finder  *recognise.Finder
	flagged recognise.Set
}

func compile(r Rules) *policy {
	p := &policy{Rules: r}
	if len(r.Regions) == 0 {
		p.Regions = []string{"FR"}
	}
	p.region = p.Regions[0]
	var looked recognise.Set
	for _, k := range recognise.Kinds() {
		switch r.treatment(k) {
		case Mask:
			looked |= recognise.Of(k)
		case Flag:
			looked |= recognise.Of(k)
			p.flagged |= recognise.Of(k)
		}
	}
	p.finder = recognise.New(looked, p.Regions...)
	return p
}

func (r *Rules) treatment(k recognise.Kind) Treatment {
	if t, said := r.Treatments[k]; said {
		return t
	}
	return DefaultTreatments[k]
}

// keepsType says whether events of a type are kept at all.
func (r *Rules) keepsType(t eventstore.EventType) bool {
	return len(r.Types) == 0 || t == eventstore.TypeNotice || t == eventstore.TypeConsent || slices.Contains(r.Types, t)
}

// keepsPurpose says whether there can be consent for a purpose.
func (r *Rules) keepsPurpose(p string) bool {
	return len(r.Purposes) == 0 || p == PurposeStorage || slices.Contains(r.Purposes, p)
}
