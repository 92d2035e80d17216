package keyvault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// ErrNoKEK: the file of a local key-encryption key is missing.
var ErrNoKEK = errors.New("the file of the key-encryption key is missing")

// kekURI is where the key-encryption key is.
func (v *Vault) kekURI() (string, error) {
	if v.c.KEK != "" {
		return v.c.KEK, nil
	}
	path := v.c.KEKFile
	if v.c.FS == nil {
		var err error
		if path, err = filepath.Abs(path); err != nil {
			return "", err
		}
	}
	return register.FileScheme + path, nil
}

// openKey unwraps the register key, drawing it for a new vault. It fixes the vault's id.
func (v *Vault) openKey() (key secret.Bytes, err error) {
	uri, err := v.kekURI()
	if err != nil {
		return key, err
	}
	if v.c.KEK == "" && v.c.Create && !v.hasKey() {
		if err := (register.FileKMS{FS: v.c.FS}).Create(uri[len(register.FileScheme):]); err != nil {
			return key, fmt.Errorf("vault: %w", err)
		}
	}
	if v.kek, err = register.KEK(v.c.FS, uri, v.c.KMS...); errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(uri, register.FileScheme) {
		return key, fmt.Errorf("vault: %w: %w", ErrNoKEK, err)
	} else if err != nil {
		return key, fromRegister(err)
	}
	id, key, found, err := register.LoadKeys(v.fs, v.c.rootDirs(), v.kek)
	v.id = id
	switch {
	case err != nil:
		return key, fromRegister(err)
	case found:
		return key, nil
	case !v.c.Create:
		return key, fmt.Errorf("vault: %s is missing: %w", register.KeyFileName, eventstore.ErrDamaged)
	}
	if _, err := io.ReadFull(v.entropy, v.id[:]); err != nil {
		return key, err
	}
	return register.NewKey()
}

// newKey draws a register key for a vault whose id is known, and finds the key-encryption key; a local one is made if it is missing.
func (v *Vault) newKey() (key secret.Bytes, err error) {
	uri, err := v.kekURI()
	if err != nil {
		return key, err
	}
	if v.c.KEK == "" {
		if err := (register.FileKMS{FS: v.c.FS}).Create(uri[len(register.FileScheme):]); err != nil {
			return key, fmt.Errorf("vault: %w", err)
		}
	}
	if v.kek, err = register.KEK(v.c.FS, uri, v.c.KMS...); err != nil {
		return key, fromRegister(err)
	}
	return register.NewKey()
}

// hasKey says whether a wrapped register key is there.
func (v *Vault) hasKey() bool {
	return slices.ContainsFunc(v.c.rootDirs(), func(dir string) bool {
		_, err := v.fs.Stat(v.fs.PathJoin(dir, register.KeyFileName))
		return err == nil
	})
}

// RotateKEK wraps the register key with another key-encryption key, and changes nothing else. When it returns without an error, only the new
// one opens the vault at the next start, and the old wrapping has been overwritten. After an error or a crash, the old one does or the
// new one does. before is called once both have been seen to work, and before anything is written; its error ends the rotation. Errors: those of
// Open; ErrConflict if another rotation is under way, or if this vault's was done before (it knows the old one only).
func (v *Vault) RotateKEK(_ context.Context, uri string, before func() error) error {
	if err := v.ready(); err != nil {
		return err
	}
	if !v.rotated.CompareAndSwap(false, true) {
		return eventstore.Refuse(eventstore.KindConflict, "new-kek", "the key-encryption key was rotated since the start")
	}
	err := v.rotateKEK(uri, before)
	if err != nil {
		v.rotated.Store(false)
	}
	return err
}

func (v *Vault) rotateKEK(uri string, before func() error) error {
	oldURI, err := v.kekURI()
	if err != nil {
		return err
	}
	if uri == oldURI {
		return eventstore.Refuse(eventstore.KindConflict, "new-kek", "the vault has this key-encryption key already")
	}
	oldKEK, err := register.KEK(v.c.FS, oldURI, v.c.KMS...)
	if err != nil {
		return fmt.Errorf("the present one: %w", fromRegister(err))
	}
	newKEK, err := register.KEK(v.c.FS, uri, v.c.KMS...)
	if err != nil {
		return fmt.Errorf("the new one: %w", fromRegister(err))
	}
	return fromRegister(register.Rotate(v.fs, v.c.rootDirs(), oldKEK, newKEK, before))
}
