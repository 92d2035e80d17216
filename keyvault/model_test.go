package keyvault_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/keyvault/register"
	"pgregory.net/rapid"
)

// modelPerson is what the plain model knows of a person.
type modelPerson struct {
	id      eventstore.PersonID
	handles []eventstore.Identity
	set     *modelSet
	texts   map[eventstore.KeyMonth]modelText
	// dead is what was sealed and must never open again.
	dead           map[eventstore.KeyMonth][][]byte
	first          uint64
	fenced, erased bool
	restricted     bool
}

type modelSet struct {
	members []*modelPerson
	hold    bool
}

// modelText is a sealed text; it is gone when its month has expired.
type modelText struct {
	sealed  []byte
	expired bool
}

func (s *modelSet) handles() (out []eventstore.Identity) {
	for _, p := range s.members {
		out = append(out, p.handles...)
	}
	return out
}

// model runs a vault on a memory disk beside a plain map.
type model struct {
	mem     *vfs.MemFS
	v       *keyvault.Vault
	handles map[eventstore.Identity]*modelPerson
	persons []*modelPerson

	now              time.Time
	kek              string
	floor            eventstore.KeyMonth
	erasedAt, barred map[eventstore.Identity]time.Time
	// barredWith is the set that a handle was barred with: it is admitted as a whole.
	barredWith map[eventstore.Identity]*modelSet
	guest      guest
}

func (m *model) open(t *rapid.T) {
	c := memConfig(m.mem)
	c.Now = func() time.Time { return m.now }
	c.KEK = m.kek
	v, err := keyvault.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	m.v = v
}

func (m *model) handle(t *rapid.T, label string) eventstore.Identity {
	ns := rapid.SampledFrom([]string{"web", "email"}).Draw(t, label+" namespace")
	return eventstore.Identity{Namespace: ns, ID: fmt.Sprint(rapid.IntRange(0, 9).Draw(t, label))}
}

func (m *model) person(t *rapid.T, label string) *modelPerson {
	if len(m.persons) == 0 {
		t.Skip("nobody yet")
	}
	return m.persons[rapid.IntRange(0, len(m.persons)-1).Draw(t, label)]
}

func unlessRestricted(s eventstore.State) error {
	if s.Restricted {
		return eventstore.ErrWithheld
	}
	return nil
}

func (m *model) enter(t *rapid.T) {
	id := m.handle(t, "identity")
	var also []eventstore.Identity
	if rapid.Bool().Draw(t, "with also") {
		also = append(also, m.handle(t, "also"))
	}
	late := rapid.IntRange(0, 3).Draw(t, "hours late")
	at := m.now.Add(time.Second - time.Duration(late)*time.Hour)
	e, err := m.v.Enter(t.Context(), crashTenant, eventstore.Arrival{Identity: id, Also: also, Time: at, Received: m.now}, unlessRestricted)
	p := m.handles[id]
	if m.refuses(at, append(also, id)) {
		// A restriction or a fence may be met first; nobody is minted in any case.
		if !errors.Is(err, eventstore.ErrErased) && !errors.Is(err, eventstore.ErrWithheld) && !errors.Is(err, eventstore.ErrFenced) {
			t.Fatalf("an event of a refused handle: %v", err)
		}
		return
	}
	// Whom the identity names is asked first, then whom also names.
	if p != nil && p.restricted && !p.fenced {
		if !errors.Is(err, eventstore.ErrWithheld) {
			t.Fatalf("a restricted person: %v", err)
		}
		return
	}
	if m.linksRestricted(p, id, also) {
		if !errors.Is(err, eventstore.ErrWithheld) {
			t.Fatalf("an event that links to a restricted person: %v", err)
		}
		return
	}
	fenced := p != nil && p.fenced
	for _, h := range also {
		fenced = fenced || m.handles[h] != nil && m.handles[h].fenced
	}
	if fenced {
		if !errors.Is(err, eventstore.ErrFenced) {
			t.Fatalf("a fenced handle: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer e.Gate.Release()
	if e.Minted != (p == nil) {
		t.Fatalf("minted: %v", e.Minted)
	}
	if p == nil {
		p = &modelPerson{id: e.Gate.Person(), handles: []eventstore.Identity{id}, texts: map[eventstore.KeyMonth]modelText{}, dead: map[eventstore.KeyMonth][][]byte{}}
		p.set = &modelSet{members: []*modelPerson{p}}
		m.handles[id] = p
		m.persons = append(m.persons, p)
		sealed, err := e.Gate.Seal(t.Context(), crashMonth, []byte("a text"), nil)
		if err != nil {
			t.Fatal(err)
		}
		p.texts[crashMonth] = modelText{sealed: sealed}
	}
	if e.Gate.Person() != p.id {
		t.Fatal("another person")
	}
	for _, h := range also {
		m.also(t, p, id, h, e)
	}
}

func (m *model) also(t *rapid.T, p *modelPerson, id, h eventstore.Identity, e *eventstore.Entered) {
	q := m.handles[h]
	if q != nil && q.set == p.set {
		return
	}
	var theirs []eventstore.Identity
	if q != nil {
		theirs = q.set.handles()
	}
	ambiguous := keystest.Ambiguous(id, p.set.handles(), h, theirs)
	if e.Ambiguous != ambiguous || e.Linked != (!ambiguous && q != nil) {
		t.Fatalf("ambiguous %v, linked %v", e.Ambiguous, e.Linked)
	}
	switch {
	case ambiguous:
	case q == nil:
		p.handles = append(p.handles, h)
		m.handles[h] = p
	default:
		merge(p, q)
	}
}

// linksRestricted says that an event would make its person one human with a restricted one.
func (m *model) linksRestricted(p *modelPerson, id eventstore.Identity, also []eventstore.Identity) bool {
	mine := []eventstore.Identity{id}
	if p != nil {
		mine = p.set.handles()
	}
	for _, h := range also {
		q := m.handles[h]
		if q == nil || q.fenced || p != nil && (p.fenced || q.set == p.set) {
			continue
		}
		if q.restricted && !keystest.Ambiguous(id, mine, h, q.set.handles()) {
			return true
		}
	}
	return false
}

func merge(p, q *modelPerson) {
	restricted := p.restricted || q.restricted
	p.set.hold = p.set.hold || q.set.hold
	p.set.members = append(p.set.members, q.set.members...)
	for _, o := range p.set.members {
		o.set, o.restricted = p.set, restricted
	}
}

func (m *model) link(t *rapid.T) {
	p, q := m.person(t, "a"), m.person(t, "b")
	err := m.v.Link(t.Context(), crashTenant, p.id, q.id)
	switch {
	case p.erased || q.erased || p.fenced || q.fenced:
		if !errors.Is(err, eventstore.ErrErased) && !errors.Is(err, eventstore.ErrFenced) {
			t.Fatalf("Link: %v", err)
		}
	case p.set == q.set:
		if !errors.Is(err, eventstore.ErrConflict) {
			t.Fatalf("Link again: %v", err)
		}
	case err != nil:
		t.Fatal(err)
	default:
		merge(p, q)
	}
}

func (m *model) restrict(t *rapid.T) {
	p := m.person(t, "who")
	on := rapid.Bool().Draw(t, "on")
	kind := map[bool]eventstore.PersonEventKind{true: eventstore.PersonRestricted, false: eventstore.PersonUnrestricted}[on]
	_, err := m.v.Change(t.Context(), crashTenant, p.id, kind, func(s eventstore.State) eventstore.State { s.Restricted = on; return s })
	if p.erased || p.fenced {
		if err == nil {
			t.Fatal("the state of an erased or fenced person changed")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range p.set.members {
		o.restricted = on
	}
}

func (m *model) fence(t *rapid.T) {
	p := m.person(t, "who")
	members, err := m.v.Fence(t.Context(), crashTenant, []eventstore.PersonID{p.id})
	if !p.erased && p.set.hold {
		if !errors.Is(err, eventstore.ErrHold) {
			t.Fatalf("Fence of who is on hold: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if p.erased {
		if len(members) != 0 {
			t.Fatal("an erased person was fenced")
		}
		return
	}
	if len(members) != len(p.set.members) {
		t.Fatalf("%d members, want %d", len(members), len(p.set.members))
	}
	for _, q := range p.set.members {
		q.fenced = true
	}
}

func (m *model) unfence(t *rapid.T) {
	p := m.person(t, "who")
	if err := m.v.Unfence(t.Context(), crashTenant, []eventstore.PersonID{p.id}); err != nil {
		t.Fatal(err)
	}
	if !p.erased {
		for _, q := range p.set.members {
			q.fenced = false
		}
	}
}

// shred takes out one person or several, with or without a longer refusal.
func (m *model) shred(t *rapid.T) {
	var ids []eventstore.PersonID
	var gone []*modelPerson
	ready := true
	for range rapid.IntRange(1, 3).Draw(t, "how many") {
		p := m.person(t, "who")
		ids = append(ids, p.id)
		if p.erased {
			continue
		}
		ready = ready && p.fenced
		gone = append(gone, p.set.members...)
	}
	var o eventstore.ShredOptions
	if days := rapid.SampledFrom([]int{-1, 0, 1, 40}).Draw(t, "refused for days"); days != 0 {
		o.RefuseUntil = m.now.Add(time.Duration(days) * 24 * time.Hour)
	}
	err := m.v.Shred(t.Context(), crashTenant, ids, o)
	if !ready {
		if !errors.Is(err, eventstore.ErrConflict) {
			t.Fatalf("Shred without a fence: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range gone {
		q.erased, q.fenced = true, false
		for _, h := range q.handles {
			delete(m.handles, h)
			m.erasedAt[h] = m.now
			if o.RefuseUntil.After(m.now) {
				m.barred[h], m.barredWith[h] = o.RefuseUntil, q.set
			}
		}
	}
}

// crash leaves what was synced, or everything.
func (m *model) crash(t *rapid.T) {
	percent := rapid.SampledFrom([]int{0, 100}).Draw(t, "unsynced")
	clone := m.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, 2))})
	if err := m.v.Close(); err != nil {
		t.Fatal(err)
	}
	m.mem = clone
	m.open(t)
}

// check compares everything.
func (m *model) check(t *rapid.T) {
	r, err := m.v.Check(t.Context(), crashTenant)
	if err != nil || len(r.Damage) > 0 {
		t.Fatal(err, r.Damage)
	}
	live := 0
	for _, p := range m.persons {
		g, err := m.v.Gate(t.Context(), crashTenant, p.id)
		switch {
		case p.erased:
			if !errors.Is(err, eventstore.ErrErased) {
				t.Fatalf("an erased person: %v", err)
			}
			continue
		case p.fenced:
			live++
			if !errors.Is(err, eventstore.ErrFenced) {
				t.Fatalf("a fenced person: %v", err)
			}
			continue
		case err != nil:
			t.Fatal(err)
		}
		live++
		m.texts(t, p, g)
		g.Release()
		set, err := m.v.Linked(t.Context(), crashTenant, p.id)
		if err != nil || len(set) != len(p.set.members) {
			t.Fatalf("a linked set of %d: %v", len(set), err)
		}
		for _, q := range p.set.members {
			if !slices.ContainsFunc(set, func(r eventstore.PersonRecord) bool { return r.Person == q.id }) {
				t.Fatal("a member is missing")
			}
		}
		for _, h := range p.handles {
			if id, err := m.v.Resolve(t.Context(), crashTenant, h); err != nil || id != p.id {
				t.Fatalf("a handle: %v", err)
			}
		}
	}
	if n, err := m.v.Count(t.Context(), crashTenant); err != nil || int(n) != live {
		t.Fatalf("count %d, want %d: %v", n, live, err)
	}
}

// TestModel: whatever is done in whatever order, with crashes in between, the vault and a plain map say the same.
func TestModel(t *testing.T) {
	if os.Getenv("OUBLI_SOAK") == "" {
		if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
			f.Value.Set("15") // rapid's default takes half a minute
			defer f.Value.Set(f.DefValue)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		m := &model{mem: vfs.NewCrashableMem(), handles: map[eventstore.Identity]*modelPerson{}, now: time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC),
			erasedAt: map[eventstore.Identity]time.Time{}, barred: map[eventstore.Identity]time.Time{}, barredWith: map[eventstore.Identity]*modelSet{}}
		if err := errors.Join(m.mem.MkdirAll("/data", 0o700), (register.FileKMS{FS: m.mem}).Create("/data/kek2")); err != nil {
			t.Fatal(err)
		}
		root, err := m.mem.OpenDir("/")
		if err != nil {
			t.Fatal(err)
		}
		if err := root.Sync(); err != nil {
			t.Fatal(err)
		}
		m.open(t)
		defer func() { m.v.Close() }()
		if err := m.v.CreateTenant(t.Context(), crashTenant); err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": m.enter, "enter too": m.enter, "link": m.link, "restrict": m.restrict, "fence": m.fence,
			"unfence": m.unfence, "shred": m.shred, "crash": m.crash, "": m.check,
			"seal": m.seal, "expire": m.expire, "hold": m.hold, "part": m.part, "wait": m.wait, "admit": m.admit, "rotate": m.rotate, "guest": m.invite,
		})
	})
}
