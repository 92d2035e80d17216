package keyvault_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
)

// A family is an e-mail address and a web id that may become one human. Families do not meet, so each has a history of its own.
type family struct {
	n     int
	mu    sync.Mutex
	seen  []eventstore.PersonID // a person's number is its place here
	texts []sealedText
}

type sealedText struct {
	person uint8
	sealed []byte
}

func (f *family) handle(slot int) eventstore.Identity {
	if slot == 0 {
		return email(fmt.Sprintf("f%d@example.com", f.n))
	}
	return web(fmt.Sprintf("f%d", f.n))
}

func (f *family) number(id eventstore.PersonID) uint8 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.seen {
		if p == id {
			return uint8(i)
		}
	}
	f.seen = append(f.seen, id)
	return uint8(len(f.seen) - 1)
}

func (f *family) id(person uint8) eventstore.PersonID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[person]
}

type callKind byte

const (
	callEnter callKind = iota // an event of a handle: creates, and seals
	// callLink is an event of a handle that names somebody, with the family's other handle: links. A stranger's is not admitted here: overtaken by an
	// erasure it begins again, and so would be two calls.
	callLink
	callRead
	callFence
	callShred
)

type call struct {
	family int
	kind   callKind
	slot   int
	person uint8
}

type outcome byte

const (
	done outcome = iota
	fenced
	erased
	conflict
	stranger
)

// errNobody is what admit answers of a stranger who shall not be minted.
var errNobody = errors.New("nobody is known under this handle")

type answer struct {
	outcome        outcome
	person         uint8
	minted, linked bool
	members        uint64
}

// familyState is the plain model of a family: whom each handle names (0: nobody, else number + 1), and who is linked, fenced, gone.
type familyState struct {
	names        [2]uint8
	linked       bool
	known        uint64
	fenced, gone uint64
}

func bit(p uint8) uint64 { return 1 << p }

// set is the linked set of a living person.
func (s familyState) set(p uint8) uint64 {
	if !s.linked || s.names[0] != p+1 && s.names[1] != p+1 {
		return bit(p)
	}
	return bit(s.names[0]-1) | bit(s.names[1]-1)
}

func (s familyState) step(c call, a answer) (bool, familyState) {
	switch c.kind {
	case callEnter, callLink:
		return s.enter(c, a)
	case callRead:
		p := bit(c.person)
		switch a.outcome {
		case done:
			return s.known&p != 0 && (s.fenced|s.gone)&p == 0, s
		case fenced:
			return s.fenced&p != 0, s
		case erased:
			return s.gone&p != 0, s
		}
	case callFence:
		if s.gone&bit(c.person) != 0 {
			return a.outcome == done && a.members == 0, s
		}
		// It answers nobody too if somebody else's shred came between its fence and its answer; the client then reads the person, who must be gone.
		set := s.set(c.person)
		s.fenced |= set
		return a.outcome == done && (a.members == set || a.members == 0), s
	case callShred:
		switch {
		case s.gone&bit(c.person) != 0:
			return a.outcome == done, s
		case s.fenced&bit(c.person) == 0:
			return a.outcome == conflict, s
		}
		set := s.set(c.person)
		for i, n := range s.names {
			if n > 0 && set&bit(n-1) != 0 {
				s.names[i] = 0
			}
		}
		s.gone, s.fenced, s.linked = s.gone|set, s.fenced&^set, false
		return a.outcome == done, s
	}
	return false, s
}

func (s familyState) enter(c call, a answer) (bool, familyState) {
	other := 1 - c.slot
	is := func(slot int, mask uint64) bool { return s.names[slot] > 0 && mask&bit(s.names[slot]-1) != 0 }
	meets := is(c.slot, s.fenced) || c.kind == callLink && is(other, s.fenced)
	switch {
	case a.outcome == fenced:
		return meets, s
	case a.outcome == stranger:
		return c.kind == callLink && s.names[c.slot] == 0, s
	}
	if a.outcome != done || meets || a.minted != (s.names[c.slot] == 0) {
		return false, s
	}
	if a.minted {
		if s.known&bit(a.person) != 0 {
			return false, s // a person is minted once
		}
		s.known |= bit(a.person)
		s.names[c.slot] = a.person + 1
	} else if s.names[c.slot] != a.person+1 {
		return false, s
	}
	links := false
	if c.kind == callLink {
		switch s.names[other] {
		case 0:
			s.names[other] = a.person + 1
		case a.person + 1:
		default:
			links = !s.linked
			s.linked = true
		}
	}
	return a.linked == links, s
}

var familyModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[int][]porcupine.Operation{}
		for _, o := range history {
			f := o.Input.(call).family
			by[f] = append(by[f], o)
		}
		var out [][]porcupine.Operation
		for _, h := range by {
			out = append(out, h)
		}
		return out
	},
	Init: func() any { return familyState{} },
	Step: func(s, in, out any) (bool, any) {
		ok, next := s.(familyState).step(in.(call), out.(answer))
		return ok, next
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

// families is a vault and the clients that work on it.
type families struct {
	*testing.T
	v   *keyvault.Vault
	all []*family
}

// last is a client's last call; none says that it fenced nobody.
type last struct {
	call
	none bool
}

// do makes one call, mostly the shred that belongs to the client's last fence; ok is false for one that had no sense.
func (x *families) do(rng *rand.Rand, last last) (c call, a answer, ok bool) {
	f := x.all[rng.IntN(len(x.all))]
	if last.kind == callFence && last.none {
		f = x.all[last.family]
		return call{family: last.family, kind: callRead, person: last.person}, x.read(f.id(last.person), sealedText{}), true
	}
	if last.kind == callFence && rng.IntN(10) > 0 {
		f = x.all[last.family]
		c = call{family: last.family, kind: callShred, person: last.person}
		a.outcome = x.outcome("Shred", x.v.Shred(x.Context(), crashTenant, []eventstore.PersonID{f.id(c.person)}, eventstore.ShredOptions{}))
		return c, a, true
	}
	c = call{family: f.n, slot: rng.IntN(2)}
	switch n := rng.IntN(100); {
	case n < 35:
		c.kind = callEnter
	case n < 45:
		c.kind = callLink
	case n < 85:
		c.kind = callRead
	case n < 96:
		c.kind = callFence
	default:
		c.kind = callShred
	}
	if c.kind <= callLink {
		return c, x.enter(f, c), true
	}
	f.mu.Lock()
	if len(f.texts) == 0 {
		f.mu.Unlock()
		return c, a, false
	}
	// Mostly the newest: the others are gone.
	text := f.texts[max(rng.IntN(len(f.texts)), rng.IntN(len(f.texts)))]
	id := f.seen[text.person]
	f.mu.Unlock()
	c.person = text.person
	switch c.kind {
	case callRead:
		a = x.read(id, text)
	case callFence:
		members, err := x.v.Fence(x.Context(), crashTenant, []eventstore.PersonID{id})
		a.outcome = x.outcome("Fence", err)
		for _, m := range members {
			a.members |= bit(f.number(m.Person))
		}
	case callShred:
		a.outcome = x.outcome("Shred", x.v.Shred(x.Context(), crashTenant, []eventstore.PersonID{id}, eventstore.ShredOptions{}))
	}
	return c, a, true
}

func (x *families) enter(f *family, c call) (a answer) {
	now := time.Now().Add(time.Hour) // no refusal concerns it
	arrival := eventstore.Arrival{Identity: f.handle(c.slot), Time: now, Received: now}
	if c.kind == callLink {
		arrival.Also = []eventstore.Identity{f.handle(1 - c.slot)}
	}
	e, err := x.v.Enter(x.Context(), crashTenant, arrival, func(s eventstore.State) error {
		if c.kind == callLink && !s.Known {
			return errNobody
		}
		return nil
	})
	if err != nil {
		a.outcome = x.outcome("Enter", err)
		return a
	}
	a = answer{person: f.number(e.Gate.Person()), minted: e.Minted, linked: e.Linked}
	sealed, err := e.Gate.Seal(x.Context(), crashMonth, []byte("a text"), nil)
	e.Gate.Release()
	if err == nil {
		f.mu.Lock()
		f.texts = append(f.texts, sealedText{a.person, sealed})
		f.mu.Unlock()
	} else {
		x.outcome("Seal", err) // a fence that waited for 2 s killed the gate
	}
	return a
}

func (x *families) read(id eventstore.PersonID, text sealedText) (a answer) {
	g, err := x.v.Gate(x.Context(), crashTenant, id)
	if err == nil {
		defer g.Release()
		var plain []byte
		if plain, err = g.Open(x.Context(), crashMonth, text.sealed, nil); err == nil && string(plain) != "a text" {
			x.Errorf("another text: %q", plain)
		}
	}
	a.outcome = x.outcome("reading", err)
	return a
}

func (x *families) outcome(what string, err error) outcome {
	switch {
	case err == nil:
		return done
	case errors.Is(err, eventstore.ErrErased):
		return erased
	case errors.Is(err, eventstore.ErrFenced):
		return fenced
	case errors.Is(err, eventstore.ErrConflict):
		return conflict
	case errors.Is(err, errNobody):
		return stranger
	}
	x.Errorf("%s: %v", what, err)
	return done
}

// TestLinearizable: whatever many clients do at once - create, append, link, read, fence, shred, of the same persons, while their leaves and pages
// split under strangers and are re-keyed by each other's erasures - there is an order of their calls, true to the clock, in which a plain model gives
// the same answers: one identity makes one person, and no read succeeds after a shred has returned. In the end nothing that was sealed for
// an erased person opens for anybody.
func TestLinearizable(t *testing.T) {
	clients, calls, nFamilies, strangers := 8, 150, 16, 150
	if os.Getenv("OUBLI_SOAK") != "" {
		clients, calls, nFamilies, strangers = 32, 1500, 800, 10000
	}
	x := &families{T: t, v: newTenant(t, keyvault.Config{CacheSize: 64})}
	for i := range nFamilies {
		x.all = append(x.all, &family{n: i})
	}
	start := time.Now()
	history := make([][]porcupine.Operation, clients)
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 42))
			var before last
			for range calls {
				began := time.Since(start)
				c, a, ok := x.do(rng, before)
				if ok {
					before = last{c, c.kind == callFence && a.members == 0}
					history[n] = append(history[n], porcupine.Operation{ClientId: n, Input: c, Call: int64(began), Output: a, Return: int64(time.Since(start))})
				}
			}
		})
		wg.Go(func() {
			for i := range strangers / clients {
				if _, _, err := enter(t.Context(), x.v, web(fmt.Sprintf("stranger-%d-%d", n, i))); err != nil {
					t.Errorf("a stranger: %v", err)
				}
			}
		})
	}
	wg.Wait()
	var all []porcupine.Operation
	kinds := map[callKind]map[outcome]int{}
	for _, h := range history {
		all = append(all, h...)
		for _, o := range h {
			k := o.Input.(call).kind
			if kinds[k] == nil {
				kinds[k] = map[outcome]int{}
			}
			kinds[k][o.Output.(answer).outcome]++
		}
	}
	t.Logf("%d calls: %v", len(all), kinds)
	if kinds[callRead][erased] == 0 || kinds[callRead][done] == 0 || kinds[callShred][done] == 0 || kinds[callRead][fenced] == 0 {
		t.Error("the histories hold too little")
	}
	x.explain(all)
	sound(t, x.v, "after")
	x.nothingOfTheGone()
}

// explain looks for an order of each family's calls, and tells the story of a family that has none.
func (x *families) explain(all []porcupine.Operation) {
	for _, h := range familyModel.Partition(all) {
		r := porcupine.CheckOperationsTimeout(familyModel, h, time.Minute)
		if r == porcupine.Ok {
			continue
		}
		_, info := porcupine.CheckOperationsVerbose(familyModel, h, time.Minute)
		var longest []porcupine.Operation
		for _, part := range info.PartialLinearizationsOperations()[0] {
			if len(part) > len(longest) {
				longest = part
			}
		}
		tell := func(what string, o porcupine.Operation) {
			x.Logf("%s %9d to %9d client %d %s", what, o.Call, o.Return, o.ClientId, familyModel.DescribeOperation(o.Input, o.Output))
		}
		for _, o := range longest[max(0, len(longest)-25):] {
			tell("explained  ", o)
		}
		slices.SortFunc(h, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		for _, o := range h {
			if !slices.Contains(longest, o) {
				tell("unexplained", o)
			}
		}
		x.Errorf("no order of these calls explains their answers: %v", r)
	}
}

// nothingOfTheGone tries every gate of a family on everything that was sealed for its erased persons.
func (x *families) nothingOfTheGone() {
	tried := 0
	for _, f := range x.all {
		for _, text := range f.texts {
			if _, err := x.v.Gate(x.Context(), crashTenant, f.seen[text.person]); !errors.Is(err, eventstore.ErrErased) {
				continue
			}
			for _, id := range f.seen {
				g, err := x.v.Gate(x.Context(), crashTenant, id)
				if err != nil {
					continue
				}
				tried++
				if _, err := g.Open(x.Context(), crashMonth, text.sealed, nil); err == nil {
					x.Errorf("family %d: what was sealed for an erased person opens", f.n)
				}
				g.Release()
			}
		}
	}
	x.Logf("%d times nothing opened", tried)
}

// TestModelOfFamiliesRefuses: the model sees a read after a shred, a second person of one handle, and a person minted twice.
func TestModelOfFamiliesRefuses(t *testing.T) {
	at := int64(0)
	op := func(c call, a answer) porcupine.Operation {
		at += 2
		return porcupine.Operation{Input: c, Output: a, Call: at, Return: at + 1}
	}
	in := func(slot int, p uint8, minted bool) porcupine.Operation {
		return op(call{kind: callEnter, slot: slot}, answer{person: p, minted: minted})
	}
	for name, h := range map[string][]porcupine.Operation{
		"a read after a shred":  {in(0, 0, true), op(call{kind: callFence}, answer{members: 1}), op(call{kind: callShred}, answer{}), op(call{kind: callRead}, answer{})},
		"a read behind a fence": {in(0, 0, true), op(call{kind: callFence}, answer{members: 1}), op(call{kind: callRead}, answer{})},
		"two persons":           {in(0, 0, true), in(0, 1, true)},
		"minted twice":          {in(0, 0, true), op(call{kind: callFence}, answer{members: 1}), op(call{kind: callShred}, answer{}), in(0, 0, true)},
		"shred without a fence": {in(0, 0, true), op(call{kind: callShred}, answer{})},
	} {
		if porcupine.CheckOperations(familyModel, h) {
			t.Errorf("%s is accepted", name)
		}
	}
	at = 0
	if !porcupine.CheckOperations(familyModel, []porcupine.Operation{in(0, 0, true), op(call{kind: callRead}, answer{})}) {
		t.Error("a plain history is refused")
	}
}
