package eventstore

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore/envelope"
)

// Log is the tenant's stream: append durably, read a person, replay a tenant. It never sees a plaintext. It is safe for concurrent
// use; one process writes a tenant at a time.
type Log interface {
	// Open makes ready the streams of a tenant, creating them if create is set and there are none. It compares what is stored with what was
	// acknowledged and refuses what does not fit: ErrDamaged, naming the damage. opens is asked of events that are stored but were never
	// journalled (after a crash): those it accepts are kept, under the row that it gives back. Messages are kept or refused, never dropped.
	Open(ctx context.Context, tenant TenantID, vault VaultID, create bool, opens func(context.Context, Stored) (Row, error)) error
	// Submit hands over one sealed event. The order of calls for one person is the order of their sequences. It blocks while the
	// queue is full, until ctx ends. The error is ErrUnavailable when nothing was taken.
	Submit(ctx context.Context, tenant TenantID, m Message) (Ticket, error)
	// Read yields the stored messages of one person with a sequence above after, in order, up to the committed sequence. The zero person names
	// the control messages.
	Read(ctx context.Context, tenant TenantID, person PersonID, after uint64) iter.Seq2[Stored, error]
	// Get reads one message. ErrNotFound if it was removed.
	Get(ctx context.Context, tenant TenantID, sequence uint64) (Stored, error)
	// Replay yields all messages with a sequence above after, up to the sequence that is committed when it is called.
	Replay(ctx context.Context, tenant TenantID, after uint64) iter.Seq2[Stored, error]
	// Committed is the last sequence that is journalled and published. Readers never pass it.
	Committed(ctx context.Context, tenant TenantID) (uint64, error)
	// Await blocks until Committed is above after, and returns it.
	Await(ctx context.Context, tenant TenantID, after uint64) (uint64, error)
	// Count says how many messages of a person are stored.
	Count(ctx context.Context, tenant TenantID, person PersonID) (uint64, error)
	// Remove destroys what r names, in the stream, the journal and their files, at a bounded rate; progress (nil: none) is told how many messages
	// are done and how many are left. Repeatable. When it returns nil the messages are gone from the stream's live files; what the journal still
	// holds goes when it is trimmed. ErrInvalid for a zero person and for a control sequence that names another message.
	Remove(ctx context.Context, tenant TenantID, r Removal, progress func(done, left uint64)) error
	// Expire destroys every message of a key month before the given one, and the idempotency rows of such messages, but for control messages and
	// the messages of persons that spared (nil: none) says yes to: first the rows, then the messages, at a bounded rate where they do not stand at
	// the head of the stream. Call it once the keys of those months are destroyed. Messages that are submitted after it began may stay.
	// progress (nil: none) is told how many messages are done and how many are left. Repeatable: called again, it goes on where a crash or the
	// end of ctx cut it off. When it returns nil it is as with Remove. ErrInvalid for a month that cannot be.
	Expire(ctx context.Context, tenant TenantID, before KeyMonth, spared func(PersonID) bool, progress func(done, left uint64)) error
	// Traces looks for what is left of messages that [Log.Remove] removed: first in the journal, then, of the persons of whom that holds nothing, in
	// the files of the stream, where the log can reach them. It reads all of them, so ask for many persons at once. It changes nothing.
	Traces(ctx context.Context, tenant TenantID, of []Removed) (Traces, error)
	// EraseTenant deletes all streams and files of a tenant. Repeatable.
	EraseTenant(ctx context.Context, tenant TenantID) error
}

// Removal names what [Log.Remove] destroys.
type Removal struct {
	// Persons lose their messages: all of them, or with Below those with a lower sequence only (a partial erasure keeps the copies behind it).
	Persons []PersonID
	Below   uint64
	// Control are the sequences of control messages. Those that are gone already are passed over.
	Control []uint64
	// Prefixes are those of the idempotency rows that go.
	Prefixes [][8]byte
	// Attachments lose their chunks. For [Chunks] only.
	Attachments []Attachment
}

// Removed names messages that were removed: all of a person's, or those below a sequence, or those of some of their attachments.
type Removed struct {
	Person      PersonID
	Below       uint64
	Attachments []AttachmentID
}

// Traces is what [Log.Traces] found. Each person that was asked for stands in at most one list.
type Traces struct {
	// Journal: the journal still holds a message of theirs. It goes when the journal is trimmed.
	Journal []PersonID
	// Files: their id stands in a file of the stream, at a message that was removed. The server has not rewritten the file yet, or never will.
	Files []PersonID
	// Searched says that the files were searched. It is false with a server whose files the log cannot reach.
	Searched bool
}

// Found says whether anything is left of a person.
func (t Traces) Found(p PersonID) bool {
	return slices.Contains(t.Journal, p) || slices.Contains(t.Files, p)
}

// Message is one sealed event on its way to the stream.
type Message struct {
	// Person is the person it belongs to; the zero value means a control message (subject ctl.<tenant>).
	Person   PersonID
	Envelope envelope.Envelope
	// Row is the idempotency row. Zero: none.
	Row Row
	// Expected, if set, is the last sequence that the person must have (0: none), decided in the writer's loop.
	Expected *uint64
	// Journalled asks to be answered once the journal has it, although the stream may get it later: for what must go on during an outage.
	Journalled bool
}

// Row is an idempotency row: the 8 bytes that all rows of a person begin with, and the mark of bot and key.
type Row = [8 + MarkSize]byte

// Ticket is a submitted message that awaits its answer.
type Ticket interface {
	// Wait blocks until the message is durable or ctx ends. Errors: ErrConflict (Expected did not hold; nothing is stored), ErrUncertain
	// (it may be stored; submit it again under the same row), ErrUnavailable (it is not stored). When ctx ends first: ErrUncertain.
	Wait(ctx context.Context) (Appended, error)
	// Done is closed when Wait answers at once.
	Done() <-chan struct{}
}

// Appended is where a message stands.
type Appended struct {
	Sequence uint64
	// Duplicate says that a message under the same row stands at Sequence; whether it says the same is for the caller to compare.
	Duplicate bool
}

// Stored is one message as read back.
type Stored struct {
	Sequence uint64
	// Person is zero for a control message.
	Person   PersonID
	Envelope envelope.Envelope
	// At is when the stream took it.
	At time.Time
}

// Records keeps append-only records that are durable on return: the ledger, releases, attachments. It is safe for concurrent use.
// The store cannot delete or change them.
type Records interface {
	// OpenRecords makes a tenant's record stream ready, creating it if create is set. ErrDamaged as [Log.Open].
	OpenRecords(ctx context.Context, tenant TenantID, stream RecordStream, vault VaultID, create bool) error
	// AppendRecord appends and returns the record's number, from 1 without gaps. It returns once journalled, so an outage of the stream stops
	// nothing. ErrUncertain, ErrUnavailable.
	AppendRecord(ctx context.Context, tenant TenantID, stream RecordStream, record []byte) (uint64, error)
	// ReadRecords yields the records with a number of at least from, and their numbers, in order.
	ReadRecords(ctx context.Context, tenant TenantID, stream RecordStream, from uint64) iter.Seq2[Record, error]
}

// Record is one record and its number.
type Record struct {
	Number uint64
	Data   []byte
}

// RecordStream names a record stream of a tenant.
type RecordStream string

// The record streams.
const (
	// RecordsLedger is the stream LEDGER_<tenant>.
	RecordsLedger RecordStream = "LEDGER"
	// RecordsStats is the stream STATS_<tenant>.
	RecordsStats RecordStream = "STATS"
)
