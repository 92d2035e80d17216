package eventstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/oubli-store/oubli/eventstore/envelope"
)

// The file of an event of type attachment. What is known of it (name, type, size, hash, and the key that its bytes are sealed under) stands in the
// sealed event; its bytes stand as [Chunks]:
//
//	file       cut into pieces of [ChunkSize] bytes; the last one filled up with zeros to a Padmé size ([envelope.PaddedSize]); an empty file is one piece
//	piece i    sealed under the file's key ([Keys.SealChunk]) with the associated data of an envelope (tenant, person, attachment id, key month) ‖ i (8 bytes, big endian)
//	message i  an envelope of that attachment id and month
//
// So the bytes are gone with the event's key: with the person, with the month, with an erased part. A piece that was moved, left out, repeated or taken from
// another file does not open, and each can be opened without those before it.
const (
	// MaxAttachment bounds a file, in bytes.
	MaxAttachment = 1 << 30
	// ChunkSize is how much of a file stands in one message.
	ChunkSize = MaxChunk - envelope.HeaderSize - chunkOverhead
	// chunkOverhead is what sealing may add.
	chunkOverhead = 77
	// MaxFileName bounds the name of a file, in bytes.
	MaxFileName = 512
)

// File is what an event of type attachment says of its file.
type File struct {
	// Ref is what [ParseAttachmentRef] reads; it is set in what was read back.
	Ref         string `json:"id,omitempty" cbor:"-" doc:"What GET /v1/attachments/{id} takes"`
	Name        string `json:"name,omitempty" cbor:"1,keyasint,omitempty" doc:"As the sender named it, at most 512 bytes"`
	ContentType string `json:"content_type" cbor:"2,keyasint,omitempty" doc:"The media type that the sender named"`
	Size        uint64 `json:"size" cbor:"3,keyasint,omitempty" doc:"In bytes"`
	// SHA256 is of the whole file. It stands in the sealed event alone, so that a file that is sent again is known for the same.
	SHA256 HexBytes     `json:"sha256" cbor:"4,keyasint,omitempty" doc:"In hexadecimal"`
	ID     AttachmentID `json:"-" cbor:"5,keyasint,omitempty"`
	Key    FileKey      `json:"-" cbor:"6,keyasint,omitempty"`
}

// HexBytes are bytes that are hexadecimal in JSON.
type HexBytes []byte

// MarshalText implements [encoding.TextMarshaler].
func (h HexBytes) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%x", []byte(h)), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *HexBytes) UnmarshalText(b []byte) (err error) {
	if *h, err = hex.DecodeString(string(b)); err != nil {
		return Refuse(KindInvalid, "attachment.sha256", "it is not hexadecimal")
	}
	return nil
}

// FileKey is the key that a file's pieces are sealed under. It never prints; only the sealed body of an event holds it.
type FileKey struct{ key [32]byte }

func newFileKey() (k FileKey, err error) {
	if _, err := rand.Read(k.key[:]); err != nil {
		return k, fmt.Errorf("drawing a file's key: %w", err)
	}
	return k, nil
}

// Format implements [fmt.Formatter].
func (FileKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue implements [slog.LogValuer].
func (FileKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and so JSON.
func (FileKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalCBOR implements [cbor.Marshaler].
func (k FileKey) MarshalCBOR() ([]byte, error) { return cbor.Marshal(k.key[:]) }

// UnmarshalCBOR implements [cbor.Unmarshaler].
func (k *FileKey) UnmarshalCBOR(b []byte) error {
	var key []byte
	if err := cbor.Unmarshal(b, &key); err != nil || len(key) != len(k.key) {
		return ErrDamaged
	}
	copy(k.key[:], key)
	return nil
}

// MarshalCBOR implements [cbor.Marshaler].
func (a AttachmentID) MarshalCBOR() ([]byte, error) { return cbor.Marshal(a[:]) }

// UnmarshalCBOR implements [cbor.Unmarshaler].
func (a *AttachmentID) UnmarshalCBOR(b []byte) error {
	var id []byte
	if err := cbor.Unmarshal(b, &id); err != nil || len(id) != len(a) {
		return ErrDamaged
	}
	copy(a[:], id)
	return nil
}

// pieces is how many there are of a file.
func (f *File) pieces() uint64 { return max(1, (f.Size+ChunkSize-1)/ChunkSize) }

// associated is bound to a piece.
func (f *File) associated(tenant TenantID, person PersonID, month KeyMonth, i uint64) []byte {
	e := envelope.Envelope{Event: f.ID, Month: uint16(month)}
	out := e.AppendAssociated(make([]byte, 0, associatedSize), string(tenant), person)
	return append(out, byte(i>>56), byte(i>>48), byte(i>>40), byte(i>>32), byte(i>>24), byte(i>>16), byte(i>>8), byte(i))
}

// paddedPiece is the size of a piece of n bytes once it is filled up.
func paddedPiece(n int) int { return min(ChunkSize, envelope.PaddedSize(n)) }

// same says whether two files are one: all but where the bytes stand.
func (f *File) same(g *File) bool {
	return f.Name == g.Name && f.ContentType == g.ContentType && f.Size == g.Size && string(f.SHA256) == string(g.SHA256)
}

// AttachmentRef leads to an attachment's event. Sequence is where it stood when the reference was made: the event may have a copy elsewhere since.
type AttachmentRef struct {
	Person   PersonID
	Event    EventID
	Sequence uint64
}

// String is the form that stands in URLs: person, event and sequence with dots.
func (a AttachmentRef) String() string {
	return a.Person.String() + "." + a.Event.String() + "." + strconv.FormatUint(a.Sequence, 10)
}

var errNoAttachment = Refuse(KindNotFound, "id", "there is no such attachment")

// ParseAttachmentRef reads what String wrote. ErrNotFound.
func ParseAttachmentRef(s string) (a AttachmentRef, err error) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return a, errNoAttachment
	}
	var errs [3]error
	a.Person, errs[0] = ParsePersonID(parts[0])
	a.Event, errs[1] = ParseEventID(parts[1])
	a.Sequence, errs[2] = strconv.ParseUint(parts[2], 10, 64)
	if errors.Join(errs[:]...) != nil || a.Person.IsZero() || a.Sequence == 0 {
		return AttachmentRef{}, errNoAttachment
	}
	return a, nil
}

// AttachmentLimits are a tenant's, in bytes.
type AttachmentLimits struct {
	// Largest bounds one file; Total all that a tenant's attachments take.
	Largest, Total uint64
}

var (
	errLargest = Refuse(KindTooLarge, "file", "the file is larger than the tenant takes (its setting attachment_max)")
	errTotal   = Refuse(KindTooLarge, "file", "the tenant's attachments would take more than it may have (its setting attachments_total)")
)

func (s *Store) limits(tenant TenantID) AttachmentLimits {
	l := AttachmentLimits{Largest: MaxAttachment, Total: 1<<64 - 1}
	if s.c.Limits != nil {
		l = s.c.Limits(tenant)
	}
	l.Largest = min(l.Largest, MaxAttachment)
	return l
}

// LargestAttachment is how many bytes a file of a tenant may have.
func (s *Store) LargestAttachment(tenant TenantID) uint64 { return s.limits(tenant).Largest }

// OpenAttachments makes a tenant's attachments ready (see [Log.Open]). It must be called once before they are used; without [Config.Chunks] it does nothing.
func (s *Store) OpenAttachments(ctx context.Context, tenant TenantID, create bool) error {
	if s.c.Chunks == nil {
		return nil
	}
	return s.c.Chunks.Open(ctx, tenant, s.c.Keys.Vault(), create, nil)
}
