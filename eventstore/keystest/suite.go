package keystest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

const tenantA, tenantB = eventstore.TenantID("alpha"), eventstore.TenantID("beta")

// Run holds a vault to the contract. open makes an empty one.
func Run(t *testing.T, open func(t *testing.T) Vault) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"Tenants", tenants},
		{"Enter", enter},
		{"EnterRace", enterRace},
		{"Gate", gates},
		{"Marks", marks},
		{"Also", also},
		{"Ambiguous", ambiguous},
		{"Link", linking},
		{"State", states},
		{"Change", changing},
		{"Joined", joining},
		{"Holders", holders},
		{"PeriodMark", periodMarks},
		{"Fence", fencing},
		{"FenceWaits", fenceWaits},
		{"DeadGate", deadGate},
		{"Hold", hold},
		{"Shred", shredding},
		{"ShredLinked", shredLinked},
		{"Refusal", refusal},
		{"Parts", parts},
		{"PartsEnd", partsEnd},
		{"PartRefusal", partRefusal},
		{"LongerRefusal", longerRefusal},
		{"Expire", expiring},
		{"ExpireHeld", expireHeld},
		{"ExpireGate", expireGate},
		{"ExpireFenced", expireFenced},
		{"Keyless", keyless},
		{"Control", control},
		{"Chunks", chunks},
		{"Count", count},
		{"Meta", meta},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &suite{open(t)}
			s.must(t, s.CreateTenant(t.Context(), tenantA))
			c.test(t, s)
		})
	}
}

type suite struct{ Vault }

func (s *suite) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got %v, want %v", what, err, target)
	}
}

func same[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %d: %v, want %d: %v", what, len(got), got, len(want), want)
	}
}

func email(id string) eventstore.Identity { return eventstore.Identity{Namespace: "email", ID: id} }
func web(id string) eventstore.Identity   { return eventstore.Identity{Namespace: "web", ID: id} }

func accept(eventstore.State) error { return nil }

func arrival(id eventstore.Identity, also ...eventstore.Identity) eventstore.Arrival {
	now := time.Now()
	return eventstore.Arrival{Identity: id, Also: also, Time: now, Received: now}
}

// enter lets an event in and releases the gate again.
func (s *suite) enter(t *testing.T, id eventstore.Identity, also ...eventstore.Identity) (eventstore.PersonID, *eventstore.Entered) {
	t.Helper()
	e, err := s.Enter(t.Context(), tenantA, arrival(id, also...), accept)
	s.must(t, err)
	e.Gate.Release()
	return e.Gate.Person(), e
}

func (s *suite) gate(t *testing.T, p eventstore.PersonID) eventstore.Gate {
	t.Helper()
	g, err := s.Gate(t.Context(), tenantA, p)
	s.must(t, err)
	t.Cleanup(g.Release)
	return g
}

// linked lists the members of a person's linked set.
func (s *suite) linked(t *testing.T, p eventstore.PersonID) (out []eventstore.PersonID) {
	t.Helper()
	records, err := s.Linked(t.Context(), tenantA, p)
	s.must(t, err)
	for _, r := range records {
		out = append(out, r.Person)
	}
	return out
}

func (s *suite) record(t *testing.T, p eventstore.PersonID) eventstore.PersonRecord {
	t.Helper()
	records, err := s.Linked(t.Context(), tenantA, p)
	s.must(t, err)
	for _, r := range records {
		if r.Person == p {
			return r
		}
	}
	t.Fatal("a person is missing from their own linked set")
	return eventstore.PersonRecord{}
}

func ascending(ids ...eventstore.PersonID) []eventstore.PersonID {
	slices.SortFunc(ids, eventstore.PersonID.Compare)
	return ids
}

func tenants(t *testing.T, s *suite) {
	ctx := t.Context()
	if id := s.Vault.Vault(); id == (eventstore.VaultID{}) || s.Vault.Vault() != id {
		t.Error("a vault has one name")
	}
	want(t, "creating it again", s.CreateTenant(ctx, tenantA), eventstore.ErrConflict)
	_, err := s.Enter(ctx, tenantB, arrival(web("v")), accept)
	want(t, "Enter for an unknown tenant", err, eventstore.ErrNotFound)
	want(t, "EraseTenant of an unknown tenant", s.EraseTenant(ctx, tenantB), eventstore.ErrNotFound)

	s.must(t, s.CreateTenant(ctx, tenantB))
	p, _ := s.enter(t, web("v"))
	_, err = s.Gate(ctx, tenantB, p)
	want(t, "a person of another tenant", err, eventstore.ErrNotFound)
	_, err = s.Resolve(ctx, tenantB, web("v"))
	want(t, "a handle of another tenant", err, eventstore.ErrNotFound)
	ids, err := s.Tenants(ctx)
	s.must(t, err)
	same(t, "Tenants", ids, []eventstore.TenantID{tenantA, tenantB})

	for range 2 {
		s.must(t, s.EraseTenant(ctx, tenantA))
	}
	for what, call := range map[string]func() error{
		"Enter":       func() error { _, err := s.Enter(ctx, tenantA, arrival(web("v")), accept); return err },
		"Gate":        func() error { _, err := s.Gate(ctx, tenantA, p); return err },
		"Resolve":     func() error { _, err := s.Resolve(ctx, tenantA, web("v")); return err },
		"Linked":      func() error { _, err := s.Linked(ctx, tenantA, p); return err },
		"SealControl": func() error { _, err := s.SealControl(ctx, tenantA, nil, nil); return err },
		"Outbox":      func() error { _, err := s.Outbox(ctx, tenantA); return err },
		"Change": func() error {
			_, err := s.Change(ctx, tenantA, p, "", func(st eventstore.State) eventstore.State { return st })
			return err
		},
		"Holders": func() error {
			return s.Holders(ctx, tenantA, func(eventstore.LedgerReference, eventstore.PersonID) error { return nil })
		},
		"Count": func() error { _, err := s.Count(ctx, tenantA); return err },
	} {
		want(t, what+" of an erased tenant", call(), eventstore.ErrErased)
	}
	ids, err = s.Tenants(ctx)
	s.must(t, err)
	same(t, "Tenants", ids, []eventstore.TenantID{tenantB})
}

func enter(t *testing.T, s *suite) {
	ctx := t.Context()
	_, err := s.Resolve(ctx, tenantA, web("v"))
	want(t, "Resolve of a stranger", err, eventstore.ErrNotFound)

	refused := eventstore.Refuse(eventstore.KindConsent, "", "no")
	var seen eventstore.State
	_, err = s.Enter(ctx, tenantA, arrival(web("v")), func(st eventstore.State) error { seen = st; return refused })
	want(t, "Enter when admit refuses", err, refused)
	if seen.Known {
		t.Error("a stranger is known")
	}
	_, err = s.Resolve(ctx, tenantA, web("v"))
	want(t, "a refused event mints nobody", err, eventstore.ErrNotFound)

	p, e := s.enter(t, web("v"))
	if !e.Minted || e.Ambiguous || e.Linked || p.IsZero() {
		t.Errorf("the first event: %+v", e)
	}
	q, e := s.enter(t, web("v"))
	if e.Minted || q != p {
		t.Errorf("the second event: person %v, then %v, minted %v", p, q, e.Minted)
	}
	got, err := s.Resolve(ctx, tenantA, web("v"))
	if got != p || err != nil {
		t.Errorf("Resolve: %v, %v", got, err)
	}
	_, err = s.Enter(ctx, tenantA, arrival(web("v")), func(st eventstore.State) error { seen = st; return nil })
	if err != nil || !seen.Known {
		t.Errorf("the person is not known: %+v, %v", seen, err)
	}
	r := s.record(t, p)
	same(t, "identities", r.Identities, []eventstore.Identity{web("v")})
	if age := time.Since(r.Created); age < -time.Minute || age > time.Hour || r.Reference == (eventstore.LedgerReference{}) {
		t.Errorf("record: created %v ago, reference %v", age, r.Reference)
	}
	_, err = s.Gate(ctx, tenantA, eventstore.PersonID{1})
	want(t, "Gate of nobody", err, eventstore.ErrNotFound)
	_, err = s.Linked(ctx, tenantA, eventstore.PersonID{1})
	want(t, "Linked of nobody", err, eventstore.ErrNotFound)
}

func enterRace(t *testing.T, s *suite) {
	const callers = 16
	ids := make(chan eventstore.PersonID, callers)
	minted := make(chan bool, callers)
	for range callers {
		go func() {
			e, err := s.Enter(context.Background(), tenantA, arrival(email("x@example.com"), web("v")), accept)
			if err != nil {
				t.Errorf("Enter: %v", err)
				ids <- eventstore.PersonID{}
				minted <- false
				return
			}
			e.Gate.Release()
			ids <- e.Gate.Person()
			minted <- e.Minted
		}()
	}
	first, mints := <-ids, 0
	for range callers - 1 {
		if id := <-ids; id != first {
			t.Errorf("one identity became two persons")
		}
	}
	for range callers {
		if <-minted {
			mints++
		}
	}
	if mints != 1 {
		t.Errorf("minted %d times", mints)
	}
}

func control(t *testing.T, s *suite) {
	ctx := t.Context()
	s.must(t, s.CreateTenant(ctx, tenantB))
	sealed, err := s.SealControl(ctx, tenantA, []byte("plain"), []byte("bound"))
	s.must(t, err)
	got, err := s.OpenControl(ctx, tenantA, sealed, []byte("bound"))
	if string(got) != "plain" || err != nil {
		t.Errorf("OpenControl: %q, %v", got, err)
	}
	_, err = s.OpenControl(ctx, tenantA, sealed, []byte("other"))
	want(t, "OpenControl with other associated data", err, eventstore.ErrDamaged)
	_, err = s.OpenControl(ctx, tenantB, sealed, []byte("bound"))
	want(t, "OpenControl of another tenant", err, eventstore.ErrDamaged)
	_, err = s.OpenControl(ctx, tenantA, nil, nil)
	want(t, "OpenControl of nothing", err, eventstore.ErrDamaged)
}

func count(t *testing.T, s *suite) {
	for _, id := range []string{"a", "b", "c"} {
		s.enter(t, web(id))
	}
	p, _ := s.enter(t, web("c"))
	s.erase(t, p)
	deadline := time.Now().Add(3 * time.Second) // it may be a second old
	for {
		n, err := s.Vault.Count(t.Context(), tenantA)
		s.must(t, err)
		if n == 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("counted %d persons, want 2", n)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func meta(t *testing.T, s *suite) {
	ctx := t.Context()
	s.must(t, s.CreateTenant(ctx, tenantB))
	_, err := s.Get(ctx, tenantA, eventstore.TableSettings, "k")
	want(t, "Get of nothing", err, eventstore.ErrNotFound)
	s.must(t, s.Delete(ctx, tenantA, eventstore.TableSettings, "k"))
	s.must(t, s.PutIf(ctx, tenantA, eventstore.TableSettings, "k", []byte("one")))
	want(t, "PutIf again", s.PutIf(ctx, tenantA, eventstore.TableSettings, "k", []byte("two")), eventstore.ErrConflict)
	s.must(t, s.Put(ctx, tenantA, eventstore.TableSettings, "k", []byte("three")))
	s.must(t, s.Put(ctx, tenantA, eventstore.TableSettings, "any \x00 key é", nil))
	s.must(t, s.Put(ctx, tenantA, eventstore.TableTokens, "k", []byte("other table")))
	s.must(t, s.Put(ctx, tenantB, eventstore.TableSettings, "k", []byte("other tenant")))

	got, err := s.Get(ctx, tenantA, eventstore.TableSettings, "k")
	if string(got) != "three" || err != nil {
		t.Errorf("Get: %q, %v", got, err)
	}
	rows, err := s.List(ctx, tenantA, eventstore.TableSettings)
	s.must(t, err)
	if v, ok := rows["any \x00 key é"]; len(rows) != 2 || string(rows["k"]) != "three" || !ok || len(v) != 0 {
		t.Errorf("List: %q", rows)
	}
	s.must(t, s.Delete(ctx, tenantA, eventstore.TableSettings, "k"))
	_, err = s.Get(ctx, tenantA, eventstore.TableSettings, "k")
	want(t, "Get of a deleted row", err, eventstore.ErrNotFound)
	if rows, err := s.List(ctx, tenantA, eventstore.TableErasures); len(rows) != 0 || err != nil {
		t.Errorf("List of an empty table: %v, %v", rows, err)
	}
	_, err = s.Get(ctx, "gamma", eventstore.TableSettings, "k")
	want(t, "Get for an unknown tenant", err, eventstore.ErrNotFound)
}
