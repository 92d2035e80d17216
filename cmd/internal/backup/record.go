package backup

import (
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// Version is the version of the format; files of version 1, which have no attachments, are read too.
const (
	Version        = 2
	versionNoFiles = 1
)

const (
	magic = "oubli backup"
	// maxFrame bounds a frame; frameBytes and frameItems are where the writer ends one.
	maxFrame   = 64 << 20
	frameBytes = 1 << 20
	frameItems = 4096
)

// Errors of a file.
var (
	// ErrDamaged: the file is cut, changed, or in another order. It is an [eventstore.ErrDamaged].
	ErrDamaged = fmt.Errorf("the backup is damaged: %w", eventstore.ErrDamaged)
	// ErrIdentity: none of the identities opens the file.
	ErrIdentity = errors.New("none of the identities opens this backup")
	// ErrExpired: the file's time is over.
	ErrExpired = errors.New("the backup has expired")
)

// kinds of records.
const (
	kindHeader  = 1
	kindSection = 2
	kindItems   = 3
	kindEnd     = 4
	kindTrailer = 5
)

// Kind names what a section holds.
type Kind string

// The sections, in their order.
const (
	Events   Kind = "CONV"
	Chunks   Kind = "BLOB"
	Releases Kind = "STATS"
	Vault    Kind = "VAULT"
	Ledger   Kind = "LEDGER"
)

// Header begins a file.
type Header struct {
	Vault eventstore.VaultID
	// Moment is when the vault's rows were taken; Expires is when the file must not be used any more.
	Moment, Expires time.Time
	// Program is the version of Oubli that wrote it.
	Program string
	Tenants []Tenant
}

// Tenant is a tenant as of the moment.
type Tenant struct {
	Name   eventstore.TenantID
	Number uint32
	// Erased tenants have no sections.
	Erased bool
	// Last is the last sequence of the stream; Entries how many entries the ledger had; Chunks is the last sequence of the stream of attachments.
	Last, Entries, Chunks uint64
}

// Section begins a part of the file.
type Section struct {
	Kind Kind
	// Tenant is empty for the vault.
	Tenant eventstore.TenantID
	// Last is the last sequence of a stream, which may be that of a message that was removed.
	Last uint64
	// Roots are the root keys of the moment by the tenants' numbers; only the vault's section has them.
	Roots map[uint32]secret.Bytes
}

// Item is one message, record or row; see the package comment.
type Item struct {
	_      struct{} `cbor:",toarray"`
	Number uint64
	Key    []byte
	Value  []byte
	Time   int64
}

func (i Item) size() int { return len(i.Key) + len(i.Value) + 32 }

type record struct {
	_    struct{} `cbor:",toarray"`
	Kind uint8
	Body cbor.RawMessage
}

type wireHeader struct {
	Magic   string       `cbor:"0,keyasint"`
	Version uint64       `cbor:"1,keyasint"`
	Vault   []byte       `cbor:"2,keyasint"`
	Moment  int64        `cbor:"3,keyasint"`
	Expires int64        `cbor:"4,keyasint"`
	Program string       `cbor:"5,keyasint,omitempty"`
	Tenants []wireTenant `cbor:"6,keyasint"`
}

type wireTenant struct {
	Name    eventstore.TenantID `cbor:"0,keyasint"`
	Number  uint32              `cbor:"1,keyasint"`
	Erased  bool                `cbor:"2,keyasint,omitempty"`
	Last    uint64              `cbor:"3,keyasint,omitempty"`
	Entries uint64              `cbor:"4,keyasint,omitempty"`
	Chunks  uint64              `cbor:"5,keyasint,omitempty"`
}

type wireSection struct {
	Kind   Kind                `cbor:"0,keyasint"`
	Tenant eventstore.TenantID `cbor:"1,keyasint,omitempty"`
	Last   uint64              `cbor:"2,keyasint,omitempty"`
	Roots  []wireRoot          `cbor:"3,keyasint,omitempty"`
}

type wireRoot struct {
	Number uint32 `cbor:"0,keyasint"`
	Key    []byte `cbor:"1,keyasint"`
}

type wireEnd struct {
	Items uint64 `cbor:"0,keyasint"`
}

type wireTrailer struct {
	Items    uint64 `cbor:"0,keyasint"`
	Sections uint64 `cbor:"1,keyasint"`
	Sum      []byte `cbor:"2,keyasint"`
}

var (
	encoding = must(cbor.CoreDetEncOptions().EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 6, MaxArrayElements: 1 << 20, MaxMapPairs: 16,
	}.DecMode())
	// peeking reads a header's magic and version, whatever else is there.
	peeking = must(cbor.DecOptions{IndefLength: cbor.IndefLengthForbidden}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// sections is what a file of a version with this header holds, in order.
func (h Header) sections(version uint64) []Section {
	var out []Section
	each := func(kind Kind) {
		for _, t := range h.Tenants {
			if !t.Erased {
				s := Section{Kind: kind, Tenant: t.Name}
				switch kind {
				case Events:
					s.Last = t.Last
				case Chunks:
					s.Last = t.Chunks
				}
				out = append(out, s)
			}
		}
	}
	each(Events)
	if version != versionNoFiles {
		each(Chunks)
	}
	each(Releases)
	out = append(out, Section{Kind: Vault})
	each(Ledger)
	return out
}

func (s Section) String() string {
	if s.Tenant == "" {
		return string(s.Kind)
	}
	return string(s.Kind) + " of tenant " + string(s.Tenant)
}
