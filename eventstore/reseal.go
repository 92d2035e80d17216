package eventstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/oubli-store/oubli/eventstore/envelope"
)

// Resealing is what [Store.Reseal] is asked for.
type Resealing struct {
	// Persons are a whole linked set, fenced.
	Persons []PersonID
	// First is the sequence from which the copies stand: everything that was acknowledged before the fence stands below it.
	First uint64
	// Keep says whether an event stays.
	Keep func(*Recorded) bool
}

// Resealed says what came of it.
type Resealed struct {
	// Kept and Gone count events.
	Kept, Gone uint64
}

// copyWindow is how many copies are on their way at once.
const copyWindow = 256

// Reseal stores what stays of a fenced linked set again, sealed under the successors of its persons: with the same ids, bodies and idempotency keys, in
// the same order, marked as copies. When it returns nil every event that stays has exactly one copy, durably, which was read back and compared.
//
// It can be called again after an error or a crash, with the same persons, First and Keep, and goes on where it was. It appends one control message
// each time, to know that what an earlier call submitted is decided. An event whose month retention took is not kept. ErrDamaged if
// an event does not open, or if the copies are not those of the events: nothing is lost then, and nothing can be superseded. Other errors as
// [Keys.Successor] and [Ticket].
func (s *Store) Reseal(ctx context.Context, tenant TenantID, r Resealing) (Resealed, error) {
	at, err := s.Announce(ctx, tenant, PersonEvent{Kind: PersonResealed, Persons: r.Persons, First: r.First})
	if err != nil {
		return Resealed{}, err
	}
	if err := s.reached(ctx, tenant, at); err != nil {
		return Resealed{}, err
	}
	p := &resealing{s: s, tenant: tenant, Resealing: r, old: map[PersonID]Gate{}, next: map[PersonID]Gate{}, over: map[uint16]bool{}}
	defer p.release()
	for _, person := range r.Persons {
		if p.old[person], err = s.c.Keys.FencedGate(ctx, tenant, person); err != nil {
			return Resealed{}, err
		}
		if p.next[person], err = s.c.Keys.Successor(ctx, tenant, person); err != nil {
			return Resealed{}, err
		}
	}
	if err := p.append(ctx); err != nil {
		return Resealed{}, err
	}
	return p.verify(ctx)
}

// copyPatience is how long the stream may take to answer.
const copyPatience = 10 * time.Second

// reached waits until a sequence is committed. ErrUnavailable if the stream cannot be reached.
func (s *Store) reached(ctx context.Context, tenant TenantID, sequence uint64) error {
	ctx, cancel := context.WithTimeout(ctx, copyPatience)
	defer cancel()
	_, err := s.c.Log.Await(ctx, tenant, sequence-1)
	if err != nil && ctx.Err() != nil {
		return ErrUnavailable.Because(err)
	}
	return err
}

// resealing is one call of Reseal.
type resealing struct {
	s      *Store
	tenant TenantID
	Resealing
	old, next map[PersonID]Gate
	flying    []Ticket
	// over are the months that retention lets nobody seal for any more.
	over map[uint16]bool
}

func (p *resealing) release() {
	for _, gates := range []map[PersonID]Gate{p.old, p.next} {
		for _, g := range gates {
			if g != nil {
				g.Release()
			}
		}
	}
}

// openedMessage is a message with its body.
type openedMessage struct {
	Stored
	body []byte
	// gone: the event does not stay. expired: retention took its key; the body is not there.
	gone, expired bool
}

// originals yields what was stored below First, in order.
func (p *resealing) originals(ctx context.Context) iter.Seq2[openedMessage, error] {
	return func(yield func(openedMessage, error) bool) {
		for m, err := range p.s.merged(ctx, p.tenant, p.Persons, 0) {
			if err == nil && m.Sequence >= p.First {
				return
			}
			var o openedMessage
			if err == nil {
				if m.Sequence < p.old[m.Person].State().First {
					continue
				}
				o, err = p.open(ctx, p.old, m)
			}
			if err == nil && !o.expired {
				var r Recorded
				r, err = decodeRecorded(m, o.body)
				o.gone = err == nil && !p.Keep(&r)
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}

func (p *resealing) open(ctx context.Context, gates map[PersonID]Gate, m Stored) (openedMessage, error) {
	body, err := p.s.open(ctx, p.tenant, gates[m.Person], m)
	if errors.Is(err, ErrExpired) {
		return openedMessage{Stored: m, expired: true}, nil
	}
	return openedMessage{Stored: m, body: body}, err
}

// copies walks over the copies that are there.
type copies struct {
	next  func() (openedMessage, error, bool)
	stop  func()
	head  openedMessage
	err   error
	there bool
}

func (p *resealing) copies(ctx context.Context) *copies {
	c := &copies{}
	c.next, c.stop = iter.Pull2(func(yield func(openedMessage, error) bool) {
		for m, err := range p.s.merged(ctx, p.tenant, p.Persons, p.First-1) {
			var o openedMessage
			if err == nil {
				o, err = p.open(ctx, p.next, m)
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
	})
	c.advance()
	return c
}

func (c *copies) advance() { c.head, c.err, c.there = c.next() }

// take takes the next copy if it is that of o.
func (c *copies) take(o openedMessage) (copied openedMessage, found bool, err error) {
	if c.err != nil || !c.there || c.head.Person != o.Person || c.head.Envelope.Event != o.Envelope.Event {
		return copied, false, c.err
	}
	copied = c.head
	c.advance()
	if o.gone || copied.Envelope.Month != o.Envelope.Month {
		return copied, true, errCopies
	}
	return copied, true, nil
}

// append stores the copies that are missing: behind those that are there.
func (p *resealing) append(ctx context.Context) error {
	there := p.copies(ctx)
	defer there.stop()
	for o, err := range p.originals(ctx) {
		if err != nil {
			return err
		}
		_, found, err := there.take(o)
		switch {
		case err != nil:
			return err
		case found || o.gone || o.expired:
		case there.there:
			return errCopies
		default:
			if err := p.store(ctx, o); err != nil {
				return err
			}
		}
	}
	return p.land(ctx, 0)
}

// store hands over one copy.
func (p *resealing) store(ctx context.Context, o openedMessage) error {
	gate := p.next[o.Person]
	m := Message{Person: o.Person, Envelope: envelope.Envelope{Event: o.Envelope.Event, Month: o.Envelope.Month}}
	associated := m.Envelope.AppendAssociated(make([]byte, 0, associatedSize), string(p.tenant), m.Person)
	var err error
	m.Envelope.Ciphertext, err = gate.Seal(ctx, KeyMonth(o.Envelope.Month), packForm(o.body, formCopy), associated)
	if errors.Is(err, ErrExpired) {
		p.over[o.Envelope.Month] = true
		return nil
	}
	if err != nil {
		return err
	}
	if e, err := decodeBody(o.body); err != nil {
		return err
	} else if e.Key != "" {
		if m.Row, err = rowOf(gate, e.Bot, e.Key); err != nil {
			return err
		}
	}
	ticket, err := p.s.c.Log.Submit(ctx, p.tenant, m)
	if err != nil {
		return errors.Join(err, p.land(ctx, 0))
	}
	p.flying = append(p.flying, ticket)
	return p.land(ctx, copyWindow-1)
}

// land waits until at most most copies are on their way.
func (p *resealing) land(ctx context.Context, most int) error {
	if len(p.flying) <= most {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, copyPatience)
	defer cancel()
	for len(p.flying) > most {
		ticket := p.flying[0]
		p.flying = p.flying[1:]
		at, err := ticket.Wait(ctx)
		if err != nil {
			return err
		}
		if at.Duplicate {
			return errCopies // two events of one key
		}
	}
	return nil
}

// verify reads events and copies side by side.
func (p *resealing) verify(ctx context.Context) (out Resealed, err error) {
	there := p.copies(ctx)
	defer there.stop()
	for o, err := range p.originals(ctx) {
		if err != nil {
			return out, err
		}
		c, found, err := there.take(o)
		switch {
		case err != nil:
			return out, err
		case o.gone:
			out.Gone++
		case o.expired || c.expired || !found && p.over[o.Envelope.Month]:
		case !found || !bytes.Equal(c.body, o.body):
			return out, errCopies
		default:
			out.Kept++
		}
	}
	if there.err != nil || there.there {
		return out, errors.Join(there.err, errCopies)
	}
	return out, nil
}

// errCopies: the copies that are stored are not those of the events that stay.
var errCopies = fmt.Errorf("the copies of a person's events are not those that must stand there: %w", ErrDamaged)

// rowOfCopy is rowOfStored for a message of a fenced person: only a copy of what stays of them needs its row.
func (s *Store) rowOfCopy(ctx context.Context, tenant TenantID, m Stored) (Row, error) {
	old, err := s.c.Keys.FencedGate(ctx, tenant, m.Person)
	if err != nil {
		return Row{}, err
	}
	defer old.Release()
	row, err := s.rowOfStored(ctx, tenant, old, m)
	if !errors.Is(err, ErrDamaged) {
		if errors.Is(err, ErrExpired) {
			err = nil
		}
		return row, err
	}
	if m.Sequence < old.State().First {
		return Row{}, nil
	}
	next, err := s.c.Keys.Successor(ctx, tenant, m.Person)
	if err != nil {
		return Row{}, err
	}
	defer next.Release()
	return s.rowOfStored(ctx, tenant, next, m)
}

// Count says how many events of a person are left: stored and not of a part that was erased, whether they are removed yet or not.
func (s *Store) Count(ctx context.Context, tenant TenantID, r PersonRecord) (n uint64, err error) {
	if r.State.First > 0 {
		for m, err := range s.c.Log.Read(ctx, tenant, r.Person, 0) {
			if err != nil {
				return 0, err
			}
			if m.Sequence < r.State.First {
				return s.countFrom(ctx, tenant, r)
			}
			break
		}
	}
	return s.c.Log.Count(ctx, tenant, r.Person)
}

// countFrom reads what is left, while the rest is being removed.
func (s *Store) countFrom(ctx context.Context, tenant TenantID, r PersonRecord) (n uint64, err error) {
	for _, err := range s.c.Log.Read(ctx, tenant, r.Person, r.State.First-1) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}
