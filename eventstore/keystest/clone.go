package keystest

import (
	"maps"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
)

// Clone is a vault that holds what f holds now and goes its own way from here, as one does that was restored from a backup. Gates stay with f.
func (f *Fake) Clone() *Fake {
	f.mu.RLock()
	defer f.mu.RUnlock()
	out := New()
	out.Now, out.Patience, out.id = f.Now, f.Patience, f.id
	for id, t := range f.tenants {
		out.tenants[id] = t.clone()
	}
	return out
}

func (t *tenant) clone() *tenant {
	c := *t
	c.persons, c.index = map[eventstore.PersonID]*person{}, map[eventstore.Identity]*person{}
	c.refused, c.parts, c.barred = maps.Clone(t.refused), maps.Clone(t.parts), maps.Clone(t.barred)
	c.outbox, c.meta = slices.Clone(t.outbox), map[eventstore.MetaTable]map[string][]byte{}
	for table, rows := range t.meta {
		c.meta[table] = maps.Clone(rows)
	}
	sets := map[*set]*set{}
	for id, p := range t.persons {
		q := *p
		q.tenant, q.gates, q.asides = &c, map[*gate]bool{}, nil
		q.months, q.handles, q.ambiguous, q.state = maps.Clone(p.months), slices.Clone(p.handles), slices.Clone(p.ambiguous), p.copyState()
		if p.set != nil {
			if sets[p.set] == nil {
				s := *p.set
				s.members = nil
				sets[p.set] = &s
			}
			q.set = sets[p.set]
			q.set.members = append(q.set.members, &q)
		}
		c.persons[id] = &q
	}
	for _, s := range sets {
		s.sort()
	}
	for h, p := range t.index {
		c.index[h] = c.persons[p.id]
	}
	return &c
}
