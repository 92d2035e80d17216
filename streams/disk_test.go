package streams

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/oubli-store/oubli/eventstore"
)

// TestDiskErrorsUnderLoad: in the middle of groups the disk of the journals fails as disks do: with an error, full, read-only, each with writes and with syncs. Appends are
// refused or uncertain as long as it lasts, then all goes on without a restart; nothing acknowledged is lost or stored twice.
func TestDiskErrorsUnderLoad(t *testing.T) {
	var failure atomic.Pointer[syscall.Errno]
	var syncs atomic.Bool
	var failed atomic.Int64
	disk := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		e := failure.Load()
		if e == nil || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || !strings.HasSuffix(op.Path, ".journal") || syncs.Load() != (op.Kind == errorfs.OpFileSync) {
			return nil
		}
		failed.Add(1)
		return *e
	}))
	r := newRoom(t, func(c *Config) { c.FS = disk })
	r.openTenant()
	l := r.load(16)
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EROFS} {
		for _, sync := range []bool{false, true} {
			l.reach(l.count() + 100)
			syncs.Store(sync)
			before := failed.Load()
			failure.Store(&errno)
			for failed.Load() < before+3 {
				_, err := r.submit(newMessage(t, newPerson(t), 50))
				if err != nil && !errors.Is(err, eventstore.ErrUnavailable) && !errors.Is(err, eventstore.ErrUncertain) {
					t.Errorf("%v, syncs %v: %v", errno, sync, err)
				}
			}
			r.holdsWithin(l.snapshot())
			failure.Store(nil)
		}
	}
	l.reach(l.count() + 100)
	acked := l.stop()
	r.holds(acked)
	r.restart()
	if err := r.s.Open(context.Background(), tenant, vault, false, yes); err != nil {
		t.Fatal(err)
	}
	r.holds(acked)
	t.Logf("%d events, %d failures", len(acked), failed.Load())
}
