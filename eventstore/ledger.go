package eventstore

import (
	"context"
	"time"
)

// Ledger records every privileged act before it has an effect. It is safe for concurrent use.
type Ledger interface {
	// Record appends an entry and returns its number, from 1, once it is durable. Time is set if zero.
	Record(ctx context.Context, tenant TenantID, entry Entry) (uint64, error)
}

// Act is what was done, as a code.
type Act string

// The privileged acts.
const (
	ActTenantCreated   Act = "tenant-created"
	ActTenantErased    Act = "tenant-erased"
	ActTokenCreated    Act = "token-created"
	ActTokenRotated    Act = "token-rotated"
	ActTokenRevoked    Act = "token-revoked"
	ActSettingsChanged Act = "settings-changed"
	ActLookup          Act = "person-looked-up"
	ActShown           Act = "person-shown"
	ActTranscriptRead  Act = "transcript-read"
	ActExported        Act = "person-exported"
	ActErased          Act = "person-erased"
	// ActAdmitted lifts the longer refusals that came with the erasures of the named records.
	ActAdmitted     Act = "refusal-lifted"
	ActConversation Act = "conversation-read"
	// ActAttachmentAdded and ActAttachmentRead are about a file of a person, in and out.
	ActAttachmentAdded Act = "attachment-added"
	ActAttachmentRead  Act = "attachment-read"
	ActLinked          Act = "person-linked"
	ActVaultChecked    Act = "vault-status-read"
	ActKEKRotated      Act = "kek-rotated"
	// ActRootsLost is the operator's decision that a copy of the root register is gone for good.
	ActRootsLost Act = "roots-copy-lost"

	ActRestricted   Act = "person-restricted"
	ActUnrestricted Act = "person-unrestricted"
	ActObjected     Act = "person-objected"
	ActUnobjected   Act = "person-unobjected"
	ActHeld         Act = "person-held"
	ActUnheld       Act = "person-unheld"
	// ActConsentWithdrawn names the purpose that was withdrawn from, in Entry.Purpose.
	// ActConsentGiven follows only where consent ends a withdrawal.
	ActConsentWithdrawn Act = "consent-withdrawn"
	ActConsentGiven     Act = "consent-given"
	// ActExpired is retention's: the key months before Entry.Before lose their keys.
	ActExpired Act = "expired"
	// ActPeriodsClosed is somebody's wish to close periods now. ActReleased names a release by Entry.Scope, its period and projection, and holds its hash in
	// Entry.Subject; ActBudgetCharged is the privacy budget that it takes, in thousandths of ε, in Entry.Count. ActReleasesExpired: the releases of the
	// periods that ended before the day in Entry.Scope are deleted.
	ActPeriodsClosed   Act = "periods-closed"
	ActReleased        Act = "statistics-released"
	ActBudgetCharged   Act = "privacy-budget-charged"
	ActReleasesExpired Act = "releases-expired"
	// ActProjectionsRebuilt: the figures of open periods are made anew from the stream.
	ActProjectionsRebuilt Act = "projections-rebuilt"
	// ActBackupMade and ActRestored are about the whole tenant.
	ActBackupMade Act = "backup-made"
	ActRestored   Act = "restored"
)

// Entry is one entry of the ledger: codes, token ids, ledger references, salted hashes. It has no field that could hold
// a person id, a name or free text.
type Entry struct {
	Time time.Time
	Act  Act
	// Token is the id of the access token that acted; "system" for the store itself.
	Token TokenID
	Role  Role
	// References name the records concerned.
	References []LedgerReference
	// Reason, Basis and Scope are codes of their own small lists.
	Reason Reason
	Basis  string
	Scope  ScopeCode
	// Subject is a salted hash (of a ticket, say); empty if none.
	Subject []byte
	// Count is how many things were concerned, where references are not listed one by one.
	Count uint64
	// Before is the first key month that retention spares (0: the act is about no month).
	Before KeyMonth
	// Until is when a longer refusal of the handles ends that came with an erasure; zero if none was asked for. Kept in whole milliseconds.
	Until time.Time
	// Purpose is the purpose of consent, a code as [ValidPurpose] says; empty if none.
	Purpose string
	// Tenant is the tenant concerned by an act on a tenant that another one's ledger records; empty if none.
	Tenant TenantID
}

// TokenID is the public part of an access token.
type TokenID string

// TokenSystem stands for the store itself.
const TokenSystem TokenID = "system"

// Role is what an access token may do.
type Role string

// The roles.
const (
	RoleBot     Role = "bot"
	RoleAnalyst Role = "analyst"
	RoleSupport Role = "support"
	RoleDPO     Role = "dpo"
	RoleAdmin   Role = "admin"
)

// Reason says why a right is exercised.
type Reason string

// The reasons for an erasure.
const (
	ReasonPersonRequest    Reason = "person-request"
	ReasonConsentWithdrawn Reason = "consent-withdrawn"
	ReasonRetention        Reason = "retention"
	ReasonCourtOrder       Reason = "court-order"
	ReasonOther            Reason = "other"
)

// Caller is who asks, as the access token says.
type Caller struct {
	Tenant TenantID
	Token  TokenID
	// Bot is set for a bot's token: the only bot it may speak for.
	Bot BotID
	// KeepOld takes events also of months that the tenant keeps no more, as long as retention has not reached them.
	KeepOld bool
}
