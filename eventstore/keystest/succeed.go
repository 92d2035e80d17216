package keystest

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// part names a handle, or a conversation of one, whose erased events are refused.
type part struct {
	handle       eventstore.Identity
	bot          eventstore.BotID
	conversation eventstore.ConversationID
}

// limit refuses what is older than before, for a day from since.
type limit struct{ before, since time.Time }

// refusesPart says whether an arrival with one of its handles belongs to an erased part.
func (t *tenant) refusesPart(now, at time.Time, a eventstore.Arrival, h eventstore.Identity) bool {
	for _, p := range []part{{handle: h}, {h, a.Bot, a.Conversation}} {
		if l, ok := t.parts[p]; ok && now.Sub(l.since) < 24*time.Hour && at.Before(l.before) {
			return true
		}
	}
	return false
}

// aside opens a gate that no fence waits for. The lock is held for writing.
func (f *Fake) aside(p, of *person, seals bool) *gate {
	g := &gate{f: f, p: p, id: of.id, aside: true, opensOnly: !seals}
	of.asides = append(of.asides, g)
	return g
}

// endAsides makes the gates of an erasure of a part dead.
func (p *person) endAsides() {
	for _, g := range p.asides {
		g.dead = true
	}
	p.asides, p.next = nil, nil
	if p.set != nil {
		p.set.next = nil
	}
}

// FencedGate implements [eventstore.Keys].
func (f *Fake) FencedGate(ctx context.Context, tenant eventstore.TenantID, id eventstore.PersonID) (eventstore.Gate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.fencedPerson(tenant, id)
	if err != nil {
		return nil, err
	}
	return f.aside(p, p, false), nil
}

// Successor implements [eventstore.Keys].
func (f *Fake) Successor(ctx context.Context, tenant eventstore.TenantID, id eventstore.PersonID) (eventstore.Gate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.fencedPerson(tenant, id)
	if err != nil {
		return nil, err
	}
	t := f.tenants[tenant]
	if p.next == nil {
		common := randomKey()
		p.set.next = &common
		for _, q := range p.set.members {
			q.next = &person{
				id: q.id, secret: randomKey(), set: &set{secret: common}, state: q.state, months: map[eventstore.KeyMonth][32]byte{},
				tenant: t, gates: map[*gate]bool{},
			}
			rand.Read(q.next.reference[:])
		}
	}
	return f.aside(p.next, p, true), nil
}

// fencedPerson finds one. The lock is held.
func (f *Fake) fencedPerson(tenant eventstore.TenantID, id eventstore.PersonID) (*person, error) {
	t, err := f.tenant(tenant)
	if err != nil {
		return nil, err
	}
	switch p := t.persons[id]; {
	case p == nil:
		return nil, eventstore.ErrNotFound
	case p.gone:
		return nil, eventstore.ErrErased
	case !p.fenced:
		return nil, eventstore.ErrConflict
	default:
		return p, nil
	}
}

// Supersede implements [eventstore.Keys].
func (f *Fake) Supersede(ctx context.Context, tenant eventstore.TenantID, all []eventstore.Succession) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return err
	}
	todo := map[*person]eventstore.Succession{}
	for _, s := range all {
		p := t.persons[s.Person]
		switch {
		case p == nil:
			return eventstore.ErrConflict
		case p.gone || p.reference != s.Reference:
			continue
		case !p.fenced || p.next == nil || s.First <= p.state.First:
			return eventstore.ErrConflict
		}
		todo[p] = s
	}
	for p := range todo {
		for _, q := range p.set.members {
			if _, ok := todo[q]; !ok {
				return eventstore.ErrConflict
			}
		}
	}
	for p := range todo {
		if p.set.next != nil {
			p.set.secret, p.set.next = *p.set.next, nil
		}
	}
	for p, s := range todo {
		t.supersede(p, s, f.Now())
	}
	return nil
}

func (t *tenant) supersede(p *person, s eventstore.Succession, now time.Time) {
	p.secret, p.reference, p.months = p.next.secret, p.next.reference, p.next.months
	p.state.First, p.fenced = s.First, false
	p.endAsides()
	if s.Refused.Before.IsZero() {
		return
	}
	for _, h := range p.handles {
		k := part{h, s.Refused.Bot, s.Refused.Conversation}
		if l := t.parts[k]; l.before.Before(s.Refused.Before) {
			t.parts[k] = limit{s.Refused.Before, now}
		}
	}
}
