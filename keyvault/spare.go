package keyvault

import (
	"fmt"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
)

// held says whether a person's linked set is on hold; mu is held.
func (t *tenant) held(r *record) (bool, error) {
	if r.flags&flagHold != 0 {
		return true, nil
	}
	for _, id := range r.others {
		o, err := t.record(id)
		if err != nil {
			return false, err
		}
		if o == nil {
			continue
		}
		held := o.flags&flagHold != 0
		o.wipe()
		if held {
			return true, nil
		}
	}
	return false, nil
}

// sparedRow is the row of a person who was on hold when retention came by; mu is held.
func (t *tenant) sparedRow(id eventstore.PersonID) []byte {
	h := newPRF(t.own.metaHash, "oubli/spared/1")
	h.Write(id[:])
	return t.row(rowSpared, h.Sum(nil)[:16])
}

// spare remembers that a person keeps keys below the floor.
func (t *tenant) spare(b batch, id eventstore.PersonID) error {
	row := t.sparedRow(id)
	if old, err := (rows{t.v.db}).Get(row); err != nil || old != nil {
		return err
	}
	sealed, err := t.v.sealRow(t.own.meta, row, id[:])
	if err != nil {
		return err
	}
	return b.Set(row, sealed)
}

// eachSpared visits those who were on hold when retention came by; mu is held.
func (t *tenant) eachSpared(visit func(row []byte, id eventstore.PersonID) error) error {
	return rows{t.v.db}.Scan(t.row(rowSpared), func(key, sealed []byte) error {
		row := slices.Clone(key)
		plain, err := t.v.openRow(t.own.meta, row, sealed, "the row of a person whom retention spared")
		if err != nil {
			return err
		}
		if len(plain) != 16 {
			return fmt.Errorf("vault: the row of a person whom retention spared is cut: %w", eventstore.ErrDamaged)
		}
		return visit(row, eventstore.PersonID(plain))
	})
}
