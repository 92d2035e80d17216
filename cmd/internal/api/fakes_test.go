package api

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/ledger"
	"github.com/oubli-store/oubli/eventstore/logtest"
	"github.com/oubli-store/oubli/eventstore/rights"
	"github.com/oubli-store/oubli/projections"
	"github.com/oubli-store/oubli/projections/sqltables"
)

// fakeDoor does as much of the door as these tests need.
type fakeDoor struct{}

func (fakeDoor) Canonical(_ eventstore.TenantID, id eventstore.Identity) (eventstore.Identity, error) {
	if id.Namespace == "" || id.ID == "" {
		return id, eventstore.Refuse(eventstore.KindInvalid, "identity", "an identity has a namespace and an id")
	}
	id.ID = strings.ToLower(id.ID)
	return id, nil
}

func (d fakeDoor) Admit(caller eventstore.Caller, e eventstore.Event, received time.Time) (eventstore.Event, error) {
	if e.Conversation == "" {
		return e, eventstore.Refuse(eventstore.KindInvalid, "conversation", "a conversation is required")
	}
	if e.Time.After(received.Add(eventstore.MaxAhead)) {
		return e, eventstore.Refuse(eventstore.KindInvalid, "time", "ahead")
	}
	if caller.Bot != "" && e.Bot != "" && e.Bot != caller.Bot {
		return e, eventstore.Refuse(eventstore.KindForbidden, "bot", "another bot's name")
	}
	e.Bot = caller.Bot
	if e.Identity == nil {
		e.Identity = &eventstore.Identity{Namespace: "conversation", ID: string(e.Bot) + "/" + string(e.Conversation)}
		return e, nil
	}
	id, err := d.Canonical(caller.Tenant, *e.Identity)
	e.Identity = &id
	return e, err
}

func (fakeDoor) Consent(eventstore.Caller, eventstore.Event, eventstore.State) error { return nil }

// fakeStore keeps events in memory.
type fakeStore struct {
	vault *keystest.Fake
	now   func() time.Time

	mu       sync.Mutex
	sequence uint64
	events   map[eventstore.PersonID][]eventstore.Recorded
	keys     map[string]int
	all      []eventstore.Recorded
	// fail is what every Submit answers; failWait what every Wait answers; failRead ends every read after so many events.
	fail, failWait, failRead error
	readAfter                int
	panics                   bool
	// submitted, if set, hears of every Submit.
	submitted chan struct{}
}

type fakePending struct {
	r   eventstore.Receipt
	err error
}

func (p fakePending) Wait(context.Context) (eventstore.Receipt, error) { return p.r, p.err }

func (s *fakeStore) Submit(ctx context.Context, caller eventstore.Caller, e eventstore.Event) (Waiter, error) {
	if s.submitted != nil {
		s.submitted <- struct{}{}
	}
	if s.panics {
		panic("a secret of alice")
	}
	if s.fail != nil {
		return nil, s.fail
	}
	e, err := fakeDoor{}.Admit(caller, e, s.now())
	if err != nil {
		return nil, err
	}
	entered, err := s.vault.Enter(ctx, caller.Tenant, eventstore.Arrival{Identity: *e.Identity, Time: s.now(), Received: s.now()},
		func(eventstore.State) error { return nil })
	if err != nil {
		return nil, err
	}
	defer entered.Gate.Release()
	s.mu.Lock()
	defer s.mu.Unlock()
	person := entered.Gate.Person()
	key := person.String() + "/" + e.Key
	if n, again := s.keys[key]; again && e.Key != "" {
		old := s.all[n]
		if !reflect.DeepEqual(old.Event, e) {
			return fakePending{err: eventstore.ErrConflict}, nil
		}
		return fakePending{r: eventstore.Receipt{ID: old.ID, Person: person, Sequence: old.Sequence, Duplicate: true}}, nil
	}
	s.sequence++
	id, _ := eventstore.NewEventID(s.now(), nil)
	rec := eventstore.Recorded{ID: id, Person: person, Sequence: s.sequence, Received: id.Received(), Event: e}
	s.keys[key] = len(s.all)
	s.all = append(s.all, rec)
	s.events[person] = append(s.events[person], rec)
	return fakePending{r: eventstore.Receipt{ID: id, Person: person, Sequence: s.sequence}, err: s.failWait}, nil
}

func (s *fakeStore) Read(ctx context.Context, tenant eventstore.TenantID, person eventstore.PersonID, o eventstore.ReadOptions) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		gate, err := s.vault.Gate(ctx, tenant, person)
		if err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		defer gate.Release()
		n := 0
		for _, e := range s.events[person] {
			if s.failRead != nil && n >= s.readAfter {
				yield(eventstore.Recorded{}, s.failRead)
				return
			}
			if e.Sequence <= o.After || o.Conversation != "" && e.Event.Conversation != o.Conversation || o.Bot != "" && e.Event.Bot != o.Bot {
				continue
			}
			if n++; o.Limit > 0 && n > o.Limit || !yield(e, nil) {
				return
			}
		}
	}
}

// fakeRights answers from the vault.
type fakeRights struct {
	vault *keystest.Fake
	store *fakeStore
	err   error
	// expiredBefore is what a transcript says.
	expiredBefore string
}

func (f *fakeRights) Transcript(ctx context.Context, tenant eventstore.TenantID, _ rights.Actor, person eventstore.PersonID, o eventstore.ReadOptions) (rights.Transcript, error) {
	return rights.Transcript{ExpiredBefore: f.expiredBefore, Events: f.store.Read(ctx, tenant, person, o)}, nil
}

func (f *fakeRights) Expire(_ context.Context, _ eventstore.TenantID, _ rights.Actor, before eventstore.KeyMonth) (rights.Expiry, error) {
	return rights.Expiry{Before: before.Start().Format(time.DateOnly), Stages: map[rights.Stage]time.Time{}}, f.err
}

func (f *fakeRights) Expiry(context.Context, eventstore.TenantID) (rights.Expiry, error) {
	return rights.Expiry{Stages: map[rights.Stage]time.Time{}}, f.err
}

func (f *fakeRights) OpenCopy(ctx context.Context, tenant eventstore.TenantID, _ rights.Actor, person eventstore.PersonID) (*rights.Copy, error) {
	records, err := f.vault.Linked(ctx, tenant, person)
	if err != nil {
		return nil, err
	}
	about := rights.Document{Format: "urn:oubli:export:1", Person: person, Persons: []eventstore.PersonID{person}, State: "active", Identities: records[0].Identities}
	return &rights.Copy{About: about, Source: f.store.Read(ctx, tenant, person, eventstore.ReadOptions{})}, nil
}

func (f *fakeRights) Show(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, person eventstore.PersonID) (rights.Person, error) {
	if f.err != nil {
		return rights.Person{}, f.err
	}
	records, err := f.vault.Linked(ctx, tenant, person)
	if err != nil {
		return rights.Person{}, err
	}
	return rights.Person{Person: person, Identities: records[0].Identities, State: "active"}, nil
}

func (f *fakeRights) Lookup(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, ids []eventstore.Identity) (out []rights.Person, err error) {
	for _, id := range ids {
		person, err := f.vault.Resolve(ctx, tenant, id)
		if errors.Is(err, eventstore.ErrNotFound) {
			continue
		}
		p, err := f.Show(ctx, tenant, actor, person)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, f.err
}

func (f *fakeRights) Preview(ctx context.Context, tenant eventstore.TenantID, _ rights.Actor, person eventstore.PersonID, scope eventstore.Scope) (rights.Preview, error) {
	_, err := f.vault.Linked(ctx, tenant, person)
	return rights.Preview{Person: person, Scope: scope}, err
}

func (f *fakeRights) EraseOrWait(ctx context.Context, tenant eventstore.TenantID, _ rights.Actor, person eventstore.PersonID, r rights.Request) (rights.Erasure, error) {
	if err := r.Scope.Check(); err != nil {
		return rights.Erasure{}, err
	}
	if r.Reason == "" {
		return rights.Erasure{}, eventstore.Refuse(eventstore.KindInvalid, "reason", "a reason is required")
	}
	if f.err != nil {
		return rights.Erasure{}, f.err
	}
	if _, err := f.vault.Fence(ctx, tenant, []eventstore.PersonID{person}); err != nil {
		return rights.Erasure{}, err
	}
	return rights.Erasure{ID: "e1", Person: person, Reason: r.Reason, RefusedUntil: rights.RefusedUntil(f.vault.Now(), r.RefuseFor)}, f.vault.Shred(ctx, tenant, []eventstore.PersonID{person}, eventstore.ShredOptions{})
}

func (f *fakeRights) service() *rights.Service {
	return rights.New(rights.Config{Keys: f.vault, Meta: f.vault, Log: logtest.New(), Ledger: &fakeLedger{},
		Store: eventstore.New(eventstore.Config{Keys: f.vault, Log: logtest.New()})})
}

func (f *fakeRights) File(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, filing rights.Filing) (rights.PersonRequest, error) {
	return f.service().File(ctx, tenant, actor, filing)
}

func (f *fakeRights) Requests(ctx context.Context, tenant eventstore.TenantID) ([]rights.PersonRequest, error) {
	return f.service().Requests(ctx, tenant)
}

func (f *fakeRights) Request(ctx context.Context, tenant eventstore.TenantID, id string) (rights.PersonRequest, error) {
	return f.service().Request(ctx, tenant, id)
}

func (f *fakeRights) Decide(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, id string, d rights.Decision, reason eventstore.Reason) (rights.PersonRequest, error) {
	return f.service().Decide(ctx, tenant, actor, id, d, reason)
}

func (f *fakeRights) Admit(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, ids []eventstore.Identity, reason eventstore.Reason) (rights.Admitted, error) {
	return rights.New(rights.Config{Keys: f.vault, Meta: f.vault, Log: logtest.New(), Ledger: &fakeLedger{},
		Store: eventstore.New(eventstore.Config{Keys: f.vault, Log: logtest.New()})}).Admit(ctx, tenant, actor, ids, reason)
}

func (f *fakeRights) Set(ctx context.Context, tenant eventstore.TenantID, actor rights.Actor, person eventstore.PersonID, c rights.Change, reason eventstore.Reason) (rights.Standing, error) {
	return rights.New(rights.Config{Keys: f.vault, Meta: f.vault, Log: logtest.New(), Ledger: &fakeLedger{},
		Store: eventstore.New(eventstore.Config{Keys: f.vault, Log: logtest.New()})}).Set(ctx, tenant, actor, person, c, reason)
}

func (f *fakeRights) Erasures(context.Context, eventstore.TenantID) ([]rights.Erasure, error) {
	return nil, f.err
}

func (f *fakeRights) ByTicket(_ context.Context, _ eventstore.TenantID, ticket string) ([]rights.Erasure, error) {
	return []rights.Erasure{{ID: "e-" + ticket}}, f.err
}

func (f *fakeRights) Erasure(context.Context, eventstore.TenantID, string) (rights.Erasure, error) {
	return rights.Erasure{}, eventstore.ErrNotFound
}

func (f *fakeRights) Certificate(context.Context, eventstore.TenantID, string) ([]byte, error) {
	return nil, eventstore.ErrNotFound
}

type fakeLedger struct {
	mu      sync.Mutex
	entries []ledger.Numbered
	err     error
}

func (f *fakeLedger) Record(_ context.Context, _ eventstore.TenantID, e eventstore.Entry) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return 0, f.err
	}
	n := uint64(len(f.entries) + 1)
	f.entries = append(f.entries, ledger.Numbered{Number: n, Entry: e})
	return n, nil
}

func (f *fakeLedger) At(eventstore.TenantID, uint64) (ledger.Head, error) {
	return ledger.Head{Size: uint64(len(f.entries))}, nil
}

func (f *fakeLedger) ProveInclusion(_ eventstore.TenantID, n, _ uint64) (ledger.Proof, ledger.Head, error) {
	if n > uint64(len(f.entries)) {
		return nil, ledger.Head{}, eventstore.ErrNotFound
	}
	return ledger.Proof{{byte(n)}}, ledger.Head{Size: uint64(len(f.entries))}, nil
}

func (f *fakeLedger) Entries(_ context.Context, _ eventstore.TenantID, from uint64) iter.Seq2[ledger.Numbered, error] {
	return func(yield func(ledger.Numbered, error) bool) {
		f.mu.Lock()
		list := f.entries
		f.mu.Unlock()
		for _, e := range list {
			if e.Number >= from && !yield(e, nil) {
				return
			}
		}
	}
}

type fakeStats struct{ query projections.Query }

func (*fakeStats) Dictionary(context.Context, eventstore.TenantID) (projections.Dictionary, error) {
	return projections.Dictionary{Parameters: projections.Parameters{K: 10}, Tables: []projections.Table{{Name: "activity"}}}, nil
}

func (*fakeStats) SQL(_ context.Context, _ eventstore.TenantID, query string) (projections.Result, error) {
	if query != "SELECT 1" {
		return projections.Result{}, sqltables.ErrNoColumn.AtLine(1).AtColumn(8)
	}
	return projections.Result{Parameters: projections.Parameters{K: 10}, Columns: []projections.Column{{Name: "=1", Type: "integer"}}, Rows: [][]any{{int64(1)}},
		Notes: []string{"fewer than 10 persons: hidden"}}, nil
}

func (f *fakeStats) Stats(_ context.Context, _ eventstore.TenantID, q projections.Query) (projections.Answer, error) {
	f.query = q
	if q.Projection != "activity" {
		return projections.Answer{}, eventstore.Refuse(eventstore.KindNotFound, "projection", "there is activity")
	}
	return projections.Answer{Projection: "activity", Asked: projections.Asked{By: "day"}, Parameters: projections.Parameters{K: 10, Timezone: "Europe/Paris"},
		Columns: []projections.Column{{Name: "period", Type: "string"}, {Name: "intent", Type: "string"}, {Name: "persons", Type: "number"}},
		Rows:    [][]any{{"2026-11-22", "=1+1", uint64(20)}, {"2026-11-23", nil, 1.5}}, Notes: []string{"fewer than 10 persons: hidden"}}, nil
}

func (*fakeStats) Status(context.Context, eventstore.TenantID) (projections.Status, error) {
	return projections.Status{Running: true}, nil
}

func (f *fakeStats) CloseBefore(_ context.Context, _ eventstore.TenantID, day time.Time) error {
	f.query.To = day
	return nil
}

func (*fakeStats) Rebuild(context.Context, eventstore.TenantID) error { return nil }

type fakeTenants struct{ vault *keystest.Fake }

func (f fakeTenants) List(ctx context.Context) ([]eventstore.TenantID, error) {
	return f.vault.Tenants(ctx)
}

func (f fakeTenants) Create(ctx context.Context, t eventstore.TenantID) error {
	return f.vault.CreateTenant(ctx, t)
}

func (f fakeTenants) Erase(ctx context.Context, t eventstore.TenantID) error {
	return f.vault.EraseTenant(ctx, t)
}
