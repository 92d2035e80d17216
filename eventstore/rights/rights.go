// Package rights is what a person may ask for, and the machine that does it.
package rights

import (
	"context"
	"errors"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Config wires the machine.
type Config struct {
	Keys   eventstore.Keys
	Meta   eventstore.Meta
	Log    eventstore.Log
	Ledger eventstore.Ledger
	Store  *eventstore.Store
	// Passed says which sequence of the tenant's stream every projection has passed.
	Passed func(eventstore.TenantID) uint64
	Now    func() time.Time
}

// Service executes rights. It is safe for concurrent use.
type Service struct{ c Config }

// New makes the service. Call [Service.Run] to let erasures complete in the background.
func New(c Config) *Service { return &Service{c: c} }

// Actor is who acts: it goes into the ledger.
type Actor struct {
	Token eventstore.TokenID
	Role  eventstore.Role
}

// Request is a request for erasure.
type Request struct {
	Reason eventstore.Reason `json:"reason"`
	Note   string            `json:"note,omitempty"`
	Ticket string            `json:"ticket,omitempty"`
	Scope  eventstore.Scope  `json:"scope,omitempty"`
}

// Stage is a stage of an erasure.
type Stage string

// The stages, in their order.
const (
	Requested Stage = "requested"
	Fenced    Stage = "fenced"
	Shredded  Stage = "shredded"
	Projected Stage = "projected"
	Removed   Stage = "removed"
	Completed Stage = "completed"
)

// Erasure is one erasure and how far it has come.
type Erasure struct {
	ID      string                `json:"erasure"`
	Person  eventstore.PersonID   `json:"person"`
	Persons []eventstore.PersonID `json:"persons"`
	Reason  eventstore.Reason     `json:"reason"`
	Scope   eventstore.Scope      `json:"scope"`
	Stages  map[Stage]time.Time   `json:"stages"`
	// RemovedMessages and LeftMessages count ciphertexts in the stream.
	RemovedMessages uint64 `json:"removed_messages"`
	LeftMessages    uint64 `json:"left_messages"`
}

// Preview is what an erasure would take. Handles are masked.
type Preview struct {
	Person   eventstore.PersonID   `json:"person"`
	Persons  []eventstore.PersonID `json:"persons"`
	Events   uint64                `json:"events"`
	First    time.Time             `json:"first,omitzero"`
	Last     time.Time             `json:"last,omitzero"`
	Channels []string              `json:"channels"`
	Handles  []string              `json:"handles"`
	Holds    int                   `json:"holds"`
}

// Person is what is known of a person and their linked set.
type Person struct {
	Person     eventstore.PersonID   `json:"person"`
	Persons    []eventstore.PersonID `json:"persons"`
	Identities []eventstore.Identity `json:"identities"`
	Ambiguous  []eventstore.Identity `json:"ambiguous,omitempty"`
	State      string                `json:"state"`
	Created    time.Time             `json:"created"`
	Events     uint64                `json:"events"`
	Consents   map[string]bool       `json:"consents,omitempty"`
}

// Erase erases a person's linked set and returns once it is shredded. Asked again it gives the same answer. Errors: ErrInvalid, ErrHold,
// ErrNotFound, ErrUnavailable.
func (s *Service) Erase(ctx context.Context, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID, r Request) (Erasure, error) {
	return Erasure{}, errTODO
}

// Preview says what Erase would take, changing nothing. Errors as [eventstore.Keys.Gate].
func (s *Service) Preview(ctx context.Context, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID) (Preview, error) {
	return Preview{}, errTODO
}

// Lookup finds the persons that identities name, as linked sets; unknown and erased ones are left out.
func (s *Service) Lookup(ctx context.Context, tenant eventstore.TenantID, actor Actor, ids []eventstore.Identity) ([]Person, error) {
	return nil, errTODO
}

// Show says what is known of a person. Errors as [eventstore.Keys.Gate].
func (s *Service) Show(ctx context.Context, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID) (Person, error) {
	return Person{}, errTODO
}

// Erasures lists the tenant's erasures, newest first. Erasure finds one; ErrNotFound.
func (s *Service) Erasures(ctx context.Context, tenant eventstore.TenantID) ([]Erasure, error) {
	return nil, errTODO
}

// Erasure finds one erasure by its id. ErrNotFound.
func (s *Service) Erasure(ctx context.Context, tenant eventstore.TenantID, id string) (Erasure, error) {
	return Erasure{}, errTODO
}

// Resume completes every erasure of a tenant that a crash interrupted before it was shredded. Call it before serving.
func (s *Service) Resume(ctx context.Context, tenant eventstore.TenantID) error { return errTODO }

// Run completes the later stages of erasures until ctx ends.
func (s *Service) Run(ctx context.Context) error { return errTODO }

var errTODO = errors.New("not written yet")
