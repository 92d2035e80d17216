package rights

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Config wires the machine. Keys, Meta, Log, Ledger and Store are required.
type Config struct {
	Keys   eventstore.Keys
	Meta   eventstore.Meta
	Log    eventstore.Log
	Ledger eventstore.Ledger
	Store  *eventstore.Store
	// Chunks holds the bytes of attachments (nil: there are none).
	Chunks eventstore.Chunks
	// Passed says which sequence of the tenant's stream every projection has passed (nil: there are none to wait for).
	Passed func(eventstore.TenantID) uint64
	// Zone is a tenant's time zone, for scopes that are days (nil: UTC).
	Zone func(eventstore.TenantID) *time.Location
	Now  func() time.Time
	// Settle is how long after the shredding ciphertexts are removed, so that appends in flight have ended, and how long after that their traces are
	// looked for: above the sync interval of the stream's server (0: 5 s).
	Settle time.Duration
	// Poll is how often [Service.Run] looks again at what waits (0: 1 s). A new erasure wakes it at once.
	Poll time.Duration
	// Retention says how long a tenant keeps events (nil: nothing expires by itself).
	Retention func(eventstore.TenantID) (time.Duration, error)
	// ClosePeriods publishes the statistics of every period that begins before a month, with all that is committed, before retention takes the month (nil: there are none).
	ClosePeriods func(context.Context, eventstore.TenantID, eventstore.KeyMonth) error
	// NoteLife is how long notes and tickets are kept (0: 365 days).
	NoteLife time.Duration
	// Certifier signs what is certain about erasures (nil: there are no certificates, and completed follows removed at once).
	Certifier eventstore.Certifier
	// BackupsUntil is when the last backup that was made before now must not be used any more; zero if there is none (nil: there are none).
	BackupsUntil func(context.Context, eventstore.TenantID) (time.Time, error)
	// AnswerWithin is what a tenant promises about requests (nil: 15 days), FourEyes whether its erasures need the approval of somebody else (nil: none do), and
	// Owner whom an access token belongs to (nil: nobody is known, so nobody can approve). ErrNotFound for a token that is not there.
	AnswerWithin func(eventstore.TenantID) time.Duration
	FourEyes     func(eventstore.TenantID) bool
	Owner        func(context.Context, eventstore.TenantID, eventstore.TokenID) (string, error)
	// Logger is told what Run could not do yet (nil: nobody).
	Logger *slog.Logger
}

// events is what the machine needs of [eventstore.Store].
type events interface {
	Announce(ctx context.Context, tenant eventstore.TenantID, e eventstore.PersonEvent) (uint64, error)
	SendOwed(ctx context.Context, tenant eventstore.TenantID) error
	Changes(ctx context.Context, tenant eventstore.TenantID, persons []eventstore.PersonID) ([]uint64, error)
	Read(ctx context.Context, tenant eventstore.TenantID, person eventstore.PersonID, o eventstore.ReadOptions) iter.Seq2[eventstore.Recorded, error]
	Count(ctx context.Context, tenant eventstore.TenantID, r eventstore.PersonRecord) (uint64, error)
	Reseal(ctx context.Context, tenant eventstore.TenantID, r eventstore.Resealing) (eventstore.Resealed, error)
}

// Service executes rights. It is safe for concurrent use.
type Service struct {
	c       Config
	store   events
	entropy io.Reader // nil: crypto/rand
	wake    chan struct{}
	book    book
	states  stateBook
	aging   aging

	register register
}

// New makes the service. Call [Service.Resume] for each tenant before serving, and [Service.Run] to let erasures complete in the background.
func New(c Config) *Service {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Settle == 0 {
		c.Settle = 5 * time.Second
	}
	if c.Poll == 0 {
		c.Poll = time.Second
	}
	if c.NoteLife == 0 {
		c.NoteLife = 365 * 24 * time.Hour
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{c: c, store: c.Store, wake: make(chan struct{}, 1), book: book{tenants: map[eventstore.TenantID]*page{}},
		aging: aging{tenants: map[eventstore.TenantID]*agingTenant{}, wake: make(chan struct{}, 1)}}
}

// now is the time as it is stored.
func (s *Service) now() time.Time { return s.c.Now().UTC().Truncate(time.Millisecond) }

// Actor is who acts: it goes into the ledger.
type Actor struct {
	Token eventstore.TokenID
	Role  eventstore.Role
}

// record makes the ledger entry of an act on a linked set. Nothing is done when it fails.
func (s *Service) record(ctx context.Context, tenant eventstore.TenantID, a Actor, act eventstore.Act, references []eventstore.LedgerReference, count int) error {
	_, err := s.recordNumbered(ctx, tenant, a, act, references, count)
	return err
}

// recordNumbered is record for who needs the number of the entry.
func (s *Service) recordNumbered(ctx context.Context, tenant eventstore.TenantID, a Actor, act eventstore.Act, references []eventstore.LedgerReference, count int) (uint64, error) {
	return s.c.Ledger.Record(ctx, tenant, eventstore.Entry{
		Time: s.now(), Act: act, Token: a.Token, Role: a.Role, References: references, Count: uint64(count),
	})
}

// Request is a request for erasure.
type Request struct {
	Reason eventstore.Reason `json:"reason"`
	Note   string            `json:"note,omitempty"`
	Ticket string            `json:"ticket,omitempty"`
	Scope  eventstore.Scope  `json:"scope"`
	// RefuseFor asks that every event naming a handle of the person is refused for so long (0: not); at most [eventstore.MaxRefusal].
	RefuseFor time.Duration `json:"refuse_for,omitempty"`
	// register is the request of the register that it is carried out for.
	register string
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
	// Completed is the moment of the certificate's last issue.
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
	// Swept is when the last of them was deleted; Search what the last search for traces of them in the files found, empty before the first.
	Swept  time.Time `json:"swept,omitzero"`
	Search Search    `json:"search,omitempty"`
	// ErasedEvents and KeptEvents count events, when a part was erased.
	ErasedEvents uint64 `json:"erased_events,omitempty"`
	KeptEvents   uint64 `json:"kept_events,omitempty"`
	// RefusedUntil is until when every event naming a handle of the person is refused, if that was asked for.
	RefusedUntil time.Time `json:"refused_until,omitzero"`
}

// Preview is what an erasure of a scope would take: with a part, of the events alone. Handles are masked.
type Preview struct {
	Person   eventstore.PersonID   `json:"person"`
	Persons  []eventstore.PersonID `json:"persons"`
	Scope    eventstore.Scope      `json:"scope"`
	Events   uint64                `json:"events"`
	First    time.Time             `json:"first,omitzero"`
	Last     time.Time             `json:"last,omitzero"`
	Channels []string              `json:"channels"`
	Handles  []string              `json:"handles"`
	Holds    int                   `json:"holds"`
	// RefusedUntil is until when the handles would be refused, if that was asked for.
	RefusedUntil time.Time `json:"refused_until,omitzero"`
}

// Person is what is known of a person and their linked set.
type Person struct {
	Person     eventstore.PersonID   `json:"person"`
	Persons    []eventstore.PersonID `json:"persons"`
	Identities []eventstore.Identity `json:"identities"`
	Ambiguous  []eventstore.Identity `json:"ambiguous,omitempty"`
	// State is one of the states below.
	State string `json:"state"`
	// Restricted, Objected and Hold say each of the states by itself.
	Restricted bool      `json:"restricted"`
	Objected   bool      `json:"objected"`
	Hold       bool      `json:"hold"`
	Created    time.Time `json:"created"`
	Events     uint64    `json:"events"`
	// ExpiredBefore is a day such as 2024-11-01: retention took what was from before it, unless a legal hold kept it. Empty if it took nothing.
	ExpiredBefore string `json:"expired_before,omitempty"`
	// Consents holds the last answer per purpose; where members of the set differ, the refusal.
	Consents map[string]bool `json:"consents,omitempty"`
}

// The states of a linked set; the first that holds of any member. An erased person is not shown but answered with ErrErased.
const (
	StateRestricted = "restricted"
	StateHeld       = "on-hold"
	StateObjected   = "objected"
	StateActive     = "active"
)
