package rights

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oubli-store/oubli/eventstore"
)

func persons(set []eventstore.PersonRecord) (out []eventstore.PersonID) {
	for _, r := range set {
		out = append(out, r.Person)
	}
	return out
}

func references(set []eventstore.PersonRecord) (out []eventstore.LedgerReference) {
	for _, r := range set {
		out = append(out, r.Reference)
	}
	return out
}

func holds(set []eventstore.PersonRecord) (n int) {
	for _, r := range set {
		if r.State.Hold {
			n++
		}
	}
	return n
}

func restricted(set []eventstore.PersonRecord) bool {
	return slices.ContainsFunc(set, func(r eventstore.PersonRecord) bool { return r.State.Restricted })
}

func objected(set []eventstore.PersonRecord) bool {
	return slices.ContainsFunc(set, func(r eventstore.PersonRecord) bool { return r.State.Objected })
}

// linked finds a linked set. ErrKeyLost beside the errors of [eventstore.Keys.Gate].
func (s *Service) linked(ctx context.Context, tenant eventstore.TenantID, person eventstore.PersonID) ([]eventstore.PersonRecord, error) {
	set, err := s.c.Keys.Linked(ctx, tenant, person)
	if errors.Is(err, eventstore.ErrNotFound) {
		// Messages of a person that the vault never knew: it was restored from an older backup.
		if n, counting := s.c.Log.Count(ctx, tenant, person); counting == nil && n > 0 {
			err = eventstore.ErrKeyLost
		} else if counting != nil {
			err = counting
		}
	}
	return set, err
}

// enterSet finds a linked set and makes the ledger entry of an act on it. ErrKeyLost beside the errors of [eventstore.Keys.Gate].
func (s *Service) enterSet(ctx context.Context, tenant eventstore.TenantID, actor Actor, act eventstore.Act, person eventstore.PersonID, may func([]eventstore.PersonRecord) error) ([]eventstore.PersonRecord, error) {
	set, _, err := s.enterSetNumbered(ctx, tenant, actor, act, person, may)
	return set, err
}

// enterSetNumbered is enterSet for who needs the number of the entry.
func (s *Service) enterSetNumbered(ctx context.Context, tenant eventstore.TenantID, actor Actor, act eventstore.Act, person eventstore.PersonID, may func([]eventstore.PersonRecord) error) ([]eventstore.PersonRecord, uint64, error) {
	set, err := s.linked(ctx, tenant, person)
	if err != nil {
		return nil, 0, err
	}
	if may != nil {
		if err := may(set); err != nil {
			return nil, 0, err
		}
	}
	n, err := s.recordNumbered(ctx, tenant, actor, act, references(set), len(set))
	return set, n, err
}

// Show says what is known of a person. Errors as [eventstore.Keys.Gate].
func (s *Service) Show(ctx context.Context, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID) (Person, error) {
	set, err := s.enterSet(ctx, tenant, actor, eventstore.ActShown, person, nil)
	if err != nil {
		return Person{}, err
	}
	return s.describe(ctx, tenant, person, set)
}

// Lookup finds the persons that canonical identities name, as linked sets, each once; unknown and erased ones are left out. There is one
// ledger entry, with the references of what was found and the number of identities, also when nothing was. ErrFenced while one is being erased.
func (s *Service) Lookup(ctx context.Context, tenant eventstore.TenantID, actor Actor, ids []eventstore.Identity) ([]Person, error) {
	var found [][]eventstore.PersonRecord
	var named []eventstore.PersonID
	seen := map[eventstore.PersonID]bool{}
	for _, id := range ids {
		person, err := s.c.Keys.Resolve(ctx, tenant, id)
		if gone(err) || err == nil && seen[person] {
			continue
		} else if err != nil {
			return nil, err
		}
		set, err := s.c.Keys.Linked(ctx, tenant, person)
		if gone(err) {
			continue
		} else if err != nil {
			return nil, err
		}
		for _, r := range set {
			seen[r.Person] = true
		}
		found, named = append(found, set), append(named, person)
	}
	if err := s.record(ctx, tenant, actor, eventstore.ActLookup, references(slices.Concat(found...)), len(ids)); err != nil {
		return nil, err
	}
	out := []Person{}
	for i, set := range found {
		p, err := s.describe(ctx, tenant, named[i], set)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// gone says that the vault knows nobody, or nobody any more.
func gone(err error) bool {
	return errors.Is(err, eventstore.ErrNotFound) || errors.Is(err, eventstore.ErrErased)
}

func (s *Service) describe(ctx context.Context, tenant eventstore.TenantID, person eventstore.PersonID, set []eventstore.PersonRecord) (Person, error) {
	p := summary(person, set)
	var err error
	p.Events, err = s.count(ctx, tenant, set)
	return p, err
}

// summary is what the vault says of a set.
func summary(person eventstore.PersonID, set []eventstore.PersonRecord) Person {
	p := Person{Person: person, Persons: persons(set), Identities: []eventstore.Identity{}, State: state(set)}
	p.Restricted, p.Hold = restricted(set), holds(set) > 0
	p.Objected, p.ExpiredBefore = objected(set), expiredBefore(set)
	for _, r := range set {
		p.Identities = append(p.Identities, r.Identities...)
		p.Ambiguous = append(p.Ambiguous, r.Ambiguous...)
		if p.Created.IsZero() || r.Created.Before(p.Created) {
			p.Created = r.Created
		}
		for purpose, granted := range r.State.Consents {
			if p.Consents == nil {
				p.Consents = map[string]bool{}
			}
			before, known := p.Consents[purpose]
			p.Consents[purpose] = granted && (before || !known)
		}
	}
	byName := func(a, b eventstore.Identity) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.ID, b.ID))
	}
	slices.SortFunc(p.Identities, byName)
	slices.SortFunc(p.Ambiguous, byName)
	p.Ambiguous = slices.Compact(p.Ambiguous)
	return p
}

func state(set []eventstore.PersonRecord) string {
	switch {
	case restricted(set):
		return StateRestricted
	case holds(set) > 0:
		return StateHeld
	case objected(set):
		return StateObjected
	}
	return StateActive
}

// expiredBefore is the day before which retention took something of a set; the latest where members differ.
func expiredBefore(set []eventstore.PersonRecord) string {
	var m eventstore.KeyMonth
	for _, r := range set {
		m = max(m, r.Expired)
	}
	if m == 0 {
		return ""
	}
	return m.Start().Format(time.DateOnly)
}

func (s *Service) count(ctx context.Context, tenant eventstore.TenantID, set []eventstore.PersonRecord) (n uint64, err error) {
	for _, r := range set {
		c, err := s.store.Count(ctx, tenant, r)
		if err != nil {
			return 0, err
		}
		n += c
	}
	return n, nil
}

// Preview says what Erase would take, changing nothing. It reads every event of the set. Errors as [eventstore.Keys.Gate], and those of
// [eventstore.Store.Read]; ErrInvalid for what is no scope, ErrNotFound when nothing is in it.
func (s *Service) Preview(ctx context.Context, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID, scope eventstore.Scope) (Preview, error) {
	if err := scope.Check(); err != nil {
		return Preview{}, err
	}
	cutoff, err := s.cutoff(tenant, scope)
	if err != nil {
		return Preview{}, err
	}
	set, err := s.enterSet(ctx, tenant, actor, eventstore.ActShown, person, nil)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Person: person, Persons: persons(set), Scope: scope, Channels: []string{}, Handles: []string{}, Holds: holds(set)}
	for _, r := range set {
		if !scope.All() {
			break // the handles stay
		}
		for _, id := range r.Identities {
			p.Handles = append(p.Handles, Mask(id))
		}
	}
	slices.Sort(p.Handles)
	channels := names{}
	for e, err := range s.store.Read(ctx, tenant, person, eventstore.ReadOptions{}) {
		if err != nil {
			return Preview{}, err
		}
		if !scope.Takes(&e.Event, cutoff) {
			continue
		}
		p.Events++
		if p.First.IsZero() || e.Event.Time.Before(p.First) {
			p.First = e.Event.Time
		}
		if e.Event.Time.After(p.Last) {
			p.Last = e.Event.Time
		}
		channels.add(e.Event.Channel)
	}
	p.Channels = channels.sorted()
	switch {
	case !scope.All() && p.Events == 0:
		return Preview{}, errNothing
	case scope.All(): // with those that can no longer be read
		p.Events, err = s.count(ctx, tenant, set)
	}
	return p, err
}

// Transcript is what may be read of a person.
type Transcript struct {
	// ExpiredBefore is a day as in [Person].
	ExpiredBefore string
	// Events yields the events that are left; what has expired is left out. Errors as [eventstore.Store.Read]. To be iterated once.
	Events iter.Seq2[eventstore.Recorded, error]
}

// Transcript answers what may be read of a person, after the ledger entry. ErrWithheld while a member of the set is restricted; other errors as
// [eventstore.Keys.Gate].
func (s *Service) Transcript(ctx context.Context, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID, o eventstore.ReadOptions) (Transcript, error) {
	set, err := s.enterSet(ctx, tenant, actor, eventstore.ActTranscriptRead, person, func(set []eventstore.PersonRecord) error {
		if restricted(set) {
			return eventstore.ErrWithheld
		}
		return nil
	})
	if err != nil {
		return Transcript{}, err
	}
	return Transcript{expiredBefore(set), s.store.Read(ctx, tenant, person, o)}, nil
}

// Mask shows so much of a handle that who knows it recognises it: a…e@example.com, +33…78, web:v…7. Of a short one nothing.
func Mask(id eventstore.Identity) string {
	local, domain := id.ID, ""
	switch id.Namespace {
	case "email":
		if at := strings.LastIndexByte(id.ID, '@'); at >= 0 {
			local, domain = id.ID[:at], id.ID[at:]
		}
		return ends(local, 1, 1) + domain
	case "phone":
		return ends(local, 3, 2)
	}
	return id.Namespace + ":" + ends(local, 1, 1)
}

// ends shows the first and last characters of s if at least three times as many stay hidden or s has at least twice what is shown.
func ends(s string, first, last int) string {
	r := []rune(s)
	if !utf8.ValidString(s) || len(r) < 2*(first+last) {
		return "…"
	}
	return string(r[:first]) + "…" + string(r[len(r)-last:])
}

// maxNames bounds how many distinct names an answer lists.
const maxNames = 1000

// names gathers distinct names, in bounded memory.
type names map[string]bool

func (n names) add(s string) {
	if s != "" && len(n) < maxNames {
		n[s] = true
	}
}

func (n names) sorted() []string {
	out := slices.Sorted(maps.Keys(n))
	if out == nil {
		out = []string{}
	}
	return out
}
