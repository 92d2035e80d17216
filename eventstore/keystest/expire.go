package keystest

import (
	"context"
	"maps"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
)

// Expire implements [eventstore.Keys].
func (f *Fake) Expire(ctx context.Context, tenant eventstore.TenantID, before eventstore.KeyMonth, progress func(done, total uint64)) (eventstore.Expiry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return eventstore.Expiry{}, err
	}
	if now := f.Now(); before > eventstore.KeyMonthOf(now, now) {
		return eventstore.Expiry{}, eventstore.ErrInvalid
	}
	t.expired = max(t.expired, before)
	out := eventstore.Expiry{Before: t.expired}
	for _, p := range t.persons {
		if p.next != nil {
			maps.DeleteFunc(p.next.months, func(m eventstore.KeyMonth, _ [32]byte) bool { return m < t.expired })
		}
		for m := range p.months {
			switch {
			case m >= t.expired:
			case p.set.held():
				out.Spared = append(out.Spared, p.id)
			default:
				delete(p.months, m)
				p.expired = true
				out.Keys++
			}
		}
	}
	slices.SortFunc(out.Spared, eventstore.PersonID.Compare)
	out.Spared = slices.Compact(out.Spared)
	if n := uint64(len(t.persons)); progress != nil {
		progress(n, n)
	}
	return out, nil
}

// Expired implements [eventstore.Keys].
func (f *Fake) Expired(ctx context.Context, tenant eventstore.TenantID) (eventstore.KeyMonth, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return 0, err
	}
	return t.expired, nil
}

// Keyless implements [eventstore.Keys].
func (f *Fake) Keyless(ctx context.Context, tenant eventstore.TenantID, visit func(eventstore.PersonID) error) error {
	found, err := f.keyless(tenant)
	for _, id := range found {
		if err == nil {
			err = visit(id)
		}
	}
	return err
}

func (f *Fake) keyless(tenant eventstore.TenantID) (out []eventstore.PersonID, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return nil, err
	}
	for _, p := range t.persons {
		if !p.gone && p.set.members[0] == p && !p.set.held() && !slices.ContainsFunc(p.set.members, func(q *person) bool {
			return len(q.months) > 0 || q.fenced || !q.created.Before(t.expired.Start())
		}) {
			out = append(out, p.id)
		}
	}
	return out, nil
}

func (s *set) held() bool {
	return slices.ContainsFunc(s.members, func(p *person) bool { return p.state.Hold })
}
