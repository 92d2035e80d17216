package register

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/core/registry"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// FileScheme begins the URI of a local key-encryption key.
const FileScheme = "file://"

// kekSize is the size of a local key-encryption key.
const kekSize = 32

// KMS is a Tink KMS client. An error of its AEADs that says nothing about the key or the ciphertext (the service cannot be reached, refuses the
// credentials, or fails) matches [ErrKMS]. Its AEADs bound how long a call takes, and no error of theirs repeats a credential.
type KMS = registry.KMSClient

// FileKMS is a Tink KMS client for keys in local files: 32 random bytes, readable by the owner only.
type FileKMS struct {
	// FS is where the files are; nil means the machine's own, where the mode of a file is checked too.
	FS vfs.FS
}

var _ registry.KMSClient = FileKMS{}

// Supported implements [registry.KMSClient].
func (FileKMS) Supported(uri string) bool { return strings.HasPrefix(uri, FileScheme) }

// GetAEAD implements [registry.KMSClient].
func (k FileKMS) GetAEAD(uri string) (tink.AEAD, error) {
	path, ok := strings.CutPrefix(uri, FileScheme)
	if !ok {
		return nil, errors.New("not the URI of a local key-encryption key")
	}
	fs := k.FS
	if fs == nil {
		fs = vfs.Default
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("the key-encryption key: %w", err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			return nil, fmt.Errorf("the key-encryption key in %s can be read by others: its mode must be 0600", filepath.Base(path))
		}
	}
	b, err := readFile(fs, path)
	if err != nil {
		return nil, fmt.Errorf("the key-encryption key: %w", err)
	}
	defer clear(b)
	if len(b) != kekSize {
		return nil, fmt.Errorf("the key-encryption key in %s must be 32 bytes long: %w", filepath.Base(path), ErrDamaged)
	}
	return subtle.NewAESGCM(b)
}

// Create makes the key file unless it is there.
func (k FileKMS) Create(path string) error {
	if k.FS != nil {
		if _, err := k.FS.Stat(path); err == nil || !isNotExist(err) {
			return err
		}
		return replaceFile(k.FS, k.FS.PathDir(path), path, newKEK())
	}
	if _, err := os.Stat(path); err == nil || !isNotExist(err) {
		return err
	}
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !isNotExist(err) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(newKEK())
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing the key-encryption key: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func newKEK() []byte {
	b := make([]byte, kekSize)
	rand.Read(b) // never fails
	return b
}

// KEK finds the AEAD of a key-encryption key by its URI: local files here, everything else with the first of the clients that supports it.
func KEK(fs vfs.FS, uri string, clients ...KMS) (tink.AEAD, error) {
	for _, client := range append([]KMS{FileKMS{FS: fs}}, clients...) {
		if !client.Supported(uri) {
			continue
		}
		a, err := client.GetAEAD(uri)
		if err != nil {
			return nil, fmt.Errorf("the key-encryption key: %w", err)
		}
		return a, nil
	}
	return nil, errors.New("the key-encryption key: no client serves the scheme of its URI")
}
