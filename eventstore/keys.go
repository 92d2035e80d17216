package eventstore

import (
	"context"
	"maps"
	"time"
)

// Keys is what the vault does for the other rooms. It is safe for concurrent use. Nothing that it returns outlives an erasure: once
// [Keys.Shred] has returned, no goroutine can seal, open or mark for the shredded persons.
//
// Every method that names a tenant answers [ErrNotFound] for one that the vault does not know and [ErrErased] for an erased one.
type Keys interface {
	// Vault names this vault.
	Vault() VaultID
	// CreateTenant makes a tenant's key tree, durably. ErrConflict if there is one already.
	CreateTenant(ctx context.Context, tenant TenantID) error
	// Tenants lists the tenants, erased ones left out, in ascending order.
	Tenants(ctx context.Context) ([]TenantID, error)
	// EraseTenant effaces the tenant's root, durably: nothing of it can be opened afterwards. Repeatable.
	EraseTenant(ctx context.Context, tenant TenantID) error

	// Enter resolves the person of an arriving event, asks admit, mints or links where needed (durably, before it returns) and
	// returns the person's gate. See [Arrival] for the rules. admit decides, also about a restricted person, and may be asked more than once.
	// Errors: ErrFenced (retryable), ErrErased for an event older than an erasure of its handle, ErrExpired for one of a key month that retention has reached
	// (nobody is minted), and whatever admit returned.
	Enter(ctx context.Context, tenant TenantID, a Arrival, admit func(State) error) (*Entered, error)

	// Resolve answers which person a canonical identity names, minting none. ErrNotFound if none; ErrFenced.
	Resolve(ctx context.Context, tenant TenantID, id Identity) (PersonID, error)
	// Gate opens a person's keys for reading. ErrErased, ErrFenced, ErrNotFound (never minted here).
	Gate(ctx context.Context, tenant TenantID, person PersonID) (Gate, error)
	// Linked returns the linked set that a person belongs to, itself included, in ascending order. Errors as Gate.
	Linked(ctx context.Context, tenant TenantID, person PersonID) ([]PersonRecord, error)
	// Link declares two persons one human, durably, whatever handles they are tied to. ErrConflict if they are linked already; errors as Gate.
	Link(ctx context.Context, tenant TenantID, a, b PersonID) error
	// Change changes the state of a person's whole linked set, durably: update is given each member's present state and returns the new one. What kind
	// tells the stream goes to the outbox in the same batch, with all members and the period marks of the set; "" tells nothing. If update changes
	// nobody nothing is written and nothing owed. The set is returned as it is then. Errors as Gate.
	Change(ctx context.Context, tenant TenantID, person PersonID, kind PersonEventKind, update func(State) State) ([]PersonRecord, error)
	// SetState changes the state of one person alone, and tells nobody. Errors as Gate.
	SetState(ctx context.Context, tenant TenantID, person PersonID, update func(State) State) error

	// PeriodMark is the mark of the person's linked set for an analytics period. Errors as Gate.
	PeriodMark(ctx context.Context, tenant TenantID, person PersonID, period Period) (Mark, error)

	// Fence fixes the linked sets of the named persons and stops every read and append of theirs, durably. It returns when no gate
	// of theirs is held, or after 2 s: a gate that is still held then is dead, and what was sealed through it will never be opened. Fencing a
	// fenced person again returns the same members; an erased person is left out. ErrHold if a member is on legal hold: nothing is fenced then.
	Fence(ctx context.Context, tenant TenantID, persons []PersonID) ([]Member, error)
	// FencedPeriodMarks is PeriodMark for the linked set of a fenced person, for many periods; nil marks if the person is erased already.
	FencedPeriodMarks(ctx context.Context, tenant TenantID, person PersonID, periods []Period) ([]Mark, error)
	// Unfence lifts a fence that no Shred followed.
	Unfence(ctx context.Context, tenant TenantID, persons []PersonID) error
	// Shred destroys the records and handles of fenced persons and effaces the old root. When it returns nothing of theirs opens or
	// resolves, whatever old copy of the vault is at hand. Persons that are erased already are passed over, so it can be repeated.
	// ErrConflict if one is neither fenced nor erased. For [RefusedFor] an event that names one of the handles is refused if it is older than the
	// shredding; the options may ask for more.
	Shred(ctx context.Context, tenant TenantID, persons []PersonID, o ShredOptions) error
	// Refused says which longer refusals ([ShredOptions.RefuseUntil]) hold of what Admit would lift; those that are over are left out.
	Refused(ctx context.Context, tenant TenantID, ids []Identity, references []LedgerReference) (Refusals, error)
	// Admit lifts longer refusals before their time, durably: those of the named handles, and with them, or by a reference that [Keys.Refused] gave, those
	// of every handle that was erased with them. It says how many handles were refused until now. It undoes no erasure. An old
	// copy of the vault keeps the marks; they become useless when they would have without Admit.
	Admit(ctx context.Context, tenant TenantID, ids []Identity, references []LedgerReference) (int, error)

	// FencedGate opens the keys of a fenced person to the machine that erases a part of them: it opens and marks, and seals nothing (ErrFenced).
	// ErrErased, ErrNotFound, ErrConflict if the person is not fenced. No fence waits for it; what ends the fence makes it dead.
	FencedGate(ctx context.Context, tenant TenantID, person PersonID) (Gate, error)
	// Successor opens the keys that will follow those of a fenced person once [Keys.Supersede] has been called, for sealing copies of what stays.
	// The first call prepares the successors of the person's whole linked set, durably: new person secrets, one new set secret, new ledger references, no
	// data keys; later ones answer the same successor, also after a crash. Everything else is the person's: id, handles, state, linked set. A
	// successor goes with its person when the fence is lifted or the person is shredded. Errors as FencedGate.
	Successor(ctx context.Context, tenant TenantID, person PersonID) (Gate, error)
	// Supersede is the acknowledgement of the erasure of a part: in one re-keying the records of fenced persons are destroyed, as [Keys.Shred] destroys
	// them, their successors take their places, and the fences are lifted. From then on nothing opens what the old data keys sealed, whatever
	// old copy of the vault is at hand. Linked sets are superseded whole: ErrConflict if a member is missing, is not fenced or has no successor. Who
	// is erased, or was superseded already, is passed over, so it can be repeated.
	Supersede(ctx context.Context, tenant TenantID, all []Succession) error
	// Expire destroys the data keys of the key months below before, of everybody whose linked set has no member on legal hold. From its beginning nothing is
	// let in or sealed for those months any more (ErrExpired), whoever speaks. When it returns nil the old root is effaced: no old copy of the vault
	// opens an event of those months, and no goroutine does, but for the persons it names as spared. Their keys go in a later call, for the same month or
	// another, when their hold is over. It works while everything else goes on; progress (may be nil) is told how many persons are done. When it fails or ctx
	// ends it has done a part that another call goes on with, also after a crash; until then old copies open still. Months never come back: with a before that
	// was reached already it only looks at those who were spared, and writes nothing if nobody's hold is over. One call at a time works, others wait.
	// ErrInvalid for a month that is not over.
	Expire(ctx context.Context, tenant TenantID, before KeyMonth, progress func(done, total uint64)) (Expiry, error)
	// Expired is the month below which Expire has destroyed all data keys; 0 if it never ran to its end.
	Expired(ctx context.Context, tenant TenantID) (KeyMonth, error)
	// Keyless visits one member of each linked set that has no data key at all, was wholly created before the month that Expired answers, is not on hold and
	// not fenced: persons of whom retention has left nothing but the record. No lock is held while visit runs: it may erase them. An error of visit ends it.
	Keyless(ctx context.Context, tenant TenantID, visit func(PersonID) error) error

	// SealControl and OpenControl seal what belongs to the tenant and not to one person (person events), under the tenant's control
	// key. OpenControl answers ErrDamaged for what does not open.
	SealControl(ctx context.Context, tenant TenantID, plaintext, associated []byte) ([]byte, error)
	OpenControl(ctx context.Context, tenant TenantID, ciphertext, associated []byte) ([]byte, error)

	// SealChunk and OpenChunk seal a piece of a file under a key of 32 bytes that belongs to the file alone, with Tink's streaming AEAD: each piece under a key derived
	// for it, so that a file may have any number. Sealing adds at most 77 bytes. OpenChunk answers ErrDamaged for what does not open. They use no key of the vault.
	SealChunk(key, plaintext, associated []byte) ([]byte, error)
	OpenChunk(key, ciphertext, associated []byte) ([]byte, error)

	// Outbox lists the person events that changes in the vault still owe to the stream, oldest first; Sent takes one off once it is
	// appended. A change and its debt are written in one batch, so that a crash loses neither.
	Outbox(ctx context.Context, tenant TenantID) ([]Owed, error)
	Sent(ctx context.Context, tenant TenantID, id EventID) error

	// Holders visits every record, those of fenced persons included, in no order: its ledger reference and its person. It may hold back who wants to
	// change the vault until it returns, and visit must not call the vault. The first error of visit ends it.
	Holders(ctx context.Context, tenant TenantID, visit func(LedgerReference, PersonID) error) error

	// Count says how many persons the tenant has, erased ones left out. It is exact but may be a second old.
	Count(ctx context.Context, tenant TenantID) (uint64, error)
}

// RefusedFor is how long after an erasure events of its handles are refused that are older than it.
const RefusedFor = 24 * time.Hour

// MaxRefusal bounds [ShredOptions.RefuseUntil]: two years from now.
const MaxRefusal = 2 * 366 * 24 * time.Hour

// Refusals are longer refusals of handles.
type Refusals struct {
	// Handles is how many handles are refused: those that were asked about, and those that were erased with them.
	Handles int
	// References name the erasures by one record each, the lowest of the linked set, ascending. A refusal made before references were kept has none.
	References []LedgerReference
}

// ShredOptions say what else a shredding does. The zero value asks for nothing.
type ShredOptions struct {
	// RefuseUntil asks that until then every event which names a handle of the erased set is refused with ErrErased, whatever its own
	// time: nobody is minted under it. A time beyond [MaxRefusal] counts as MaxRefusal, one that is past as none. While a refusal lives, and until the end of
	// the calendar month (UTC) in which it ends, who holds the vault's directory, its root register and the key-encryption key can test whether a
	// handle that they guess is refused; afterwards nobody can. It does not hold for persons who were erased before the call.
	RefuseUntil time.Time
}

// Arrival is what the vault must know of an event that comes in. All identities are canonical.
//
// The event belongs to the person that Identity names; a stranger is minted once admit accepts. Each handle of Also is then tied to
// the same human: an unknown one is added to the person, one of another person links the two. A link is refused as ambiguous, and the
// handle listed on the person for support to decide, when either side is already tied to an e-mail or phone that the other side does not
// know, and the other side has an e-mail or phone of its own (a shared computer).
//
// Who becomes one human has one state ([State.Joined]): a restriction, an objection, a hold or a refusal of consent of any of them is then that of all, and the
// outbox holds what the stream must be told. admit is asked about the joined state too; if it refuses, nobody is minted and nothing linked.
type Arrival struct {
	Identity Identity
	Also     []Identity
	// Bot and Conversation say where the event was said; refusal marks of an erased conversation depend on them.
	Bot          BotID
	Conversation ConversationID
	// Time is the event's own time, Received the receive time; refusal marks and the key month depend on them.
	Time, Received time.Time
}

// Entered is the result of [Keys.Enter]. The caller must release the gate.
type Entered struct {
	Gate Gate
	// Minted says that the person is new.
	Minted bool
	// Ambiguous says that at least one handle of Also was not linked.
	Ambiguous bool
	// Linked says that two persons became one human: the outbox holds person events.
	Linked bool
}

// Gate is one person's keys, held open. An erasure waits for it, 2 s at most, so hold it briefly. A dead gate answers ErrErased
// or ErrFenced. It is safe for concurrent use.
type Gate interface {
	Person() PersonID
	State() State
	// Seal encrypts under the data key of the month, which it creates durably when the person has none. ErrExpired for a month that retention has reached.
	Seal(ctx context.Context, month KeyMonth, plaintext, associated []byte) ([]byte, error)
	// Open decrypts. ErrExpired for a month whose key retention destroyed; ErrDamaged for what does not open.
	Open(ctx context.Context, month KeyMonth, ciphertext, associated []byte) ([]byte, error)
	// Mark is a PRF of parts under the person's own secret. Each label is a function of its own.
	Mark(label MarkLabel, parts ...[]byte) (Mark, error)
	// Release lets an erasure go on. It can be called more than once.
	Release()
}

// MarkLabel separates the uses of a person's secret.
type MarkLabel string

// The labels in use.
const (
	// MarkIdempotency: of the caller's idempotency key (with the bot).
	MarkIdempotency MarkLabel = "idempotency"
	// MarkRow: the first 8 bytes are the prefix of all of a person's idempotency rows.
	MarkRow MarkLabel = "row"
	// MarkConversation: of bot and conversation id.
	MarkConversation MarkLabel = "conversation"
	// MarkPseudonym: of a recipient.
	MarkPseudonym MarkLabel = "pseudonym"
)

// ErrExpired: the key of the event's month was destroyed by retention. Permanent.
var ErrExpired = Refuse(KindErased, "", "the retention period of this event is over and its key is destroyed")

// ErrTooOld: the event is of a month that the tenant keeps no more, so it was not taken, and nobody was minted for it. Permanent.
var ErrTooOld = Refuse(KindErased, "time", "the event is older than the tenant keeps events; it was not stored")

// State is what the vault's record says of a person beside keys. The zero State is a stranger's.
type State struct {
	// Known says that the person was minted before this event.
	Known      bool
	Restricted bool
	Objected   bool
	Hold       bool
	// Consents holds the last answer per purpose.
	Consents map[string]bool
	// First is the sequence below which readers skip the person (0: none).
	First uint64
}

// Joined is the state of two persons who are one human: what binds either binds both, and of two answers about a purpose the refusal counts. First stays that of s.
func (s State) Joined(o State) State {
	s.Known, s.Restricted, s.Objected, s.Hold = s.Known || o.Known, s.Restricted || o.Restricted, s.Objected || o.Objected, s.Hold || o.Hold
	consents := maps.Clone(s.Consents)
	for purpose, granted := range o.Consents {
		if consents == nil {
			consents = map[string]bool{}
		}
		if mine, answered := consents[purpose]; answered {
			granted = granted && mine
		}
		consents[purpose] = granted
	}
	s.Consents = consents
	return s
}

// Equal reports whether two states say the same.
func (s State) Equal(o State) bool {
	return s.Known == o.Known && s.Restricted == o.Restricted && s.Objected == o.Objected && s.Hold == o.Hold && s.First == o.First &&
		maps.Equal(s.Consents, o.Consents)
}

// PersonRecord is what the vault knows of one person.
type PersonRecord struct {
	Person     PersonID
	Reference  LedgerReference
	Identities []Identity
	// Ambiguous lists handles that were named with this person and not linked.
	Ambiguous []Identity
	State     State
	// Months are the key months in which the person spoke, ascending.
	Months  []KeyMonth
	Created time.Time
	// Expired is not 0 if retention took something of the person: it took what is from before that month. A legal hold may have spared later months
	// that have expired for others.
	Expired KeyMonth
}

// Member is one person of a fenced linked set: what an erasure must remember to finish its work after the keys are gone.
type Member struct {
	Person    PersonID
	Reference LedgerReference
	// RowPrefix is the prefix of the person's idempotency rows.
	RowPrefix [8]byte
	Months    []KeyMonth
}

// Succession says whom [Keys.Supersede] supersedes, and what stays of it.
type Succession struct {
	Person PersonID
	// Reference is that of the record that goes, as [Keys.Fence] gave it. A person whose record has another one was superseded already.
	Reference LedgerReference
	// First is the sequence below which readers skip the person.
	First uint64
	// Refused is what arrives too late for 24 hours, an hour more at most. The zero value: nothing.
	Refused Refused
}

// Refused describes events of an erased part: those of a person's handles whose own time is before Before; if Conversation is set only
// those of that conversation of the bot.
type Refused struct {
	Before       time.Time
	Bot          BotID
	Conversation ConversationID
}

// Expiry is the result of [Keys.Expire].
type Expiry struct {
	// Before is the month below which data keys are destroyed.
	Before KeyMonth
	// Keys counts the data keys that were destroyed, those of an interrupted call included.
	Keys uint64
	// Spared are the persons who keep keys below Before, because their linked set is or lately was on hold; ascending.
	Spared []PersonID
}

// Owed is a person event that the vault owes to the stream.
type Owed struct {
	ID    EventID
	Event PersonEvent
}

// Meta keeps small sealed rows for a tenant: settings, hashes of access tokens, the stages of erasures. It is safe for
// concurrent use. Row keys may be anything: on disk stands only a keyed hash of them.
type Meta interface {
	// Put writes a row, durably. PutIf writes only when no row is there yet (ErrConflict otherwise).
	Put(ctx context.Context, tenant TenantID, table MetaTable, key string, value []byte) error
	PutIf(ctx context.Context, tenant TenantID, table MetaTable, key string, value []byte) error
	// Get reads a row. ErrNotFound.
	Get(ctx context.Context, tenant TenantID, table MetaTable, key string) ([]byte, error)
	// List reads every row of a table, in no order.
	List(ctx context.Context, tenant TenantID, table MetaTable) (map[string][]byte, error)
	// Delete takes a row out, durably; it is no erasure: an old copy of the vault keeps it. Nil if there is none.
	Delete(ctx context.Context, tenant TenantID, table MetaTable, key string) error
}

// MetaTable names a table of [Meta].
type MetaTable string

// The tables in use.
const (
	TableSettings MetaTable = "settings"
	TableTokens   MetaTable = "tokens"
	TableErasures MetaTable = "erasures"
	// TableErased leads from a person to the erasure that took them.
	TableErased MetaTable = "erased"
	// TableCertificates holds the certificate of each erasure, under its id.
	TableCertificates MetaTable = "certificates"

	TableRequests MetaTable = "requests"
	TableImports  MetaTable = "imports"
	// TableRetention holds the run of retention that is under way and the last one.
	TableRetention MetaTable = "retention"
	// TableStates holds changes of states that are under way.
	TableStates MetaTable = "states"
	// TableUploads holds the attachments whose upload is under way, or came to nothing and is not removed yet.
	TableUploads MetaTable = "uploads"
)
