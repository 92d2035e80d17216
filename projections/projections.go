package projections

import (
	"cmp"
	"io"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/release"
	"github.com/oubli-store/oubli/projections/sqltables"
)

// Config wires the projections.
type Config struct {
	// Dir is the database directory, projections/ of the data directory.
	Dir   string
	Store *eventstore.Store
	Keys  eventstore.Keys
	// Settings gives a tenant's analytics settings (nil: the defaults). It is asked often and must be fast.
	Settings func(eventstore.TenantID) Settings
	// Records has the stream of releases, Ledger the ledger. Without Records no period is ever closed.
	Records eventstore.Records
	Ledger  Book
	// Now is the clock by which periods are closed and provisional figures are renewed (nil: time.Now).
	Now func() time.Time
	// Random gives the bytes that noise is made of (nil: crypto/rand).
	Random io.Reader
}

// Settings are a tenant's analytics settings.
type Settings struct {
	// K is the fewest distinct persons that a published cell may have, at least 2 (default 10).
	K int
	// Zone is the tenant's time zone (default Europe/Paris).
	Zone *time.Location
	// Bound is the most that one person adds to a measure of a cell of a release (default 50).
	Bound uint64
	// Epsilon is the privacy loss of one release (0: no noise), Budget what those of one year may lose together.
	Epsilon, Budget release.Epsilon
	// Grace is how long a period stays open after it ended, and after its last event came in (default 48 hours).
	Grace time.Duration
	// Keep is how long releases are kept after their period ended (default 730 days).
	Keep time.Duration
	// Consent says that only persons count who consented to statistics (purpose "analytics"), from then on. Without it everybody counts but who is
	// restricted, objected, or said no. A change makes the figures of open periods anew.
	Consent bool
}

// The defaults and bounds of [Settings].
const (
	DefaultK     = 10
	MinK         = 2
	DefaultZone  = "Europe/Paris"
	DefaultBound = 50
	DefaultGrace = 48 * time.Hour
	DefaultKeep  = 730 * 24 * time.Hour
)

func (s Settings) withDefaults() (Settings, error) {
	if s.K == 0 {
		s.K = DefaultK
	}
	s.K = max(s.K, MinK)
	s.Bound = cmp.Or(s.Bound, DefaultBound)
	s.Grace = cmp.Or(s.Grace, DefaultGrace)
	s.Keep = cmp.Or(s.Keep, DefaultKeep)
	if s.Zone != nil {
		return s, nil
	}
	var err error
	s.Zone, err = time.LoadLocation(DefaultZone)
	return s, err
}

// Projections runs every read model for every tenant. It is safe for concurrent use.
type Projections struct {
	c      Config
	stream stream
	db     *pebble.DB
	lock   *pebble.Lock
	models []*readmodel.Model
	engine *sqltables.Engine
	images images
	// maxCells is MaxCells but in tests.
	maxCells int

	mu      sync.Mutex
	tenants map[eventstore.TenantID]*tenant
}

// settings are the tenant's, with defaults filled in.
func (p *Projections) settings(tenant eventstore.TenantID) (Settings, error) {
	return p.c.Settings(tenant).withDefaults()
}
