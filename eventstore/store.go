package eventstore

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore/envelope"
)

// Config wires a [Store]. Keys, Log and Door are required.
type Config struct {
	Keys Keys
	Log  Log
	Door Door
	// Ledger records withdrawals of consent. Without one they are refused (ErrUnavailable).
	Ledger Ledger
	// Chunks keeps the bytes of attachments, Meta the books of uploads (nil: there are no attachments). Limits are a tenant's (nil: [MaxAttachment], and no bound in all).
	Chunks Chunks
	Meta   Meta
	Limits func(TenantID) AttachmentLimits
	// Oldest is the first key month of which a tenant takes events (nil: it takes all that the vault takes).
	Oldest func(TenantID) KeyMonth
	// Now is the clock of receive times (nil: time.Now).
	Now func() time.Time
	// Entropy is where event ids are drawn from (nil: crypto/rand). For deterministic tests only.
	Entropy io.Reader
}

// Store is the one way for an event in and out. It is safe for concurrent use.
type Store struct {
	c Config
	// entropy is held while an event id is drawn from Config.Entropy.
	entropy sync.Mutex
	// outboxes holds a lock for each tenant: one at a time sends what the vault owes.
	outboxes sync.Map
	uploads  *uploads
	// landing holds the deadlines of appends on their way.
	landing landings
}

// New makes a store over its parts. It does nothing until asked.
func New(c Config) *Store {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Store{c: c, uploads: newUploads()}
}

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
	// Copy says that the event was stored again, because another part of its person was erased. Its id and receive time are those of the first time.
	Copy bool `json:"-"`
}

// Open makes a tenant ready: the log is compared with what was acknowledged (see [Log.Open]) and owed person events are sent.
// It must be called once for each tenant before anything else.
func (s *Store) Open(ctx context.Context, tenant TenantID, create bool) error {
	err := s.c.Log.Open(ctx, tenant, s.c.Keys.Vault(), create, func(ctx context.Context, m Stored) (Row, error) {
		return s.Belongs(ctx, tenant, m)
	})
	if err != nil {
		return err
	}
	return s.SendOwed(ctx, tenant)
}

// Belongs accepts what this vault sealed, and gives the idempotency row that it was sent under, so that a retry finds it. What the vault can
// no longer open, because its person or their part of it is being or was erased or because its month is over, it knows to be its own; that has no
// row. ErrDamaged for what does not open. It uses the Keys only, and whoever looks through or makes anew a log that is not open can ask it.
func (s *Store) Belongs(ctx context.Context, tenant TenantID, m Stored) (Row, error) {
	if m.Person.IsZero() {
		_, err := s.openChange(ctx, tenant, m)
		return Row{}, err
	}
	gate, err := s.c.Keys.Gate(ctx, tenant, m.Person)
	var row Row
	if err == nil {
		defer gate.Release()
		if m.Sequence < gate.State().First {
			return row, nil
		}
		row, err = s.rowOfStored(ctx, tenant, gate, m)
	}
	switch {
	case errors.Is(err, ErrFenced):
		return s.rowOfCopy(ctx, tenant, m)
	case errors.Is(err, ErrErased):
		return Row{}, nil
	case errors.Is(err, ErrNotFound):
		return Row{}, ErrDamaged
	}
	return row, err
}

// rowOfStored computes a stored event's row anew, from the key inside it.
func (s *Store) rowOfStored(ctx context.Context, tenant TenantID, gate Gate, m Stored) (Row, error) {
	r, err := s.recorded(ctx, tenant, gate, m)
	if err != nil || r.Event.Key == "" {
		return Row{}, err
	}
	return rowOf(gate, r.Event.Bot, r.Event.Key)
}

// Committed and Await are those of the [Log].
func (s *Store) Committed(ctx context.Context, tenant TenantID) (uint64, error) {
	return s.c.Log.Committed(ctx, tenant)
}

// Await blocks until something is committed behind the sequence after, and returns the committed sequence.
func (s *Store) Await(ctx context.Context, tenant TenantID, after uint64) (uint64, error) {
	return s.c.Log.Await(ctx, tenant, after)
}

// newEventID draws the id of an event received at now.
func (s *Store) newEventID(now time.Time) (EventID, error) {
	if s.c.Entropy != nil {
		s.entropy.Lock()
		defer s.entropy.Unlock()
	}
	return NewEventID(now, s.c.Entropy)
}

// open gives the body of a stored event. Errors as [Gate.Open], and ErrNewerVersion.
func (s *Store) open(ctx context.Context, tenant TenantID, gate Gate, m Stored) ([]byte, error) {
	body, _, err := s.openForm(ctx, tenant, gate, m)
	return body, err
}

// openForm is open that also says whether it is a copy.
func (s *Store) openForm(ctx context.Context, tenant TenantID, gate Gate, m Stored) (body []byte, copied bool, err error) {
	associated := m.Envelope.AppendAssociated(make([]byte, 0, associatedSize), string(tenant), m.Person)
	padded, err := gate.Open(ctx, KeyMonth(m.Envelope.Month), m.Envelope.Ciphertext, associated)
	if err != nil {
		return nil, false, err
	}
	return unpackForm(padded)
}

// associatedSize has room for the associated data of any tenant.
const associatedSize = 128

// recorded opens and decodes a stored event.
func (s *Store) recorded(ctx context.Context, tenant TenantID, gate Gate, m Stored) (Recorded, error) {
	body, copied, err := s.openForm(ctx, tenant, gate, m)
	if err != nil {
		return Recorded{}, err
	}
	r, err := decodeRecorded(m, body)
	r.Copy = copied
	return r, err
}

// decodeRecorded reads the body of a stored event.
func decodeRecorded(m Stored, body []byte) (Recorded, error) {
	e, err := decodeBody(body)
	if err != nil {
		return Recorded{}, err
	}
	id := EventID(m.Envelope.Event)
	r := Recorded{ID: id, Person: m.Person, Sequence: m.Sequence, Received: id.Received(), Event: e}
	if r.Event.Time.IsZero() {
		r.Event.Time = r.Received
	}
	if f := r.Event.Attachment; f != nil {
		f.Ref = AttachmentRef{m.Person, id, m.Sequence}.String()
	}
	return r, nil
}

// openChange opens and decodes a stored person event.
func (s *Store) openChange(ctx context.Context, tenant TenantID, m Stored) (PersonEvent, error) {
	if m.Envelope.Month != envelope.ControlMonth {
		return PersonEvent{}, ErrDamaged
	}
	padded, err := s.c.Keys.OpenControl(ctx, tenant, m.Envelope.Ciphertext, m.Envelope.AppendAssociated(nil, string(tenant), m.Person))
	if err != nil {
		return PersonEvent{}, err
	}
	body, err := unpack(padded)
	if err != nil {
		return PersonEvent{}, err
	}
	return decodeChange(body)
}
