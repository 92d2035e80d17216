package keystest

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// bar is a longer refusal of a handle.
type bar struct {
	until     time.Time
	reference eventstore.LedgerReference
}

// Refused implements [eventstore.Keys].
func (f *Fake) Refused(ctx context.Context, tenant eventstore.TenantID, ids []eventstore.Identity, references []eventstore.LedgerReference) (r eventstore.Refusals, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return r, err
	}
	barred := t.barredWith(f.Now(), ids, references)
	for _, h := range barred {
		r.References = append(r.References, t.barred[h].reference)
	}
	slices.SortFunc(r.References, func(a, b eventstore.LedgerReference) int { return bytes.Compare(a[:], b[:]) })
	r.References, r.Handles = slices.Compact(r.References), len(barred)
	return r, nil
}

// Admit implements [eventstore.Keys].
func (f *Fake) Admit(ctx context.Context, tenant eventstore.TenantID, ids []eventstore.Identity, references []eventstore.LedgerReference) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.tenant(tenant)
	if err != nil {
		return 0, err
	}
	barred := t.barredWith(f.Now(), ids, references)
	for _, h := range barred {
		delete(t.barred, h)
	}
	return len(barred), nil
}

// barredWith lists the refused handles among ids, and those that were erased with them or under one of the references.
func (t *tenant) barredWith(now time.Time, ids []eventstore.Identity, references []eventstore.LedgerReference) (out []eventstore.Identity) {
	references = slices.Clone(references)
	for _, h := range ids {
		if b := t.barred[h]; now.Before(b.until) {
			references = append(references, b.reference)
		}
	}
	for h, b := range t.barred {
		if now.Before(b.until) && slices.Contains(references, b.reference) {
			out = append(out, h)
		}
	}
	return out
}
