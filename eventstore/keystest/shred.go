package keystest

import (
	"context"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Fence implements [eventstore.Keys].
func (f *Fake) Fence(ctx context.Context, tenant eventstore.TenantID, ids []eventstore.PersonID) ([]eventstore.Member, error) {
	members, out, err := f.raise(tenant, ids)
	if err != nil {
		return nil, err
	}
	timeout := time.NewTimer(f.Patience)
	defer timeout.Stop()
	for {
		f.mu.Lock()
		held := slices.ContainsFunc(members, func(p *person) bool { return len(p.gates) > 0 })
		released := f.released
		f.mu.Unlock()
		if !held {
			return out, nil
		}
		select {
		case <-released:
		case <-timeout.C:
			f.kill(members)
			return out, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// raise fences the linked sets of the persons, or nothing.
func (f *Fake) raise(tenant eventstore.TenantID, ids []eventstore.PersonID) ([]*person, []eventstore.Member, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return nil, nil, err
	}
	var members []*person
	for _, id := range ids {
		p := t.persons[id]
		if p == nil {
			return nil, nil, eventstore.ErrNotFound
		}
		if p.gone {
			continue
		}
		for _, q := range p.set.members {
			if q.state.Hold {
				return nil, nil, eventstore.ErrHold
			}
			if !slices.Contains(members, q) {
				members = append(members, q)
			}
		}
	}
	slices.SortFunc(members, func(a, b *person) int { return a.id.Compare(b.id) })
	var out []eventstore.Member
	for _, p := range members {
		p.fenced = true
		m := eventstore.Member{Person: p.id, Reference: p.reference, Months: p.sortedMonths()}
		row := mark(p.secret, string(eventstore.MarkRow))
		copy(m.RowPrefix[:], row[:])
		out = append(out, m)
	}
	return members, out, nil
}

// kill makes the gates that are still held useless.
func (f *Fake) kill(members []*person) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range members {
		for g := range p.gates {
			g.dead = true
			delete(p.gates, g)
		}
	}
}

// FencedPeriodMarks implements [eventstore.Keys].
func (f *Fake) FencedPeriodMarks(ctx context.Context, tenant eventstore.TenantID, id eventstore.PersonID, periods []eventstore.Period) ([]eventstore.Mark, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return nil, err
	}
	p := t.persons[id]
	switch {
	case p == nil:
		return nil, eventstore.ErrNotFound
	case p.gone:
		return nil, nil
	case !p.fenced:
		return nil, eventstore.ErrConflict
	}
	var out []eventstore.Mark
	for _, period := range periods {
		out = append(out, p.set.mark(period))
	}
	return out, nil
}

// Unfence implements [eventstore.Keys].
func (f *Fake) Unfence(ctx context.Context, tenant eventstore.TenantID, ids []eventstore.PersonID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if p := t.persons[id]; p != nil {
			p.fenced = false
			p.endAsides()
		}
	}
	return nil
}

// Shred implements [eventstore.Keys].
func (f *Fake) Shred(ctx context.Context, tenant eventstore.TenantID, ids []eventstore.PersonID, o eventstore.ShredOptions) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if p := t.persons[id]; p == nil || !p.gone && !p.fenced {
			return eventstore.ErrConflict
		}
	}
	now := f.Now()
	until := o.RefuseUntil
	if most := now.Add(eventstore.MaxRefusal); until.After(most) {
		until = most
	}
	references := map[*person]eventstore.LedgerReference{} // while the sets are whole
	for _, id := range ids {
		p := t.persons[id]
		if p.gone {
			continue
		}
		references[p] = slices.MinFunc(p.set.members, func(a, b *person) int { return a.id.Compare(b.id) }).reference
	}
	for _, id := range ids {
		if p := t.persons[id]; !p.gone {
			for _, h := range p.handles {
				t.refused[h] = now
				if until.After(t.barred[h].until) {
					t.barred[h] = bar{until, references[p]}
				}
			}
			t.remove(p)
		}
	}
	return nil
}
