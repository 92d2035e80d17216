// Package keystest holds what tests of the vault's users and of the vault itself share: [Fake], a vault in memory, and [Run], the
// conformance suite that the fake and the real vault pass alike.
//
// The fake keeps every promise of [eventstore.Keys] and [eventstore.Meta] except durability, and really encrypts: what was
// shredded is unreadable, not merely hidden. Its own extras ([Fake.Fail], [Fake.Forget]) bring about what a
// vault meets in the world.
//
// Left open by the contract and so not in the suite: whether [eventstore.Keys.Enter] waits before it answers ErrFenced. Restriction is decided
// by admit, which is asked with the state.
package keystest

import (
	"cmp"
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// Vault is what the real vault and the fake are.
type Vault interface {
	eventstore.Keys
	eventstore.Meta
}

// Fake is a vault in memory. Make one with [New].
type Fake struct {
	// Now is the clock of erasures. Patience is how long Fence waits for gates. Set them before use.
	Now      func() time.Time
	Patience time.Duration

	id eventstore.VaultID

	// mu is held for reading while a gate works, so that no key is in use once a change has been made.
	mu      sync.RWMutex
	tenants map[eventstore.TenantID]*tenant
	failure error
	// released is closed and renewed when a gate is released.
	released chan struct{}
}

type tenant struct {
	erased  bool
	persons map[eventstore.PersonID]*person
	index   map[eventstore.Identity]*person
	refused map[eventstore.Identity]time.Time
	parts   map[part]limit
	barred  map[eventstore.Identity]bar
	control [32]byte
	outbox  []eventstore.Owed
	meta    map[eventstore.MetaTable]map[string][]byte
	// expired is the month below which retention has destroyed the keys, but those of the spared.
	expired eventstore.KeyMonth
}

// person is a record. An erased one keeps nothing but the flag.
type person struct {
	id           eventstore.PersonID
	reference    eventstore.LedgerReference
	secret       [32]byte
	set          *set
	handles      []eventstore.Identity
	ambiguous    []eventstore.Identity
	state        eventstore.State
	months       map[eventstore.KeyMonth][32]byte
	tenant       *tenant
	created      time.Time
	gates        map[*gate]bool
	fenced, gone bool
	// expired: retention took a data key.
	expired bool
	// next is the successor, asides the gates of the machine that erases a part.
	next   *person
	asides []*gate
}

// set is a linked set.
type set struct {
	secret  [32]byte
	members []*person
	// next is the secret of the members' successors.
	next *[32]byte
}

var _ Vault = (*Fake)(nil)

// New makes an empty vault without tenants.
func New() *Fake {
	f := &Fake{
		Now:      time.Now,
		Patience: 2 * time.Second,
		tenants:  map[eventstore.TenantID]*tenant{},
		released: make(chan struct{}),
	}
	rand.Read(f.id[:])
	return f
}

func randomKey() (k [32]byte) {
	rand.Read(k[:])
	return k
}

// Fail makes every call fail with err, as an outage does, until it is called with nil. Gates that are held fail too.
func (f *Fake) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failure = err
}

// Forget makes a person one that this vault never knew, as a restore from an older backup does.
func (f *Fake) Forget(tenant eventstore.TenantID, id eventstore.PersonID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tenants[tenant]
	if p := t.persons[id]; p != nil {
		t.remove(p)
		delete(t.persons, id)
	}
}

// Vault implements [eventstore.Keys].
func (f *Fake) Vault() eventstore.VaultID { return f.id }

// CreateTenant implements [eventstore.Keys].
func (f *Fake) CreateTenant(ctx context.Context, id eventstore.TenantID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch t := f.tenants[id]; {
	case f.failure != nil:
		return f.failure
	case t != nil && t.erased:
		return eventstore.ErrErased
	case t != nil:
		return eventstore.ErrConflict
	}
	f.tenants[id] = &tenant{
		persons: map[eventstore.PersonID]*person{},
		index:   map[eventstore.Identity]*person{},
		refused: map[eventstore.Identity]time.Time{},
		parts:   map[part]limit{},
		barred:  map[eventstore.Identity]bar{},
		control: randomKey(),
		meta:    map[eventstore.MetaTable]map[string][]byte{},
	}
	return nil
}

// Tenants implements [eventstore.Keys].
func (f *Fake) Tenants(ctx context.Context) ([]eventstore.TenantID, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.failure != nil {
		return nil, f.failure
	}
	var out []eventstore.TenantID
	for id, t := range f.tenants {
		if !t.erased {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out, nil
}

// EraseTenant implements [eventstore.Keys].
func (f *Fake) EraseTenant(ctx context.Context, id eventstore.TenantID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tenants[id]
	switch {
	case f.failure != nil:
		return f.failure
	case t == nil:
		return eventstore.ErrNotFound
	}
	for _, p := range t.persons {
		p.efface()
	}
	f.tenants[id] = &tenant{erased: true}
	return nil
}

// tenant finds one that can be worked on. The lock is held.
func (f *Fake) tenant(id eventstore.TenantID) (*tenant, error) {
	t := f.tenants[id]
	switch {
	case f.failure != nil:
		return nil, f.failure
	case t == nil:
		return nil, eventstore.ErrNotFound
	case t.erased:
		return nil, eventstore.ErrErased
	}
	return t, nil
}

// person finds one that can be worked on. The lock is held.
func (f *Fake) person(tenant eventstore.TenantID, id eventstore.PersonID) (*tenant, *person, error) {
	t, err := f.tenant(tenant)
	if err != nil {
		return nil, nil, err
	}
	p := t.persons[id]
	if p == nil {
		return nil, nil, eventstore.ErrNotFound
	}
	return t, p, p.usable()
}

func (p *person) usable() error {
	switch {
	case p.gone:
		return eventstore.ErrErased
	case p.fenced:
		return eventstore.ErrFenced
	}
	return nil
}

// efface forgets everything but that the person was erased.
func (p *person) efface() {
	for g := range p.gates {
		g.dead = true
	}
	p.endAsides()
	*p = person{id: p.id, gone: true}
}

// remove takes a person's handles out of the index and the person out of the linked set.
func (t *tenant) remove(p *person) {
	for _, h := range p.handles {
		delete(t.index, h)
	}
	p.set.members = slices.DeleteFunc(p.set.members, func(q *person) bool { return q == p })
	p.efface()
}

func (p *person) record() eventstore.PersonRecord {
	return eventstore.PersonRecord{
		Person:     p.id,
		Reference:  p.reference,
		Identities: slices.Clone(p.handles),
		Ambiguous:  slices.Clone(p.ambiguous),
		State:      p.copyState(),
		Months:     p.sortedMonths(),
		Created:    p.created,
		Expired:    p.expiredMonth(),
	}
}

// expiredMonth is the month before which retention took something, 0 if it took nothing.
func (p *person) expiredMonth() eventstore.KeyMonth {
	months := p.sortedMonths()
	switch {
	case !p.expired:
		return 0
	case len(months) > 0:
		return min(p.tenant.expired, months[0])
	}
	return p.tenant.expired
}

func (p *person) copyState() eventstore.State {
	s := p.state
	s.Consents = maps.Clone(s.Consents)
	return s
}

// sortedMonths lists the months in which the person spoke and that are not expired.
func (p *person) sortedMonths() []eventstore.KeyMonth { return slices.Sorted(maps.Keys(p.months)) }

func (s *set) sort() {
	slices.SortFunc(s.members, func(a, b *person) int { return a.id.Compare(b.id) })
}

func sortIdentities(ids []eventstore.Identity) {
	slices.SortFunc(ids, func(a, b eventstore.Identity) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.ID, b.ID))
	})
}
