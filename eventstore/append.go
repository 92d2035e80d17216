package eventstore

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore/envelope"
)

// gateHold is how long an append holds its person's gate at most. [Keys.Fence] waits no longer.
const gateHold = 2 * time.Second

var (
	errOtherBody    = Refuse(KindConflict, "id", "another event is stored under this id")
	errOtherState   = Refuse(KindConflict, "expected_sequence", "the person's last sequence is another one; read and try again")
	errNotRecorded  = Refuse(KindUnavailable, "consent", "the event is stored, its effect is not certain; send it again under the same id")
	errTenantNeeded = Refuse(KindInvalid, "tenant", "a value is required")
)

// Append stores one event and returns once it is on disk. It is Submit and Wait.
//
// Errors: those of [Door.Admit], [Door.Consent] and [Keys.Enter]; ErrTooOld for an event of a month that the tenant keeps no more; ErrConflict (another body under the same idempotency key, or
// ExpectedSequence does not hold); ErrUncertain; ErrUnavailable.
func (s *Store) Append(ctx context.Context, caller Caller, e Event) (Receipt, error) {
	f, ticket, err := s.start(ctx, caller, &e)
	if err != nil {
		return Receipt{}, err
	}
	landing := s.landing.by(f.until)
	select {
	case <-ticket.Done():
	case <-landing.Done():
	case <-ctx.Done(): // the gate is released in time all the same
		go func() { _, _ = f.await(landing, ticket) }()
		return Receipt{}, ErrUncertain.Because(ctx.Err())
	}
	return f.await(landing, ticket)
}

// Pending is a submitted event that awaits its answer.
type Pending struct {
	done    chan struct{}
	receipt Receipt
	err     error
}

// Wait blocks until the event is on disk. Errors as Append.
func (p *Pending) Wait(ctx context.Context) (Receipt, error) {
	select {
	case <-p.done:
		return p.receipt, p.err
	default:
	}
	select {
	case <-p.done:
		return p.receipt, p.err
	case <-ctx.Done():
		return Receipt{}, ErrUncertain.Because(ctx.Err())
	}
}

// flight is an event between Submit and its answer. It owns the gate.
type flight struct {
	s       *Store
	caller  Caller
	event   Event
	entered *Entered
	receipt Receipt
	until   time.Time
	// owes says that the vault owes the stream an answer about statistics.
	owes bool
}

// Submit hands over one event without waiting for the disk. The order of calls is the order of a person's events. Every Pending must be
// waited for.
//
// The person's gate is held until the log has answered, but no longer than [Keys.Fence] waits: an answer that comes later is ErrUncertain. So
// each flight has a goroutine, which ends within that time, whether the caller waits or not.
func (s *Store) Submit(ctx context.Context, caller Caller, e Event) (*Pending, error) {
	f, ticket, err := s.start(ctx, caller, &e)
	if err != nil {
		return nil, err
	}
	p := &Pending{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.receipt, p.err = f.await(s.landing.by(f.until), ticket)
	}()
	return p, nil
}

// start lets an event in and hands it to the log. The flight must be awaited.
func (s *Store) start(ctx context.Context, caller Caller, e *Event) (*flight, Ticket, error) {
	if caller.Tenant == "" {
		return nil, nil, errTenantNeeded
	}
	received := s.c.Now().UTC().Truncate(time.Millisecond) // as an event id holds it
	f := &flight{s: s, caller: caller, until: time.Now().Add(gateHold)}
	var err error
	if f.event, err = s.c.Door.Admit(caller, *e, received); err != nil {
		return nil, nil, err
	}
	ticket, err := f.start(ctx, received, PersonID{})
	return f, ticket, err
}

// arrival is what the vault must know of an event. ErrTooOld.
func (s *Store) arrival(caller Caller, e *Event, received time.Time) (Arrival, error) {
	a := Arrival{Identity: *e.Identity, Also: e.Also, Bot: e.Bot, Conversation: e.Conversation, Time: e.Time, Received: received}
	if a.Time.IsZero() {
		a.Time = received
	}
	if !caller.KeepOld && s.c.Oldest != nil && KeyMonthOf(a.Time, received) < s.c.Oldest(caller.Tenant) {
		return a, ErrTooOld
	}
	return a, nil
}

// start lets an event in that was admitted, and hands it to the log. If only names a person, the event is refused unless it is theirs.
func (f *flight) start(ctx context.Context, received time.Time, only PersonID) (Ticket, error) {
	s, caller, e := f.s, f.caller, &f.event
	plain, err := f.plaintext()
	if err != nil {
		return nil, err
	}
	defer plain.discard()
	arrival, err := s.arrival(caller, e, received)
	if err != nil {
		return nil, err
	}
	f.entered, err = s.c.Keys.Enter(ctx, caller.Tenant, arrival, func(st State) error { return s.c.Door.Consent(caller, *e, st) })
	if errors.Is(err, ErrExpired) {
		err = ErrTooOld.Because(err)
	}
	if err != nil {
		return nil, err
	}
	if !only.IsZero() && f.entered.Gate.Person() != only {
		f.land()
		return nil, errAttachGone
	}
	ticket, err := f.takeOff(ctx, arrival, plain.bytes())
	if err != nil {
		f.land()
		if errors.Is(err, ErrExpired) {
			err = ErrTooOld.Because(err)
		}
		return nil, err
	}
	return ticket, nil
}

// landings gives flights the context that ends their wait. Flights that begin within a moment share one, which spares each a timer: it
// ends up to [landingGrain] before a flight's own time, never behind it.
type landings struct {
	mu     sync.Mutex
	ctx    context.Context
	cancel context.CancelFunc // it ends by itself
	until  time.Time
}

const landingGrain = gateHold / 64

func (l *landings) by(until time.Time) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx == nil || l.until.After(until) || until.Sub(l.until) > landingGrain {
		l.until = until
		l.ctx, l.cancel = context.WithDeadline(context.Background(), until)
	}
	return l.ctx
}

// lateContext is context.WithDeadline for calls that hardly ever wait: the timer is made when somebody asks for Done.
type lateContext struct {
	context.Context
	until time.Time

	once sync.Once
	late context.Context
	stop context.CancelFunc
}

func (c *lateContext) timer() context.Context {
	c.once.Do(func() { c.late, c.stop = context.WithDeadline(c.Context, c.until) })
	return c.late
}

// Deadline implements [context.Context].
func (c *lateContext) Deadline() (time.Time, bool) {
	if d, ok := c.Context.Deadline(); ok && d.Before(c.until) {
		return d, true
	}
	return c.until, true
}

// Done implements [context.Context].
func (c *lateContext) Done() <-chan struct{} { return c.timer().Done() }

// Err implements [context.Context].
func (c *lateContext) Err() error {
	if err := c.Context.Err(); err != nil || time.Now().Before(c.until) {
		return err
	}
	return c.timer().Err()
}

// cancel frees the timer, if there is one. Nobody may ask for Done any more.
func (c *lateContext) cancel() {
	if c.stop != nil {
		c.stop()
	}
}

// takeOff seals the event, whose padded plaintext is given, and gives it to the log.
func (f *flight) takeOff(ctx context.Context, a Arrival, plaintext []byte) (Ticket, error) {
	// What is taken, is taken well before the gate can be dead: nothing stands behind what an erasure announces that it does not know.
	late := &lateContext{Context: ctx, until: f.until.Add(-gateHold / 8)}
	defer late.cancel()
	ctx = late
	gate, tenant := f.entered.Gate, f.caller.Tenant
	id, err := f.s.newEventID(a.Received)
	if err != nil {
		return nil, err
	}
	f.receipt = Receipt{ID: id, Person: gate.Person()}
	if f.entered.Ambiguous {
		f.receipt.Link = LinkAmbiguous
	}
	month := KeyMonthOf(a.Time, a.Received)
	m := Message{
		Person:   gate.Person(),
		Envelope: envelope.Envelope{Event: id, Month: uint16(month)},
		Expected: f.event.ExpectedSequence,
	}
	associated := m.Envelope.AppendAssociated(make([]byte, 0, associatedSize), string(tenant), m.Person)
	if m.Envelope.Ciphertext, err = gate.Seal(ctx, month, plaintext, associated); err != nil {
		return nil, err
	}
	if f.event.Key != "" {
		if m.Row, err = rowOf(gate, f.event.Bot, f.event.Key); err != nil {
			return nil, err
		}
	}
	// A withdrawal is recorded and has its effect before it is stored, a consent once it is: what is not certain is not consent.
	if c := f.event.Consent; f.event.Type == TypeConsent && !c.Granted {
		if err := f.consent(ctx, false); err != nil {
			return nil, err
		}
	}
	return f.s.c.Log.Submit(ctx, tenant, m)
}

// rowOf is the idempotency row of a key: the prefix of all of the person's rows, and the mark of bot and key.
func rowOf(gate Gate, bot BotID, key string) (row Row, err error) {
	prefix, err := gate.Mark(MarkRow)
	if err != nil {
		return row, err
	}
	mark, err := gate.Mark(MarkIdempotency, []byte(bot), []byte{0}, []byte(key))
	copy(row[:8], prefix[:])
	copy(row[8:], mark[:])
	return row, err
}

// land ends the flight: the gate is released, and what a link or an answer about statistics owes is sent. That it is sent is not certain; it stays owed until it is.
func (f *flight) land() {
	f.entered.Gate.Release()
	if f.entered.Linked || f.owes {
		ctx, cancel := context.WithTimeout(context.Background(), gateHold)
		defer cancel()
		_ = f.s.SendOwed(ctx, f.caller.Tenant)
	}
}

// await answers once the log has, and releases the gate.
func (f *flight) await(ctx context.Context, ticket Ticket) (Receipt, error) {
	defer f.land()
	at, err := ticket.Wait(ctx)
	switch {
	case errors.Is(err, ErrConflict):
		return Receipt{}, errOtherState
	case err != nil:
		return Receipt{}, err
	}
	r := f.receipt
	r.Sequence = at.Sequence
	if at.Duplicate {
		first, err := f.first(ctx, at.Sequence)
		if err != nil {
			return Receipt{}, err
		}
		r.ID, r.Duplicate = first, true
	}
	if f.event.Type == TypeConsent && f.event.Consent.Granted {
		err := f.consent(ctx, at.Duplicate)
		if err != nil && !errors.Is(err, ErrFenced) && !errors.Is(err, ErrErased) { // an erasure takes both away
			return Receipt{}, errNotRecorded.Because(err)
		}
	}
	return r, nil
}

// first compares with what is stored under the same key and gives its id.
func (f *flight) first(ctx context.Context, sequence uint64) (EventID, error) {
	log, tenant := f.s.c.Log, f.caller.Tenant
	// The first one may be on its way still; only then is there anything to wait for.
	if _, err := log.Await(ctx, tenant, sequence-1); err != nil {
		return EventID{}, uncertainIfEnded(ctx, err)
	}
	m, err := log.Get(ctx, tenant, sequence)
	switch {
	case errors.Is(err, ErrNotFound):
		return EventID{}, ErrDamaged // a row leads to nothing
	case err != nil:
		return EventID{}, uncertainIfEnded(ctx, err)
	case m.Person != f.receipt.Person:
		return EventID{}, ErrDamaged
	}
	body, err := f.s.open(ctx, tenant, f.entered.Gate, m)
	if err != nil {
		return EventID{}, uncertainIfEnded(ctx, err)
	}
	mine, err := encodeBody(&f.event)
	if err != nil {
		return EventID{}, err
	}
	if !f.same(body, mine) {
		return EventID{}, errOtherBody
	}
	return EventID(m.Envelope.Event), nil
}

// same says whether a stored body is that of the event: byte for byte, but for where the bytes of its file stand, or as it would be had it come now: since it
// was stored the door may have learnt to mask more.
func (f *flight) same(stored, body []byte) bool {
	if bytes.Equal(stored, body) {
		return true
	}
	first, err := decodeBody(stored)
	if err != nil {
		return false
	}
	e := f.event
	if mine := e.Attachment; mine != nil {
		if first.Attachment == nil || !mine.same(first.Attachment) {
			return false
		}
		e.Attachment = first.Attachment
	}
	wanted, err := encodeBody(&e)
	if err != nil {
		return false
	}
	if bytes.Equal(wanted, stored) {
		return true
	}
	if first, err = f.s.c.Door.Admit(f.caller, first, f.s.c.Now()); err != nil {
		return false
	}
	again, err := encodeBody(&first)
	return err == nil && bytes.Equal(again, wanted)
}

func uncertainIfEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ErrUncertain.Because(err)
	}
	return err
}
