package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/oubli-store/oubli/eventstore"
)

// Check is one of the questions that a certificate is asked.
type Check string

// The checks, in the order in which they are made.
const (
	// CheckFormat: the file is a certificate, in the one form that it has but for white space.
	CheckFormat Check = "format"
	// CheckKey: it names the public key that was expected.
	CheckKey Check = "key"
	// CheckSignature: an issue is signed with that key.
	CheckSignature Check = "signature"
	// CheckChain: the issues are numbered, each names the one before, and none takes back what was said.
	CheckChain Check = "chain"
	// CheckStages: the stages are in their order, none after the moment of the issue, and what was destroyed fits them.
	CheckStages Check = "stages"
	// CheckCheckpoint: the checkpoint is of the same ledger and signed with its key.
	CheckCheckpoint Check = "checkpoint"
	// CheckConsistent: the ledger only grew since the issue before.
	CheckConsistent Check = "consistency"
	// CheckEntries: the ledger entries are in the ledger, say the same as the certificate, and were made before the keys were destroyed.
	CheckEntries Check = "entries"
)

// CheckError says which check a certificate did not pass. It matches [eventstore.ErrDamaged].
type CheckError struct {
	Check Check
	// Issue is the number of the issue, 0 if it is about the whole file.
	Issue int
	what  string
}

// Error names the check and what is wrong, never a value of the file.
func (e *CheckError) Error() string {
	if e.Issue == 0 {
		return fmt.Sprintf("certificate, %s: %s", e.Check, e.what)
	}
	return fmt.Sprintf("certificate, issue %d, %s: %s", e.Issue, e.Check, e.what)
}

// Unwrap makes errors.Is(err, eventstore.ErrDamaged) true.
func (e *CheckError) Unwrap() error { return eventstore.ErrDamaged }

// Verified is a certificate that passed every check.
type Verified struct {
	// Key is the public key that signed it, in the form of [note.NewVerifier].
	Key string
	// Issues are its statements, the newest last. There is at least one.
	Issues []Issued
	issues []verifiedIssue
}

// Last is the newest issue.
func (v *Verified) Last() *Issued { return &v.Issues[len(v.Issues)-1] }

// verifiedIssue is what the issue behind it is held to.
type verifiedIssue struct {
	hash [sha256.Size]byte
	head Head
}

// VerifyCertificate checks a certificate file with the public key alone. public empty: the key that the file names is taken, which shows that the file is whole
// but not whose it is. The error is a [*CheckError], the first check that it did not pass.
//
// It cannot tell that there is a newer issue: the ledger's owner gives the last one. It cannot tell that the statement is true either, only that whoever
// holds the ledger's key made it, and recorded the act in the ledger before.
func VerifyCertificate(file []byte, public string) (*Verified, error) {
	c, err := readCertificate(file)
	if err != nil {
		return nil, err
	}
	if public != "" && c.Key != public {
		return nil, &CheckError{CheckKey, 0, "it is signed with another key than the one that was given"}
	}
	verifier, err := note.NewVerifier(c.Key)
	if err != nil {
		return nil, &CheckError{CheckKey, 0, "its public key cannot be read"}
	}
	v := &Verified{Key: c.Key}
	for i, x := range c.Issues {
		k := checker{key: c.Key, verifier: verifier, number: i + 1}
		if i > 0 {
			k.before, k.beforeHead = &v.Issues[i-1], v.issues[i-1]
		}
		if err := k.check(x); err != nil {
			return nil, err
		}
		v.Issues, v.issues = append(v.Issues, k.issued), append(v.issues, verifiedIssue{k.hash, k.head})
	}
	return v, nil
}

func readCertificate(file []byte) (c certificate, err error) {
	bad := &CheckError{CheckFormat, 0, "it is not a certificate of this program, or was changed"}
	if len(file) > MaxCertificate || !sameForm(file, &c) {
		return c, bad
	}
	switch {
	case c.Format != CertificateFormat && strings.HasPrefix(c.Format, "oubli-certificate/"):
		return c, &CheckError{CheckFormat, 0, "it is of a format that this version does not know"}
	case c.Format != CertificateFormat || len(c.Issues) == 0:
		return c, bad
	}
	return c, nil
}

// sameForm reads JSON that is, but for white space, exactly what writing v gives: no unknown or doubled member, no other spelling.
func sameForm(text []byte, v any) bool {
	var compact bytes.Buffer
	if json.Unmarshal(text, v) != nil || json.Compact(&compact, text) != nil {
		return false
	}
	again, err := json.Marshal(v)
	return err == nil && bytes.Equal(again, compact.Bytes())
}

// checker checks one issue.
type checker struct {
	key        string
	verifier   note.Verifier
	number     int
	before     *Issued // nil for the first
	beforeHead verifiedIssue

	issued Issued
	hash   [sha256.Size]byte
	head   Head
}

func (k *checker) fails(c Check, what string) error { return &CheckError{c, k.number, what} }

func (k *checker) check(x issue) error {
	for _, step := range []func(issue) error{k.signature, k.chain, k.stages, k.checkpoint, k.consistency, k.entries} {
		if err := step(x); err != nil {
			return err
		}
	}
	return nil
}

func (k *checker) signature(x issue) error {
	if !sameForm(x.Statement, &k.issued) {
		return k.fails(CheckFormat, "its statement cannot be read")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, x.Statement); err != nil {
		return k.fails(CheckFormat, "its statement cannot be read")
	}
	k.hash = sha256.Sum256(compact.Bytes())
	n, err := note.Open([]byte(x.Signature), note.VerifierList(k.verifier))
	if err != nil || !oneForm(n, []byte(x.Signature)) {
		return k.fails(CheckSignature, "the signature is not one of the ledger's key")
	}
	if k.issued.Ledger != k.verifier.Name() || n.Text != statementText(k.issued.Ledger, k.hash) {
		return k.fails(CheckSignature, "the signature is of another statement")
	}
	return nil
}

func (k *checker) chain(issue) error {
	s := &k.issued
	if s.Issue != k.number {
		return k.fails(CheckChain, "an issue is missing, or they are in another order")
	}
	if k.before == nil {
		if s.Previous != "" {
			return k.fails(CheckChain, "the issue before it is missing")
		}
		return nil
	}
	b := k.before
	switch {
	case s.Previous != hex.EncodeToString(k.beforeHead.hash[:]):
		return k.fails(CheckChain, "the issue before it is another one")
	case s.Erasure != b.Erasure || s.Reason != b.Reason || s.Scope != b.Scope || s.Basis != b.Basis || s.Again != b.Again || s.Ticket != b.Ticket || s.Issued.Before(b.Issued):
		return k.fails(CheckChain, "it is about another erasure than the issue before it")
	case !begins(s.Stages, b.Stages) || !keeps(s.Destroyed, b.Destroyed) || !keeps(s.Notified, b.Notified) || !keeps(s.Persons, b.Persons):
		return k.fails(CheckChain, "it takes back what the issue before it said")
	}
	return nil
}

func begins[T comparable](all, start []T) bool {
	return len(all) >= len(start) && slices.Equal(all[:len(start)], start)
}

func keeps[T comparable](all, some []T) bool {
	return !slices.ContainsFunc(some, func(v T) bool { return !slices.Contains(all, v) })
}

// destroyedBy is the stage at which something is gone.
var destroyedBy = map[eventstore.DestroyedCode]string{
	eventstore.DestroyedKeys: eventstore.StageShredded, eventstore.DestroyedHandles: eventstore.StageShredded,
	eventstore.DestroyedFigures: eventstore.StageProjected, eventstore.DestroyedCiphertext: eventstore.StageRemoved,
}

func (k *checker) stages(issue) error {
	s := &k.issued
	if len(s.Stages) > len(eventstore.ErasureStages) || len(s.Stages) < 3 || len(s.Persons) == 0 {
		return k.fails(CheckStages, "it does not say that anything was destroyed")
	}
	at := map[string]eventstore.StageReached{}
	for i, r := range s.Stages {
		if r.Stage != eventstore.ErasureStages[i] || r.At.IsZero() || r.At.After(s.Issued) || (i > 0 && r.At.Before(s.Stages[i-1].At)) {
			return k.fails(CheckStages, "the stages are not in their order, or lie ahead")
		}
		at[r.Stage] = r
	}
	for _, d := range s.Destroyed {
		if stage, known := destroyedBy[d.What]; !known || !at[stage].At.Equal(d.At) || d.At.IsZero() {
			return k.fails(CheckStages, "it says of something that it was destroyed which the stages do not")
		}
	}
	return nil
}

func (k *checker) checkpoint(issue) error {
	c, err := OpenCheckpoint([]byte(k.issued.Checkpoint), k.key)
	if err != nil {
		return k.fails(CheckCheckpoint, "the checkpoint is not one of this ledger")
	}
	k.head = c.Head
	return nil
}

func (k *checker) consistency(issue) error {
	if k.before == nil {
		if len(k.issued.Consistency) != 0 {
			return k.fails(CheckConsistent, "it proves something of an issue that is missing")
		}
		return nil
	}
	if CheckConsistency(k.beforeHead.head, k.head, k.issued.Consistency) != nil {
		return k.fails(CheckConsistent, "the ledger is not proved to have only grown since the issue before it")
	}
	return nil
}

func (k *checker) entries(issue) error {
	s := &k.issued
	covered := uint64(0)
	for _, x := range s.Entries {
		if CheckInclusion(k.head, x.Number, x.Record, x.Proof) != nil {
			return k.fails(CheckEntries, "a ledger entry is not proved to be in the ledger")
		}
		e, err := Decode(x.Record)
		if err != nil || e.Act != eventstore.ActErased {
			return k.fails(CheckEntries, "a ledger entry is not about an erasure")
		}
		if e.Reason != s.Reason || e.Basis != s.Basis || !s.Again && (e.Scope != s.Scope || hex.EncodeToString(e.Subject) != s.Ticket) {
			return k.fails(CheckEntries, "a ledger entry says something else of the erasure")
		}
		if e.Time.After(s.Stages[slices.Index(eventstore.ErasureStages, eventstore.StageShredded)].At) {
			return k.fails(CheckEntries, "a ledger entry was made after the keys were destroyed")
		}
		covered = max(covered, e.Count, uint64(len(e.References)))
	}
	if len(s.Entries) == 0 || !s.Again && covered < uint64(len(s.Persons)) {
		return k.fails(CheckEntries, "no ledger entry is about all of the records")
	}
	return nil
}
