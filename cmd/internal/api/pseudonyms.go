package api

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oubli-store/oubli/eventstore"
)

type pseudonymInput struct {
	Body struct {
		Identity  eventstore.Identity `json:"identity"`
		Recipient string              `json:"recipient" minLength:"1" maxLength:"256" doc:"Who will see the pseudonym; one of the tenant's recipients where it names any"`
	}
}

type pseudonymOutput struct {
	Pseudonym string `json:"pseudonym" doc:"32 hexadecimal digits: the same for this person and recipient each time, until the person is erased"`
}

var (
	errRecipient = eventstore.Refuse(eventstore.KindInvalid, "recipient", "a recipient is one line of 1 to 256 bytes")
	errNoSuch    = eventstore.Refuse(eventstore.KindInvalid, "recipient", "this is not one of the tenant's recipients; GET /v1/privacy lists them")
	errNobody    = eventstore.Refuse(eventstore.KindNotFound, "identity", "nobody is known by this identity; store an event first")
)

func (a *API) registerPseudonyms() {
	op := operation("pseudonym", "POST", "/v1/pseudonyms", "A person's stable pseudonym for one recipient")
	op.Description = "It is a pseudorandom function of the recipient under the person's secret: two recipients cannot join theirs, and nobody can make it again once the person is erased. Nobody is made known by asking."
	handle(a, op, a.pseudonym)
}

func (a *API) pseudonym(ctx context.Context, c *call, in *pseudonymInput) (*reply[pseudonymOutput], error) {
	id, err := a.Door.Canonical(c.tenant, in.Body.Identity)
	if err != nil {
		return nil, err
	}
	if err := a.checkRecipient(ctx, c.tenant, in.Body.Recipient); err != nil {
		return nil, err
	}
	gate, err := a.gateOf(ctx, c.tenant, id)
	if err != nil {
		return nil, err
	}
	defer gate.Release()
	// Who may not be spoken of in an event may not be named to others either.
	if err := a.Door.Consent(c.caller(), eventstore.Event{Type: eventstore.TypeDisclosure}, gate.State()); err != nil {
		return nil, err
	}
	mark, err := gate.Mark(eventstore.MarkPseudonym, []byte(in.Body.Recipient))
	if err != nil {
		return nil, err
	}
	return ok(pseudonymOutput{hex.EncodeToString(mark[:])}), nil
}

// gateOf opens the keys of the person that an identity names, minting none.
func (a *API) gateOf(ctx context.Context, tenant eventstore.TenantID, id eventstore.Identity) (eventstore.Gate, error) {
	person, err := a.Keys.Resolve(ctx, tenant, id)
	if errors.Is(err, eventstore.ErrNotFound) {
		return nil, errNobody
	}
	if err != nil {
		return nil, err
	}
	return a.Keys.Gate(ctx, tenant, person)
}

// checkRecipient holds a recipient to the tenant's list.
func (a *API) checkRecipient(ctx context.Context, tenant eventstore.TenantID, recipient string) error {
	if recipient == "" || len(recipient) > eventstore.MaxName || !utf8.ValidString(recipient) || strings.ContainsFunc(recipient, unicode.IsControl) {
		return errRecipient
	}
	t, err := a.Settings.Get(ctx, tenant)
	if err != nil {
		return err
	}
	if named := t.RecipientList(); len(named) > 0 && !slices.Contains(named, recipient) {
		return errNoSuch
	}
	return nil
}
