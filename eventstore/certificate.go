package eventstore

import (
	"context"
	"time"
)

// Certifier signs what is certain about an erasure, so that somebody who does not trust the operator can check it offline. It is safe for concurrent use;
// calls for one erasure must not overlap.
type Certifier interface {
	// Certify adds an issue to the certificate of an erasure and returns the whole file: the issues so far, each chained to the one before, and
	// the new one last. earlier is the file of the last issue, nil for the first. entries are the numbers of the ledger entries that the erasure rests on.
	//
	// Whoever calls stores the file before anybody gets it: an issue that was never stored is one that was never made.
	//
	// ErrUnavailable: the ledger cannot prove an entry yet, ask again. ErrDamaged: earlier is not a certificate of this ledger, or says something else of the
	// erasure. ErrInvalid: the statement takes back what earlier says.
	Certify(ctx context.Context, tenant TenantID, s Statement, entries []uint64, earlier []byte) (file []byte, err error)
}

// Statement is what an issue of a certificate says of one erasure. It is made of ids, codes, times and hashes: no name, no handle, no text.
type Statement struct {
	// Erasure is the id of the erasure, Persons are the random ids of the linked set.
	Erasure string     `json:"erasure"`
	Persons []PersonID `json:"persons"`
	Reason  Reason     `json:"reason"`
	// Basis is the article that was applied, as a code such as gdpr-17-1-b; empty if none was named.
	Basis string    `json:"basis,omitempty"`
	Scope ScopeCode `json:"scope"`
	// Again: the erasure was carried out again on data that were restored from a backup, under the ledger entry of the first time, which may
	// be about a part or about fewer persons.
	Again bool `json:"again,omitempty"`
	// Ticket is the salted hash of the ticket, in hexadecimal, as the ledger has it; empty if there was none.
	Ticket string `json:"ticket,omitempty"`
	// Issued is when the issue was made, in whole milliseconds (UTC), as are all times here.
	Issued time.Time `json:"issued"`
	// Stages are those that are behind, in their order.
	Stages []StageReached `json:"stages"`
	// Destroyed is what is gone, Remains what is not, in any order.
	Destroyed []Destroyed `json:"destroyed"`
	Remains   []Remaining `json:"remains"`
	// Notified are the receivers of the announcement that have acknowledged it.
	Notified []Notified `json:"notified,omitempty"`
}

// StageReached is a stage of an erasure, as a code, and when it was reached.
type StageReached struct {
	Stage string    `json:"stage"`
	At    time.Time `json:"at"`
}

// The stages of an erasure, in their order, as a certificate names them.
const (
	StageRequested = "requested"
	StageFenced    = "fenced"
	StageShredded  = "shredded"
	StageProjected = "projected"
	StageRemoved   = "removed"
	StageCompleted = "completed"
)

// ErasureStages are the stages in their order.
var ErasureStages = []string{StageRequested, StageFenced, StageShredded, StageProjected, StageRemoved, StageCompleted}

// Destroyed is a kind of thing that an erasure destroyed, and when.
type Destroyed struct {
	What DestroyedCode `json:"what"`
	At   time.Time     `json:"at"`
}

// DestroyedCode says what was destroyed.
type DestroyedCode string

// What an erasure destroys.
const (
	// DestroyedKeys: the data keys and secrets, with all that only they open.
	DestroyedKeys DestroyedCode = "keys"
	// DestroyedHandles: the entries by which a handle led to the person.
	DestroyedHandles DestroyedCode = "handles"
	// DestroyedFigures: what the person had added to statistics that were not released.
	DestroyedFigures DestroyedCode = "open-figures"
	// DestroyedCiphertext: the unreadable messages themselves, and the rows that knew a repetition of them.
	DestroyedCiphertext DestroyedCode = "ciphertext"
)

// Remaining is something that an erasure leaves, and until when.
type Remaining struct {
	What RemainsCode `json:"what"`
	// Until is when it goes; zero: see What.
	Until time.Time `json:"until,omitzero"`
}

// RemainsCode says what is left.
type RemainsCode string

// What an erasure leaves.
const (
	// RemainsSkeleton: person id, event ids, months, times and padded sizes of messages, until the stage removed.
	RemainsSkeleton RemainsCode = "skeleton"
	// RemainsRefusals: marks by which a guessed handle can be tested with the vault, its roots and the key-encryption key, until Until.
	RemainsRefusals RemainsCode = "refusal-marks"
	// RemainsBackups: backups made before, which open only with their own age identity, until Until.
	RemainsBackups RemainsCode = "backups"
	// RemainsReleases: statistics that were released; they are anonymous and stay.
	RemainsReleases RemainsCode = "released-statistics"
	// RemainsElsewhere: copies at channels, bots and recipients, which the store cannot reach.
	RemainsElsewhere RemainsCode = "copies-elsewhere"
	// RemainsOthers: with the erasure of a part, the rest of the person's data, under other keys.
	RemainsOthers RemainsCode = "rest-of-person"
	// RemainsLedger: the entries of the ledger that name the erased records by random references.
	RemainsLedger RemainsCode = "ledger-entries"
)

// Notified is a receiver, by the name that the tenant's settings give it, and when it acknowledged.
type Notified struct {
	Receiver string    `json:"receiver"`
	At       time.Time `json:"at"`
}
