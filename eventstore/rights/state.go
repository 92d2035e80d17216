package rights

import (
	"context"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
)

// Change is a change of a linked set's state.
type Change string

// The changes.
const (
	Restrict   Change = "restrict"
	Unrestrict Change = "unrestrict"
	Object     Change = "object"
	Unobject   Change = "unobject"
	Hold       Change = "hold"
	Unhold     Change = "unhold"
)

// effect is what a change does: its act in the ledger, its person event (empty: no reader of the stream is concerned) and the flag that it sets.
type effect struct {
	act  eventstore.Act
	kind eventstore.PersonEventKind
	flag func(*eventstore.State) *bool
	on   bool
}

func restrictedFlag(s *eventstore.State) *bool { return &s.Restricted }
func objectedFlag(s *eventstore.State) *bool   { return &s.Objected }
func holdFlag(s *eventstore.State) *bool       { return &s.Hold }

var effects = map[Change]effect{
	Restrict:   {eventstore.ActRestricted, eventstore.PersonRestricted, restrictedFlag, true},
	Unrestrict: {eventstore.ActUnrestricted, eventstore.PersonUnrestricted, restrictedFlag, false},
	Object:     {eventstore.ActObjected, eventstore.PersonObjected, objectedFlag, true},
	Unobject:   {eventstore.ActUnobjected, eventstore.PersonUnobjected, objectedFlag, false},
	Hold:       {eventstore.ActHeld, "", holdFlag, true},
	Unhold:     {eventstore.ActUnheld, "", holdFlag, false},
}

// StateReasons are the reasons that a change of state may give.
var StateReasons = []eventstore.Reason{eventstore.ReasonPersonRequest, eventstore.ReasonCourtOrder, eventstore.ReasonOther}

// Standing is what binds a linked set.
type Standing struct {
	Person  eventstore.PersonID   `json:"person"`
	Persons []eventstore.PersonID `json:"persons"`
	// State is the first that holds, as of [Person].
	State      string `json:"state"`
	Restricted bool   `json:"restricted"`
	Objected   bool   `json:"objected"`
	Hold       bool   `json:"hold"`
}

func standing(person eventstore.PersonID, set []eventstore.PersonRecord) Standing {
	return Standing{Person: person, Persons: persons(set), State: state(set), Restricted: restricted(set), Objected: objected(set), Hold: holds(set) > 0}
}

func checkStateReason(reason eventstore.Reason) error {
	if reason != "" && !slices.Contains(StateReasons, reason) {
		return eventstore.Refuse(eventstore.KindInvalid, "reason", "a reason is one of person-request, court-order, other")
	}
	return nil
}

// Set makes a change of the state of a person's whole linked set and returns what binds it then. It is durable then, and the stream is told as soon as
// it can be. A change that makes no difference has its ledger entry all the same. It goes on when ctx ends after it has begun. reason is one
// of [StateReasons] or empty. Errors: ErrInvalid, ErrFenced, and as [eventstore.Keys.Gate].
func (s *Service) Set(ctx context.Context, tenant eventstore.TenantID, actor Actor, person eventstore.PersonID, c Change, reason eventstore.Reason) (Standing, error) {
	if effects[c].act == "" {
		return Standing{}, eventstore.Refuse(eventstore.KindInvalid, "change", "a change is one of restrict, unrestrict, object, unobject, hold, unhold")
	}
	if err := checkStateReason(reason); err != nil {
		return Standing{}, err
	}
	p, err := s.statesOf(ctx, tenant)
	if err != nil {
		return Standing{}, err
	}
	defer p.lock.release()
	set, err := s.linked(ctx, tenant, person)
	if err != nil {
		return Standing{}, err
	}
	ctx = context.WithoutCancel(ctx)
	if err := s.earlier(ctx, tenant, p, persons(set)); err != nil {
		return Standing{}, err
	}
	id, err := eventstore.NewEventID(s.now(), s.entropy)
	if err != nil {
		return Standing{}, err
	}
	it := &intent{ID: id.String(), Person: person, Persons: persons(set), Change: c, Reason: reason, Actor: actor}
	after, err := s.start(ctx, tenant, p, it)
	if err != nil {
		return Standing{}, err
	}
	s.tell(ctx, tenant, p)
	if c == Unhold {
		s.nudge() // an erasure may wait for it
	}
	return standing(person, after), nil
}
