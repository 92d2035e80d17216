package keyvault_test

import (
	"errors"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oubli-store/oubli/keyvault/register"
)

var errInjected = errors.New("injected by the test")

// fault says which write of a disk goes wrong, and how.
type fault struct {
	// at is the first write that fails, counted from 1; forever says that all that follow fail too.
	at      int
	forever bool
	// persisted says that the write is done and its error is a lie.
	persisted bool
}

// faultFS is a disk whose writes can be watched and made to fail. Writes are what changes a file or a directory, and syncs. Those of Pebble's background
// work (tables and its MANIFEST) are watched and never fail: Pebble ends the process when its MANIFEST cannot be written, which for what is on the
// disk is a crash.
type faultFS struct {
	vfs.FS
	mu    sync.Mutex
	on    bool
	n     int
	fault fault
	// before is told of each write before it is done.
	before func()
}

// during runs f with the fault, and says how many writes there were and how many failed.
func (d *faultFS) during(x fault, f func() error) (writes, failed int, err error) {
	d.mu.Lock()
	d.on, d.n, d.fault = true, 0, x
	d.mu.Unlock()
	err = f()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.on = false
	switch {
	case x.at == 0 || d.n < x.at:
	case x.forever:
		failed = d.n - x.at + 1
	default:
		failed = 1
	}
	return d.n, failed, err
}

func (d *faultFS) write(name string, do func() error) error {
	d.mu.Lock()
	fails := false
	if d.on && d.before != nil {
		d.before()
	}
	if base := d.FS.PathBase(name); d.on && (strings.HasSuffix(base, ".log") || strings.HasPrefix(base, register.FileName) || base == "roots") {
		d.n++
		fails = d.fault.at > 0 && (d.n == d.fault.at || d.fault.forever && d.n > d.fault.at)
	}
	persisted := d.fault.persisted
	d.mu.Unlock()
	if fails && !persisted {
		return errInjected
	}
	err := do()
	if fails && err == nil {
		err = errInjected
	}
	return err
}

func (d *faultFS) file(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultFile{f, d, name}, nil
}

func (d *faultFS) Create(name string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = d.write(name, func() error { f, err = d.FS.Create(name, c); return err })
	return d.file(name, f, err)
}

func (d *faultFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, o...)
	return d.file(name, f, err)
}

func (d *faultFS) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	return d.file(name, f, err)
}

func (d *faultFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = d.write(to, func() error { f, err = d.FS.ReuseForWrite(from, to, c); return err })
	return d.file(to, f, err)
}

func (d *faultFS) Rename(from, to string) error {
	return d.write(to, func() error { return d.FS.Rename(from, to) })
}

func (d *faultFS) Link(from, to string) error {
	return d.write(to, func() error { return d.FS.Link(from, to) })
}

func (d *faultFS) Remove(name string) error {
	return d.write(name, func() error { return d.FS.Remove(name) })
}

// faultFile is one of its files.
type faultFile struct {
	vfs.File
	d    *faultFS
	name string
}

func (f *faultFile) Write(b []byte) (n int, err error) {
	err = f.d.write(f.name, func() error { n, err = f.File.Write(b); return err })
	return n, err
}

func (f *faultFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.d.write(f.name, func() error { n, err = f.File.WriteAt(b, at); return err })
	return n, err
}

func (f *faultFile) Sync() error     { return f.d.write(f.name, f.File.Sync) }
func (f *faultFile) SyncData() error { return f.d.write(f.name, f.File.SyncData) }
func (f *faultFile) SyncTo(n int64) (full bool, err error) {
	err = f.d.write(f.name, func() error { full, err = f.File.SyncTo(n); return err })
	return full, err
}
