package eventstore

import "time"

// Door is the pure part of the way in: what may not be kept goes no further. It does no I/O and is safe for concurrent use.
type Door interface {
	// Admit checks an event and returns it as it may be kept: identities canonical, an event without an identity given the
	// handle conversation:<bot>/<id>, the bot filled in from the caller, what the tenant does not keep left out or masked. Admitting what was admitted changes
	// nothing (an event that was given a handle is admitted again without it). The event given is not changed. ErrInvalid, ErrForbidden (another bot's name, a type that is not kept), ErrTooLarge.
	Admit(caller Caller, e Event, received time.Time) (Event, error)
	// Canonical brings an identity of a tenant's person into its canonical form. ErrInvalid.
	Canonical(tenant TenantID, id Identity) (Identity, error)
	// Consent decides whether an event may be kept given what the vault says of its person. ErrConsent, ErrWithheld.
	Consent(caller Caller, e Event, s State) error
}
