package rights

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// ActErasureRefused follows an entry person-erased that had no effect, because a legal hold began in between.
const ActErasureRefused eventstore.Act = "erasure-refused"

// errWithdrawn tells a caller who joined an erasure that somebody else's attempt at it came to nothing.
var errWithdrawn = errors.New("the erasure was withdrawn")

// Erase erases a person's linked set, or the part of it that the scope says, and returns once it is shredded. Asked again, by whatever member, it gives
// the same answer (what the later request asks for beside the erasure, such as a longer refusal, comes too late); of a part, as long as nothing new is
// in it. It goes on when ctx ends after it has begun. Errors: ErrInvalid, ErrHold, ErrNotFound (also for a scope that nothing is in), ErrUnavailable;
// ErrErased for a person that the vault says is erased and that no erasure here took.
func (s *Service) Erase(ctx context.Context, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID, r Request) (Erasure, error) {
	r, err := checkRequest(r)
	if err != nil {
		return Erasure{}, err
	}
	p, err := s.page(ctx, tenant)
	if err != nil {
		return Erasure{}, err
	}
	looked := r.Scope.All()
	for {
		w, done, err := s.open(ctx, tenant, p, actor, person, r, looked)
		if err == errLook {
			if looked, done, err = s.look(ctx, tenant, person, r.Scope); err == nil && looked {
				continue
			}
		}
		if err != nil || w == nil {
			return done, err
		}
		if p.another(w, r.Scope) {
			if err := s.first(ctx, tenant, p, w, actor, r); err != nil {
				return Erasure{}, err
			}
			looked = r.Scope.All()
			continue
		}
		if e := w.shredded.Load(); e != nil { // it may be removing for hours: no waiting for its lock
			return *e, nil
		}
		e, err := s.drive(ctx, tenant, p, w)
		if err == nil {
			s.nudge()
		}
		if err != errWithdrawn {
			return e, err
		}
	}
}

// open finds the erasure that a person is in: a run, or the answer of a completed one. If there is none it opens a run; that of a part once
// somebody has looked whether there is anything in it, which can take a while (errLook).
func (s *Service) open(ctx context.Context, tenant eventstore.TenantID, p *page, actor Actor, person eventstore.PersonID, r Request, looked bool) (*run, Erasure, error) {
	if err := p.opening.acquire(ctx); err != nil {
		return nil, Erasure{}, err
	}
	defer p.opening.release()
	if w := p.find(person); w != nil {
		return w, Erasure{}, nil
	}
	switch id, err := s.c.Meta.Get(ctx, tenant, eventstore.TableErased, person.String()); {
	case err == nil:
		done, err := s.Erasure(ctx, tenant, string(id))
		return nil, done, err
	case !errors.Is(err, eventstore.ErrNotFound):
		return nil, Erasure{}, err
	}
	set, err := s.c.Keys.Linked(ctx, tenant, person)
	if errors.Is(err, eventstore.ErrErased) || errors.Is(err, eventstore.ErrFenced) {
		return s.among(ctx, tenant, p, person, err)
	}
	if err != nil {
		return nil, Erasure{}, err
	}
	if w := p.find(persons(set)...); w != nil { // linked since that erasure began
		return w, Erasure{}, nil
	}
	if !looked {
		return nil, Erasure{}, errLook
	}
	if holds(set) > 0 {
		return nil, Erasure{}, eventstore.ErrHold
	}
	cutoff, err := s.cutoff(tenant, r.Scope)
	if err != nil {
		return nil, Erasure{}, err
	}
	id, err := eventstore.NewEventID(s.now(), s.entropy)
	if err != nil {
		return nil, Erasure{}, err
	}
	w := &run{lock: newLock(), request: r, scope: r.Scope, row: row{Actor: actor, Register: r.register, Cutoff: cutoff, Led: persons(set), References: references(set), Erasure: Erasure{
		ID: id.String(), Person: person, Persons: persons(set), Reason: r.Reason, Scope: r.Scope, Stages: map[Stage]time.Time{},
		RefusedUntil: RefusedUntil(s.now(), r.RefuseFor),
	}}}
	p.add(w)
	return w, Erasure{}, nil
}

// among finds the erasure that took a person whom no pointer leads to: one that the set of a second erasure absorbed before its own was
// withdrawn, say. If there is none the vault's error stands.
func (s *Service) among(ctx context.Context, tenant eventstore.TenantID, p *page, person eventstore.PersonID, vault error) (*run, Erasure, error) {
	rows, _, err := s.rows(ctx, tenant)
	if err != nil {
		return nil, Erasure{}, err
	}
	for _, r := range rows {
		if !slices.Contains(r.Persons, person) || r.partial() && r.reached(Shredded) {
			continue
		}
		for _, w := range p.pending() {
			if w.row.ID == r.ID {
				return w, Erasure{}, nil
			}
		}
		return nil, r.answer(), nil
	}
	return nil, Erasure{}, vault
}

// drive takes a run to its acknowledgement.
func (s *Service) drive(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) (Erasure, error) {
	if err := w.lock.acquire(ctx); err != nil {
		return Erasure{}, err
	}
	defer w.lock.release()
	if w.withdrawn {
		return Erasure{}, errWithdrawn
	}
	if err := s.advance(context.WithoutCancel(ctx), tenant, p, w); err != nil {
		return Erasure{}, err
	}
	return w.row.answer(), nil
}

// advance takes the steps 1 to 6 that are not behind. w.lock is held.
func (s *Service) advance(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) error {
	for _, step := range []func(context.Context, eventstore.TenantID, *page, *run) error{
		s.file, s.request, s.fence, s.announce, s.destroy,
	} {
		if w.dirty {
			if err := s.save(ctx, tenant, w); err != nil {
				return err
			}
		}
		if err := step(ctx, tenant, p, w); err != nil {
			return err
		}
	}
	return nil
}

// save stores the row. Until that has succeeded no further step is taken.
func (s *Service) save(ctx context.Context, tenant eventstore.TenantID, w *run) error {
	w.dirty = true
	if err := s.put(ctx, tenant, w.row.ID, w.row); err != nil {
		return err
	}
	w.dirty = false
	if w.row.reached(Shredded) {
		answer := w.row.answer()
		w.shredded.Store(&answer)
	}
	return nil
}

// reach notes that a stage is behind.
func (s *Service) reach(ctx context.Context, tenant eventstore.TenantID, w *run, stages ...Stage) error {
	for _, stage := range stages {
		w.row.Stages[stage] = s.now()
	}
	return s.save(ctx, tenant, w)
}

// file is step 1: note and intent.
func (s *Service) file(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) error {
	if w.filed {
		return nil
	}
	subject, err := s.saveNote(ctx, tenant, w.row.ID, w.request)
	if subject != nil {
		w.row.Subject = subject
	}
	if err == nil {
		err = s.put(ctx, tenant, w.row.ID, w.row)
	}
	if err != nil {
		return s.withdraw(ctx, tenant, p, w, err)
	}
	w.filed = true
	return nil
}

// request is the steps 2 and 3: pointers, then the ledger entry.
func (s *Service) request(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) error {
	if w.row.Entry != 0 || w.row.Refused {
		return nil
	}
	if err := s.point(ctx, tenant, w); err != nil {
		return s.withdraw(ctx, tenant, p, w, err)
	}
	err := s.enter(ctx, tenant, w, eventstore.ActErased)
	if errors.Is(err, eventstore.ErrUncertain) || errors.Is(err, eventstore.ErrDamaged) {
		w.uncertain = true
	}
	if err != nil {
		return s.withdraw(ctx, tenant, p, w, err)
	}
	return s.reach(ctx, tenant, w, Requested)
}

// enter makes a ledger entry about a run, in the name of who asked for it.
func (s *Service) enter(ctx context.Context, tenant eventstore.TenantID, w *run, act eventstore.Act) error {
	n, err := s.c.Ledger.Record(ctx, tenant, eventstore.Entry{
		Time: s.now(), Act: act, Token: w.row.Actor.Token, Role: w.row.Actor.Role, References: w.row.References,
		Reason: w.row.Reason, Scope: w.row.Scope.Code(), Subject: w.row.Subject, Count: uint64(len(w.row.References)),
		Until: w.row.refusedUntil(act),
	})
	if err == nil && act == eventstore.ActErased {
		w.row.Entry, w.row.Entered = n, len(w.row.References)
	}
	return err
}

// point leads from persons to the erasure that takes them. One of a part takes nobody.
func (s *Service) point(ctx context.Context, tenant eventstore.TenantID, w *run) error {
	if w.row.partial() {
		return nil
	}
	for _, person := range w.row.Led {
		if err := s.c.Meta.Put(ctx, tenant, eventstore.TableErased, person.String(), []byte(w.row.ID)); err != nil {
			return err
		}
	}
	return nil
}

// fence is step 4. The set may have grown since the intent; from here it cannot.
func (s *Service) fence(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) error {
	if w.row.reached(Fenced) {
		return nil
	}
	if w.row.Refused {
		return s.refuse(ctx, tenant, p, w)
	}
	members, err := s.c.Keys.Fence(ctx, tenant, w.row.Persons)
	if errors.Is(err, eventstore.ErrHold) {
		w.row.Refused = true
		if err := s.save(ctx, tenant, w); err != nil {
			return err
		}
		return s.refuse(ctx, tenant, p, w)
	}
	if err != nil {
		return err
	}
	if w.row.Silent && slices.ContainsFunc(members, func(m eventstore.Member) bool { return len(m.Months) > 0 }) {
		return s.spoke(ctx, tenant, p, w)
	}
	for _, m := range members {
		if !slices.Contains(w.row.Persons, m.Person) {
			w.row.Persons = append(w.row.Persons, m.Person)
			if p.find(m.Person) == nil {
				w.row.Led = append(w.row.Led, m.Person)
			}
		}
		if !slices.Contains(w.row.References, m.Reference) {
			w.row.References = append(w.row.References, m.Reference)
		}
	}
	slices.SortFunc(w.row.Persons, eventstore.PersonID.Compare)
	p.add(w)
	w.row.Members = members
	if err := s.point(ctx, tenant, w); err != nil {
		return err
	}
	if w.row.Entered != len(w.row.References) && !w.row.Again { // some joined since the entry
		if err := s.enter(ctx, tenant, w, eventstore.ActErased); err != nil {
			return err
		}
	}
	return s.reach(ctx, tenant, w, Fenced)
}

// announce is step 5. Announcing twice has the effect of announcing once.
func (s *Service) announce(ctx context.Context, tenant eventstore.TenantID, _ *page, w *run) error {
	if w.row.Announced != 0 {
		return nil
	}
	e := eventstore.PersonEvent{Kind: eventstore.PersonErased, Persons: w.row.Persons}
	if w.row.partial() {
		e.Kind = eventstore.PersonResealed
	}
	if len(w.row.Members) > 0 {
		var months []eventstore.KeyMonth
		for _, m := range w.row.Members {
			months = append(months, m.Months...)
		}
		slices.Sort(months)
		periods := eventstore.PeriodsOf(slices.Compact(months))
		marks, err := s.c.Keys.FencedPeriodMarks(ctx, tenant, w.row.Members[0].Person, periods)
		if err != nil {
			return err
		}
		for i, m := range marks {
			e.Marks = append(e.Marks, eventstore.PeriodMark{Period: periods[i], Mark: m})
		}
	}
	n, err := s.store.Announce(ctx, tenant, e)
	if err != nil {
		return err
	}
	w.row.Announced = n
	return s.save(ctx, tenant, w)
}

// destroy is step 6, the acknowledgement.
func (s *Service) destroy(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) error {
	if w.row.reached(Shredded) {
		return nil
	}
	if w.row.partial() {
		return s.succeed(ctx, tenant, p, w)
	}
	err := s.c.Keys.Shred(ctx, tenant, w.row.Persons, eventstore.ShredOptions{RefuseUntil: w.row.RefusedUntil})
	if errors.Is(err, eventstore.ErrConflict) {
		return s.refence(ctx, tenant, p, w)
	}
	if err != nil {
		return err
	}
	return s.reach(ctx, tenant, w, Shredded)
}

// refuse ends a run that a legal hold stopped before the fence: the ledger is told that its entry had no effect.
func (s *Service) refuse(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) error {
	if err := s.waitFor(ctx, tenant, w); err != nil {
		return err
	}
	if err := s.enter(ctx, tenant, w, ActErasureRefused); err != nil {
		return err
	}
	return s.discard(ctx, tenant, p, w, eventstore.ErrHold)
}

// withdraw takes an intent back, as if it had never been, unless the ledger may hold its entry. It returns the cause.
func (s *Service) withdraw(ctx context.Context, tenant eventstore.TenantID, p *page, w *run, cause error) error {
	if w.uncertain {
		return cause
	}
	return s.discard(ctx, tenant, p, w, cause)
}

// discard deletes what a run has stored: the intent last, so that a crash in between leaves it to be found. If that fails the intent
// stays and will be carried out.
func (s *Service) discard(ctx context.Context, tenant eventstore.TenantID, p *page, w *run, cause error) error {
	failed := func() error { w.filed, w.uncertain = false, true; return cause }
	for _, person := range w.row.Led {
		if s.c.Meta.Delete(ctx, tenant, eventstore.TableErased, person.String()) != nil {
			return failed()
		}
	}
	for _, key := range []string{w.row.ID + noteSuffix, w.row.ID} {
		if s.c.Meta.Delete(ctx, tenant, eventstore.TableErasures, key) != nil {
			return failed()
		}
	}
	w.withdrawn = true
	p.remove(w)
	return cause
}
