package keystest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Enter implements [eventstore.Keys].
func (f *Fake) Enter(ctx context.Context, tenant eventstore.TenantID, a eventstore.Arrival, admit func(eventstore.State) error) (*eventstore.Entered, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return nil, err
	}
	if err := t.refuse(f.Now(), a); err != nil {
		return nil, err
	}
	if eventstore.KeyMonthOf(timeOf(a), a.Received) < t.expired {
		return nil, eventstore.ErrExpired
	}
	p := t.index[a.Identity]
	var state eventstore.State
	if p != nil {
		state = p.copyState()
	}
	if err := admit(state); err != nil {
		return nil, err
	}
	if joined, links := t.joined(p, a); links {
		if err := admit(joined); err != nil {
			return nil, err
		}
	}
	out := &eventstore.Entered{}
	if p == nil {
		if p, err = t.mint(a.Identity, a.Received); err != nil {
			return nil, err
		}
		out.Minted = true
	}
	for _, h := range a.Also {
		t.also(p, a.Identity, h, a.Received, out)
	}
	out.Gate = f.enter(p)
	return out, nil
}

// refuse turns away what is fenced, what is older than an erasure of its handle, and what is refused for longer.
func (t *tenant) refuse(now time.Time, a eventstore.Arrival) error {
	at := timeOf(a)
	for _, h := range append([]eventstore.Identity{a.Identity}, a.Also...) {
		if p := t.index[h]; p != nil && p.fenced {
			return eventstore.ErrFenced
		}
		if t.refusesPart(now, at, a, h) {
			return eventstore.ErrErased
		}
		if erased, ok := t.refused[h]; ok && now.Sub(erased) < eventstore.RefusedFor && at.Before(erased) || now.Before(t.barred[h].until) {
			return eventstore.ErrErased
		}
	}
	return nil
}

func timeOf(a eventstore.Arrival) time.Time {
	if a.Time.IsZero() {
		return a.Received
	}
	return a.Time
}

func (t *tenant) mint(id eventstore.Identity, now time.Time) (*person, error) {
	pid, err := eventstore.NewPersonID(nil)
	if err != nil {
		return nil, err
	}
	p := &person{
		id:      pid,
		secret:  randomKey(),
		set:     &set{secret: randomKey()},
		handles: []eventstore.Identity{id},
		state:   eventstore.State{Known: true},
		months:  map[eventstore.KeyMonth][32]byte{},
		tenant:  t,
		created: now,
		gates:   map[*gate]bool{},
	}
	rand.Read(p.reference[:])
	p.set.members = []*person{p}
	t.persons[pid] = p
	t.index[id] = p
	return p, nil
}

// also ties a further handle h to p, which i names, or lists it as ambiguous.
func (t *tenant) also(p *person, i, h eventstore.Identity, now time.Time, out *eventstore.Entered) {
	q := t.index[h]
	if q != nil && q.set == p.set {
		return
	}
	var b []eventstore.Identity
	if q != nil {
		b = q.set.handles()
	}
	switch {
	case Ambiguous(i, p.set.handles(), h, b):
		out.Ambiguous = true
		if !slices.Contains(p.ambiguous, h) {
			p.ambiguous = append(p.ambiguous, h)
		}
	case q == nil:
		p.handles = append(p.handles, h)
		sortIdentities(p.handles)
		t.index[h] = p
	default:
		t.link(p.set, q.set, now)
		out.Linked = true
	}
}

// Ambiguous is the rule by which a further handle h, tied to the handles b, is not linked with the identity i, tied to the handles a.
// Either may be new: then it is tied to nothing.
func Ambiguous(i eventstore.Identity, a []eventstore.Identity, h eventstore.Identity, b []eventstore.Identity) bool {
	a, b = append(slices.Clip(a), i), append(slices.Clip(b), h)
	clash := func(tied []eventstore.Identity, named eventstore.Identity, other []eventstore.Identity) bool {
		return slices.ContainsFunc(other, strong) && slices.ContainsFunc(tied, func(x eventstore.Identity) bool {
			return strong(x) && x != named && !slices.Contains(other, x)
		})
	}
	return clash(b, h, a) || clash(a, i, b)
}

// joined is the state that an arrival's person would have once everything is linked that it links, if there is anything.
func (t *tenant) joined(p *person, a eventstore.Arrival) (state eventstore.State, links bool) {
	handles := []eventstore.Identity{a.Identity}
	var sets []*set
	if p != nil {
		handles, sets = p.set.handles(), append(sets, p.set)
		state = p.copyState()
	}
	for _, h := range a.Also {
		q := t.index[h]
		if q != nil && slices.Contains(sets, q.set) {
			continue
		}
		var theirs []eventstore.Identity
		if q != nil {
			theirs = q.set.handles()
		}
		switch {
		case Ambiguous(a.Identity, handles, h, theirs):
		case q == nil:
			handles = append(handles, h)
		default:
			handles, sets, links = append(handles, theirs...), append(sets, q.set), true
			for _, o := range q.set.members {
				state = state.Joined(o.state)
			}
		}
	}
	return state, links
}

// strong says whether a handle belongs to one human alone.
func strong(id eventstore.Identity) bool { return id.Namespace == "email" || id.Namespace == "phone" }

func (s *set) handles() (out []eventstore.Identity) {
	for _, p := range s.members {
		out = append(out, p.handles...)
	}
	return out
}

// link merges the set b into a and owes the stream a person event that moves b's marks.
func (t *tenant) link(a, b *set, now time.Time) {
	months := map[eventstore.KeyMonth]bool{}
	for _, p := range b.members {
		for m := range p.months {
			months[m] = true
		}
	}
	e := eventstore.PersonEvent{Kind: eventstore.PersonLinked}
	defer a.join(t, now)
	for _, period := range eventstore.PeriodsOf(slices.Sorted(maps.Keys(months))) {
		e.Marks = append(e.Marks, eventstore.PeriodMark{Period: period, Mark: b.mark(period), To: a.mark(period)})
	}
	for _, p := range b.members {
		p.set = a
		a.members = append(a.members, p)
	}
	a.sort()
	handles := a.handles()
	for _, p := range a.members {
		e.Persons = append(e.Persons, p.id)
		p.ambiguous = slices.DeleteFunc(p.ambiguous, func(h eventstore.Identity) bool { return slices.Contains(handles, h) })
	}
	t.owe(e, now)
}

func (t *tenant) owe(e eventstore.PersonEvent, now time.Time) {
	id, err := eventstore.NewEventID(now, nil)
	if err != nil {
		panic(err)
	}
	t.outbox = append(t.outbox, eventstore.Owed{ID: id, Event: e})
}

// join gives the members of a merged set one state.
func (s *set) join(t *tenant, now time.Time) {
	joined := s.members[0].copyState()
	for _, p := range s.members[1:] {
		joined = joined.Joined(p.state)
	}
	restricts, objects, answers := false, false, false
	granted, answered := joined.Consents[eventstore.PurposeAnalytics]
	s.update(func(st eventstore.State) eventstore.State {
		restricts = restricts || joined.Restricted && !st.Restricted
		objects = objects || joined.Objected && !st.Objected
		was, had := st.Consents[eventstore.PurposeAnalytics]
		answers = answers || answered && (!had || was != granted)
		return st.Joined(joined)
	})
	if restricts {
		t.owe(s.event(eventstore.PersonRestricted), now)
	}
	if objects {
		t.owe(s.event(eventstore.PersonObjected), now)
	}
	if answers {
		t.owe(s.event(eventstore.ConsentKind(eventstore.PurposeAnalytics, granted)), now)
	}
}

// update changes the states of a set's members and says whether any is another one now.
func (s *set) update(update func(eventstore.State) eventstore.State) (changed bool) {
	for _, p := range s.members {
		before := p.copyState()
		p.state = update(p.copyState())
		p.state.Consents = maps.Clone(p.state.Consents)
		p.state.Known = true
		changed = changed || !p.state.Equal(before)
	}
	return changed
}

// event is a person event about the whole set, with its marks.
func (s *set) event(kind eventstore.PersonEventKind) eventstore.PersonEvent {
	e := eventstore.PersonEvent{Kind: kind}
	months := map[eventstore.KeyMonth]bool{}
	for _, p := range s.members {
		e.Persons = append(e.Persons, p.id)
		for m := range p.months {
			months[m] = true
		}
	}
	for _, period := range eventstore.PeriodsOf(slices.Sorted(maps.Keys(months))) {
		e.Marks = append(e.Marks, eventstore.PeriodMark{Period: period, Mark: s.mark(period)})
	}
	return e
}

func (s *set) mark(p eventstore.Period) eventstore.Mark {
	return mark(s.secret, "period", []byte{byte(p.Kind)}, binary.BigEndian.AppendUint32(nil, uint32(p.First)))
}

// Resolve implements [eventstore.Keys].
func (f *Fake) Resolve(ctx context.Context, tenant eventstore.TenantID, id eventstore.Identity) (eventstore.PersonID, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return eventstore.PersonID{}, err
	}
	p := t.index[id]
	if p == nil {
		return eventstore.PersonID{}, eventstore.ErrNotFound
	}
	if err := p.usable(); err != nil {
		return eventstore.PersonID{}, err
	}
	return p.id, nil
}

// Linked implements [eventstore.Keys].
func (f *Fake) Linked(ctx context.Context, tenant eventstore.TenantID, id eventstore.PersonID) ([]eventstore.PersonRecord, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, p, err := f.person(tenant, id)
	if err != nil {
		return nil, err
	}
	var out []eventstore.PersonRecord
	for _, q := range p.set.members {
		out = append(out, q.record())
	}
	return out, nil
}

// Link implements [eventstore.Keys].
func (f *Fake) Link(ctx context.Context, tenant eventstore.TenantID, a, b eventstore.PersonID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, p, err := f.person(tenant, a)
	if err != nil {
		return err
	}
	_, q, err := f.person(tenant, b)
	if err != nil {
		return err
	}
	if p.set == q.set {
		return eventstore.ErrConflict
	}
	t.link(p.set, q.set, f.Now())
	return nil
}

// Change implements [eventstore.Keys].
func (f *Fake) Change(ctx context.Context, tenant eventstore.TenantID, id eventstore.PersonID, kind eventstore.PersonEventKind, update func(eventstore.State) eventstore.State) ([]eventstore.PersonRecord, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, p, err := f.person(tenant, id)
	if err != nil {
		return nil, err
	}
	if p.set.update(update) && kind != "" {
		t.owe(p.set.event(kind), f.Now())
	}
	var out []eventstore.PersonRecord
	for _, q := range p.set.members {
		out = append(out, q.record())
	}
	return out, nil
}

// Holders implements [eventstore.Keys].
func (f *Fake) Holders(ctx context.Context, tenant eventstore.TenantID, visit func(eventstore.LedgerReference, eventstore.PersonID) error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return err
	}
	for _, p := range t.persons {
		if p.gone {
			continue
		}
		if err := visit(p.reference, p.id); err != nil {
			return err
		}
	}
	return nil
}

// SetState implements [eventstore.Keys].
func (f *Fake) SetState(ctx context.Context, tenant eventstore.TenantID, id eventstore.PersonID, update func(eventstore.State) eventstore.State) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, p, err := f.person(tenant, id)
	if err != nil {
		return err
	}
	p.state = update(p.copyState())
	p.state.Consents = maps.Clone(p.state.Consents)
	p.state.Known = true
	return nil
}

// PeriodMark implements [eventstore.Keys].
func (f *Fake) PeriodMark(ctx context.Context, tenant eventstore.TenantID, id eventstore.PersonID, period eventstore.Period) (eventstore.Mark, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, p, err := f.person(tenant, id)
	if err != nil {
		return eventstore.Mark{}, err
	}
	return p.set.mark(period), nil
}

// Outbox implements [eventstore.Keys].
func (f *Fake) Outbox(ctx context.Context, tenant eventstore.TenantID) ([]eventstore.Owed, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return nil, err
	}
	return slices.Clone(t.outbox), nil
}

// Sent implements [eventstore.Keys].
func (f *Fake) Sent(ctx context.Context, tenant eventstore.TenantID, id eventstore.EventID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return err
	}
	t.outbox = slices.DeleteFunc(t.outbox, func(o eventstore.Owed) bool { return o.ID == id })
	return nil
}

// Count implements [eventstore.Keys].
func (f *Fake) Count(ctx context.Context, tenant eventstore.TenantID) (n uint64, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return 0, err
	}
	for _, p := range t.persons {
		if !p.gone {
			n++
		}
	}
	return n, nil
}
