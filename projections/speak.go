package projections

import (
	"context"
	"encoding/hex"
	"slices"

	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/release"
)

// speak puts wordings in the place of their names, in the rows that are published: they are read back from the events of the period. A row whose wording nobody's events
// say any more is left out.
func (p *Projections) speak(ctx context.Context, t *tenant, m *readmodel.Model, o openPeriod, r *release.Release) error {
	if !m.Worded() || len(r.Rows) == 0 {
		return nil
	}
	last := len(m.Dimensions) - 1
	named := func(row release.Figure) (id cellID, ok bool) {
		raw, err := hex.DecodeString(row.Values[last])
		copy(id[:], raw)
		return id, err == nil && len(raw) == len(id)
	}
	wanted := map[cellID]bool{}
	for _, row := range r.Rows {
		if id, ok := named(row); ok {
			wanted[id] = true
		}
	}
	found, err := p.wordings(ctx, t, m, o.sequence-1, wanted)
	if err != nil {
		return err
	}
	n := len(r.Rows)
	r.Rows = slices.DeleteFunc(r.Rows, func(row release.Figure) bool {
		id, ok := named(row)
		if ok {
			row.Values[last] = found[id]
		}
		return ok && found[id] == ""
	})
	r.Hidden = r.Hidden || len(r.Rows) < n
	slices.SortFunc(r.Rows, func(a, b release.Figure) int { return slices.Compare(a.Values, b.Values) })
	return nil
}
