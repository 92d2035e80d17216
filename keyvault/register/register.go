// Package register is the effaceable root register: the one place where a key vault's root keys stand, and the one place whose old
// contents must really go.
//
// # Promises
//
// A [Register] keeps two slots for each tenant. A write is durable when it returns, and touches nothing but its slot. [Register.Efface] returns
// when the key that the slot held cannot be read from the register any more, by whoever holds it and the key-encryption key. A slot that was torn
// by a crash reads as [Torn], never as another key. Which slot counts is for the key vault to say. A register in a TPM's NV memory or behind PKCS#11 keeps
// the same two small objects for each tenant; a remote one answers to the context.
//
// # Copies
//
// [Copies] is one or more registers that hold the same, on volumes of their own, so that the loss of one volume is not the loss of everything.
// A root is in every copy before it counts, and an effacement is done in every copy before it counts. The price is that a copy that cannot be written
// holds up erasures: [Copies.Write] fails, and nothing was erased; after a [Copies.Efface] that fails the key vault stops, because the old
// root may still stand in that copy. Events are taken and read meanwhile: they write no root. No erasure is ever acknowledged while a copy that is
// part of the register could still hold the old root.
//
// The copies know each other: each lists the ids of all, with an epoch that grows with every change of the list; the newest list counts.
//
//   - A copy of the list that is not given, or whose directory holds no register, is missing: [Open] refuses. With Lost set, which is the operator's
//     decision, it is taken off the list. What it holds are the roots of that moment: whoever finds it has to destroy it or give it back.
//   - A copy that is given and is not on the newest list is stale: it was taken off. It becomes part again; before anything is served the
//     key vault overwrites every root in it ([Copies.Agree], [Copies.EffaceAll]).
//   - An empty directory is filled. A directory that is a copy of another one (the same id) is refused.
//
// A crash during a change of the list leaves the change done or not done, and what is left to do is done at the next start: a new copy's
// files are complete before it is on any list, and every copy on the newest list is one that is given.
//
// # The files, version 1
//
// The embedded default is the file roots/register, pre-allocated and overwritten in place in blocks of 4096 bytes. Integers are big endian;
// every block ends with the SHA-256 of what stands before it.
//
//	blocks 0 and 1  "oubliroots" ‖ version(1) ‖ vault id(16) ‖ epoch(8) ‖ id of this copy(16) ‖ number of copies(1) ‖ their ids, ascending(16 each) ‖ zeros
//	block 2+2i+s    slot s (0 or 1) of tenant i:
//	                "oubr" ‖ version(1) ‖ state(1: 0 empty, 1 full) ‖ tenant(4) ‖ slot(1) ‖ generation(8) ‖ sealed root key(60) ‖ random bytes
//
// Blocks 0 and 1 say the same; they are written one after the other, each synced. The one that is sound counts, of two the one of the higher epoch.
//
// A sealed root key is nonce(12) ‖ AES-256-GCM ciphertext(32) ‖ tag(16) under the register key, with the associated data
// "oubli/register/1" ‖ 0x00 ‖ vault id ‖ tenant(4) ‖ slot(1) ‖ generation(8). An empty slot is random where the key would be.
//
// The register key is 32 random bytes, wrapped once by the key-encryption key (a Tink AEAD of a KMS, or of a local file), so that a
// shred needs no KMS. It stands in roots/register.key, replaced whole; all copies have the same register key:
//
//	"oublirkey" ‖ version(1) ‖ vault id(16) ‖ length(2) ‖ wrapped key ‖ SHA-256
//
// with the associated data "oubli/register-key/1" ‖ 0x00 ‖ vault id.
//
// Its key-encryption key is changed by [Rotate], copy by copy, one synced step after the other: register.key gets the second name register.key.old; the new
// wrapping is written to register.key.new and renamed over register.key; register.key.old is overwritten and removed. So register.key is there, whole, and
// opens with the old or with the new key-encryption key, wherever a crash stops it; what it leaves beside is taken away by [Settle] at the next start, and
// a copy that still has the other wrapping gets the one that is in force.
//
// # Not guaranteed
//
// The file assumes a filesystem that overwrites in place (not a copy-on-write one), on a device that does not keep remapped pages. What
// such a device keeps is useful only together with the register key. The headers carry a checksum and no seal: who can write them can also overwrite
// the roots.
package register

import (
	"context"
	"errors"

	"github.com/oubli-store/oubli/keyvault/secret"
)

// Errors of a register.
var (
	// ErrDamaged: a file of the register is missing, cut or changed.
	ErrDamaged = errors.New("root register: damaged")
	// ErrMissing: a copy that is part of the register is not given, or its directory holds none.
	ErrMissing = errors.New("root register: a copy is missing")
	// ErrVersion: a newer version wrote it.
	ErrVersion = errors.New("root register: of a newer version")
	// ErrKEK: the key-encryption key does not open the register key.
	ErrKEK = errors.New("root register: the key-encryption key does not open the register key")
	// ErrKMS: the service that holds the key-encryption key gave no answer about it.
	ErrKMS = errors.New("the key management service cannot be used")
)

// State says what a slot holds.
type State byte

// The states.
const (
	Empty State = 0
	Full  State = 1
	// Torn: the slot's checksum does not hold, or its key does not open.
	Torn State = 2
)

// Root is a root key and the generation of the tree that it opens.
type Root struct {
	Generation uint64
	Key        secret.Bytes
}

// Equal says whether two roots are the same.
func (r Root) Equal(o Root) bool { return r.Generation == o.Generation && r.Key.Equal(o.Key) }

// Slot is what a slot holds; Root is set when it is full.
type Slot struct {
	State State
	Root  Root
}

// Register keeps root keys: see the package comment for its promises. Calls for different tenants may run at the same time.
type Register interface {
	// Slots reads a tenant's two slots; they are empty for a tenant that was never written.
	Slots(ctx context.Context, tenant uint32) ([2]Slot, error)
	// Write puts a root into a slot, durably.
	Write(ctx context.Context, tenant uint32, slot int, r Root) error
	// Efface destroys what a slot holds, durably. Repeatable.
	Efface(ctx context.Context, tenant uint32, slot int) error
	// Tenants is above every tenant that was ever written.
	Tenants(ctx context.Context) (uint32, error)
	Close() error
}
