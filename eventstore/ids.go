package eventstore

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/oklog/ulid/v2"
)

// TenantID names one customer environment. Nothing is shared between tenants. It matches
// [a-z][a-z0-9-]{0,31} and is not personal data: it stands in subjects, file names and logs.
type TenantID string

// DefaultTenant is the tenant that the first start creates.
const DefaultTenant TenantID = "default"

const maxTenantLength = 32

// ParseTenantID checks the form of a tenant id. The error is [ErrInvalid].
func ParseTenantID(s string) (TenantID, error) {
	if len(s) == 0 || len(s) > maxTenantLength || s[0] < 'a' || s[0] > 'z' {
		return "", Refuse(KindInvalid, "tenant", "a tenant id is a lower-case letter followed by at most 31 letters, digits or hyphens")
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return "", Refuse(KindInvalid, "tenant", "a tenant id is a lower-case letter followed by at most 31 letters, digits or hyphens")
		}
	}
	return TenantID(s), nil
}

// PersonID is the random id of one person: a ULID whose time part is zero and whose 80 random bits come from
// crypto/rand. It is the only thing about a person that may stand in a NATS subject, a header, a log line, a
// metric or a file name. The zero value names nobody.
type PersonID ulid.ULID

// NewPersonID draws a person id from entropy (nil means crypto/rand).
func NewPersonID(entropy io.Reader) (PersonID, error) {
	id, err := newULID(0, entropy)
	return PersonID(id), err
}

// ParsePersonID reads the 26-character form. The error is [ErrInvalid].
func ParsePersonID(s string) (PersonID, error) {
	id, err := ulid.ParseStrict(s)
	if err != nil || id.Time() != 0 {
		return PersonID{}, Refuse(KindInvalid, "person", "a person id has 26 characters, as printed by `oubli person show`")
	}
	return PersonID(id), nil
}

// String is the 26-character Crockford base 32 form.
func (p PersonID) String() string { return ulid.ULID(p).String() }

// IsZero reports whether p names nobody.
func (p PersonID) IsZero() bool { return p == PersonID{} }

// Compare orders persons by their bytes; gates are taken in this order.
func (p PersonID) Compare(q PersonID) int { return ulid.ULID(p).Compare(ulid.ULID(q)) }

// MarshalText implements [encoding.TextMarshaler].
func (p PersonID) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *PersonID) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePersonID(string(b))
	return err
}

// EventID is the random id of one event: a ULID from crypto/rand whose time part is the receive time in
// milliseconds.
type EventID ulid.ULID

// NewEventID draws an event id received at now (entropy nil means crypto/rand).
func NewEventID(now time.Time, entropy io.Reader) (EventID, error) {
	id, err := newULID(ulid.Timestamp(now), entropy)
	return EventID(id), err
}

// ParseEventID reads the 26-character form. The error is [ErrInvalid].
func ParseEventID(s string) (EventID, error) {
	id, err := ulid.ParseStrict(s)
	if err != nil {
		return EventID{}, Refuse(KindInvalid, "event", "an event id has 26 characters")
	}
	return EventID(id), nil
}

// String is the 26-character Crockford base 32 form.
func (e EventID) String() string { return ulid.ULID(e).String() }

// Received is the receive time, in whole milliseconds, UTC.
func (e EventID) Received() time.Time { return ulid.Time(ulid.ULID(e).Time()).UTC() }

// Compare orders events by receive time, then by their random bits.
func (e EventID) Compare(f EventID) int { return ulid.ULID(e).Compare(ulid.ULID(f)) }

// MarshalText implements [encoding.TextMarshaler].
func (e EventID) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (e *EventID) UnmarshalText(b []byte) (err error) {
	*e, err = ParseEventID(string(b))
	return err
}

// AttachmentID is the random name under which the chunks of one attachment are stored: a ULID whose time part is zero. It leads to nothing but
// sealed bytes.
type AttachmentID ulid.ULID

// NewAttachmentID draws an attachment's id from entropy (nil means crypto/rand).
func NewAttachmentID(entropy io.Reader) (AttachmentID, error) {
	id, err := newULID(0, entropy)
	return AttachmentID(id), err
}

// ParseAttachmentID reads the 26-character form. The error is [ErrInvalid].
func ParseAttachmentID(s string) (AttachmentID, error) {
	id, err := ulid.ParseStrict(s)
	if err != nil {
		return AttachmentID{}, Refuse(KindInvalid, "attachment", "there is no such attachment")
	}
	return AttachmentID(id), nil
}

// String is the 26-character Crockford base 32 form.
func (a AttachmentID) String() string { return ulid.ULID(a).String() }

// MarshalText implements [encoding.TextMarshaler].
func (a AttachmentID) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (a *AttachmentID) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAttachmentID(string(b))
	return err
}

// Attachment names the chunks of one attachment of a person.
type Attachment struct {
	Person PersonID     `json:"person"`
	ID     AttachmentID `json:"id"`
}

func newULID(ms uint64, entropy io.Reader) (id ulid.ULID, err error) {
	if entropy == nil {
		entropy = rand.Reader
	}
	if err := id.SetTime(ms); err != nil {
		return id, fmt.Errorf("receive time out of the range of a ULID: %w", err)
	}
	if _, err := io.ReadFull(entropy, id[6:]); err != nil {
		return id, fmt.Errorf("drawing a random id: %w", err)
	}
	return id, nil
}

// VaultID names one vault; the streams that belong to it carry it in their metadata.
type VaultID [16]byte

// String is the hexadecimal form.
func (v VaultID) String() string { return hex.EncodeToString(v[:]) }

// ConversationID is the bot's own name for a conversation, at most [MaxConversation] bytes. It is an external id:
// it stands inside ciphertexts and in answers to its own bot only.
type ConversationID string

// BotID names a bot, as its access token does.
type BotID string

// KeyMonth is the unit of retention, in months since January 1970: a person has one data key for each.
type KeyMonth uint16

// KeyMonthOf is the key month of an event: that of the earlier of its own time and its receive time, in UTC.
func KeyMonthOf(event, received time.Time) KeyMonth {
	t := received
	if event.Before(t) {
		t = event
	}
	return monthOf(t)
}

func monthOf(t time.Time) KeyMonth {
	t = t.UTC()
	months := (t.Year()-1970)*12 + int(t.Month()) - 1
	return KeyMonth(max(0, min(months, 1<<16-1)))
}

// Start is the first instant of the month, UTC.
func (m KeyMonth) Start() time.Time {
	return time.Date(1970, time.January+time.Month(m), 1, 0, 0, 0, 0, time.UTC)
}

// End is the first instant after the month, UTC.
func (m KeyMonth) End() time.Time { return (m + 1).Start() }

// String is the form 2026-11.
func (m KeyMonth) String() string { return m.Start().Format("2006-01") }

// MarkSize is the size of a [Mark] in bytes.
const MarkSize = 16

// Mark is a pseudorandom function of something under a person's or a linked set's secret. Once that secret is gone
// it cannot be tested against a guess.
type Mark [MarkSize]byte

// LedgerReference is the random name of one vault record, used in the ledger where a person id must not stand.
type LedgerReference [16]byte

// String is the hexadecimal form.
func (r LedgerReference) String() string { return hex.EncodeToString(r[:]) }
