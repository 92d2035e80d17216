package rights

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
)

// Reapplied lists the acts that a restore carries out again, because what they did is missing from an older backup: erasures (also of a part: the
// record that the entry names is gone for good, so the person is erased wholly), expired months, restrictions, objections and holds with
// their ends, and withdrawals of consent. With an erasure comes the longer refusal that was asked
// for with it, unless [eventstore.ActAdmitted] lifted it. [ActErasureRefused] takes an erasure back, [eventstore.ActConsentGiven] a withdrawal. All other acts leave
// nothing behind that an older backup could undo, or are for the restore itself ([eventstore.ActTenantErased]).
var Reapplied = append(slices.Sorted(maps.Keys(tellers)), eventstore.ActExpired)

// Entries yields the entries of a ledger in order, from the first on.
type Entries = iter.Seq2[eventstore.Entry, error]

// ReapplyReport says what [Service.Reapply] found to do.
type ReapplyReport struct {
	// Entries is how many entries of the ledger were read.
	Entries uint64 `json:"entries"`
	// Erased counts the persons that were erased again; Whole those of them of whom the ledger says that only a part was erased.
	Erased uint64 `json:"erased"`
	Whole  uint64 `json:"erased_whole_instead_of_part"`
	// States counts the linked sets whose restriction, objection, hold or consent changed.
	States uint64 `json:"states"`
	// Refusals counts the erasures since whose longer refusal of handles holds again, or still; RefusalsLost those whose handles the backup does not hold, because
	// the person came after it: nothing refuses them any more.
	Refusals     uint64 `json:"refusals"`
	RefusalsLost uint64 `json:"refusals_lost"`
	// Expired is the first month that retention spares now; zero if nothing had expired since.
	Expired eventstore.KeyMonth `json:"expired,omitempty"`
}

// Reapply holds a restored vault to a newer ledger: entries is the whole of it. Nothing may be served, resumed or run before it has returned without an error. It makes no
// ledger entries of its own; interrupted or asked again it does what is left to do. Ciphertexts of who was erased again are removed by
// [Service.Run], as always. Memory grows with the records that the acts of [Reapplied] name.
//
// An entry stands before its effect, so an act that a crash cut off behind its entry has its effect now. ErrDamaged for an entry that cannot be carried out; other errors are
// those of entries, the vault and the log.
func (s *Service) Reapply(ctx context.Context, tenant eventstore.TenantID, entries Entries) (ReapplyReport, error) {
	r := &reapplication{s: s, tenant: tenant}
	err := r.read(entries)
	r.report.Entries = r.entries
	for _, step := range []func(context.Context) error{r.match, r.erase, r.refuse, r.forget, r.expire, r.states, r.tell} {
		if err == nil {
			err = step(ctx)
		}
	}
	if err != nil {
		return r.report, fmt.Errorf("applying the ledger of tenant %s again: %w", tenant, err)
	}
	return r.report, nil
}

// reapplication is one run of Reapply.
type reapplication struct {
	fates
	s      *Service
	tenant eventstore.TenantID
	// persons are those whom the vault holds and of whom the ledger tells.
	persons map[eventstore.PersonID]*fate
	report  ReapplyReport
}

// match finds the persons of the records that the ledger names.
func (r *reapplication) match(ctx context.Context) error {
	r.persons = map[eventstore.PersonID]*fate{}
	err := r.s.c.Keys.Holders(ctx, r.tenant, func(ref eventstore.LedgerReference, person eventstore.PersonID) error {
		if f := r.of[ref]; f != nil {
			r.persons[person] = f
		}
		return nil
	})
	r.of = nil
	return err
}

// sets visits each linked set of the persons that are still there, once, in ascending order of a member that the ledger tells of.
func (r *reapplication) sets(ctx context.Context, visit func(person eventstore.PersonID, set []eventstore.PersonRecord) error) error {
	seen := map[eventstore.PersonID]bool{}
	for _, person := range slices.SortedFunc(maps.Keys(r.persons), eventstore.PersonID.Compare) {
		if seen[person] {
			continue
		}
		set, err := r.s.c.Keys.Linked(ctx, r.tenant, person)
		if gone(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, m := range set {
			seen[m.Person] = true
		}
		if err := visit(person, set); err != nil {
			return err
		}
	}
	return nil
}

// refuse lifts what was admitted since, and counts the longer refusals that hold and those that cannot: a mark needs the handle, which only a record has.
func (r *reapplication) refuse(ctx context.Context) error {
	if len(r.admitted) > 0 {
		if _, err := r.s.c.Keys.Admit(ctx, r.tenant, nil, r.admitted); err != nil {
			return err
		}
	}
	var asked []eventstore.LedgerReference
	var open []refusing
	for _, x := range r.refusals {
		if x.by.until.After(r.s.now()) {
			open, asked = append(open, x), append(asked, x.references...)
		}
	}
	if len(open) == 0 {
		return nil
	}
	hold, err := r.s.c.Keys.Refused(ctx, r.tenant, nil, asked)
	if err != nil {
		return err
	}
	counted := map[eventstore.LedgerReference]bool{} // an erasure can have two entries
	for _, x := range open {
		if slices.ContainsFunc(x.references, func(ref eventstore.LedgerReference) bool { return counted[ref] }) {
			continue
		}
		for _, ref := range x.references {
			counted[ref] = true
		}
		if slices.ContainsFunc(x.references, func(ref eventstore.LedgerReference) bool { return slices.Contains(hold.References, ref) }) {
			r.report.Refusals++
		} else {
			r.report.RefusalsLost++
		}
	}
	return nil
}

// states brings every set to what the ledger says last.
func (r *reapplication) states(ctx context.Context) error {
	return r.sets(ctx, func(person eventstore.PersonID, set []eventstore.PersonRecord) error {
		var restricted, objected, held last
		withdrawn := map[string]bool{}
		for _, m := range set {
			f := r.persons[m.Person]
			if f == nil {
				continue
			}
			restricted, objected, held = restricted.and(f.restricted), objected.and(f.objected), held.and(f.heldAt(r.entries))
			for purpose, granted := range f.consents {
				withdrawn[purpose] = withdrawn[purpose] || !granted
			}
		}
		changed := false
		for _, c := range []struct {
			said    last
			yes, no Change
		}{{restricted, Restrict, Unrestrict}, {objected, Object, Unobject}, {held, Hold, Unhold}} {
			change, err := r.set(ctx, person, set, c.said, c.yes, c.no)
			if err != nil {
				return err
			}
			changed = changed || change
		}
		withdrew, err := r.withdraw(ctx, person, set, withdrawn)
		if changed || withdrew {
			r.report.States++
		}
		return err
	})
}

// set makes a change, unless every member of the set is as it would be.
func (r *reapplication) set(ctx context.Context, person eventstore.PersonID, set []eventstore.PersonRecord, said last, yes, no Change) (changed bool, err error) {
	if said == untold {
		return false, nil
	}
	e := effects[no]
	if said == on {
		e = effects[yes]
	}
	if !slices.ContainsFunc(set, func(m eventstore.PersonRecord) bool { return *e.flag(&m.State) != e.on }) {
		return false, nil
	}
	_, err = r.s.c.Keys.Change(ctx, r.tenant, person, e.kind, func(st eventstore.State) eventstore.State {
		*e.flag(&st) = e.on
		return st
	})
	return err == nil, err
}

// withdraw takes consents back. A consent that was given since is not given again: what is not certain is not consent.
func (r *reapplication) withdraw(ctx context.Context, person eventstore.PersonID, set []eventstore.PersonRecord, withdrawn map[string]bool) (bool, error) {
	maps.DeleteFunc(withdrawn, func(purpose string, yes bool) bool {
		return !yes || !slices.ContainsFunc(set, func(m eventstore.PersonRecord) bool {
			granted, answered := m.State.Consents[purpose]
			return granted || !answered
		})
	})
	if len(withdrawn) == 0 {
		return false, nil
	}
	var kind eventstore.PersonEventKind
	if withdrawn[eventstore.PurposeAnalytics] {
		kind = eventstore.PersonAnalyticsRefused
	}
	_, err := r.s.c.Keys.Change(ctx, r.tenant, person, kind, func(st eventstore.State) eventstore.State {
		consents := maps.Clone(st.Consents)
		if consents == nil {
			consents = map[string]bool{}
		}
		for purpose := range withdrawn {
			consents[purpose] = false
		}
		st.Consents = consents
		return st
	})
	return err == nil, err
}

// tell sends what the changes owe to the stream.
func (r *reapplication) tell(ctx context.Context) error { return r.s.store.SendOwed(ctx, r.tenant) }

// expire lets the months go again that retention has taken since, each with the holds that there were then.
func (r *reapplication) expire(ctx context.Context) error {
	reached, err := r.s.c.Keys.Expired(ctx, r.tenant)
	if err != nil {
		return err
	}
	for i, x := range r.expiries {
		if x.before <= reached {
			if i == len(r.expiries)-1 && x.before == reached { // the log may not have followed before a crash
				return r.expireLog(ctx, x.before)
			}
			continue
		}
		err = r.sets(ctx, func(person eventstore.PersonID, set []eventstore.PersonRecord) error {
			var held last
			for _, m := range set {
				if f := r.persons[m.Person]; f != nil {
					held = held.and(f.heldAt(x.number))
				}
			}
			_, err := r.set(ctx, person, set, held, Hold, Unhold)
			return err
		})
		if err != nil {
			return err
		}
		if _, err := r.s.store.Announce(ctx, r.tenant, eventstore.PersonEvent{Kind: eventstore.PersonExpired, Before: x.before}); err != nil {
			return err
		}
		if err := r.expireLog(ctx, x.before); err != nil {
			return err
		}
		r.report.Expired = x.before
	}
	return nil
}

// expireLog takes the keys of months, and then their ciphertext.
func (r *reapplication) expireLog(ctx context.Context, before eventstore.KeyMonth) error {
	s := r.s
	gone, err := s.c.Keys.Expire(ctx, r.tenant, before, nil)
	if err != nil {
		return err
	}
	spared := func(p eventstore.PersonID) bool {
		_, kept := slices.BinarySearchFunc(gone.Spared, p, eventstore.PersonID.Compare)
		return kept
	}
	return s.expireMessages(ctx, r.tenant, before, spared, nil)
}

// unhold lets a person go whom the ledger says was erased later.
func (r *reapplication) unhold(ctx context.Context, person eventstore.PersonID) error {
	_, err := r.s.c.Keys.Change(ctx, r.tenant, person, "", func(st eventstore.State) eventstore.State { st.Hold = false; return st })
	if gone(err) || errors.Is(err, eventstore.ErrFenced) {
		return nil
	}
	return err
}
