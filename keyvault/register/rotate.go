package register

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/tink-crypto/tink-go/v2/tink"
)

const (
	oldName = KeyFileName + ".old"
	newName = KeyFileName + ".new"
)

// Rotate wraps the register key with another key-encryption key, in every copy; the register key itself, and so the register, stay as they are. When
// it returns without an error, the new one opens every key file and the old wrappings have been overwritten. After an error or a crash, each key
// file opens with one of the two, and [Open] or another Rotate completes it. before is called once both have been seen to work, and before anything
// is written; its error ends the rotation. Errors: ErrKEK if neither opens a key file, ErrKMS, ErrDamaged.
func Rotate(fs vfs.FS, dirs []string, oldKEK, newKEK tink.AEAD, before func() error) error {
	vault, key, err := loadEither(fs, dirs, oldKEK, newKEK)
	if err != nil {
		return err
	}
	b, err := wrapKey(vault, key, newKEK)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := Settle(fs, dir); err != nil {
			return err
		}
	}
	if err := before(); err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := rewrap(fs, dir, b); err != nil {
			return err
		}
	}
	return nil
}

// loadEither is LoadKeys where a copy may have the other wrapping already, as an interrupted rotation leaves it, and none may be missing.
func loadEither(fs vfs.FS, dirs []string, kek, other tink.AEAD) (vault [16]byte, key secret.Bytes, err error) {
	vault, key, found, err := LoadKeys(fs, dirs, kek)
	if err != nil {
		return vault, key, err
	}
	for _, dir := range dirs {
		_, k, there, err := LoadKey(fs, dir, kek)
		if errors.Is(err, ErrKEK) {
			_, k, there, err = LoadKey(fs, dir, other)
		}
		switch {
		case err != nil:
			return vault, key, fmt.Errorf("%s: %w", dir, err)
		case !found || !there:
			return vault, key, fmt.Errorf("%s: %s is missing: %w", dir, KeyFileName, ErrDamaged)
		case !k.Equal(key):
			return vault, key, fmt.Errorf("%s: %s holds another register key: %w", dir, KeyFileName, ErrDamaged)
		}
	}
	return vault, key, nil
}

// rewrap replaces a key file and overwrites what it held before.
func rewrap(fs vfs.FS, dir string, b []byte) error {
	if err := Settle(fs, dir); err != nil {
		return err
	}
	path := fs.PathJoin(dir, KeyFileName)
	if err := fs.Link(path, fs.PathJoin(dir, oldName)); err != nil {
		return fmt.Errorf("keeping hold of the old wrapping, to overwrite it: %w", err)
	}
	if err := syncDir(fs, dir); err != nil {
		return err
	}
	if err := replaceFile(fs, dir, path, b); err != nil {
		return err
	}
	return Settle(fs, dir)
}

// Settle takes away what an interrupted rotation left beside the key file. Call it only when the key file has been seen to open: what it takes away may
// hold the only other wrapping of the register key.
func Settle(fs vfs.FS, dir string) error {
	present, err := readFile(fs, fs.PathJoin(dir, KeyFileName))
	if err != nil {
		return fmt.Errorf("reading %s: %w", KeyFileName, err)
	}
	for _, name := range []string{oldName, newName} {
		path := fs.PathJoin(dir, name)
		left, err := readFile(fs, path)
		if isNotExist(err) {
			continue
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		// What says the same may be the key file itself, under a second name: only the name goes then. What differs cannot be.
		if !bytes.Equal(left, present) {
			if err := overwrite(fs, path); err != nil {
				return fmt.Errorf("overwriting %s: %w", name, err)
			}
		}
		if err := fs.Remove(path); err != nil {
			return fmt.Errorf("removing %s: %w", name, err)
		}
		if err := syncDir(fs, dir); err != nil {
			return err
		}
	}
	return nil
}

// overwrite fills a file with random bytes, in place and durably.
func overwrite(fs vfs.FS, path string) (err error) {
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	b := make([]byte, min(info.Size(), int64(maxSmall)))
	rand.Read(b) // never fails
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
