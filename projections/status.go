package projections

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
)

// Status says how far a tenant's projections are.
type Status struct {
	// Position is the sequence up to which everything is counted, durably; Committed the stream's; Lag the difference.
	Position  uint64 `json:"position"`
	Committed uint64 `json:"committed"`
	Lag       uint64 `json:"lag"`
	// OpenDays, OpenWeeks and OpenMonths are the periods in which somebody stands, ClosedDays and so on those of which there is a release of every projection.
	OpenDays     int `json:"open_days"`
	OpenWeeks    int `json:"open_weeks"`
	OpenMonths   int `json:"open_months"`
	ClosedDays   int `json:"closed_days"`
	ClosedWeeks  int `json:"closed_weeks"`
	ClosedMonths int `json:"closed_months"`
	// Late is how many events came too late for a release, since the rows were made.
	Late uint64 `json:"late_events"`
	// Cells is the number of cells of all projections in open periods, rounded down to a multiple of K; Suppressed is the share of them with fewer than K persons, rounded to a
	// tenth: so neither says whether any one cell is there.
	Cells      uint64  `json:"cells"`
	Suppressed float64 `json:"suppressed"`
	// Running says that Run is at work.
	Running bool `json:"running"`
	// Rebuilding is the sequence to which rows that are made anew have come; 0: none are.
	Rebuilding uint64 `json:"rebuilding,omitempty"`
	Rebuild    bool   `json:"rebuild"`
}

// Status reads every cell of the tenant's open periods.
func (p *Projections) Status(ctx context.Context, id eventstore.TenantID) (Status, error) {
	t, err := p.tenant(ctx, id)
	if err != nil {
		return Status{}, err
	}
	settings, err := p.settings(id)
	if err != nil {
		return Status{}, err
	}
	s := Status{Position: t.position.Load(), Running: t.running.Load()}
	if s.Committed, err = p.stream.Committed(ctx, id); err != nil {
		return Status{}, err
	}
	s.Committed = max(s.Committed, s.Position)
	s.Lag = s.Committed - s.Position
	if err := p.statusOfPeriods(t, &s); err != nil {
		return Status{}, err
	}
	small := uint64(0)
	for _, m := range p.models {
		err := t.eachCell(p.db, m, func(c storedCell) error {
			if t.isClosed(m, c.key.period) {
				return ctx.Err()
			}
			s.Cells++
			if c.persons < uint64(settings.K) {
				small++
			}
			return ctx.Err()
		})
		if err != nil {
			return Status{}, err
		}
	}
	if s.Cells > 0 {
		s.Suppressed = math.Round(10*float64(small)/float64(s.Cells)) / 10
	}
	s.Cells -= s.Cells % uint64(settings.K)
	return s, nil
}

// statusOfPeriods fills in which periods are open and closed, and how far a rebuild is.
func (p *Projections) statusOfPeriods(t *tenant, s *Status) error {
	open, err := p.openPeriods(t)
	if err != nil {
		return err
	}
	for _, o := range open {
		s.count(o.Kind, &s.OpenDays, &s.OpenWeeks, &s.OpenMonths)
	}
	if s.Late, err = t.late(p.db); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range t.closed.at {
		if key.model == p.models[0].ID && t.closed.everything(p.models, key.period) {
			s.count(key.period.Kind, &s.ClosedDays, &s.ClosedWeeks, &s.ClosedMonths)
		}
	}
	if t.shadow != nil {
		s.Rebuild, s.Rebuilding = true, t.shadow.position.Load()
	}
	return nil
}

func (s *Status) count(kind eventstore.PeriodKind, days, weeks, months *int) {
	switch kind {
	case eventstore.Day:
		*days++
	case eventstore.Week:
		*weeks++
	default:
		*months++
	}
}

// ExactCell is one cell as it was counted.
type ExactCell struct {
	Period  eventstore.Period
	Values  []string
	Persons uint64
	// Sums are zero for weeks and months, which have only persons.
	Sums []uint64
}

// Exact reads the cells of a projection as they were counted in the open periods: not anonymous. It is for tests of correctness within the process, a function and not a method so that
// nothing which is handed a [Projections] offers it; no command and no route may reach it.
func Exact(p *Projections, tenant eventstore.TenantID, projection string) ([]ExactCell, error) {
	m, err := modelNamed(projection)
	if err != nil {
		return nil, err
	}
	t, err := p.tenant(context.Background(), tenant)
	if err != nil {
		return nil, err
	}
	var out []ExactCell
	err = t.eachCell(p.db, m, func(c storedCell) error {
		if t.isClosed(m, c.key.period) {
			return nil
		}
		out = append(out, ExactCell{Period: c.key.period, Values: c.values, Persons: c.persons, Sums: c.sums})
		return nil
	})
	if err == nil && m.Worded() {
		err = p.readWordings(context.Background(), t, m, out)
	}
	slices.SortFunc(out, func(a, b ExactCell) int {
		if a.Period != b.Period {
			return strings.Compare(a.Period.String(), b.Period.String())
		}
		return slices.Compare(a.Values, b.Values)
	})
	return out, err
}

// Following is how far the projections of a tenant are behind its stream.
type Following struct {
	Tenant eventstore.TenantID
	// Position is the sequence up to which everything is counted, Lag how many sequences are committed behind it.
	Position, Lag uint64
}

// Following lists the tenants whose Run is at work, in order; a tenant whose stream cannot be reached is left out. It reads no cell and is cheap: for metrics.
func (p *Projections) Following(ctx context.Context) (out []Following) {
	p.mu.Lock()
	var running []*tenant
	for _, t := range p.tenants {
		if t.running.Load() {
			running = append(running, t)
		}
	}
	p.mu.Unlock()
	for _, t := range running {
		committed, err := p.stream.Committed(ctx, t.id)
		if err != nil {
			continue
		}
		at := t.position.Load()
		out = append(out, Following{Tenant: t.id, Position: at, Lag: max(committed, at) - at})
	}
	slices.SortFunc(out, func(a, b Following) int { return strings.Compare(string(a.Tenant), string(b.Tenant)) })
	return out
}
