package rights

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

var errRefuseFor = eventstore.Refuse(eventstore.KindInvalid, "refuse_for", "a refusal lasts a whole number of days, at most two years: 365d")

// ParseRefuseFor reads how long handles are to be refused after an erasure: days, such as 365d; empty for not at all. ErrInvalid.
func ParseRefuseFor(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	days, ok := strings.CutSuffix(s, "d")
	n, err := strconv.ParseUint(days, 10, 16)
	span := time.Duration(n) * 24 * time.Hour
	if !ok || err != nil || n == 0 || span > eventstore.MaxRefusal {
		return 0, errRefuseFor
	}
	return span, nil
}

// RefusedUntil is when a refusal ends that begins now; the zero time if none was asked for.
func RefusedUntil(now time.Time, refuseFor time.Duration) time.Time {
	if refuseFor == 0 {
		return time.Time{}
	}
	return now.Add(refuseFor)
}

// Admitted says what [Service.Admit] lifted.
type Admitted struct {
	// Handles is how many handles were refused until now: the one that was given, and those that were erased with it.
	Handles int `json:"handles"`
}

var errNotRefused = eventstore.Refuse(eventstore.KindNotFound, "", "no handle that was given is refused")

// Admit lifts the longer refusal that came with an erasure, of all handles that were erased with one of those given (canonical): somebody comes back. It brings nothing
// back. The ledger names the erasure by the reference of a record, never the handle. reason is one of [StateReasons] or empty. ErrInvalid; ErrNotFound if none is refused: asking is in the ledger too.
func (s *Service) Admit(ctx context.Context, tenant eventstore.TenantID, actor Actor, ids []eventstore.Identity, reason eventstore.Reason) (Admitted, error) {
	if err := checkStateReason(reason); err != nil {
		return Admitted{}, err
	}
	refused, err := s.c.Keys.Refused(ctx, tenant, ids, nil)
	if err != nil {
		return Admitted{}, err
	}
	_, err = s.c.Ledger.Record(ctx, tenant, eventstore.Entry{Time: s.now(), Act: eventstore.ActAdmitted, Token: actor.Token, Role: actor.Role,
		References: refused.References, Reason: reason, Count: uint64(len(refused.References))})
	if err != nil {
		return Admitted{}, err
	}
	if refused.Handles == 0 {
		return Admitted{}, errNotRefused
	}
	n, err := s.c.Keys.Admit(ctx, tenant, ids, refused.References)
	if err == nil && n == 0 { // somebody else was faster
		err = errNotRefused
	}
	return Admitted{Handles: n}, err
}
