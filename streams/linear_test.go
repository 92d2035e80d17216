package streams

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/oubli-store/oubli/eventstore"
)

// personEvents bounds how many events a person of the history has; unknownAt is the sequence of one whose append was uncertain.
const (
	personEvents = 12
	unknownAt    = ^uint64(0)
)

// logState is the plain model of one person: the events, as numbers from 1 on, and their sequences, in order.
type logState struct {
	n      int
	events [personEvents]byte
	at     [personEvents]uint64
}

type logCall struct {
	person   int
	read     bool
	event    byte
	expected uint64 // unknownAt: not asked for
}

const (
	logDone      = "done"
	logConflict  = "conflict"
	logUncertain = "uncertain"
	logRefused   = "refused" // nothing happened
)

type logAnswer struct {
	outcome   string
	at        uint64
	duplicate bool
	seen      logState // of a read
}

func (s logState) find(event byte) int {
	for i := range s.n {
		if s.events[i] == event {
			return i
		}
	}
	return -1
}

func (s logState) last() uint64 {
	if s.n == 0 {
		return 0
	}
	return s.at[s.n-1]
}

func (s logState) with(event byte, at uint64) logState {
	s.events[s.n], s.at[s.n] = event, at
	s.n++
	return s
}

// step answers every state that the answer leaves possible.
func (s logState) step(c logCall, a logAnswer) []any {
	if a.outcome == logRefused {
		return []any{s}
	}
	if c.read {
		return s.read(a.seen)
	}
	i := s.find(c.event)
	holds := c.expected == unknownAt || s.last() == c.expected || s.last() == unknownAt
	switch a.outcome {
	case logUncertain:
		if i >= 0 || !holds {
			return []any{s}
		}
		return []any{s, s.with(c.event, unknownAt)}
	case logConflict:
		if i < 0 && c.expected != unknownAt && (s.last() != c.expected || s.last() == unknownAt) {
			return []any{s}
		}
		return nil
	}
	if i >= 0 {
		if !a.duplicate || s.at[i] != a.at && s.at[i] != unknownAt {
			return nil
		}
		s.at[i] = a.at
		return []any{s}
	}
	if a.duplicate || !holds || s.n > 0 && s.last() != unknownAt && a.at <= s.last() {
		return nil
	}
	if c.expected != unknownAt && s.n > 0 {
		s.at[s.n-1] = c.expected
	}
	return []any{s.with(c.event, a.at)}
}

func (s logState) read(seen logState) []any {
	if seen.n != s.n || seen.events != s.events {
		return nil
	}
	for i := range s.n {
		if s.at[i] != seen.at[i] && s.at[i] != unknownAt || i > 0 && seen.at[i] <= seen.at[i-1] {
			return nil
		}
	}
	return []any{seen}
}

var logModel = (&porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		by := map[int][]porcupine.Operation{}
		for _, o := range history {
			p := o.Input.(logCall).person
			by[p] = append(by[p], o)
		}
		var out [][]porcupine.Operation
		for _, h := range by {
			out = append(out, h)
		}
		return out
	},
	Init: func() []any { return []any{logState{}} },
	Step: func(s, in, out any) []any { return s.(logState).step(in.(logCall), out.(logAnswer)) },
}).ToModel()

// historian makes calls on a log that is closed and opened again meanwhile.
type historian struct {
	*testing.T
	log     atomic.Pointer[Streams]
	persons []eventstore.PersonID
	known   []atomic.Uint64 // a sequence that a person had last, as somebody saw it
}

func (h *historian) do(rng *rand.Rand) (c logCall, a logAnswer) {
	c = logCall{person: rng.IntN(len(h.persons)), read: rng.IntN(3) == 0, expected: unknownAt}
	if c.read {
		return c, h.read(c.person)
	}
	c.event = byte(1 + rng.IntN(personEvents))
	switch rng.IntN(4) {
	case 0:
		c.expected = h.known[c.person].Load()
	case 1:
		c.expected = 0
	}
	m := newMessage(h, h.persons[c.person], 40)
	m.Envelope.Ciphertext[0] = c.event
	binary.BigEndian.PutUint64(m.Row[:], uint64(c.person)+1)
	m.Row[23] = c.event
	if c.expected != unknownAt {
		m.Expected = &c.expected
	}
	ctx := h.Context()
	k, err := h.log.Load().Submit(ctx, tenant, m)
	var out eventstore.Appended
	if err == nil {
		if rng.IntN(20) == 0 { // the caller hangs up
			var cancel context.CancelFunc
			ctx, cancel = context.WithCancel(ctx)
			cancel()
		}
		out, err = k.Wait(ctx)
	}
	switch {
	case err == nil:
		h.known[c.person].Store(out.Sequence)
		return c, logAnswer{outcome: logDone, at: out.Sequence, duplicate: out.Duplicate}
	case errors.Is(err, eventstore.ErrConflict):
		return c, logAnswer{outcome: logConflict}
	case errors.Is(err, eventstore.ErrUncertain):
		return c, logAnswer{outcome: logUncertain}
	case !errors.Is(err, eventstore.ErrUnavailable):
		h.Error(err)
	}
	return c, logAnswer{outcome: logRefused}
}

func (h *historian) read(person int) logAnswer {
	a := logAnswer{outcome: logDone}
	for st, err := range h.log.Load().Read(h.Context(), tenant, h.persons[person], 0) {
		if err != nil {
			if !errors.Is(err, eventstore.ErrUnavailable) {
				h.Error(err)
			}
			return logAnswer{outcome: logRefused}
		}
		if a.seen.n == personEvents {
			h.Errorf("a person has more than %d events: one is stored twice", personEvents)
			return a
		}
		a.seen = a.seen.with(st.Envelope.Ciphertext[0], st.Sequence)
	}
	return a
}

// TestLogIsLinearizable: callers append with and without an expected sequence, send the same again, hang up and read, while the log and its server are stopped and started. There
// is an order of the calls, true to the clock, in which a plain list for each person gives the same answers.
func TestLogIsLinearizable(t *testing.T) {
	callers, calls, restarts, persons := 6, 150, 2, 30
	if os.Getenv("OUBLI_SOAK") != "" {
		callers, calls, restarts, persons = 16, 4000, 20, 3000
	}
	r := newRoom(t, nil)
	r.openTenant()
	h := &historian{T: t, persons: make([]eventstore.PersonID, persons), known: make([]atomic.Uint64, persons)}
	for i := range h.persons {
		h.persons[i] = newPerson(t)
	}
	h.log.Store(r.s)
	start := time.Now()
	histories := make([][]porcupine.Operation, callers)
	var made atomic.Int64
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 11))
			for range calls {
				o := porcupine.Operation{ClientId: i, Call: int64(time.Since(start))}
				c, a := h.do(rng)
				o.Input, o.Output, o.Return = c, a, int64(time.Since(start))
				if a.outcome == logUncertain {
					o.Return = int64(time.Hour)
				}
				if made.Add(1); a.outcome == logRefused {
					time.Sleep(5 * time.Millisecond) // it is being restarted
				}
				histories[i] = append(histories[i], o)
			}
		})
	}
	for k := range restarts {
		for made.Load() < int64((k+1)*callers*calls/(restarts+1)) {
			time.Sleep(time.Millisecond)
		}
		r.restart()
		r.openTenant()
		h.log.Store(r.s)
	}
	all.Wait()
	var history []porcupine.Operation
	seen := map[string]int{}
	for _, one := range histories {
		history = append(history, one...)
		for _, o := range one {
			a := o.Output.(logAnswer)
			kind := "append "
			if o.Input.(logCall).read {
				kind = "read "
			} else if a.duplicate {
				kind = "duplicate "
			}
			seen[kind+a.outcome]++
		}
	}
	t.Logf("%d calls: %v", len(history), seen)
	for _, kind := range []string{"append done", "append conflict", "append uncertain", "append refused", "duplicate done", "read done"} {
		if seen[kind] == 0 {
			t.Errorf("the history has no %q", kind)
		}
	}
	if got := porcupine.CheckOperationsTimeout(logModel, history, time.Minute); got != porcupine.Ok {
		t.Errorf("no order of these calls explains their answers: %v", got)
	}
}

// TestModelOfLogRefuses: the model sees a lost event, one stored twice, a broken order and a wrong conflict.
func TestModelOfLogRefuses(t *testing.T) {
	at := int64(0)
	op := func(c logCall, a logAnswer) porcupine.Operation {
		at += 2
		return porcupine.Operation{Input: c, Output: a, Call: at, Return: at + 1}
	}
	put := func(event byte, expected, sequence uint64) porcupine.Operation {
		return op(logCall{event: event, expected: expected}, logAnswer{outcome: logDone, at: sequence})
	}
	read := func(pairs ...uint64) porcupine.Operation {
		var s logState
		for i := 0; i < len(pairs); i += 2 {
			s = s.with(byte(pairs[i]), pairs[i+1])
		}
		return op(logCall{read: true}, logAnswer{outcome: logDone, seen: s})
	}
	again := op(logCall{event: 1, expected: unknownAt}, logAnswer{outcome: logDone, at: 9, duplicate: true})
	conflict := func(expected uint64) porcupine.Operation {
		return op(logCall{event: 3, expected: expected}, logAnswer{outcome: logConflict})
	}
	for name, h := range map[string][]porcupine.Operation{
		"an event is lost":                 {put(1, unknownAt, 5), put(2, unknownAt, 6), read(2, 6)},
		"an event is stored twice":         {put(1, unknownAt, 5), put(1, unknownAt, 6)},
		"the order is broken":              {put(1, unknownAt, 5), put(2, unknownAt, 6), read(2, 5, 1, 6)},
		"a wrong place":                    {put(1, unknownAt, 5), again},
		"an expectation that did not hold": {put(1, 0, 5), put(2, 4, 6)},
		"a conflict without a reason":      {put(1, 0, 5), conflict(5)},
	} {
		if porcupine.CheckOperations(logModel, h) {
			t.Errorf("%s: accepted", name)
		}
	}
	if !porcupine.CheckOperations(logModel, []porcupine.Operation{put(1, 0, 5), put(2, 5, 8), conflict(9), read(1, 5, 2, 8)}) {
		t.Error("a plain history is refused")
	}
}
