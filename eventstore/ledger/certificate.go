package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"github.com/oubli-store/oubli/eventstore"
)

// CertificateFormat names the format of a certificate file:
//
//	{"format":"oubli-certificate/1","key":PUBLIC,"issues":[{"statement":{…},"signature":NOTE}, …]}
//
// A statement is an [Issued]. Its signature is a note (golang.org/x/mod/sumdb/note, Ed25519) by the key of the ledger's checkpoints, of this text:
//
//	oubli/<vault id>/<tenant> certificate
//	<SHA-256 of the statement without insignificant white space, base64>
const CertificateFormat = "oubli-certificate/1"

// MaxCertificate bounds a certificate file, in bytes.
const MaxCertificate = 16 << 20

type certificate struct {
	Format string  `json:"format"`
	Key    string  `json:"key"`
	Issues []issue `json:"issues"`
}

type issue struct {
	Statement json.RawMessage `json:"statement"`
	Signature string          `json:"signature"`
}

// Issued is the signed statement of one issue of a certificate.
type Issued struct {
	// Ledger is the name of the ledger, as [Origin] says; Issue counts the issues of the certificate from 1; Previous is the SHA-256 of
	// the statement before, in hexadecimal, empty in the first.
	Ledger   string `json:"ledger"`
	Issue    int    `json:"issue"`
	Previous string `json:"previous,omitempty"`
	eventstore.Statement
	// Entries are the ledger entries that the erasure rests on, each proved to be in the ledger of Checkpoint.
	Entries []Included `json:"entries"`
	// Consistency proves that this ledger begins with the one of the issue before; empty in the first.
	Consistency Proof  `json:"consistency,omitempty"`
	Checkpoint  string `json:"checkpoint"`
}

// Included is a ledger entry as it is stored (CBOR), with the proof that it is in the ledger.
type Included struct {
	Number uint64 `json:"number"`
	Record []byte `json:"record"`
	Proof  Proof  `json:"proof"`
}

// MarshalJSON writes the hashes in base64.
func (p Proof) MarshalJSON() ([]byte, error) {
	out := make([][]byte, len(p))
	for i := range p {
		out[i] = p[i][:]
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads hashes in base64.
func (p *Proof) UnmarshalJSON(b []byte) error {
	var in [][]byte
	if json.Unmarshal(b, &in) != nil {
		return errProof
	}
	*p = make(Proof, len(in))
	for i, h := range in {
		if len(h) != sha256.Size {
			return errProof
		}
		(*p)[i] = [32]byte(h)
	}
	return nil
}

var errProof = fmt.Errorf("%w: a proof is not a list of hashes", eventstore.ErrDamaged)

// Certifier implements [eventstore.Certifier] over a ledger and its signer.
type Certifier struct {
	ledger *Ledger
	signer *Signer
}

// NewCertifier makes one over a ledger that is open.
func NewCertifier(l *Ledger, s *Signer) *Certifier { return &Certifier{l, s} }

var _ eventstore.Certifier = (*Certifier)(nil)

// Certify implements [eventstore.Certifier].
func (c *Certifier) Certify(ctx context.Context, tenant eventstore.TenantID, s eventstore.Statement, entries []uint64, earlier []byte) ([]byte, error) {
	k, err := c.signer.key(ctx, tenant)
	if err != nil {
		return nil, err
	}
	file, last, err := c.earlier(earlier, k.public)
	if err != nil {
		return nil, err
	}
	next := Issued{Ledger: Origin(c.signer.vault, tenant), Issue: len(file.Issues) + 1, Statement: s}
	var older Head
	if last != nil {
		next.Previous = hex.EncodeToString(last.hash[:])
		older = last.head
	}
	if err := c.prove(ctx, tenant, &next, entries, older); err != nil {
		return nil, err
	}
	text, err := json.Marshal(next)
	if err != nil {
		return nil, fmt.Errorf("encoding a certificate: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: statementText(next.Ledger, sha256.Sum256(text))}, k.signer)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	file.Issues = append(file.Issues, issue{text, string(signed)})
	out, err := json.Marshal(file)
	if err != nil {
		return nil, fmt.Errorf("encoding a certificate: %w", err)
	}
	if _, err := VerifyCertificate(out, k.public); err != nil { // what does not verify is not given to anybody
		return nil, fmt.Errorf("%w: what it would say does not hold: %s", eventstore.ErrInvalid, err.Error())
	}
	return out, nil
}

// earlier opens the file of the issues so far.
func (c *Certifier) earlier(earlier []byte, public string) (certificate, *verifiedIssue, error) {
	if earlier == nil {
		return certificate{Format: CertificateFormat, Key: public}, nil, nil
	}
	v, err := VerifyCertificate(earlier, public)
	if err != nil {
		return certificate{}, nil, fmt.Errorf("the certificate so far: %w", err)
	}
	var file certificate
	if err := json.Unmarshal(earlier, &file); err != nil {
		return certificate{}, nil, fmt.Errorf("%w: the certificate so far cannot be read", eventstore.ErrDamaged)
	}
	return file, &v.issues[len(v.issues)-1], nil
}

// prove adds the ledger's part: checkpoint, entries and consistency, all of one size of the tree.
func (c *Certifier) prove(ctx context.Context, tenant eventstore.TenantID, next *Issued, entries []uint64, older Head) error {
	size, root, err := c.ledger.Head(tenant)
	if err != nil {
		return err
	}
	for _, n := range entries {
		record, err := c.ledger.stored(ctx, tenant, n)
		if err != nil {
			return err
		}
		proof, _, err := c.ledger.ProveInclusion(tenant, n, size)
		if errors.Is(err, eventstore.ErrNotFound) {
			err = eventstore.ErrUnavailable.Because(err)
		}
		if err != nil {
			return fmt.Errorf("proving ledger entry %d: %w", n, err)
		}
		next.Entries = append(next.Entries, Included{n, record, proof})
	}
	if older.Size > 0 {
		if next.Consistency, _, err = c.ledger.ProveConsistency(tenant, older.Size, size); err != nil {
			return fmt.Errorf("proving that the ledger only grew: %w", err)
		}
	}
	signed, err := c.signer.Sign(ctx, tenant, Head{size, root})
	next.Checkpoint = string(signed)
	return err
}

// stored reads one record back.
func (l *Ledger) stored(ctx context.Context, tenant eventstore.TenantID, n uint64) ([]byte, error) {
	for r, err := range l.records.ReadRecords(ctx, tenant, eventstore.RecordsLedger, n) {
		if err != nil {
			return nil, err
		}
		if r.Number == n {
			return bytes.Clone(r.Data), nil
		}
		break
	}
	return nil, fmt.Errorf("%w: ledger entry %d is missing", eventstore.ErrDamaged, n)
}

// statementText is what an issue's signature signs.
func statementText(ledger string, hash [sha256.Size]byte) string {
	return ledger + " certificate\n" + base64.StdEncoding.EncodeToString(hash[:]) + "\n"
}
