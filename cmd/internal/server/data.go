package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/oubli-store/oubli/eventstore"
)

// formatFile says that a directory is a data directory, and of which version.
const formatFile = "oubli-data"

const (
	formatPrefix  = "oubli data directory, version "
	formatVersion = 1
)

// mayStandThere lists what an operator may put into a data directory before the first start.
var mayStandThere = []string{"kek", "roots", "lost+found", "admin.token", formatFile}

// dataDir is a data directory that this process has locked.
type dataDir struct {
	path string
	lock *os.File
	// fresh says that the first start is not completed yet.
	fresh bool
	// whole says that everything was as the last stop left it, known what was there then; see stampFile.
	whole bool
	known map[string]seen
}

// openData makes or finds the data directory and locks it. ErrInUse, ErrNewerVersion, ErrDamaged.
func openData(path string) (*dataDir, error) {
	if path == "" {
		return nil, errors.New("no data directory is named (--data or OUBLI_DATA)")
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, cannotWrite(path, err)
	}
	if err := onlyOurs(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(path, formatFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, cannotWrite(path, err)
	}
	d := &dataDir{path: path, lock: f}
	if err := d.take("stop the other server, or name another --data"); err != nil {
		return nil, err
	}
	if err := errors.Join(d.check(), room(path)); err != nil {
		f.Close()
		return nil, err
	}
	return d, nil
}

// take locks the directory for this process, or closes it. todo is for whoever finds it in use.
func (d *dataDir) take(todo string) error {
	err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%w: %s; %s", eventstore.ErrInUse, d.path, todo)
	} else {
		err = fmt.Errorf("locking the data directory %s: %w", d.path, err)
	}
	return errors.Join(err, d.lock.Close())
}

// room refuses a disk that is as good as full.
func room(path string) error {
	left, err := free(path)
	if err != nil {
		return fmt.Errorf("looking at the disk of %s: %w", path, err)
	}
	if left < minFree {
		return cannotWrite(path, fmt.Errorf("%w (%d MiB are free, %d are needed)", syscall.ENOSPC, left>>20, minFree>>20))
	}
	return nil
}

// onlyOurs refuses a directory in which something else stands, so that a wrong --data does not mix two things.
func onlyOurs(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("reading the data directory: %w", err)
	}
	ours := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == formatFile })
	foreign := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !slices.Contains(mayStandThere, e.Name()) })
	if !ours && foreign {
		return fmt.Errorf("%s is neither empty nor a data directory of oubli (the file %s is missing); name another --data", path, formatFile)
	}
	return nil
}

// check reads the version.
func (d *dataDir) check() error {
	b, err := io.ReadAll(io.LimitReader(d.lock, 256))
	if err != nil {
		return fmt.Errorf("reading %s: %w", filepath.Join(d.path, formatFile), err)
	}
	if strings.HasPrefix(formatLine(), string(b)) && string(b) != formatLine() {
		d.fresh = true // empty, or torn by a crash at the very end of the first start
		return nil
	}
	if string(b) == restoringLine {
		return fmt.Errorf("%w (%s)", ErrUnfinished, d.path)
	}
	rest, ok := strings.CutPrefix(string(b), formatPrefix)
	version, err := strconv.Atoi(strings.TrimSuffix(rest, "\n"))
	if !ok || err != nil || version < 1 {
		return fmt.Errorf("%w: %s does not hold what oubli wrote there", eventstore.ErrDamaged, filepath.Join(d.path, formatFile))
	}
	if version > formatVersion {
		return fmt.Errorf("%w (version %d, this one knows up to %d): %s; start it with the newer oubli", eventstore.ErrNewerVersion, version, formatVersion, d.path)
	}
	return nil
}

func formatLine() string { return formatPrefix + strconv.Itoa(formatVersion) + "\n" }

// completed notes that the first start is done.
func (d *dataDir) completed() error {
	if !d.fresh {
		return nil
	}
	_, err := d.lock.WriteAt([]byte(formatLine()), 0)
	if err := errors.Join(err, d.lock.Sync(), syncDir(d.path)); err != nil {
		return cannotWrite(d.path, err)
	}
	d.fresh = false
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close gives the directory free.
func (d *dataDir) Close() error { return d.lock.Close() }

// in is a path within the directory.
func (d *dataDir) in(name string) string { return filepath.Join(d.path, name) }

// cannotWrite says what keeps the data directory from being written, and what to do.
func cannotWrite(path string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = "; the disk is full: make room and start again, nothing is lost"
	case errors.Is(err, syscall.EROFS):
		hint = "; the disk is read-only: mount it for writing, or name another --data"
	case errors.Is(err, fs.ErrPermission):
		hint = "; it must belong to the user that runs oubli"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		hint = "; a file stands in the way of the directory"
	}
	return fmt.Errorf("the data directory %s cannot be written: %w%s", path, err, hint)
}
