package eventstore

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Config wires a [Store]. Keys, Log and Door are required.
type Config struct {
	Keys Keys
	Log  Log
	Door Door
	// Now is the clock of receive times (nil: time.Now).
	Now func() time.Time
	// Entropy is where event ids are drawn from (nil: crypto/rand). For deterministic tests only.
	Entropy io.Reader
}

// Store is the one way for an event in and out. It is safe for concurrent use.
type Store struct{ c Config }

// New makes a store over its parts. It does nothing until asked.
func New(c Config) *Store { return &Store{c: c} }

// Receipt says where an event stands.
type Receipt struct {
	ID        EventID  `json:"id"`
	Person    PersonID `json:"person"`
	Sequence  uint64   `json:"sequence"`
	Duplicate bool     `json:"duplicate"`
	// Link is "ambiguous" when a handle of also was not linked.
	Link string `json:"link,omitempty"`
}

// LinkAmbiguous is the value of [Receipt.Link] when a handle was not linked.
const LinkAmbiguous = "ambiguous"

// Recorded is one event as read back.
type Recorded struct {
	ID       EventID   `json:"id"`
	Person   PersonID  `json:"person"`
	Sequence uint64    `json:"sequence"`
	Received time.Time `json:"received"`
	Event    Event     `json:"event"`
}

// ReadOptions narrow a read. The zero value reads everything.
type ReadOptions struct {
	// Conversation and Bot keep only events of that conversation or bot.
	Conversation ConversationID
	Bot          BotID
	// After is the sequence to go on behind.
	After uint64
	// Limit bounds how many events are yielded; 0: all.
	Limit int
}

// Item is one message of a replay: exactly one of Event, Change and Skipped is set.
type Item struct {
	Sequence uint64
	Event    *Recorded
	Change   *PersonEvent
	// Skipped says why an event is not there: ErrErased, ErrFenced, ErrExpired, ErrKeyLost. Damage ends a replay instead.
	Skipped error
}

// Open makes a tenant ready: the log is compared with what was acknowledged (see [Log.Open]) and owed person events are sent.
// It must be called once for each tenant before anything else.
func (s *Store) Open(ctx context.Context, tenant TenantID, create bool) error { return errTODO }

// Append stores one event and returns once it is on disk. It is Submit and Wait.
//
// Errors: those of [Door.Admit], [Door.Consent] and [Keys.Enter]; ErrConflict (another body under the same idempotency key, or
// ExpectedSequence does not hold); ErrUncertain; ErrUnavailable.
func (s *Store) Append(ctx context.Context, caller Caller, e Event) (Receipt, error) {
	return Receipt{}, errTODO
}

// Pending is a submitted event that awaits its answer.
type Pending struct{}

// Submit hands over one event without waiting for the disk. The order of calls is the order of a person's events. Every Pending must be
// waited for.
func (s *Store) Submit(ctx context.Context, caller Caller, e Event) (*Pending, error) {
	return nil, errTODO
}

// Wait blocks until the event is on disk. Errors as Append.
func (p *Pending) Wait(ctx context.Context) (Receipt, error) { return Receipt{}, errTODO }

// Read yields the events of a person's whole linked set in the order in which they were accepted. The first error ends it. Memory is
// bounded whatever the number of events. A fence that comes in between ends it with ErrFenced or ErrErased.
func (s *Store) Read(ctx context.Context, tenant TenantID, person PersonID, o ReadOptions) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) { yield(Recorded{}, errTODO) }
}

// Replay yields everything that is stored behind the sequence after, up to what is committed when it is called, in order. Events are
// opened and decoded by several goroutines ahead of the caller.
func (s *Store) Replay(ctx context.Context, tenant TenantID, after uint64) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) { yield(Item{}, errTODO) }
}

// Announce appends a person event to the tenant's stream and returns its sequence once it is journalled.
func (s *Store) Announce(ctx context.Context, tenant TenantID, e PersonEvent) (uint64, error) {
	return 0, errTODO
}

// Changes lists the sequences of the stored person events that name one of the persons.
func (s *Store) Changes(ctx context.Context, tenant TenantID, persons []PersonID) ([]uint64, error) {
	return nil, errTODO
}

// Committed and Await are those of the [Log].
func (s *Store) Committed(ctx context.Context, tenant TenantID) (uint64, error) {
	return s.c.Log.Committed(ctx, tenant)
}

// Await blocks until something is committed behind the sequence after, and returns the committed sequence.
func (s *Store) Await(ctx context.Context, tenant TenantID, after uint64) (uint64, error) {
	return s.c.Log.Await(ctx, tenant, after)
}

var errTODO = errors.New("not written yet")
