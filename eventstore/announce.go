package eventstore

import (
	"context"
	"slices"
	"sync"

	"github.com/oubli-store/oubli/eventstore/envelope"
)

// Announce appends a person event to the tenant's stream and returns its sequence once it is journalled. What the vault owes goes first, so
// that an erasure's event stands behind the links it undoes.
func (s *Store) Announce(ctx context.Context, tenant TenantID, e PersonEvent) (uint64, error) {
	if err := s.SendOwed(ctx, tenant); err != nil {
		return 0, err
	}
	id, err := s.newEventID(s.c.Now())
	if err != nil {
		return 0, err
	}
	return s.announce(ctx, tenant, id, e)
}

func (s *Store) announce(ctx context.Context, tenant TenantID, id EventID, e PersonEvent) (uint64, error) {
	body, err := encodeChange(e)
	if err != nil {
		return 0, err
	}
	m := Message{Envelope: envelope.Envelope{Event: id, Month: envelope.ControlMonth}, Journalled: true}
	m.Envelope.Ciphertext, err = s.c.Keys.SealControl(ctx, tenant, pack(body), m.Envelope.AppendAssociated(nil, string(tenant), m.Person))
	if err != nil {
		return 0, err
	}
	ticket, err := s.c.Log.Submit(ctx, tenant, m)
	if err != nil {
		return 0, err
	}
	at, err := ticket.Wait(ctx)
	return at.Sequence, err
}

// SendOwed appends the person events that the vault owes to the stream, oldest first. After a crash one may be sent twice; it keeps its id.
func (s *Store) SendOwed(ctx context.Context, tenant TenantID) error {
	lock, _ := s.outboxes.LoadOrStore(tenant, new(sync.Mutex))
	lock.(*sync.Mutex).Lock()
	defer lock.(*sync.Mutex).Unlock()
	owed, err := s.c.Keys.Outbox(ctx, tenant)
	if err != nil {
		return err
	}
	for _, o := range owed {
		if _, err := s.announce(ctx, tenant, o.ID, o.Event); err != nil {
			return err
		}
		if err := s.c.Keys.Sent(ctx, tenant, o.ID); err != nil {
			return err
		}
	}
	return nil
}

// Changes lists the sequences of the stored person events that name one of the persons. It reads and opens every person event of the tenant.
func (s *Store) Changes(ctx context.Context, tenant TenantID, persons []PersonID) ([]uint64, error) {
	var out []uint64
	for m, err := range s.c.Log.Read(ctx, tenant, PersonID{}, 0) {
		if err != nil {
			return nil, err
		}
		e, err := s.openChange(ctx, tenant, m)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(e.Persons, func(p PersonID) bool { return slices.Contains(persons, p) }) {
			out = append(out, m.Sequence)
		}
	}
	return out, nil
}
