package keyvault

import (
	"bytes"
	"fmt"
	"io"

	"github.com/tink-crypto/tink-go/v2/streamingaead/subtle"

	"github.com/oubli-store/oubli/eventstore"
)

// chunkSegment is above the size of a chunk, so that each is one segment of Tink's streaming AEAD (AES-256-GCM-HKDF): a header (40 bytes, with the salt under which
// its key is derived), the bytes, a tag (16).
const chunkSegment = eventstore.MaxChunk

func chunkCipher(key []byte) (*subtle.AESGCMHKDF, error) {
	c, err := subtle.NewAESGCMHKDF(key, "SHA256", 32, chunkSegment, 0)
	if err != nil {
		return nil, fmt.Errorf("the cipher of a file: %w", err)
	}
	return c, nil
}

// SealChunk implements [eventstore.Keys].
func (v *Vault) SealChunk(key, plaintext, associated []byte) ([]byte, error) {
	c, err := chunkCipher(key)
	if err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(make([]byte, 0, len(plaintext)+64))
	w, err := c.NewEncryptingWriter(out, associated)
	if err == nil {
		_, err = w.Write(plaintext)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("sealing a chunk of a file: %w", err)
	}
	return out.Bytes(), nil
}

// OpenChunk implements [eventstore.Keys].
func (v *Vault) OpenChunk(key, ciphertext, associated []byte) ([]byte, error) {
	c, err := chunkCipher(key)
	if err != nil {
		return nil, err
	}
	r, err := c.NewDecryptingReader(bytes.NewReader(ciphertext), associated)
	if err != nil {
		return nil, eventstore.ErrDamaged
	}
	out := make([]byte, max(0, len(ciphertext)-c.HeaderLength()-subtle.AESGCMHKDFTagSizeInBytes))
	if _, err := io.ReadFull(r, out); err != nil {
		return nil, eventstore.ErrDamaged
	}
	// The whole of it must be authentic, and no more. One Read is not enough: of an empty chunk the first answers nothing, and no error.
	if _, err := io.ReadFull(r, make([]byte, 1)); err != io.EOF {
		return nil, eventstore.ErrDamaged
	}
	return out, nil
}
