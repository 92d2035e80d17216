package projections

import (
	"context"
	"encoding/hex"

	"github.com/oubli-store/oubli/projections/readmodel"
)

// hideWording keeps a wording out of what is stored: the cell's name, a keyed hash of all its values, is all that stands for it.
func hideWording(values []string) {
	if last := &values[len(values)-1]; *last != readmodel.Other && *last != readmodel.None {
		*last = ""
	}
}

// nameWording calls a hidden wording by its cell's name, until it is read back.
func nameWording(values []string, id cellID) {
	if last := &values[len(values)-1]; *last == "" {
		*last = hex.EncodeToString(id[:])
	}
}

// wordings reads the wordings of cells back from the stream, from behind the sequence after up to what is counted; it ends when all are found. A cell whose wording is not among
// what it returns belongs to nobody whose events can still be read: it cannot be published.
func (p *Projections) wordings(ctx context.Context, t *tenant, m *readmodel.Model, after uint64, cells map[cellID]bool) (map[cellID]string, error) {
	out := map[cellID]string{}
	for item, err := range p.stream.Replay(ctx, t.id, after) {
		if err != nil {
			return nil, err
		}
		if len(out) == len(cells) || item.Sequence > t.position.Load() {
			break
		}
		if item.Event == nil {
			continue
		}
		for _, fact := range m.Facts(item.Event) {
			if id := t.keys.cell(m.ID, fact.Values); cells[id] {
				out[id] = fact.Values[len(fact.Values)-1]
			}
		}
	}
	return out, nil
}

// readWordings puts the wordings of exact cells in the place of their names.
func (p *Projections) readWordings(ctx context.Context, t *tenant, m *readmodel.Model, cells []ExactCell) error {
	names := map[cellID]bool{}
	named := func(c ExactCell) (id cellID, ok bool) {
		raw, err := hex.DecodeString(c.Values[len(c.Values)-1])
		copy(id[:], raw)
		return id, err == nil && len(raw) == len(id)
	}
	for _, c := range cells {
		if id, ok := named(c); ok {
			names[id] = true
		}
	}
	found, err := p.wordings(ctx, t, m, 0, names)
	for _, c := range cells {
		if id, ok := named(c); ok && found[id] != "" {
			c.Values[len(c.Values)-1] = found[id]
		}
	}
	return err
}
