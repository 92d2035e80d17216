package keyvault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
)

// actor is a person whom the auditor knows: handles, and a text sealed in each of some months.
type actor struct {
	name    string
	id      eventstore.PersonID
	handles []eventstore.Identity
	texts   map[eventstore.KeyMonth][]byte
}

// observe is the one auditor: it looks at everything that a vault shows of persons, handles, texts, linked sets, states, debts and counts, and wants
// the vault sound ([keyvault.Vault.Check]: one root, the spare slot empty, nothing that no node leads to, counts that agree). Two vaults that it
// describes alike are alike for everybody. Contradictions fail t.
func observe(t testing.TB, v *keyvault.Vault, when string, actors []*actor, watched ...eventstore.Identity) string {
	t.Helper()
	ctx := t.Context()
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	n, err := v.Count(ctx, crashTenant)
	if errors.Is(err, eventstore.ErrErased) || errors.Is(err, eventstore.ErrNotFound) {
		say("tenant: %v", err)
		for _, a := range actors {
			if _, gate := v.Gate(ctx, crashTenant, a.id); !errors.Is(gate, err) {
				t.Errorf("%s: no tenant, and the gate of %s: %v", when, a.name, gate)
			}
		}
		return strings.Join(out, "\n")
	}
	if err != nil {
		t.Fatalf("%s: Count: %v", when, err)
	}
	living, fenced := uint64(0), 0
	for _, a := range actors {
		s := a.observe(t, v, when)
		switch s {
		case "erased":
		case "fenced":
			fenced++
			living++
		default:
			living++
		}
		say("%s: %s", a.name, s)
	}
	for _, h := range watched {
		_, err := v.Resolve(ctx, crashTenant, h)
		if err != nil && !errors.Is(err, eventstore.ErrNotFound) {
			t.Errorf("%s: resolving: %v", when, err)
		}
		if err == nil {
			living++
		}
		say("%s known: %v", handle(h), err == nil)
	}
	r, err := v.Check(ctx, crashTenant)
	if err != nil {
		t.Fatalf("%s: Check: %v", when, err)
	}
	for _, d := range r.Damage {
		t.Errorf("%s: %s", when, d)
	}
	if int(n) != r.Persons {
		t.Errorf("%s: it counts %d persons and has %d", when, n, r.Persons)
	}
	if n < living || r.Fenced != fenced {
		t.Errorf("%s: %d persons, %d of them fenced; %d are known to live, %d to be fenced", when, n, r.Fenced, living, fenced)
	}
	say("persons %d, handles %d, erased %d", n, r.Handles, r.Erased)
	owed, err := v.Outbox(ctx, crashTenant)
	if err != nil || len(owed) != r.Owed {
		t.Errorf("%s: the outbox has %d debts, the check found %d: %v", when, len(owed), r.Owed, err)
	}
	for _, o := range owed {
		say("owed: kind %v of %d persons", o.Event.Kind, len(o.Event.Persons))
	}
	meta, err := v.List(ctx, crashTenant, eventstore.TableSettings)
	if err != nil {
		t.Errorf("%s: List: %v", when, err)
	}
	say("meta %d", len(meta))
	return strings.Join(out, "\n")
}

func handle(id eventstore.Identity) string { return id.Namespace + ":" + id.ID }

// observe says how one person stands: wholly there, fenced, or wholly gone.
func (a *actor) observe(t testing.TB, v *keyvault.Vault, when string) string {
	t.Helper()
	ctx := t.Context()
	g, err := v.Gate(ctx, crashTenant, a.id)
	switch {
	case errors.Is(err, eventstore.ErrFenced):
		return "fenced"
	case errors.Is(err, eventstore.ErrErased):
		for _, h := range a.handles {
			if id, err := v.Resolve(ctx, crashTenant, h); err == nil && id == a.id {
				t.Errorf("%s: %s is erased and a handle still leads there", when, a.name)
			}
			old := time.Now().Add(-time.Hour)
			if _, err := v.Enter(ctx, crashTenant, eventstore.Arrival{Identity: h, Time: old, Received: time.Now()}, accept); !errors.Is(err, eventstore.ErrErased) {
				t.Errorf("%s: %s is erased and an event from before is not refused: %v", when, a.name, err)
			}
		}
		return "erased"
	case err != nil:
		t.Fatalf("%s: the gate of %s: %v", when, a.name, err)
	}
	defer g.Release()
	out := a.texting(ctx, t, g, when)
	for _, h := range a.handles {
		if id, err := v.Resolve(ctx, crashTenant, h); err != nil || id != a.id {
			t.Errorf("%s: a handle of %s leads to %s: %v", when, a.name, id, err)
		}
	}
	set, err := v.Linked(ctx, crashTenant, a.id)
	if err != nil {
		t.Errorf("%s: the set of %s: %v", when, a.name, err)
	}
	for _, r := range set {
		if r.Person == a.id {
			out += fmt.Sprintf(", %d months, state %v %v %d", len(r.Months), r.State.Restricted, r.State.Hold, r.State.First)
		}
	}
	return out + fmt.Sprintf(", set of %d", len(set))
}

// texting opens the person's texts.
func (a *actor) texting(ctx context.Context, t testing.TB, g eventstore.Gate, when string) string {
	out := "there"
	var months []eventstore.KeyMonth
	for m := range a.texts {
		months = append(months, m)
	}
	slices.Sort(months)
	for _, m := range months {
		plain, err := g.Open(ctx, m, a.texts[m], nil)
		switch {
		case err == nil && string(plain) == "a text":
			out += fmt.Sprintf(", %s opens", m)
		case errors.Is(err, eventstore.ErrExpired):
			out += fmt.Sprintf(", %s expired", m)
		case errors.Is(err, eventstore.ErrDamaged):
			out += fmt.Sprintf(", %s sealed", m) // under a key of before
		default:
			t.Errorf("%s: the text of %s in %s: %q, %v", when, a.name, m, plain, err)
		}
	}
	return out
}
