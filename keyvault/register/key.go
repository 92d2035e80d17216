package register

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// KeyFileName is the file of the wrapped register key.
const KeyFileName = "register.key"

const keyMagic = "oublirkey"

func isNotExist(err error) bool { return errors.Is(err, os.ErrNotExist) }

func keyAssociated(vault [16]byte) []byte {
	return append([]byte("oubli/register-key/1\x00"), vault[:]...)
}

// LoadKey unwraps the register key and says to which vault it belongs. found is false if there is no key file.
func LoadKey(fs vfs.FS, dir string, kek tink.AEAD) (vault [16]byte, key secret.Bytes, found bool, err error) {
	b, err := readFile(fs, fs.PathJoin(dir, KeyFileName))
	if isNotExist(err) {
		return vault, key, false, nil
	}
	if err != nil {
		return vault, key, false, err
	}
	head := len(keyMagic) + 1 + 16 + 2
	if !bytes.HasPrefix(b, []byte(keyMagic)) || len(b) < head {
		return vault, key, true, fmt.Errorf("%s is cut: %w", KeyFileName, ErrDamaged)
	}
	if b[len(keyMagic)] > Version {
		return vault, key, true, fmt.Errorf("%s: %w", KeyFileName, ErrVersion)
	}
	n := int(binary.BigEndian.Uint16(b[head-2:]))
	if len(b) != head+n+sha256.Size {
		return vault, key, true, fmt.Errorf("%s is cut: %w", KeyFileName, ErrDamaged)
	}
	if sum := sha256.Sum256(b[:head+n]); !bytes.Equal(sum[:], b[head+n:]) {
		return vault, key, true, fmt.Errorf("%s: its checksum does not hold: %w", KeyFileName, ErrDamaged)
	}
	copy(vault[:], b[len(keyMagic)+1:])
	plain, err := kek.Decrypt(b[head:head+n], keyAssociated(vault))
	if err != nil {
		return vault, key, true, fmt.Errorf("%s: %w", KeyFileName, errors.Join(ErrKEK, err))
	}
	return vault, secret.New(plain), true, nil
}

// StoreKey wraps the register key and replaces the key file, durably.
func StoreKey(fs vfs.FS, dir string, vault [16]byte, key secret.Bytes, kek tink.AEAD) error {
	wrapped, err := kek.Encrypt(key.Reveal(), keyAssociated(vault))
	if err != nil {
		return fmt.Errorf("wrapping the register key: %w", err)
	}
	b := append([]byte(keyMagic), Version)
	b = append(b, vault[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(wrapped)))
	b = append(b, wrapped...)
	return replaceFile(fs, dir, fs.PathJoin(dir, KeyFileName), checksummed(b))
}

// NewKey draws a register key.
func NewKey() (secret.Bytes, error) { return secret.Random(rand.Reader, 32) }

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// replaceFile writes a file beside path, syncs it, and renames it over path.
func replaceFile(fs vfs.FS, dir, path string, b []byte) (err error) {
	tmp := path + ".new"
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", fs.PathBase(path), err)
	}
	if err := fs.Rename(tmp, path); err != nil {
		return err
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
