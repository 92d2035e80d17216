package streams

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// syncWatch is a disk that knows which events stand in the journals' files, and which of them were synced.
type syncWatch struct {
	vfs.FS
	mu     sync.Mutex
	synced map[uint64]bool
	syncs  atomic.Int64
}

func (w *syncWatch) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.Create(name, c)
	if err != nil || !strings.HasSuffix(name, ".journal") {
		return f, err
	}
	return &watchedFile{File: f, w: w}, nil
}

// watchedFile takes note of what a sync that has succeeded made durable: what had been written when it began.
type watchedFile struct {
	vfs.File
	w       *syncWatch
	mu      sync.Mutex
	written []byte
}

func (f *watchedFile) Write(b []byte) (int, error) {
	kept := bytes.Clone(b) // a file in memory may spoil b under the race detector
	n, err := f.File.Write(b)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written = append(f.written, kept[:n]...)
	return n, err
}

func (f *watchedFile) Sync() error {
	f.mu.Lock()
	durable := f.written
	f.written = nil
	f.mu.Unlock()
	if err := f.File.Sync(); err != nil {
		return err
	}
	f.w.syncs.Add(1)
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	for {
		_, rest, found := bytes.Cut(durable, marker)
		if !found || len(rest) < 8 {
			return nil
		}
		f.w.synced[binary.BigEndian.Uint64(rest)] = true
		durable = rest
	}
}

// marker stands before an event's number, several times in each: a block's border can cut one of them.
var marker = []byte("\x00event number\x00")

// TestNoAnswerBeforeSync counts: whenever an append is answered, a sync that began after its event was written to the journal's file has returned.
func TestNoAnswerBeforeSync(t *testing.T) {
	w := &syncWatch{FS: vfs.Default, synced: map[uint64]bool{}}
	r := newRoom(t, func(c *Config) { c.FS = w })
	r.openTenant()
	var numbers atomic.Uint64
	var answers atomic.Int64
	var all sync.WaitGroup
	for caller := range 32 {
		all.Go(func() {
			p := newPerson(t)
			for range 60 {
				n := numbers.Add(1)
				m := newMessage(t, p, 0)
				for range 4 {
					m.Envelope.Ciphertext = binary.BigEndian.AppendUint64(append(m.Envelope.Ciphertext, marker...), n)
				}
				m.Row = newRow()
				m.Journalled = caller%4 == 0
				if _, err := r.submit(m); err != nil {
					t.Error(err)
					return
				}
				answers.Add(1)
				w.mu.Lock()
				durable := w.synced[n]
				w.mu.Unlock()
				if !durable {
					t.Errorf("the event %d was acknowledged before it was synced", n)
				}
			}
		})
	}
	all.Wait()
	if answers.Load() != 32*60 || w.syncs.Load() == 0 || w.syncs.Load() > answers.Load() {
		t.Errorf("%d answers, %d syncs", answers.Load(), w.syncs.Load())
	}
	t.Logf("%d answers after %d syncs", answers.Load(), w.syncs.Load())
}

// TestWatchSees: the watch itself knows an event that was written and not synced.
func TestWatchSees(t *testing.T) {
	w := &syncWatch{FS: vfs.NewMem(), synced: map[uint64]bool{}}
	f, err := w.Create("1.journal", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(binary.BigEndian.AppendUint64(bytes.Clone(marker), 7)); err != nil || w.synced[7] {
		t.Fatal("written counts as synced", err)
	}
	if err := f.Sync(); err != nil || !w.synced[7] {
		t.Fatal("a sync is not seen", err)
	}
}
