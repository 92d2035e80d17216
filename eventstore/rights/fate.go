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
	for _, ref := range e.References {
		f := all.of[ref]
		if f == nil {
			f = &fate{}
			all.of[ref] = f
		}
		tell(f, number, e)
	}
	return nil
}

// tellers say what an entry means for each record that it names.
var tellers = map[eventstore.Act]func(f *fate, number uint64, e eventstore.Entry){
	eventstore.ActErased: func(f *fate, number uint64, e eventstore.Entry) {
		f.erased = &erasedBy{number, e.Time, Actor{e.Token, e.Role}, e.Reason, e.Scope}
	},
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
