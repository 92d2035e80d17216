package ledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/oubli-store/oubli/eventstore"
)

// Checkpoint is the head of a tenant's ledger under the name of its vault and tenant. Signed, it is a note of this text:
//
//	oubli/<vault id>/<tenant>
//	<size>
//	<root hash, base64>
type Checkpoint struct {
	Vault  eventstore.VaultID
	Tenant eventstore.TenantID
	Head
}

// Origin is the name of a tenant's ledger, and of the key that signs its checkpoints.
func Origin(vault eventstore.VaultID, tenant eventstore.TenantID) string {
	return "oubli/" + vault.String() + "/" + string(tenant)
}

func (c Checkpoint) text() string {
	return Origin(c.Vault, c.Tenant) + "\n" + strconv.FormatUint(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// OpenCheckpoint checks a signed checkpoint under a public key as [Signer.Public] gives it. ErrDamaged names what is wrong; nothing of a note that does not
// verify is returned.
func OpenCheckpoint(signed []byte, public string) (Checkpoint, error) {
	verifier, err := note.NewVerifier(public)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: the public key of a checkpoint cannot be read", eventstore.ErrDamaged)
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: a checkpoint is not signed with the key of its ledger, or was changed", eventstore.ErrDamaged)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil || Origin(c.Vault, c.Tenant) != verifier.Name() || !oneForm(n, signed) {
		return Checkpoint{}, fmt.Errorf("%w: a checkpoint cannot be read", eventstore.ErrDamaged)
	}
	return c, nil
}

// oneForm says that a note has one signature and that no other bytes would say the same.
func oneForm(n *note.Note, signed []byte) bool {
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return false
	}
	_, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
	again, _ := note.Sign(&note.Note{Text: n.Text, Sigs: n.Sigs})
	return err == nil && bytes.Equal(again, signed)
}

func parseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return c, eventstore.ErrDamaged
	}
	name, _ := strings.CutPrefix(lines[0], "oubli/")
	vault, tenant, _ := strings.Cut(name, "/")
	id, err := hex.DecodeString(vault)
	if err != nil || len(id) != len(c.Vault) {
		return c, eventstore.ErrDamaged
	}
	copy(c.Vault[:], id)
	if c.Tenant, err = eventstore.ParseTenantID(tenant); err != nil {
		return c, err
	}
	if c.Size, err = strconv.ParseUint(lines[1], 10, 64); err != nil {
		return c, err
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != len(c.Root) {
		return c, eventstore.ErrDamaged
	}
	copy(c.Root[:], root)
	if c.text() != text {
		err = eventstore.ErrDamaged
	}
	return c, err
}

// Signer signs checkpoints. Each tenant has an Ed25519 key of its own, which is made at its first use and whose private half stands sealed in Meta. It is safe
// for concurrent use.
type Signer struct {
	vault   eventstore.VaultID
	meta    eventstore.Meta
	entropy io.Reader

	mu   sync.Mutex
	keys map[eventstore.TenantID]signingKey
}

type signingKey struct {
	signer note.Signer
	public string
}

// NewSigner makes a signer. entropy is where keys are drawn from (nil: crypto/rand).
func NewSigner(vault eventstore.VaultID, meta eventstore.Meta, entropy io.Reader) *Signer {
	if entropy == nil {
		entropy = rand.Reader
	}
	return &Signer{vault: vault, meta: meta, entropy: entropy, keys: map[eventstore.TenantID]signingKey{}}
}

// tableLedger keeps the keys: both halves of each, one a line, in the row rowKey.
const tableLedger eventstore.MetaTable = "ledger"

const rowKey = "checkpoint-key"

func (s *Signer) key(ctx context.Context, tenant eventstore.TenantID) (signingKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.keys[tenant]; ok {
		return k, nil
	}
	for {
		value, err := s.meta.Get(ctx, tenant, tableLedger, rowKey)
		if errors.Is(err, eventstore.ErrNotFound) {
			if err := s.make(ctx, tenant); err != nil && !errors.Is(err, eventstore.ErrConflict) {
				return signingKey{}, err
			}
			continue
		}
		if err != nil {
			return signingKey{}, err
		}
		private, public, _ := strings.Cut(string(value), "\n")
		signer, err := note.NewSigner(private)
		if err != nil || signer.Name() != Origin(s.vault, tenant) {
			return signingKey{}, fmt.Errorf("%w: the key that signs the checkpoints of tenant %s cannot be read", eventstore.ErrDamaged, tenant)
		}
		k := signingKey{signer, public}
		s.keys[tenant] = k
		return k, nil
	}
}

// make draws a tenant's key and keeps both halves in one row.
func (s *Signer) make(ctx context.Context, tenant eventstore.TenantID) error {
	private, public, err := note.GenerateKey(s.entropy, Origin(s.vault, tenant))
	if err != nil {
		return err
	}
	return s.meta.PutIf(ctx, tenant, tableLedger, rowKey, []byte(private+"\n"+public))
}

// Public is the public key of a tenant's checkpoints, in the form of [note.NewVerifier].
func (s *Signer) Public(ctx context.Context, tenant eventstore.TenantID) (string, error) {
	k, err := s.key(ctx, tenant)
	return k.public, err
}

// Sign signs a head of a tenant's ledger.
func (s *Signer) Sign(ctx context.Context, tenant eventstore.TenantID, head Head) ([]byte, error) {
	k, err := s.key(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: Checkpoint{s.vault, tenant, head}.text()}, k.signer)
}

// Forget drops the key of an erased tenant.
func (s *Signer) Forget(tenant eventstore.TenantID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, tenant)
}

// At is the head that the tenant's tree had when it held size entries (0: now). ErrInvalid for a size that it has not reached.
func (l *Ledger) At(tenant eventstore.TenantID, size uint64) (Head, error) {
	_, head, err := l.prove(tenant, size, func(*tree, uint64) ([]tlog.Hash, error) { return nil, nil })
	return head, err
}
