// Package projections turns events into anonymous statistics.
package projections

import (
	"context"
	"errors"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Config wires the projections.
type Config struct {
	// Dir is the database directory, projections/ of the data directory.
	Dir   string
	Store *eventstore.Store
	Keys  eventstore.Keys
	// Settings gives a tenant's analytics settings.
	Settings func(eventstore.TenantID) Settings
	Now      func() time.Time
}

// Settings are a tenant's analytics settings.
type Settings struct {
	// K is the fewest distinct persons that a published cell may have, at least 2 (default 10).
	K int
	// Zone is the tenant's time zone (default Europe/Paris).
	Zone *time.Location
}

// Projections runs every read model for every tenant.
type Projections struct{ c Config }

// Open opens the database. ErrDamaged, ErrNewerVersion.
func Open(c Config) (*Projections, error) { return &Projections{c: c}, nil }

// Close closes the database; call it after Run has returned.
func (p *Projections) Close() error { return nil }

// Run follows every tenant's stream until ctx ends.
func (p *Projections) Run(ctx context.Context, tenant eventstore.TenantID) error { return errTODO }

// Passed is the sequence of the tenant's stream up to which every projection has counted, durably.
func (p *Projections) Passed(tenant eventstore.TenantID) uint64 { return 0 }

// Query asks for the figures of one projection.
type Query struct {
	Projection string
	// From and To are civil days in the tenant's zone, inclusive; zero: everything there is.
	From, To time.Time
	By       eventstore.PeriodKind
	// Where keeps the cells whose dimension has the value.
	Where map[string]string
}

// Answer is a table of figures with what it takes to judge them.
type Answer struct {
	Projection string   `json:"projection"`
	Columns    []Column `json:"columns"`
	// Rows hold strings, numbers and null, in the order of Columns.
	Rows        [][]any `json:"rows"`
	Provisional bool    `json:"provisional"`
	K           int     `json:"k"`
	Timezone    string  `json:"timezone"`
	// Notes say what is hidden and why, for people.
	Notes []string `json:"notes"`
}

// Column is one column of a table.
type Column struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Meaning string `json:"meaning"`
}

// Table is one entry of the dictionary.
type Table struct {
	Name    string   `json:"name"`
	Meaning string   `json:"meaning"`
	Columns []Column `json:"columns"`
}

// Dictionary lists every table, column, type and meaning.
func (p *Projections) Dictionary() []Table { return nil }

// Stats answers a query with released and provisional figures. ErrNotFound for an unknown projection (the message lists what exists), ErrInvalid.
func (p *Projections) Stats(ctx context.Context, tenant eventstore.TenantID, q Query) (Answer, error) {
	return Answer{}, errTODO
}

var errTODO = errors.New("not written yet")
