package api

import (
	"context"
	"errors"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/rights"
)

var errNotFiled = eventstore.Refuse(eventstore.KindUnavailable, "consent",
	"the withdrawal is stored and in force, the erasure that follows it is not certain; send it again under the same id")

// withdraws says whether an event takes consent to storage back.
func withdraws(e *eventstore.Event) bool {
	return e.Type == eventstore.TypeConsent && e.Consent != nil && !e.Consent.Granted && e.Consent.Purpose == door.PurposeStorage
}

// withdrawn does what the tenant's setting says of a stored withdrawal, before it is answered: a bot that got no answer sends it again, and a repeated
// one is carried out like the first. A legal hold is no error: the withdrawal is in force, and the erasure waits in the register.
func (a *API) withdrawn(ctx context.Context, caller eventstore.Caller, person eventstore.PersonID) error {
	t, err := a.Settings.Get(ctx, caller.Tenant)
	if err != nil {
		return errNotFiled.Because(err)
	}
	if !t.ErasesOnWithdrawal() {
		return nil
	}
	// The caller who hangs up does not stop an erasure half way.
	_, err = a.Rights.EraseOrWait(context.WithoutCancel(ctx), caller.Tenant, rights.Actor{Token: caller.Token, Role: bot}, person,
		rights.Request{Reason: eventstore.ReasonConsentWithdrawn})
	switch {
	case errors.Is(err, eventstore.ErrHold):
		a.Log.Warn("an erasure after a withdrawal of consent waits in the register", "tenant", string(caller.Tenant))
	case err != nil && !errors.Is(err, eventstore.ErrErased):
		return errNotFiled.Because(err)
	}
	return nil
}
