package rights

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// together is how many erasures a restore has under way at once: they share re-keyings.
const together = 64

// erase erases again whom the ledger says was erased, by the ordinary machine.
func (r *reapplication) erase(ctx context.Context) error {
	p, err := r.s.page(ctx, r.tenant)
	if err != nil {
		return err
	}
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed []error
		runs   = map[*run]bool{}
		turns  = make(chan struct{}, together)
	)
	for person, f := range r.persons {
		if f.erased == nil {
			continue
		}
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			w, err := r.eraseOne(ctx, p, person, f.erased)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, err)
			} else if w != nil {
				runs[w] = runs[w] || f.erased.scope != eventstore.ScopeCodeAll
			}
		})
		if len(turns) == 0 && ctx.Err() != nil {
			break
		}
	}
	wg.Wait()
	for w, part := range runs {
		n := uint64(len(w.row.Persons))
		r.report.Erased += n
		if part {
			r.report.Whole += n
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed[:min(len(failed), 3)]...)
	}
	r.s.nudge()
	return ctx.Err()
}

// eraseOne erases a person with their linked set. It gives the erasure, nil if another one took them.
func (r *reapplication) eraseOne(ctx context.Context, p *page, person eventstore.PersonID, by *erasedBy) (*run, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := r.unhold(ctx, person); err != nil {
		return nil, err
	}
	w, err := r.open(ctx, p, person, by)
	if err != nil || w == nil {
		return nil, err
	}
	_, err = r.s.drive(ctx, r.tenant, p, w)
	return w, err
}

// open finds the erasure that a person is in, or opens one whose ledger entry is the one that there is.
func (r *reapplication) open(ctx context.Context, p *page, person eventstore.PersonID, by *erasedBy) (*run, error) {
	s := r.s
	if err := p.opening.acquire(ctx); err != nil {
		return nil, err
	}
	defer p.opening.release()
	if w, err := r.find(ctx, p, by, person); w != nil || err != nil {
		return w, err
	}
	set, err := s.c.Keys.Linked(ctx, r.tenant, person)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if w, err := r.find(ctx, p, by, persons(set)...); w != nil || err != nil {
		return w, err
	}
	id, err := eventstore.NewEventID(s.now(), s.entropy)
	if err != nil {
		return nil, err
	}
	w := &run{lock: newLock(), uncertain: true, row: row{
		Actor: by.actor, Led: persons(set), References: references(set), Entry: by.number, Entered: len(set), Again: true,
		Erasure: Erasure{ID: id.String(), Person: person, Persons: persons(set), Reason: by.reason, RefusedUntil: by.until,
			Stages: map[Stage]time.Time{Requested: by.time}},
	}}
	p.add(w)
	return w, nil
}

// find is the erasure of a person that was under way when the backup was made, or that an earlier call opened; nil if there is none that takes them.
func (r *reapplication) find(ctx context.Context, p *page, by *erasedBy, persons ...eventstore.PersonID) (*run, error) {
	w := p.find(persons...)
	if w == nil {
		return nil, nil
	}
	if err := w.lock.acquire(ctx); err != nil {
		return nil, err
	}
	defer w.lock.release()
	switch {
	case w.withdrawn, w.row.partial() && w.row.reached(Shredded):
		return nil, nil
	case w.row.Silent && !w.row.reached(Fenced): // it may name others, who spoke
		if err := r.s.discard(ctx, r.tenant, p, w, nil); err != nil || w.withdrawn {
			return nil, err
		}
		return nil, eventstore.ErrUnavailable
	}
	return w, r.adopt(ctx, p, w, by)
}

// adopt gives an erasure the entry that there is. One of a part becomes one of everything: the record that the part was taken from is gone for good. w.lock is held.
func (r *reapplication) adopt(ctx context.Context, p *page, w *run, by *erasedBy) error {
	if w.row.reached(Shredded) || w.row.Again {
		return nil
	}
	w.row.RefusedUntil = by.until
	w.row.Again, w.row.Refused, w.row.Silent, w.dirty, w.uncertain = true, false, false, true, true
	if w.row.Entry == 0 {
		w.row.Entry, w.row.Entered, w.row.Stages[Requested] = by.number, len(w.row.References), by.time
	}
	if w.row.partial() {
		w.row.Scope, w.row.Cutoff, w.row.Announced = eventstore.ScopeAll, time.Time{}, 0
		p.widen(w)
	}
	return r.s.point(ctx, r.tenant, w)
}

// forget drops what was under way when the backup was made and had not come to a fence: the ledger says what became of it, and that is done.
func (r *reapplication) forget(ctx context.Context) error {
	if err := r.forgetErasures(ctx); err != nil {
		return err
	}
	p, err := r.s.statesOf(ctx, r.tenant)
	if err != nil {
		return err
	}
	defer p.lock.release()
	for id := range p.pending {
		if err := r.s.c.Meta.Delete(ctx, r.tenant, eventstore.TableStates, id); err != nil {
			return err
		}
		delete(p.pending, id)
	}
	return nil
}

func (r *reapplication) forgetErasures(ctx context.Context) error {
	p, err := r.s.page(ctx, r.tenant)
	if err != nil {
		return err
	}
	for _, w := range p.pending() {
		if err := w.lock.acquire(ctx); err != nil {
			return err
		}
		var err error
		if !w.row.reached(Fenced) && !w.row.Again {
			if err = r.s.discard(ctx, r.tenant, p, w, nil); err == nil && !w.withdrawn {
				err = eventstore.ErrUnavailable
			}
		}
		w.lock.release()
		if err != nil {
			return err
		}
	}
	return nil
}
