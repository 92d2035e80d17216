package eventstore

// PersonEventKind says what happened to a person.
type PersonEventKind string

// What can happen to a person.
const (
	PersonLinked       PersonEventKind = "linked"
	PersonErased       PersonEventKind = "erased"
	PersonRestricted   PersonEventKind = "restricted"
	PersonUnrestricted PersonEventKind = "unrestricted"
	PersonObjected     PersonEventKind = "objected"
	PersonUnobjected   PersonEventKind = "unobjected"
	PersonResealed     PersonEventKind = "resealed"
	// PersonAnalyticsGranted and PersonAnalyticsRefused are the answers about the purpose [PurposeAnalytics], as they hold for a whole linked set.
	PersonAnalyticsGranted PersonEventKind = "analytics-granted"
	PersonAnalyticsRefused PersonEventKind = "analytics-refused"
	// PersonExpired is about everybody: retention takes the key months below Before. It names nobody.
	PersonExpired PersonEventKind = "expired"
)

// PurposeAnalytics is the purpose of consent that the stream is told of, for those who make statistics from it.
const PurposeAnalytics = "analytics"

// ConsentKind is the kind of person event that tells the stream of an answer about a purpose; "" for purposes that the stream is not told of.
func ConsentKind(purpose string, granted bool) PersonEventKind {
	switch {
	case purpose != PurposeAnalytics:
		return ""
	case granted:
		return PersonAnalyticsGranted
	}
	return PersonAnalyticsRefused
}

// PersonEvent is what happened to a person, as an event on the tenant's stream, sealed under the tenant's control key. It carries ids,
// marks and codes only. Reading one twice has the effect of reading it once.
type PersonEvent struct {
	Kind    PersonEventKind `cbor:"1,keyasint"`
	Persons []PersonID      `cbor:"2,keyasint,omitempty"`
	// Marks are the period marks under which the linked set's contributions stand (erased, restricted, objected, analytics-refused, resealed: they go out; linked: those of
	// the set that was absorbed, to be moved).
	Marks []PeriodMark `cbor:"3,keyasint,omitempty"`
	// First is for resealed: the sequence below which the person's events no longer count.
	First uint64 `cbor:"4,keyasint,omitempty"`
	// Before is for expired: what contributed to a period that begins before this month counts no more, whoever's it is, and neither does what of such a
	// period is read later.
	Before KeyMonth `cbor:"5,keyasint,omitempty"`
}

// PeriodMark is a linked set's mark in one period; To is set when its contributions move to another mark.
type PeriodMark struct {
	Period Period `cbor:"1,keyasint"`
	Mark   Mark   `cbor:"2,keyasint"`
	To     Mark   `cbor:"3,keyasint,omitzero"`
}
