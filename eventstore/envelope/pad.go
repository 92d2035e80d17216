package envelope

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// ErrPadding says that a plaintext is not a padded body.
var ErrPadding = errors.New("envelope: the padding is not as it was written")

// PaddedSize is the size of a padded body of n bytes: with its 4-byte length, the next multiple of 64 up to 1 KiB, and above that the
// next Padmé size (Nikitin et al., Reducing Metadata Leakage from Encrypted Files, PoPETs 2019: at most 12 % more, O(log log n) bits leaked).
func PaddedSize(n int) int {
	n += 4
	if n <= 1024 {
		return (n + 63) &^ 63
	}
	e := bits.Len(uint(n)) - 1
	s := bits.Len(uint(e))
	mask := 1<<(e-s) - 1
	return (n + mask) &^ mask
}

// Pad appends to dst the padded body, which may come in parts: its length (4 bytes, big endian), the body, zeros up to [PaddedSize].
func Pad(dst []byte, parts ...[]byte) []byte {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return append(dst, make([]byte, PaddedSize(size)-4-size)...)
}

// Unpad returns the body, which aliases padded. ErrPadding.
func Unpad(padded []byte) ([]byte, error) {
	if len(padded) < 4 {
		return nil, ErrPadding
	}
	n := int(binary.BigEndian.Uint32(padded))
	if n > len(padded)-4 || PaddedSize(n) != len(padded) {
		return nil, ErrPadding
	}
	for _, b := range padded[4+n:] {
		if b != 0 {
			return nil, ErrPadding
		}
	}
	return padded[4 : 4+n], nil
}
