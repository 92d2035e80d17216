package eventstore

import "time"

// Door is the pure part of the way in: what may not be kept goes no further. It does no I/O and is safe for concurrent use.
type Door interface {
	// Admit checks an event and returns it as it may be kept: identities canonical, an event without an identity given the
	// handle conversation:<bot>/<id>, the bot filled in from the caller. The event given is not changed. ErrInvalid, ErrForbidden (another bot's name), ErrTooLarge.
	Admit(caller Caller, e Event, received time.Time) (Event, error)
	// Canonical brings an identity into its canonical form. ErrInvalid.
	Canonical(id Identity) (Identity, error)
	// Consent decides whether an event may be kept given what the vault says of its person. ErrConsent, ErrWithheld.
	Consent(caller Caller, e Event, s State) error
}
