package eventstore

import (
	"context"
	"maps"
	"slices"
)

// errNoLedger: consent cannot be withdrawn where nobody would remember it.
var errNoLedger = Refuse(KindUnavailable, "consent", "this store has no ledger to record a withdrawal of consent in")

// consent notes the answer of a consent event on the person's whole linked set. repeated: an answer that came later is not undone.
//
// A withdrawal, and a consent that ends one, stand in the ledger first: whoever restores an older backup must withdraw again what was withdrawn since.
func (f *flight) consent(ctx context.Context, repeated bool) error {
	c, keys, tenant := f.event.Consent, f.s.c.Keys, f.caller.Tenant
	answered := func(s State, granted bool) bool { was, ok := s.Consents[c.Purpose]; return ok && was == granted }
	matters := func(r PersonRecord) bool { return !answered(r.State, false) }
	act := ActConsentWithdrawn
	if c.Granted {
		matters = func(r PersonRecord) bool { return answered(r.State, false) && !repeated }
		act = ActConsentGiven
	}
	set, err := keys.Linked(ctx, tenant, f.receipt.Person)
	if err != nil {
		return err
	}
	f.owes = f.owes || c.Purpose == PurposeAnalytics
	told := slices.ContainsFunc(set, matters)
	if told {
		if err := f.recordConsent(ctx, act, set); err != nil {
			return err
		}
	}
	after, err := keys.Change(ctx, tenant, f.receipt.Person, ConsentKind(c.Purpose, c.Granted), func(s State) State {
		if repeated && (answered(s, true) || answered(s, false)) {
			return s
		}
		s.Consents = maps.Clone(s.Consents)
		if s.Consents == nil {
			s.Consents = map[string]bool{}
		}
		s.Consents[c.Purpose] = c.Granted
		return s
	})
	if err == nil && told && len(after) > len(set) { // somebody joined in between
		err = f.recordConsent(ctx, act, after)
	}
	return err
}

func (f *flight) recordConsent(ctx context.Context, act Act, set []PersonRecord) error {
	if f.s.c.Ledger == nil {
		return errNoLedger
	}
	e := Entry{Time: f.s.c.Now().UTC(), Act: act, Token: f.caller.Token, Role: RoleBot, Purpose: f.event.Consent.Purpose, Count: uint64(len(set))}
	if e.Token == "" {
		e.Token, e.Role = TokenSystem, ""
	}
	for _, r := range set {
		e.References = append(e.References, r.Reference)
	}
	_, err := f.s.c.Ledger.Record(ctx, f.caller.Tenant, e)
	return err
}
