package endtoend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/storetest"
)

// handleOf is one handle of which a history is told, and whom it ever named.
type handleOf struct {
	n      int
	mu     sync.Mutex
	seen   []eventstore.PersonID // a person's number is its place here
	events int
}

func (h *handleOf) number(id eventstore.PersonID) uint8 {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, p := range h.seen {
		if p == id {
			return uint8(i)
		}
	}
	h.seen = append(h.seen, id)
	return uint8(len(h.seen) - 1)
}

type storeCall struct {
	handle int
	kind   byte  // append, read, erase
	event  uint8 // of an append
	person uint8 // of the others
}

const (
	kindAppend = 'a'
	kindRead   = 'r'
	kindErase  = 'e'
)

type storeAnswer struct {
	outcome string // "" is done
	person  uint8
	events  uint64
}

const (
	isErased    = "erased"
	isFenced    = "fenced"
	isUncertain = "uncertain"
)

// unheard is whom a handle names after an append in doubt minted somebody.
const unheard = 255

// storeState is the plain model of a handle: whom it names (0: nobody, else number + 1), and that person's events.
type storeState struct {
	names       uint8
	events      uint64
	known, gone uint64
}

// step answers every state that the answer leaves possible.
func (s storeState) step(c storeCall, a storeAnswer) []any {
	if a.outcome == isFenced { // somebody is being erased; nothing happens
		return []any{s}
	}
	switch c.kind {
	case kindAppend:
		return s.append(c, a)
	case kindRead:
		p := uint64(1) << c.person
		if a.outcome == isErased && s.gone&p != 0 || a.outcome == "" && s.names == c.person+1 && a.events == s.events {
			return []any{s}
		}
	case kindErase:
		p := uint64(1) << c.person
		switch {
		case a.outcome != "":
		case s.gone&p != 0:
			return []any{s}
		case s.names == c.person+1:
			return []any{storeState{known: s.known, gone: s.gone | p}}
		}
	}
	return nil
}

func (s storeState) append(c storeCall, a storeAnswer) []any {
	with := s
	with.events |= 1 << c.event
	switch a.outcome {
	case isErased: // older than an erasure of its handle
		if s.gone != 0 {
			return []any{s}
		}
		return nil
	case isUncertain:
		// It was stored or was not, and may have minted somebody whom nobody has heard of yet.
		if s.names == 0 {
			with.names = unheard
		}
		return []any{s, with}
	}
	p := uint64(1) << a.person
	switch {
	case s.names == a.person+1:
	case (s.names == 0 || s.names == unheard) && s.known&p == 0:
		with.names, with.known = a.person+1, s.known|p
	default:
		return nil
	}
	return []any{with}
}

var storeModel = (&porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[int][]porcupine.Operation{}
		for _, o := range history {
			h := o.Input.(storeCall).handle
			by[h] = append(by[h], o)
		}
		var out [][]porcupine.Operation
		for _, h := range by {
			out = append(out, h)
		}
		return out
	},
	Init: func() []any { return []any{storeState{}} },
	Step: func(s, in, out any) []any { return s.(storeState).step(in.(storeCall), out.(storeAnswer)) },
}).ToModel()

// clients work on a real store: vault, stream, journal.
type clients struct {
	*testing.T
	parts storetest.Parts
	store *eventstore.Store
	all   []*handleOf
}

func (x *clients) outcome(what string, err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, eventstore.ErrErased):
		return isErased
	case errors.Is(err, eventstore.ErrFenced):
		return isFenced
	case errors.Is(err, eventstore.ErrUncertain):
		return isUncertain
	}
	x.Errorf("%s: %v", what, err)
	return ""
}

// do makes one call; ok is false for one that had no sense.
func (x *clients) do(rng *rand.Rand) (c storeCall, a storeAnswer, ok bool) {
	h := x.all[rng.IntN(len(x.all))]
	c = storeCall{handle: h.n}
	h.mu.Lock()
	seen, events := len(h.seen), h.events
	n := rng.IntN(100)
	switch {
	case n < 50 || seen == 0:
		if c.kind = kindAppend; events == 64 {
			h.mu.Unlock()
			return c, a, false
		}
		c.event, h.events = uint8(events), events+1
	case n < 88:
		c.kind = kindRead
	default:
		c.kind = kindErase
	}
	var id eventstore.PersonID
	if c.kind != kindAppend {
		c.person = uint8(max(rng.IntN(seen), rng.IntN(seen)))
		id = h.seen[c.person]
	}
	h.mu.Unlock()
	switch c.kind {
	case kindAppend:
		a = x.append(h, c, seen > 0 && n < 8)
	case kindRead:
		a = x.read(id)
	case kindErase:
		_, err := x.parts.Keys.Fence(x.Context(), storetest.Tenant, []eventstore.PersonID{id})
		if err == nil {
			err = x.parts.Keys.Shred(x.Context(), storetest.Tenant, []eventstore.PersonID{id}, eventstore.ShredOptions{})
		}
		a.outcome = x.outcome("erasing", err)
	}
	return c, a, true
}

func (x *clients) append(h *handleOf, c storeCall, doubtful bool) storeAnswer {
	e := said(identity("web", fmt.Sprintf("v%d", h.n)), "c", fmt.Sprintf("event %d", c.event))
	e.Bot = "shop-fr"
	p, err := x.store.Submit(x.Context(), eventstore.Caller{Tenant: storetest.Tenant, Bot: "shop-fr"}, e)
	if err != nil {
		return storeAnswer{outcome: x.outcome("Submit", err)}
	}
	ctx := x.Context()
	if doubtful { // the caller hangs up
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		cancel()
	}
	r, err := p.Wait(ctx)
	if err != nil {
		return storeAnswer{outcome: x.outcome("Append", err)}
	}
	return storeAnswer{person: h.number(r.Person)}
}

func (x *clients) read(id eventstore.PersonID) (a storeAnswer) {
	for r, err := range x.store.Read(x.Context(), storetest.Tenant, id, eventstore.ReadOptions{}) {
		if err != nil {
			return storeAnswer{outcome: x.outcome("Read", err)}
		}
		var n int
		if _, err := fmt.Sscanf(r.Event.Text, "event %d", &n); err != nil {
			x.Errorf("an event that nobody sent: %v", err)
		}
		a.events |= 1 << n
	}
	return a
}

// TestStoreIsLinearizable: clients append, read and erase at once, over the real vault, stream and journal; some hang up before they are answered. There is an
// order of the calls, true to the clock, in which a plain model gives the same answers: what was acknowledged is read until its person is erased, and no
// read succeeds after that. An append in doubt was stored or was not, and once its person is erased it never opens.
func TestStoreIsLinearizable(t *testing.T) {
	n, calls, handles := 6, 60, 8
	if os.Getenv("OUBLI_SOAK") != "" {
		n, calls, handles = 24, 600, 400
	}
	parts, closeAll := openParts(t, t.TempDir(), true)
	defer closeAll()
	if err := parts.Keys.CreateTenant(t.Context(), storetest.Tenant); err != nil {
		t.Fatal(err)
	}
	x := &clients{T: t, parts: parts, store: eventstore.New(eventstore.Config{Keys: parts.Keys, Log: parts.Log, Door: parts.Door})}
	if err := x.store.Open(t.Context(), storetest.Tenant, true); err != nil {
		t.Fatal(err)
	}
	for i := range handles {
		x.all = append(x.all, &handleOf{n: i})
	}
	start := time.Now()
	histories := make([][]porcupine.Operation, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			for range calls {
				o := porcupine.Operation{ClientId: i, Call: int64(time.Since(start))}
				c, a, ok := x.do(rng)
				if !ok {
					continue
				}
				o.Input, o.Output, o.Return = c, a, int64(time.Since(start))
				if a.outcome == isUncertain {
					o.Return = int64(time.Hour) // it may take effect later
				}
				histories[i] = append(histories[i], o)
			}
		})
	}
	wg.Wait()
	var all []porcupine.Operation
	seen := map[string]int{}
	for _, h := range histories {
		all = append(all, h...)
		for _, o := range h {
			seen[string(o.Input.(storeCall).kind)+" "+o.Output.(storeAnswer).outcome]++
		}
	}
	t.Logf("%d calls: %v", len(all), seen)
	for _, kind := range []string{"a ", "a uncertain", "r ", "r erased", "e "} {
		if seen[kind] == 0 {
			t.Errorf("the histories hold no call %q", kind)
		}
	}
	if r := porcupine.CheckOperationsTimeout(storeModel, all, time.Minute); r != porcupine.Ok {
		t.Errorf("no order of these calls explains their answers: %v", r)
	}
}

// TestModelOfStoreRefuses: the model sees a read after an erasure, an acknowledged event that is missing, and one that comes back under the next person.
func TestModelOfStoreRefuses(t *testing.T) {
	at := int64(0)
	op := func(c storeCall, a storeAnswer) porcupine.Operation {
		at += 2
		return porcupine.Operation{Input: c, Output: a, Call: at, Return: at + 1}
	}
	put := func(event, person uint8) porcupine.Operation {
		return op(storeCall{kind: kindAppend, event: event}, storeAnswer{person: person})
	}
	read := func(person uint8, events uint64) porcupine.Operation {
		return op(storeCall{kind: kindRead, person: person}, storeAnswer{events: events})
	}
	erase := func() porcupine.Operation { return op(storeCall{kind: kindErase}, storeAnswer{}) }
	for name, h := range map[string][]porcupine.Operation{
		"a read after an erasure":  {put(0, 0), erase(), read(0, 1)},
		"an event is missing":      {put(0, 0), put(1, 0), read(0, 1)},
		"an event comes back":      {put(0, 0), erase(), put(1, 1), read(1, 3)},
		"the erased person speaks": {put(0, 0), erase(), put(1, 0)},
	} {
		if porcupine.CheckOperations(storeModel, h) {
			t.Errorf("%s: accepted", name)
		}
	}
	if !porcupine.CheckOperations(storeModel, []porcupine.Operation{put(0, 0), read(0, 1), erase(), put(1, 1), read(1, 2)}) {
		t.Error("a plain history is refused")
	}
}
