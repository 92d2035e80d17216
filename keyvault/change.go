package keyvault

import (
	"context"
	"errors"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// Change implements [eventstore.Keys].
func (v *Vault) Change(_ context.Context, tenant eventstore.TenantID, person eventstore.PersonID, kind eventstore.PersonEventKind, update func(eventstore.State) eventstore.State) (set []eventstore.PersonRecord, err error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	d := &tie{t: t, named: map[string]eventstore.PersonID{"": person}}
	_, err = d.withLeaves(func() error {
		all := d.members(person)
		slices.SortFunc(all, eventstore.PersonID.Compare)
		if d.update(all, update) && kind != "" {
			if err := d.tell(kind, all); err != nil {
				return err
			}
		}
		set = nil
		for _, id := range all {
			set = append(set, d.recs[id].person(id, t.own.floor))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return set, nil
}

// update changes the states of persons and says whether any is another one now.
func (d *tie) update(all []eventstore.PersonID, update func(eventstore.State) eventstore.State) (changed bool) {
	for _, id := range all {
		before := d.recs[id].state()
		after := update(d.recs[id].state())
		if after.Known = true; !after.Equal(before) {
			d.recs[id].setState(after)
			d.dirty[id] = true
			changed = true
		}
	}
	return changed
}

// join gives all members of a set that was just merged one state, and owes the stream what that means for its readers.
func (d *tie) join(all []eventstore.PersonID) error {
	joined := d.recs[all[0]].state()
	for _, id := range all[1:] {
		joined = joined.Joined(d.recs[id].state())
	}
	restricts, objects, answers := false, false, false
	granted, answered := joined.Consents[eventstore.PurposeAnalytics]
	d.update(all, func(s eventstore.State) eventstore.State {
		restricts = restricts || joined.Restricted && !s.Restricted
		objects = objects || joined.Objected && !s.Objected
		was, had := s.Consents[eventstore.PurposeAnalytics]
		answers = answers || answered && (!had || was != granted)
		return s.Joined(joined)
	})
	if restricts {
		if err := d.tell(eventstore.PersonRestricted, all); err != nil {
			return err
		}
	}
	if objects {
		if err := d.tell(eventstore.PersonObjected, all); err != nil {
			return err
		}
	}
	if answers {
		return d.tell(eventstore.ConsentKind(eventstore.PurposeAnalytics, granted), all)
	}
	return nil
}

// tell owes the stream an event about a whole linked set, with its period marks.
func (d *tie) tell(kind eventstore.PersonEventKind, all []eventstore.PersonID) error {
	event := eventstore.PersonEvent{Kind: kind, Persons: slices.Clone(all)}
	for _, p := range d.periods(all) {
		event.Marks = append(event.Marks, eventstore.PeriodMark{Period: p, Mark: periodMark(d.recs[all[0]].set, p)})
	}
	return d.owe(event)
}

// periods are those of all key months of persons.
func (d *tie) periods(all []eventstore.PersonID) []eventstore.Period {
	var months []eventstore.KeyMonth
	for _, id := range all {
		months = append(months, d.recs[id].keyMonths()...)
	}
	slices.Sort(months)
	return eventstore.PeriodsOf(slices.Compact(months))
}

func (d *tie) owe(event eventstore.PersonEvent) error {
	id, err := d.t.owed.next(d.t.v.c.Now(), d.t.v.entropy)
	if err != nil {
		return err
	}
	d.owed = append(d.owed, eventstore.Owed{ID: id, Event: event})
	return nil
}

// Holders implements [eventstore.Keys]. It holds back erasures, re-keyings and splits while it walks.
func (v *Vault) Holders(ctx context.Context, tenant eventstore.TenantID, visit func(eventstore.LedgerReference, eventstore.PersonID) error) error {
	t, err := v.tenant(tenant)
	if err != nil {
		return err
	}
	if err := t.enterShared(); err != nil {
		return err
	}
	defer t.mu.RUnlock()
	var stop error
	err = t.tree.Records(func(id tree.PersonID, plain []byte) error {
		if stop = ctx.Err(); stop != nil {
			return stop
		}
		r, err := decodeRecord(plain)
		if err != nil {
			return err
		}
		defer r.wipe()
		stop = visit(r.reference, eventstore.PersonID(id))
		return stop
	})
	if stop != nil && errors.Is(err, stop) {
		return stop
	}
	return fromTree(err)
}
