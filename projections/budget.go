package projections

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/release"
)

// Book is the ledger as projections need it: what they write into it they can read again.
type Book interface {
	eventstore.Ledger
	// Entries yields a tenant's entries in order. The first error ends it.
	Entries(ctx context.Context, tenant eventstore.TenantID) iter.Seq2[eventstore.Entry, error]
}

// scope is what the ledger calls a release: its period and its projection.
func scope(projection string, period eventstore.Period) eventstore.ScopeCode {
	return eventstore.ScopeCode(strings.ToLower(period.String()) + "-" + projection)
}

// year is the part of a scope by which the budget is counted: the calendar year of a day or month, the ISO year of a week.
func year(s eventstore.ScopeCode) string { return string(s[:min(4, len(s))]) }

// budget is what the ledger says was charged. The ledger is the truth: this is read from it, and again after every write that is in doubt.
type budget struct {
	charged map[eventstore.ScopeCode]release.Epsilon
	spent   map[string]release.Epsilon
}

func (b *budget) add(s eventstore.ScopeCode, e release.Epsilon) {
	b.charged[s] += e
	b.spent[year(s)] += e
}

func (p *Projections) budget(ctx context.Context, t *tenant) (*budget, error) {
	if t.budget != nil {
		return t.budget, nil
	}
	b := &budget{charged: map[eventstore.ScopeCode]release.Epsilon{}, spent: map[string]release.Epsilon{}}
	for e, err := range p.c.Ledger.Entries(ctx, t.id) {
		if err != nil {
			return nil, err
		}
		if e.Act == eventstore.ActBudgetCharged {
			b.add(e.Scope, release.Epsilon(e.Count))
		}
	}
	t.budget = b
	return b, nil
}

// charge spends ε for a release, once: what was charged before a crash is not charged again, and is what the release may use. It is 0 when the year's budget does not
// suffice. Nothing may be drawn before it returns.
func (p *Projections) charge(ctx context.Context, t *tenant, s Settings, what eventstore.ScopeCode) (release.Epsilon, error) {
	b, err := p.budget(ctx, t)
	if err != nil {
		return 0, err
	}
	if e := b.charged[what]; e > 0 {
		return e, nil
	}
	if b.spent[year(what)]+s.Epsilon > s.Budget {
		return 0, nil
	}
	_, err = p.c.Ledger.Record(ctx, t.id, eventstore.Entry{
		Time: p.c.Now(), Act: eventstore.ActBudgetCharged, Token: eventstore.TokenSystem, Scope: what, Count: uint64(s.Epsilon),
	})
	if err != nil {
		t.budget = nil // it may stand there all the same
		if errors.Is(err, eventstore.ErrUncertain) {
			err = eventstore.ErrUnavailable.Because(err)
		}
		return 0, fmt.Errorf("projections: charging the privacy budget: %w", err)
	}
	b.add(what, s.Epsilon)
	return s.Epsilon, nil
}
