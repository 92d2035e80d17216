// Package envelope is the wire form of one event: bytes and fixed arrays, no I/O and no cryptography.
//
// # Wire form, version 1
//
//	offset  size  field
//	0       1     version, 1
//	1       16    event id (ULID: 48 bits of receive time in milliseconds, 80 random bits)
//	17      2     key month, big endian, months since January 1970
//	19      …     ciphertext as the vault sealed it (nonce, body, tag)
//
// Nothing else is in the clear. A control message (what happened to a person) has the same form with key month 0xFFFF; it is sealed
// under the tenant's control key.
//
// # Associated data
//
// Bound to every ciphertext, so that one that was moved, swapped or replayed elsewhere does not open:
//
//	"oubli/event/1" ‖ 0x00 ‖ len(tenant) ‖ tenant ‖ person (16; zero for control) ‖ event id (16) ‖ version (1) ‖ key month (2)
//
// # Padding
//
// The sealed plaintext is a padded body: see [Pad].
package envelope

import (
	"encoding/binary"
	"errors"
)

const (
	// Version is the only version so far.
	Version = 1
	// HeaderSize is the size of what is in the clear, in bytes.
	HeaderSize = 1 + 16 + 2
	// ControlMonth stands for the key month in control messages.
	ControlMonth uint16 = 0xFFFF
)

// Errors of [Parse].
var (
	ErrShort   = errors.New("envelope: shorter than its header")
	ErrVersion = errors.New("envelope: of a version that this program does not know")
)

// Envelope is one event on the wire.
type Envelope struct {
	Event      [16]byte
	Month      uint16
	Ciphertext []byte
}

// Append appends the wire form to dst.
func (e Envelope) Append(dst []byte) []byte {
	dst = append(dst, Version)
	dst = append(dst, e.Event[:]...)
	dst = binary.BigEndian.AppendUint16(dst, e.Month)
	return append(dst, e.Ciphertext...)
}

// Size is the length of the wire form.
func (e Envelope) Size() int { return HeaderSize + len(e.Ciphertext) }

// Parse reads the wire form. The ciphertext aliases b. ErrShort, ErrVersion.
func Parse(b []byte) (Envelope, error) {
	var e Envelope
	if len(b) < HeaderSize {
		return e, ErrShort
	}
	if b[0] != Version {
		return e, ErrVersion
	}
	copy(e.Event[:], b[1:17])
	e.Month = binary.BigEndian.Uint16(b[17:19])
	e.Ciphertext = b[HeaderSize:]
	return e, nil
}

// AppendAssociated appends the associated data of the envelope to dst. tenant is at most 255 bytes long.
func (e Envelope) AppendAssociated(dst []byte, tenant string, person [16]byte) []byte {
	dst = append(dst, "oubli/event/1\x00"...)
	dst = append(dst, byte(len(tenant)))
	dst = append(dst, tenant...)
	dst = append(dst, person[:]...)
	dst = append(dst, e.Event[:]...)
	dst = append(dst, Version)
	return binary.BigEndian.AppendUint16(dst, e.Month)
}
