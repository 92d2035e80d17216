package register

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// KeyFileName is the file of the wrapped register key.
const KeyFileName = "register.key"

const (
	keyMagic = "oublirkey"
	keySize  = 32
	keyHead  = len(keyMagic) + 1 + 16 + 2
	// maxSmall bounds a file that is read whole: a wrapped key of any length that its field can hold, with what stands around it.
	maxSmall = keyHead + math.MaxUint16 + sha256.Size
)

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
	head := keyHead
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
	switch {
	case errors.Is(err, ErrKMS):
		return vault, key, true, fmt.Errorf("unwrapping the register key: %w", err)
	case err != nil:
		return vault, key, true, fmt.Errorf("%s: %w", KeyFileName, notOpened{err})
	case len(plain) != keySize:
		return vault, key, true, fmt.Errorf("%s: %w: what it opens is not a register key", KeyFileName, ErrKEK)
	}
	return vault, secret.New(plain), true, nil
}

// LoadKeys is LoadKey over the copies of a register: the first that the key-encryption key opens counts, and those that it opens must all say the same. found
// is false if no directory holds a key file. Errors: those of LoadKey; ErrDamaged if two copies belong to different vaults.
func LoadKeys(fs vfs.FS, dirs []string, kek tink.AEAD) (vault [16]byte, key secret.Bytes, found bool, err error) {
	var wrong error
	opened := false
	for _, dir := range dirs {
		v, k, there, err := LoadKey(fs, dir, kek)
		if err != nil && !errors.Is(err, ErrKEK) {
			return vault, key, true, fmt.Errorf("%s: %w", dir, err)
		}
		if !there {
			continue
		}
		if found && v != vault || err == nil && opened && !k.Equal(key) {
			return vault, key, true, fmt.Errorf("%s: %s belongs to another vault than that of the copy before: %w", dir, KeyFileName, ErrDamaged)
		}
		vault, found = v, true
		switch {
		case err != nil:
			wrong = fmt.Errorf("%s: %w", dir, err)
		case !opened:
			key, opened = k, true
		}
	}
	if found && !opened {
		return vault, key, true, wrong
	}
	return vault, key, found, nil
}

// spreadKey gives a copy the wrapping of the register key under the key-encryption key in force, unless it has it.
func spreadKey(fs vfs.FS, dir string, vault [16]byte, key secret.Bytes, kek tink.AEAD) error {
	v, k, found, err := LoadKey(fs, dir, kek)
	switch {
	case found && v != vault:
		return fmt.Errorf("%s belongs to another vault: %w", KeyFileName, ErrDamaged)
	case errors.Is(err, ErrKEK):
		b, err := wrapKey(vault, key, kek)
		if err != nil {
			return err
		}
		return rewrap(fs, dir, b)
	case err != nil:
		return err
	case !found:
		return StoreKey(fs, dir, vault, key, kek)
	case !k.Equal(key):
		return fmt.Errorf("%s holds another register key: %w", KeyFileName, ErrDamaged)
	}
	return Settle(fs, dir)
}

// notOpened is ErrKEK with a cause that says nothing to a person.
type notOpened struct{ cause error }

func (notOpened) Error() string { return ErrKEK.Error() }

func (n notOpened) Unwrap() []error { return []error{ErrKEK, n.cause} }

// StoreKey wraps the register key and replaces the key file, durably. Nothing is written before the key-encryption key has been seen to open
// what it wrapped.
func StoreKey(fs vfs.FS, dir string, vault [16]byte, key secret.Bytes, kek tink.AEAD) error {
	b, err := wrapKey(vault, key, kek)
	if err != nil {
		return err
	}
	return replaceFile(fs, dir, fs.PathJoin(dir, KeyFileName), b)
}

// wrapKey makes the content of the key file.
func wrapKey(vault [16]byte, key secret.Bytes, kek tink.AEAD) ([]byte, error) {
	wrapped, err := kek.Encrypt(key.Reveal(), keyAssociated(vault))
	if err != nil {
		return nil, fmt.Errorf("wrapping the register key: %w", err)
	}
	if len(wrapped) == 0 || len(wrapped) > math.MaxUint16 {
		return nil, fmt.Errorf("wrapping the register key: what the key-encryption key answered is %d bytes long", len(wrapped))
	}
	plain, err := kek.Decrypt(wrapped, keyAssociated(vault))
	if err != nil {
		return nil, fmt.Errorf("the key-encryption key does not open what it wrapped: %w", err)
	}
	if !secret.New(plain).Equal(key) {
		return nil, errors.New("the key-encryption key opens something else than it wrapped")
	}
	b := append([]byte(keyMagic), Version)
	b = append(b, vault[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(wrapped)))
	b = append(b, wrapped...)
	return checksummed(b), nil
}

// NewKey draws a register key.
func NewKey() (secret.Bytes, error) { return secret.Random(rand.Reader, keySize) }

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(maxSmall)+1))
	if err == nil && len(b) > maxSmall {
		err = fmt.Errorf("%s is too long: %w", fs.PathBase(path), ErrDamaged)
	}
	return b, err
}

// replaceFile writes a file beside path, syncs it, and renames it over path.
func replaceFile(fs vfs.FS, dir, path string, b []byte) (err error) {
	tmp := path + ".new"
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(bytes.Clone(b)) // a vfs.File may scribble on what it is given
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", fs.PathBase(path), err)
	}
	if err := fs.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(fs, dir)
}
