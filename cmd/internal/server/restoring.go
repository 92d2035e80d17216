package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/register"
)

// restoringLine stands in the format file while a restore is under way: nothing opens such a directory.
const restoringLine = "oubli data directory, restore not finished\n"

// ErrUnfinished: a restore into the data directory did not come to its end.
var ErrUnfinished = fmt.Errorf("a restore into this data directory was not finished; run it again in an empty directory: %w", eventstore.ErrDamaged)

// mayBeThere lists what an operator may have put where a restore goes.
var mayBeThere = []string{"kek", "roots", "lost+found"}

// restoring is a data directory that a restore fills.
type restoring struct {
	*dataDir
	roots []string
	// kek says that the key-encryption key was there before.
	kek bool
}

// beginRestoring makes and locks the data directory of a restore, which must be as good as empty, and notes, durably and before anything else, that what is
// in it is not whole.
func beginRestoring(c Config) (*restoring, error) {
	path, err := filepath.Abs(c.Data)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, cannotWrite(path, err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("reading the data directory: %w", err)
	}
	r := &restoring{roots: c.RootDirs()}
	for _, e := range entries {
		if !slices.Contains(mayBeThere, e.Name()) {
			return nil, fmt.Errorf("%w: %s is not empty (%s stands there); a restore needs an empty directory", eventstore.ErrConflict, path, e.Name())
		}
		r.kek = r.kek || e.Name() == "kek"
	}
	for _, dir := range r.roots {
		for _, name := range []string{register.FileName, register.KeyFileName} {
			if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
				return nil, errors.Join(fmt.Errorf("%w: there is a root register in %s already; name another --roots, or take it away", eventstore.ErrConflict, dir), err)
			}
		}
	}
	f, err := os.OpenFile(filepath.Join(path, formatFile), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, cannotWrite(path, err)
	}
	r.dataDir = &dataDir{path: path, lock: f}
	if err := r.take("name another --data"); err != nil {
		return nil, err
	}
	_, err = f.WriteString(restoringLine)
	if err := errors.Join(err, f.Sync(), syncDir(path), syncDir(filepath.Dir(path))); err != nil {
		return nil, errors.Join(cannotWrite(path, err), f.Close())
	}
	return r, nil
}

// complete makes everything durable and then, in one rename, the directory one that can be served.
func (r *restoring) complete() error {
	err := filepath.WalkDir(r.path, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() && !d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
	if err != nil {
		return fmt.Errorf("making the restored files durable: %w", err)
	}
	next := r.in(formatFile + ".new")
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return cannotWrite(r.path, err)
	}
	_, err = f.WriteString(formatLine())
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return cannotWrite(r.path, err)
	}
	if err := errors.Join(os.Rename(next, r.in(formatFile)), syncDir(r.path)); err != nil {
		return cannotWrite(r.path, err)
	}
	return r.Close()
}

// abandon deletes what a restore that failed has made, the note last.
func (r *restoring) abandon() error {
	var failed []error
	for _, name := range []string{"nats", "log", "vault", "vault.restoring", "projections", "admin.token", formatFile + ".new"} {
		failed = append(failed, os.RemoveAll(r.in(name)))
	}
	for _, dir := range r.roots {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // it was not made yet
		}
		for _, e := range entries {
			failed = append(failed, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	if !r.kek {
		failed = append(failed, os.RemoveAll(r.in("kek")))
	}
	if err := errors.Join(failed...); err != nil {
		return errors.Join(fmt.Errorf("taking away what was restored: %w", err), r.Close())
	}
	return errors.Join(os.Remove(r.in(formatFile)), r.Close())
}
