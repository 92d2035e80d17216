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
	// PersonExpired is about everybody: retention takes the key months below Before. It names nobody.
	PersonExpired PersonEventKind = "expired"
)

// PersonEvent is what happened to a person, as an event on the tenant's stream, sealed under the tenant's control key. It carries ids,
// marks and codes only. Reading one twice has the effect of reading it once.
type PersonEvent struct {
	Kind    PersonEventKind `cbor:"1,keyasint"`
	Persons []PersonID      `cbor:"2,keyasint,omitempty"`
	// Marks are the period marks under which the linked set's contributions stand (erased, restricted, objected, resealed: they go out; linked: those of
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
