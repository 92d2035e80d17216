package main

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// peer is a bare Pebble to which the rows of first contacts are written.
type peer struct{ db *pebble.DB }

func openPeer(dir string) (*peer, error) {
	db, err := pebble.Open(dir, &pebble.Options{Logger: quiet{}, MemTableSize: 32 << 20, FormatMajorVersion: pebble.FormatNewest})
	return &peer{db}, err
}

// The rows of a first contact, as the vault writes them: a record with one key month, and a handle, at places that follow from a hash.
const (
	rowKey    = 40
	recordRow = 220
	handleRow = 60
)

// write writes two rows, synced in one batch, n times from 64 goroutines.
func (p *peer) write(n int) (float64, error) {
	_, all, err := inParallel(64, n, func(int) error { return p.one() })
	return perSecond(n, all), err
}

// one writes the rows of one contact.
func (p *peer) one() error {
	b := p.db.NewBatch()
	defer b.Close()
	for trie, size := range []int{recordRow, handleRow} {
		key := make([]byte, rowKey)
		key[0] = byte(trie)
		binary.BigEndian.PutUint64(key[8:], rand.Uint64())
		binary.BigEndian.PutUint64(key[24:], rand.Uint64())
		if err := b.Set(key, sealedLike[:size], nil); err != nil {
			return err
		}
	}
	return b.Commit(pebble.Sync)
}

// sealedLike is what does not compress.
var sealedLike = func() []byte {
	b := make([]byte, recordRow)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}()

// sizeOf adds up the files of a directory whose names end in a suffix.
func sizeOf(dir, suffix string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(name, suffix) {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return bytes, err
}

// quiet drops Pebble's notes.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}
