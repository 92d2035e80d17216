package rights

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// silentChunk is how many linked sets without a data key share an erasure: one entry, one fence, one re-keying, one removal.
const silentChunk = 256

// errSpoke: somebody has a data key again.
var errSpoke = eventstore.Refuse(eventstore.KindConflict, "", "somebody spoke again; nothing was erased")

// eraseSilent erases everybody of whom retention has left nothing but the record, and says how many persons that were. It can be repeated.
func (s *Service) eraseSilent(ctx context.Context, tenant eventstore.TenantID) (n uint64, err error) {
	p, err := s.page(ctx, tenant)
	if err != nil {
		return 0, err
	}
	var chunk []eventstore.PersonID
	flush := func() error {
		erased, err := s.eraseChunk(ctx, tenant, p, chunk)
		chunk = chunk[:0]
		n += uint64(erased)
		return err
	}
	err = s.c.Keys.Keyless(ctx, tenant, func(id eventstore.PersonID) error {
		if chunk = append(chunk, id); len(chunk) < silentChunk {
			return nil
		}
		return flush()
	})
	if err == nil && len(chunk) > 0 {
		err = flush()
	}
	return n, err
}

// eraseChunk erases several linked sets in one erasure, or none of them if somebody speaks or is put on hold meanwhile: they are for the next run.
func (s *Service) eraseChunk(ctx context.Context, tenant eventstore.TenantID, p *page, chunk []eventstore.PersonID) (int, error) {
	w, err := s.openSilent(ctx, tenant, p, chunk)
	if err != nil || w == nil {
		return 0, err
	}
	e, err := s.drive(ctx, tenant, p, w)
	switch {
	case err == nil:
		s.nudge()
		return len(e.Persons), nil
	case (errors.Is(err, eventstore.ErrHold) || errors.Is(err, errSpoke)) && !p.has(w):
		return 0, nil
	}
	return 0, err
}

// openSilent opens one run for the linked sets of several persons. Whoever is in another erasure, on hold, or has a data key is left out.
func (s *Service) openSilent(ctx context.Context, tenant eventstore.TenantID, p *page, chunk []eventstore.PersonID) (*run, error) {
	if err := p.opening.acquire(ctx); err != nil {
		return nil, err
	}
	defer p.opening.release()
	var all []eventstore.PersonRecord
	for _, id := range chunk {
		set, err := s.c.Keys.Linked(ctx, tenant, id)
		if gone(err) || errors.Is(err, eventstore.ErrFenced) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if p.find(persons(set)...) != nil || holds(set) > 0 || slices.ContainsFunc(set, func(r eventstore.PersonRecord) bool { return len(r.Months) > 0 }) {
			continue
		}
		for _, r := range set {
			if !slices.ContainsFunc(all, func(o eventstore.PersonRecord) bool { return o.Person == r.Person }) {
				all = append(all, r)
			}
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	slices.SortFunc(all, func(a, b eventstore.PersonRecord) int { return a.Person.Compare(b.Person) })
	id, err := eventstore.NewEventID(s.now(), s.entropy)
	if err != nil {
		return nil, err
	}
	request, err := checkRequest(Request{Reason: eventstore.ReasonRetention})
	if err != nil {
		return nil, err
	}
	w := &run{lock: newLock(), request: request, row: row{Actor: system, Silent: true, Led: persons(all), References: references(all), Erasure: Erasure{
		ID: id.String(), Person: all[0].Person, Persons: persons(all), Reason: request.Reason, Scope: request.Scope, Stages: map[Stage]time.Time{},
	}}}
	p.add(w)
	return w, nil
}

// spoke ends a run that must only take silent persons and met another. The fences fall first: nothing was done to anybody.
func (s *Service) spoke(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) error {
	if err := s.c.Keys.Unfence(ctx, tenant, w.row.Persons); err != nil {
		return err
	}
	w.row.Refused = true
	if err := s.save(ctx, tenant, w); err != nil {
		return err
	}
	if err := s.refuse(ctx, tenant, p, w); !errors.Is(err, eventstore.ErrHold) {
		return err
	}
	return errSpoke
}
