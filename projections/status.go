package projections

import (
	"context"
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
	// Cells is the number of cells of all projections and periods; Suppressed the share of them, from 0 to 1, with fewer than K persons.
	Cells      uint64  `json:"cells"`
	Suppressed float64 `json:"suppressed"`
	// Running says that Run is at work.
	Running bool `json:"running"`
}

// Status reads every cell of the tenant. It is for administrators: the share of suppressed cells is not anonymous in a small tenant.
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
	small := uint64(0)
	for _, m := range p.models {
		err := t.eachCell(p.db, m, func(c storedCell) error {
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
		s.Suppressed = float64(small) / float64(s.Cells)
	}
	return s, nil
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
