package rights

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// The erasure of a part: where it differs from that of a whole linked set.

// errLook asks the caller of open to look first whether the scope holds anything.
var errLook = errors.New("the scope has not been looked at")

// partial says whether the erasure leaves something.
func (r *row) partial() bool { return !r.Scope.All() }

// cutoff is the instant before which a scope takes everything.
func (s *Service) cutoff(tenant eventstore.TenantID, scope eventstore.Scope) (time.Time, error) {
	zone := time.UTC
	if s.c.Zone != nil {
		zone = s.c.Zone(tenant)
	}
	return scope.Cutoff(zone)
}

// look says whether the scope of a request holds anything of a person. If not, it finds the newest erasure that took it, for who asks again;
// ErrNotFound if there was none.
func (s *Service) look(ctx context.Context, tenant eventstore.TenantID, person eventstore.PersonID, scope eventstore.Scope) (found bool, done Erasure, err error) {
	cutoff, err := s.cutoff(tenant, scope)
	if err != nil {
		return false, done, err
	}
	for e, err := range s.store.Read(ctx, tenant, person, eventstore.ReadOptions{}) {
		if errors.Is(err, eventstore.ErrFenced) || errors.Is(err, eventstore.ErrErased) {
			return true, done, nil // an erasure is there already, or was: that is for open to find
		}
		if err != nil {
			return false, done, err
		}
		if scope.Takes(&e.Event, cutoff) {
			return true, done, nil
		}
	}
	rows, _, err := s.rows(ctx, tenant)
	if err != nil {
		return false, done, err
	}
	for _, r := range slices.Backward(rows) {
		if r.Scope == scope && r.reached(Shredded) && slices.Contains(r.Persons, person) {
			return false, r.answer(), nil
		}
	}
	return false, done, errNothing
}

var errNothing = eventstore.Refuse(eventstore.KindNotFound, "scope", "the person has no event in this scope; nothing is erased")

// first lets the erasure w of another part of a person come to its acknowledgement before the one that is asked for. When it cannot, and
// everything is to be erased, it becomes the erasure of everything: one fenced set has one erasure.
func (s *Service) first(ctx context.Context, tenant eventstore.TenantID, p *page, w *run, actor Actor, r Request) error {
	if err := w.lock.acquire(ctx); err != nil {
		return err
	}
	defer w.lock.release()
	if w.withdrawn || w.row.reached(Shredded) || !w.row.partial() {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	err := s.advance(ctx, tenant, p, w)
	if err == nil || !r.Scope.All() || !w.row.reached(Fenced) {
		return err
	}
	return s.widen(ctx, tenant, p, w, actor, r)
}

// widen makes the erasure of a part that of everything, in one write: from its ledger entry on it begins anew, still fenced.
func (s *Service) widen(ctx context.Context, tenant eventstore.TenantID, p *page, w *run, actor Actor, r Request) error {
	subject, err := s.saveNote(ctx, tenant, w.row.ID, r)
	if err != nil {
		return err
	}
	next := w.row
	next.Scope, next.Cutoff, next.Actor, next.Reason, next.Subject = r.Scope, time.Time{}, actor, r.Reason, subject
	next.RefusedUntil = RefusedUntil(s.now(), r.RefuseFor)
	next.Entry, next.Entered, next.Announced = 0, 0, 0
	if err := s.put(ctx, tenant, next.ID, next); err != nil {
		w.dirty = true // who knows what is stored: what w holds is stored again before anything is done
		return err
	}
	w.row, w.request, w.dirty, w.uncertain = next, r, false, true
	p.widen(w)
	return nil
}

// succeed is step 6 of the erasure of a part: copies of what stays, then the acknowledgement.
func (s *Service) succeed(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) error {
	err := s.supersede(ctx, tenant, w)
	if err != nil && !errors.Is(err, eventstore.ErrErased) { // another erasure took all of the set
		return err
	}
	if err := s.reach(ctx, tenant, w, Shredded); err != nil {
		return err
	}
	p.settle(w)
	return nil
}

func (s *Service) supersede(ctx context.Context, tenant eventstore.TenantID, w *run) error {
	if len(w.row.Members) == 0 {
		return nil
	}
	if err := s.prepare(ctx, tenant, w); err != nil {
		return err
	}
	scope, cutoff := w.row.Scope, w.row.Cutoff
	job := eventstore.Resealing{First: w.row.First, Keep: func(e *eventstore.Recorded) bool { return !scope.Takes(&e.Event, cutoff) }}
	refused := eventstore.Refused{Before: cutoff}
	if scope.Code() == eventstore.ScopeCodeConversation {
		refused = eventstore.Refused{Before: w.row.Stages[Fenced], Bot: scope.Bot, Conversation: scope.Conversation}
	}
	var all []eventstore.Succession
	for _, m := range w.row.Members {
		job.Persons = append(job.Persons, m.Person)
		all = append(all, eventstore.Succession{Person: m.Person, Reference: m.Reference, First: w.row.First, Refused: refused})
	}
	if !w.row.Copied {
		done, err := s.store.Reseal(ctx, tenant, job)
		if err != nil {
			return err
		}
		w.row.Copied, w.row.KeptEvents, w.row.ErasedEvents = true, done.Kept, done.Gone
		if err := s.save(ctx, tenant, w); err != nil {
			return err
		}
	}
	return s.c.Keys.Supersede(ctx, tenant, all)
}

// prepare notes the prefixes of the rows that the copies get: whatever becomes of the copies, their rows can be found.
func (s *Service) prepare(ctx context.Context, tenant eventstore.TenantID, w *run) error {
	if w.row.First != 0 {
		return nil
	}
	var prefixes [][8]byte
	for _, m := range w.row.Members {
		gate, err := s.c.Keys.Successor(ctx, tenant, m.Person)
		if err != nil {
			return err
		}
		mark, err := gate.Mark(eventstore.MarkRow)
		gate.Release()
		if err != nil {
			return err
		}
		prefixes = append(prefixes, [8]byte(mark[:8]))
	}
	w.row.Prefixes, w.row.First = prefixes, w.row.Announced+1
	return s.save(ctx, tenant, w)
}

// refence begins the steps from the fence anew, for an erasure of all whose fence another one, of a part of the same set, has lifted: the two
// began before their persons were linked.
func (s *Service) refence(ctx context.Context, tenant eventstore.TenantID, p *page, w *run) error {
	delete(w.row.Stages, Fenced)
	w.row.Announced = 0
	if err := s.save(ctx, tenant, w); err != nil {
		return err
	}
	return s.advance(ctx, tenant, p, w)
}

// removal is what the last step takes out of the stream.
func (s *Service) removal(ctx context.Context, tenant eventstore.TenantID, w *run) (out eventstore.Removal, err error) {
	out.Persons = w.row.Persons
	for _, m := range w.row.Members {
		out.Prefixes = append(out.Prefixes, m.RowPrefix)
	}
	if w.row.partial() {
		out.Below = w.row.First
		return out, nil
	}
	out.Prefixes = append(out.Prefixes, w.row.Prefixes...)
	out.Control, err = s.store.Changes(ctx, tenant, w.row.Persons)
	return out, err
}

// expiredConversation stands where the name of an erased conversation stood until its note expired.
const expiredConversation eventstore.ConversationID = "(expired)"

// forgetScopes takes the names of conversations out of completed erasures, when their notes would have expired.
func (s *Service) forgetScopes(ctx context.Context, tenant eventstore.TenantID, rows []row) error {
	for _, r := range rows {
		at, done := r.Stages[Completed]
		if !done || r.Scope.Conversation == "" || r.Scope.Conversation == expiredConversation || s.now().Before(at.Add(s.c.NoteLife)) {
			continue
		}
		r.Scope.Conversation = expiredConversation
		if err := s.put(ctx, tenant, r.ID, r); err != nil {
			return err
		}
	}
	return nil
}

// widen notes that a run takes everything now.
func (p *page) widen(w *run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.scope = w.row.Scope
}

// settle lets the persons of a part go on: what is asked of them next is another erasure.
func (p *page) settle(w *run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for person, v := range p.of {
		if v == w {
			delete(p.of, person)
		}
	}
}

// another says whether a run is the erasure of another part than the one that is asked for.
func (p *page) another(w *run, scope eventstore.Scope) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !w.scope.All() && w.scope != scope
}
