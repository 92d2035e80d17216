package rights

import (
	"fmt"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// fate is what a ledger says became of one record.
type fate struct {
	// erased is the last entry that erased it, nil if none did.
	erased *erasedBy
	// last holds, for each flag, whether the last entry about it set it.
	restricted, objected last
	// holds are the entries about holds, in order: whom retention spared depends on when.
	holds []turn
	// consents holds the last answer per purpose.
	consents map[string]bool
}

type erasedBy struct {
	number uint64
	time   time.Time
	actor  Actor
	reason eventstore.Reason
	scope  eventstore.ScopeCode
	// until is when a longer refusal of the handles ends; zero if there is none, or it was lifted since.
	until time.Time
}

// last is the last word about a flag.
type last byte

const (
	untold last = iota
	off
	on
)

func lastOf(set bool) last {
	if set {
		return on
	}
	return off
}

// and joins what is said of two persons who are one human: what binds either binds both.
func (l last) and(o last) last { return max(l, o) }

// turn is a hold that began or ended with an entry.
type turn struct {
	number uint64
	on     bool
}

// heldAt is what the entries up to number say about a hold.
func (f *fate) heldAt(number uint64) (l last) {
	for _, t := range f.holds {
		if t.number <= number {
			l = lastOf(t.on)
		}
	}
	return l
}

// expiry is an entry by which key months went.
type expiry struct {
	number uint64
	before eventstore.KeyMonth
}

// fates reads a ledger.
type fates struct {
	of       map[eventstore.LedgerReference]*fate
	expiries []expiry
	entries  uint64
	// refusals are the erasures with a longer refusal, by the first entry that named a record; admitted are the records whose refusal was lifted.
	refusals []refusing
	admitted []eventstore.LedgerReference
}

// refusing is an erasure with a longer refusal.
type refusing struct {
	by         *erasedBy
	references []eventstore.LedgerReference
}

func (all *fates) read(entries Entries) error {
	all.of = map[eventstore.LedgerReference]*fate{}
	for e, err := range entries {
		if err != nil {
			return err
		}
		all.entries++
		if err := all.add(all.entries, e); err != nil {
			return fmt.Errorf("ledger entry %d: %w", all.entries, err)
		}
	}
	return nil
}

func (all *fates) add(number uint64, e eventstore.Entry) error {
	if e.Act == eventstore.ActExpired {
		if n := len(all.expiries); n == 0 || all.expiries[n-1].before < e.Before {
			all.expiries = append(all.expiries, expiry{number, e.Before})
		}
		return nil
	}
	tell := tellers[e.Act]
	if tell == nil {
		return nil
	}
	if e.Count > uint64(len(e.References)) {
		return fmt.Errorf("%w: it does not name all the records that it is about", eventstore.ErrDamaged)
	}
	by := all.erasure(number, e)
	for _, ref := range e.References {
		f := all.of[ref]
		if f == nil {
			f = &fate{}
			all.of[ref] = f
		}
		if e.Act == eventstore.ActAdmitted {
			all.admit(f, ref)
		} else if by != nil {
			f.erased = by
		} else {
			tell(f, number, e)
		}
	}
	return nil
}

// erasure is that of an entry, one for all the records that it names; nil if it is none.
func (all *fates) erasure(number uint64, e eventstore.Entry) *erasedBy {
	if e.Act != eventstore.ActErased {
		return nil
	}
	by := &erasedBy{number, e.Time, Actor{e.Token, e.Role}, e.Reason, e.Scope, e.Until}
	if !e.Until.IsZero() {
		all.refusals = append(all.refusals, refusing{by, e.References})
	}
	return by
}

// admit lifts the longer refusal of everybody who was erased with a record.
func (all *fates) admit(f *fate, ref eventstore.LedgerReference) {
	all.admitted = append(all.admitted, ref)
	if f.erased != nil {
		f.erased.until = time.Time{}
	}
}

// tellers say what an entry means for each record that it names.
var tellers = map[eventstore.Act]func(f *fate, number uint64, e eventstore.Entry){
	eventstore.ActErased:           func(*fate, uint64, eventstore.Entry) {}, // all.erasure
	eventstore.ActAdmitted:         func(*fate, uint64, eventstore.Entry) {}, // all.admit
	ActErasureRefused:              func(f *fate, _ uint64, _ eventstore.Entry) { f.erased = nil },
	eventstore.ActRestricted:       func(f *fate, _ uint64, _ eventstore.Entry) { f.restricted = on },
	eventstore.ActUnrestricted:     func(f *fate, _ uint64, _ eventstore.Entry) { f.restricted = off },
	eventstore.ActObjected:         func(f *fate, _ uint64, _ eventstore.Entry) { f.objected = on },
	eventstore.ActUnobjected:       func(f *fate, _ uint64, _ eventstore.Entry) { f.objected = off },
	eventstore.ActHeld:             func(f *fate, number uint64, _ eventstore.Entry) { f.holds = append(f.holds, turn{number, true}) },
	eventstore.ActUnheld:           func(f *fate, number uint64, _ eventstore.Entry) { f.holds = append(f.holds, turn{number, false}) },
	eventstore.ActConsentWithdrawn: func(f *fate, _ uint64, e eventstore.Entry) { f.consent(e.Purpose, false) },
	eventstore.ActConsentGiven:     func(f *fate, _ uint64, e eventstore.Entry) { f.consent(e.Purpose, true) },
}

func (f *fate) consent(purpose string, granted bool) {
	if f.consents == nil {
		f.consents = map[string]bool{}
	}
	f.consents[purpose] = granted
}
