package server

import (
	"context"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/api"
	"github.com/oubli-store/oubli/eventstore"
)

const (
	// minFree is how much room a disk must have for a server to start: with less its databases come to a halt before they can say why.
	minFree = 64 << 20
	// appendFree is how much must be left for an event to be taken. The rest is kept for erasures, which must go on when a disk is full, and for
	// the databases' own work.
	appendFree = minFree + 32<<20
	// freeFor is how long a look at the disk holds.
	freeFor = 100 * time.Millisecond
)

var errDiskFull = eventstore.Refuse(eventstore.KindUnavailable, "", "the server's disk is as good as full: events wait until there is room; reading and erasing go on").
	RetryAfter(time.Minute)

// free says how many bytes a disk has left.
func free(path string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// reserve is a store that takes no events while the disk is as good as full. It is safe for concurrent use.
type reserve struct {
	api.Store
	path string
	// until is when the disk is looked at again (unix nanoseconds), full what was seen.
	until atomic.Int64
	full  atomic.Bool
}

// Submit implements [api.Store].
func (r *reserve) Submit(ctx context.Context, caller eventstore.Caller, e eventstore.Event) (api.Waiter, error) {
	if now := time.Now().UnixNano(); now > r.until.Load() {
		r.until.Store(now + int64(freeFor))
		left, err := free(r.path)
		r.full.Store(err == nil && left < appendFree) // a disk that cannot be looked at says so when it is written
	}
	if r.full.Load() {
		return nil, errDiskFull
	}
	return r.Store.Submit(ctx, caller, e)
}
