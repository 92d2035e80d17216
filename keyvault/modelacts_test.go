package keyvault_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
	"pgregory.net/rapid"
)

// The months of the model: some long over, which can expire, and the one in which everybody speaks.
var modelMonths = []eventstore.KeyMonth{crashMonth - 40, crashMonth - 36, crashMonth - 30, crashMonth}

// refuses says whether an event of some handles is refused: older than an erasure of a day, or refused for longer.
func (m *model) refuses(at time.Time, ids []eventstore.Identity) bool {
	for _, id := range ids {
		erased, ok := m.erasedAt[id]
		if ok && at.Before(erased) && m.now.Sub(erased) < eventstore.RefusedFor || m.now.Before(m.barred[id]) {
			return true
		}
	}
	return false
}

// seal seals a text in some month.
func (m *model) seal(t *rapid.T) {
	p, month := m.person(t, "who"), rapid.SampledFrom(modelMonths).Draw(t, "month")
	g, err := m.v.Gate(t.Context(), crashTenant, p.id)
	if p.erased || p.fenced {
		if err == nil {
			t.Fatal("a gate of an erased or fenced person")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer g.Release()
	sealed, err := g.Seal(t.Context(), month, []byte("a text"), nil)
	if month < m.floor {
		if !errors.Is(err, eventstore.ErrExpired) {
			t.Fatalf("Seal in an expired month: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	p.texts[month] = modelText{sealed: sealed}
}

// texts opens everything of a person: what was sealed last, and what must not open.
func (m *model) texts(t *rapid.T, p *modelPerson, g eventstore.Gate) {
	for month, text := range p.texts {
		plain, err := g.Open(t.Context(), month, text.sealed, nil)
		if text.expired {
			if !errors.Is(err, eventstore.ErrExpired) {
				t.Fatalf("an expired text: %q, %v", plain, err)
			}
		} else if err != nil || string(plain) != "a text" {
			t.Fatalf("a text of %s: %v", month, err)
		}
	}
	for month, all := range p.dead {
		for _, sealed := range all {
			if _, err := g.Open(t.Context(), month, sealed, nil); err == nil {
				t.Fatal("something of an erased part opens")
			}
		}
	}
}

// expire destroys the months before one, but for who is on hold.
func (m *model) expire(t *rapid.T) {
	before := rapid.SampledFrom(modelMonths[1:]).Draw(t, "before")
	if _, err := m.v.Expire(t.Context(), crashTenant, before, nil); err != nil {
		t.Fatal(err)
	}
	m.floor = max(m.floor, before)
	for _, p := range m.persons {
		if p.set.hold {
			continue
		}
		for month, text := range p.texts {
			if month < m.floor {
				text.expired = true
				p.texts[month] = text
			}
		}
	}
	if floor, err := m.v.Expired(t.Context(), crashTenant); err != nil || floor != m.floor {
		t.Fatalf("Expired: %s, want %s: %v", floor, m.floor, err)
	}
}

func (m *model) hold(t *rapid.T) {
	p, on := m.person(t, "who"), rapid.Bool().Draw(t, "on")
	_, err := m.v.Change(t.Context(), crashTenant, p.id, "", func(s eventstore.State) eventstore.State { s.Hold = on; return s })
	if p.erased || p.fenced {
		if err == nil {
			t.Fatal("the state of an erased or fenced person changed")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	p.set.hold = on
}

// part erases everything of a set but, of each member, what is sealed anew in the present month.
func (m *model) part(t *rapid.T) {
	p := m.person(t, "who")
	members, err := m.v.Fence(t.Context(), crashTenant, []eventstore.PersonID{p.id})
	if p.erased || p.set.hold {
		return // that is fence's business
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []eventstore.Succession
	copies := map[eventstore.PersonID][]byte{}
	for _, q := range members {
		g, err := m.v.Successor(t.Context(), crashTenant, q.Person)
		if err != nil {
			t.Fatal(err)
		}
		if copies[q.Person], err = g.Seal(t.Context(), crashMonth, []byte("a text"), nil); err != nil {
			t.Fatal(err)
		}
		g.Release()
	}
	crash := rapid.Bool().Draw(t, "crash between")
	if crash {
		m.crash(t)
	}
	for _, q := range p.set.members {
		q.first += 10
	}
	for _, q := range members {
		all = append(all, eventstore.Succession{Person: q.Person, Reference: q.Reference, First: p.firstOf(q.Person)})
	}
	if err := m.v.Supersede(t.Context(), crashTenant, all); err != nil {
		t.Fatal(err)
	}
	for _, q := range p.set.members {
		q.fenced = false
		for month, text := range q.texts {
			q.dead[month] = append(q.dead[month], text.sealed)
		}
		q.texts = map[eventstore.KeyMonth]modelText{crashMonth: {sealed: copies[q.id]}}
	}
}

func (p *modelPerson) firstOf(id eventstore.PersonID) uint64 {
	for _, q := range p.set.members {
		if q.id == id {
			return q.first
		}
	}
	return 0
}

// wait lets time pass, and the vault do what is due.
func (m *model) wait(t *rapid.T) {
	m.now = m.now.Add(rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 26 * time.Hour, 45 * 24 * time.Hour}).Draw(t, "how long"))
	if err := m.v.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// admit lifts a longer refusal.
func (m *model) admit(t *rapid.T) {
	id := m.handle(t, "identity")
	want := 0
	if m.now.Before(m.barred[id]) {
		for h, set := range m.barredWith {
			if set == m.barredWith[id] && m.now.Before(m.barred[h]) {
				want++
				m.barred[h] = time.Time{}
			}
		}
	}
	r, err := m.v.Refused(t.Context(), crashTenant, []eventstore.Identity{id}, nil)
	if err != nil || r.Handles != want {
		t.Fatalf("Refused: %d, want %d: %v", r.Handles, want, err)
	}
	ids := []eventstore.Identity{id}
	if rapid.Bool().Draw(t, "by reference") {
		ids = nil
	}
	if n, err := m.v.Admit(t.Context(), crashTenant, ids, r.References); err != nil || n != want {
		t.Fatalf("Admit: %d, want %d: %v", n, want, err)
	}
}

// rotate changes the key-encryption key, between two.
func (m *model) rotate(t *rapid.T) {
	to := newKEK
	if m.kek == newKEK {
		to = register.FileScheme + "/data/kek"
	}
	if err := m.v.RotateKEK(t.Context(), to, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	m.kek = to
	m.crash(t) // one rotation for each start
}

// guest is a second tenant, which comes and goes.
type guest struct {
	n      int
	id     eventstore.TenantID
	person eventstore.PersonID
}

// invite makes a second tenant with one person, or erases it.
func (m *model) invite(t *rapid.T) {
	if m.guest.id != "" {
		if err := m.v.EraseTenant(t.Context(), m.guest.id); err != nil {
			t.Fatal(err)
		}
		if _, err := m.v.Gate(t.Context(), m.guest.id, m.guest.person); !errors.Is(err, eventstore.ErrErased) {
			t.Fatalf("a person of an erased tenant: %v", err)
		}
		m.guest.id = ""
		return
	}
	m.guest.n++
	m.guest.id = eventstore.TenantID(fmt.Sprint("guest-", m.guest.n))
	if err := m.v.CreateTenant(t.Context(), m.guest.id); err != nil {
		t.Fatal(err)
	}
	e, err := m.v.Enter(t.Context(), m.guest.id, eventstore.Arrival{Identity: web("1"), Time: m.now, Received: m.now}, accept)
	if err != nil {
		t.Fatal(err)
	}
	m.guest.person = e.Gate.Person()
	e.Gate.Release()
}
