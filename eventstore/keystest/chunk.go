package keystest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// SealChunk implements [eventstore.Keys].
func (f *Fake) SealChunk(key, plaintext, associated []byte) ([]byte, error) {
	return seal([32]byte(key), plaintext, associated), nil
}

// OpenChunk implements [eventstore.Keys].
func (f *Fake) OpenChunk(key, ciphertext, associated []byte) ([]byte, error) {
	return open([32]byte(key), ciphertext, associated)
}

// chunks: a piece of a file opens under its key and associated data alone, and whole.
func chunks(t *testing.T, s *suite) {
	v := s.Vault
	key, other := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	for _, size := range []int{0, 1, 64, 1 << 16, eventstore.ChunkSize} {
		plain := bytes.Repeat([]byte{7}, size)
		sealed, err := v.SealChunk(key, plain, []byte("here"))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(sealed); n > size+77 || n > eventstore.MaxChunk-19 {
			t.Errorf("%d bytes became %d", size, n)
		}
		if again, _ := v.SealChunk(key, plain, []byte("here")); bytes.Equal(again, sealed) {
			t.Error("the same bytes are sealed alike")
		}
		if got, err := v.OpenChunk(key, sealed, []byte("here")); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes do not come back: %v", size, err)
		}
		flipped := bytes.Clone(sealed)
		flipped[len(flipped)/2] ^= 1
		for what, open := range map[string]func() ([]byte, error){
			"another key":    func() ([]byte, error) { return v.OpenChunk(other, sealed, []byte("here")) },
			"another place":  func() ([]byte, error) { return v.OpenChunk(key, sealed, []byte("there")) },
			"a flipped bit":  func() ([]byte, error) { return v.OpenChunk(key, flipped, []byte("here")) },
			"a short one":    func() ([]byte, error) { return v.OpenChunk(key, sealed[:len(sealed)-1], []byte("here")) },
			"nothing at all": func() ([]byte, error) { return v.OpenChunk(key, nil, []byte("here")) },
			"two of them": func() ([]byte, error) {
				return v.OpenChunk(key, append(bytes.Clone(sealed), sealed...), []byte("here"))
			},
		} {
			if _, err := open(); !errors.Is(err, eventstore.ErrDamaged) {
				t.Errorf("%s, %d bytes: %v", what, size, err)
			}
		}
	}
}
