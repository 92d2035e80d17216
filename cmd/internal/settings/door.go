package settings

import (
	"slices"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/door/recognise"
)

// Door is what a tenant decides about what may be kept.
type Door struct {
	// Storage is always or after-consent, Withdrawal keep or erase.
	Storage    string `json:"storage"`
	Withdrawal string `json:"withdrawal"`
	// PhoneRegions are the countries of national phone numbers; the first is that of phone handles.
	PhoneRegions string `json:"phone_regions"`
	// What is done with what is recognised: mask, flag or off.
	MaskCard  string `json:"mask_card"`
	MaskIBAN  string `json:"mask_iban"`
	MaskNIR   string `json:"mask_nir"`
	MaskEmail string `json:"mask_email"`
	MaskPhone string `json:"mask_phone"`
	MaskSIRET string `json:"mask_siret"`
	MaskIP    string `json:"mask_ip"`
	// KeepSensitive keeps what bots mark as sensitive.
	KeepSensitive bool `json:"keep_sensitive"`
	// What is kept: lists; empty: everything, none: nothing of the kind.
	KeepTypes    string `json:"keep_types"`
	KeepFields   string `json:"keep_fields"`
	KeepEntities string `json:"keep_entities"`
	KeepData     string `json:"keep_data"`
}

const (
	afterConsent = "after-consent"
	eraseThen    = "erase"
	// noneKept, in the place of a list, keeps nothing of the kind.
	noneKept = "none"
	maxList  = 64
)

// Rules are the rules of the door.
func (t Tenant) Rules() door.Rules {
	r := door.Rules{ConsentFirst: t.Storage == afterConsent, KeepSensitive: t.KeepSensitive, Purposes: t.consentPurposes(), Treatments: map[recognise.Kind]door.Treatment{}}
	r.Regions, _ = list(t.PhoneRegions)
	for kind, said := range map[recognise.Kind]string{
		recognise.Card: t.MaskCard, recognise.IBAN: t.MaskIBAN, recognise.NIR: t.MaskNIR, recognise.Email: t.MaskEmail,
		recognise.Phone: t.MaskPhone, recognise.SIRET: t.MaskSIRET, recognise.IP: t.MaskIP,
	} {
		r.Treatments[kind] = door.Treatment(said)
	}
	types, _ := list(t.KeepTypes)
	for _, name := range types {
		r.Types = append(r.Types, eventstore.EventType(name))
	}
	r.Fields, r.EntityTypes, r.DataKeys = kept(t.KeepFields), kept(t.KeepEntities), kept(t.KeepData)
	return r
}

// ErasesOnWithdrawal says whether a withdrawal of consent to storage files an erasure.
func (t Tenant) ErasesOnWithdrawal() bool { return t.Withdrawal == eraseThen }

// kept reads what is kept: nil for everything.
func kept(v string) []string {
	switch v {
	case "":
		return nil
	case noneKept:
		return []string{}
	}
	names, _ := list(v)
	return names
}

// list reads names separated by commas or line ends. It is not ok if one is empty, too long, has control characters or stands twice, or if there are too many.
func list(v string) (names []string, ok bool) {
	if v == "" {
		return nil, true
	}
	for part := range strings.FieldsFuncSeq(v, func(r rune) bool { return r == ',' || r == '\n' }) {
		name := strings.TrimSpace(part)
		if name == "" || len(name) > eventstore.MaxName || !isLine(name) || slices.Contains(names, name) || len(names) == maxList {
			return nil, false
		}
		names = append(names, name)
	}
	return names, len(names) > 0
}

// listOf says whether a value is a list of names that are all allowed; nothing is.
func listOf(allowed func(string) bool) func(string) bool {
	return func(v string) bool {
		names, ok := list(v)
		return ok && !slices.ContainsFunc(names, func(n string) bool { return !allowed(n) })
	}
}

// noneOr also allows to keep none of a kind.
func noneOr(allowed func(string) bool) func(string) bool {
	return func(v string) bool { return v == noneKept || allowed(v) }
}

func anyName(n string) bool { return n != noneKept }

func isType(n string) bool { return slices.Contains(strings.Split(typeNames, ", "), n) }

func isRegion(n string) bool { return phonenumbers.GetSupportedRegions()[n] }

func isField(n string) bool { return slices.Contains(door.OptionalFields, n) }

var isTreatment = oneOf(string(door.Mask), string(door.Flag), string(door.Off))

// chosen makes a setting of the door that is a text.
func chosen(d Description, refused *eventstore.Problem, valid func(string) bool, field func(*Tenant) *string) tenantSetting {
	return tenantSetting{d, func(t *Tenant, v string) bool { *field(t) = v; return valid(v) }, refused}
}

const treatments = "mask, flag or off"

// treatment makes the setting for one kind of what is recognised; what is the kind, for people.
func treatment(kind recognise.Kind, what string, refused *eventstore.Problem, field func(*Tenant) *string) tenantSetting {
	return chosen(Description{"mask_" + kind.String(), string(door.DefaultTreatments[kind]), treatments,
		what + ": mask replaces what is recognised before it is stored, flag keeps it and marks it, off does not look; this reduces what is kept"}, refused, isTreatment, field)
}

const doorNames = "storage, withdrawal, phone_regions, mask_card, mask_iban, mask_nir, mask_email, mask_phone, mask_siret, mask_ip, keep_sensitive, keep_types, keep_fields, keep_entities, keep_data"

var doorSettings = []tenantSetting{
	chosen(Description{"storage", "always", "always or after-consent", "when events are stored: always, or after-consent: until a person consents to the purpose storage only notices and answers are"},
		eventstore.Refuse(eventstore.KindInvalid, "storage", "storage is always or after-consent"),
		oneOf("always", afterConsent), func(t *Tenant) *string { return &t.Storage }),
	chosen(Description{"withdrawal", "keep", "keep or erase", "what a withdrawal of consent to storage does beside ending storage: keep leaves what is there, erase erases the person (reason consent-withdrawn)"},
		eventstore.Refuse(eventstore.KindInvalid, "withdrawal", "withdrawal is keep or erase"),
		oneOf("keep", eraseThen), func(t *Tenant) *string { return &t.Withdrawal }),
	chosen(Description{"phone_regions", "FR", "country codes of two letters (ISO 3166-1), separated by commas", "the countries whose national phone numbers are recognised; the first is that of phone handles, so change it before the first of them comes"},
		eventstore.Refuse(eventstore.KindInvalid, "phone_regions", "phone_regions are country codes such as FR, BE, CH, separated by commas"),
		listOf(isRegion), func(t *Tenant) *string { return &t.PhoneRegions }),
	treatment(recognise.Card, "payment cards", eventstore.Refuse(eventstore.KindInvalid, "mask_card", "mask_card is "+treatments), func(t *Tenant) *string { return &t.MaskCard }),
	treatment(recognise.IBAN, "bank accounts (IBAN)", eventstore.Refuse(eventstore.KindInvalid, "mask_iban", "mask_iban is "+treatments), func(t *Tenant) *string { return &t.MaskIBAN }),
	treatment(recognise.NIR, "French social security numbers", eventstore.Refuse(eventstore.KindInvalid, "mask_nir", "mask_nir is "+treatments), func(t *Tenant) *string { return &t.MaskNIR }),
	treatment(recognise.Email, "e-mail addresses", eventstore.Refuse(eventstore.KindInvalid, "mask_email", "mask_email is "+treatments), func(t *Tenant) *string { return &t.MaskEmail }),
	treatment(recognise.Phone, "phone numbers", eventstore.Refuse(eventstore.KindInvalid, "mask_phone", "mask_phone is "+treatments), func(t *Tenant) *string { return &t.MaskPhone }),
	treatment(recognise.SIRET, "French establishment numbers", eventstore.Refuse(eventstore.KindInvalid, "mask_siret", "mask_siret is "+treatments), func(t *Tenant) *string { return &t.MaskSIRET }),
	treatment(recognise.IP, "IP addresses", eventstore.Refuse(eventstore.KindInvalid, "mask_ip", "mask_ip is "+treatments), func(t *Tenant) *string { return &t.MaskIP }),
	{Description{"keep_sensitive", "false", "true or false", "whether what bots mark as sensitive is kept; otherwise it is masked, also where it stands again in the conversation"},
		func(t *Tenant, v string) bool {
			t.KeepSensitive = v == "true"
			return v == strconv.FormatBool(t.KeepSensitive)
		},
		eventstore.Refuse(eventstore.KindInvalid, "keep_sensitive", "keep_sensitive is true or false")},
	chosen(Description{"keep_types", "", "of " + typeNames + ", separated by commas", "the event types that are kept; others are refused, but for notice and consent (empty: all)"},
		eventstore.Refuse(eventstore.KindInvalid, "keep_types", "keep_types are of "+typeNames+", separated by commas"),
		listOf(isType), func(t *Tenant) *string { return &t.KeepTypes }),
	chosen(Description{"keep_fields", "", "of " + fieldNames + ", separated by commas, or none", "the optional fields that are kept; others are left out (empty: all)"},
		eventstore.Refuse(eventstore.KindInvalid, "keep_fields", "keep_fields are none, or of "+fieldNames+", separated by commas"),
		noneOr(listOf(isField)), func(t *Tenant) *string { return &t.KeepFields }),
	chosen(Description{"keep_entities", "", "names separated by commas, or none", "the types of entities that are kept; others are left out (empty: all)"},
		eventstore.Refuse(eventstore.KindInvalid, "keep_entities", "keep_entities are none, or at most 64 names separated by commas"),
		noneOr(listOf(anyName)), func(t *Tenant) *string { return &t.KeepEntities }),
	chosen(Description{"keep_data", "", "names separated by commas, or none", "the keys of data that are kept, at its top; others are left out (empty: all)"},
		eventstore.Refuse(eventstore.KindInvalid, "keep_data", "keep_data are none, or at most 64 names separated by commas"),
		noneOr(listOf(anyName)), func(t *Tenant) *string { return &t.KeepData }),
}

// typeNames are the types of events that a tenant can do without.
const typeNames = "message, intent, slot, handoff, feedback, conversation, attachment, disclosure, custom"

// fieldNames are [door.OptionalFields]; a test compares them.
const fieldNames = "operator, bot_version, channel, language, text, intent, entities, slot, handoff, feedback, disclosure, status, approver, data"
