// Package shadow is a filesystem whose files can be read and whose changes go to memory: a program that puts its files in order when it opens
// them can be run on files that must stay as they are.
//
// What is opened for writing, renamed or linked is copied to memory first, whole. Only locks are taken on the disk, so that nobody else writes
// meanwhile; a lock file that is missing is made. What is in memory is gone with the FS.
package shadow

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS implements [vfs.FS].
type FS struct {
	base vfs.FS
	mem  *vfs.MemFS

	mu   sync.Mutex
	gone map[string]bool // removed here; what is made again stands in mem
}

var _ vfs.FS = (*FS)(nil)

// New makes a shadow of the disk.
func New() *FS { return Of(vfs.Default) }

// Of makes a shadow of another filesystem.
func Of(base vfs.FS) *FS { return &FS{base: base, mem: vfs.NewMem(), gone: map[string]bool{}} }

// below says whether a file is to be read from the base.
func (f *FS) below(name string) bool {
	if _, err := f.mem.Stat(name); err == nil {
		return false
	}
	return !f.removed(name)
}

// removed says whether a file, or a directory that it is in, was removed.
func (f *FS) removed(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		if f.gone[name] {
			return true
		}
		up := filepath.Dir(name)
		if up == name {
			return false
		}
		name = up
	}
}

func (f *FS) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone[filepath.Clean(name)] = true
}

// room makes the directory of a file in memory.
func (f *FS) room(name string) error { return f.mem.MkdirAll(f.base.PathDir(name), 0o700) }

// up copies a file to memory, if it is there and not in memory yet.
func (f *FS) up(name string) error {
	if err := f.room(name); err != nil || !f.below(name) {
		return err
	}
	from, err := f.base.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := f.mem.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Close()
}

func missing(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

// Open implements [vfs.FS].
func (f *FS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if _, err := f.mem.Stat(name); err == nil {
		return f.mem.Open(name, o...)
	}
	if f.removed(name) {
		return nil, missing("open", name)
	}
	return f.base.Open(name, o...)
}

// Create implements [vfs.FS].
func (f *FS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.room(name); err != nil {
		return nil, err
	}
	return f.mem.Create(name, c)
}

// OpenReadWrite implements [vfs.FS].
func (f *FS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if err := f.up(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return f.mem.OpenReadWrite(name, c, o...)
}

// OpenDir implements [vfs.FS].
func (f *FS) OpenDir(name string) (vfs.File, error) {
	if _, err := f.Stat(name); err != nil {
		return nil, err
	}
	if err := f.mem.MkdirAll(name, 0o700); err != nil {
		return nil, err
	}
	return f.mem.OpenDir(name)
}

// Link implements [vfs.FS].
func (f *FS) Link(from, to string) error { return f.move(from, to, f.mem.Link) }

// Rename implements [vfs.FS].
func (f *FS) Rename(from, to string) error {
	if err := f.move(from, to, f.mem.Rename); err != nil {
		return err
	}
	f.remove(from)
	return nil
}

func (f *FS) move(from, to string, do func(from, to string) error) error {
	if err := f.up(from); err != nil {
		return err
	}
	if err := f.room(to); err != nil {
		return err
	}
	return do(from, to)
}

// ReuseForWrite implements [vfs.FS].
func (f *FS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.Rename(from, to); err != nil {
		return nil, err
	}
	return f.mem.OpenReadWrite(to, c)
}

// Remove implements [vfs.FS].
func (f *FS) Remove(name string) error {
	if _, err := f.Stat(name); err != nil {
		return err
	}
	if _, err := f.mem.Stat(name); err == nil {
		if err := f.mem.Remove(name); err != nil {
			return err
		}
	}
	f.remove(name)
	return nil
}

// RemoveAll implements [vfs.FS].
func (f *FS) RemoveAll(name string) error {
	f.remove(name)
	return f.mem.RemoveAll(name)
}

// MkdirAll implements [vfs.FS].
func (f *FS) MkdirAll(dir string, perm os.FileMode) error { return f.mem.MkdirAll(dir, perm) }

// Lock implements [vfs.FS]: on the disk.
func (f *FS) Lock(name string) (io.Closer, error) { return f.base.Lock(name) }

// List implements [vfs.FS].
func (f *FS) List(dir string) ([]string, error) {
	all, memErr := f.mem.List(dir)
	if f.removed(dir) {
		return all, memErr
	}
	names, err := f.base.List(dir)
	if err != nil && memErr != nil {
		return nil, err
	}
	for _, name := range names {
		if !f.removed(f.base.PathJoin(dir, name)) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Stat implements [vfs.FS].
func (f *FS) Stat(name string) (vfs.FileInfo, error) {
	if info, err := f.mem.Stat(name); err == nil {
		return info, nil
	}
	if f.removed(name) {
		return nil, missing("stat", name)
	}
	return f.base.Stat(name)
}

// PathBase implements [vfs.FS].
func (f *FS) PathBase(path string) string { return f.base.PathBase(path) }

// PathJoin implements [vfs.FS].
func (f *FS) PathJoin(elem ...string) string { return f.base.PathJoin(elem...) }

// PathDir implements [vfs.FS].
func (f *FS) PathDir(path string) string { return f.base.PathDir(path) }

// GetDiskUsage implements [vfs.FS].
func (f *FS) GetDiskUsage(path string) (vfs.DiskUsage, error) { return f.base.GetDiskUsage(path) }

// Unwrap implements [vfs.FS].
func (f *FS) Unwrap() vfs.FS { return nil }
