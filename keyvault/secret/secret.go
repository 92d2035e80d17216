// Package secret is a byte box that never prints: it shows [redacted] under every fmt verb, in JSON, as text and in slog.
// Any package may import it.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Bytes holds key material. The zero value is empty. Copies share the same memory.
type Bytes struct{ b *[]byte }

// New takes ownership of b.
func New(b []byte) Bytes { return Bytes{b: &b} }

// Random draws n bytes from entropy.
func Random(entropy io.Reader, n int) (Bytes, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(entropy, b); err != nil {
		return Bytes{}, fmt.Errorf("drawing %d random bytes: %w", n, err)
	}
	return New(b), nil
}

// Reveal gives the bytes themselves: the one way to read them. The caller must not keep or print them.
func (s Bytes) Reveal() []byte {
	if s.b == nil {
		return nil
	}
	return *s.b
}

// Len is the number of bytes.
func (s Bytes) Len() int { return len(s.Reveal()) }

// Equal compares in constant time (for equal lengths).
func (s Bytes) Equal(o Bytes) bool { return subtle.ConstantTimeCompare(s.Reveal(), o.Reveal()) == 1 }

// Wipe overwrites the bytes with zeros, for all copies.
func (s Bytes) Wipe() { clear(s.Reveal()) }

// Format implements [fmt.Formatter].
func (Bytes) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue implements [slog.LogValuer].
func (Bytes) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and so JSON.
func (Bytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }
