package keystest_test

import (
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/keystest"
)

func TestFake(t *testing.T) {
	t.Parallel()
	keystest.Run(t, func(*testing.T) keystest.Vault { return keystest.New() })
}

func TestFakeExtras(t *testing.T) {
	f := keystest.New()
	ctx := t.Context()
	if err := f.CreateTenant(ctx, "alpha"); err != nil {
		t.Fatal(err)
	}
	e, err := f.Enter(ctx, "alpha", eventstore.Arrival{Identity: eventstore.Identity{Namespace: "web", ID: "v"}}, func(eventstore.State) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := e.Gate.Seal(ctx, 10, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Expire(ctx, "alpha", 11, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Gate.Open(ctx, 10, sealed, nil); err != eventstore.ErrExpired {
		t.Errorf("an expired month: %v", err)
	}
	f.Fail(eventstore.ErrUnavailable)
	if _, err := e.Gate.Seal(ctx, 12, nil, nil); err != eventstore.ErrUnavailable {
		t.Errorf("an outage: %v", err)
	}
	f.Fail(nil)
	f.Forget("alpha", e.Gate.Person())
	if _, err := f.Gate(ctx, "alpha", e.Gate.Person()); err != eventstore.ErrNotFound {
		t.Errorf("a forgotten person: %v", err)
	}
}
