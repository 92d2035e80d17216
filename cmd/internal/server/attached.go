package server

import (
	"context"
	"io"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

const (
	// fileFree is how much room must be left for a file to be taken in; it is more than an event needs, so that files do not fill the disk for them.
	fileFree = 4 * appendFree
	// fileWrites is how often the bytes of a file are written: to the journal and to the stream.
	fileWrites = 2
	// lookEvery is after how many bytes of a file the disk is looked at again.
	lookEvery = 8 << 20
)

// attached is what the API needs for attachments. It takes none while the disk has no room for them.
type attached struct {
	*eventstore.Store
	*rights.Service
	path string
}

// Attach implements [api.Attachments].
func (f attached) Attach(ctx context.Context, caller eventstore.Caller, e eventstore.Event, file eventstore.File, body io.Reader, declared int64) (eventstore.Receipt, error) {
	if err := f.room(uint64(max(0, declared))); err != nil {
		return eventstore.Receipt{}, err
	}
	return f.Store.Attach(ctx, caller, e, file, &roomy{Reader: body, files: f}, declared)
}

func (f attached) room(size uint64) error {
	left, err := free(f.path)
	if err == nil && left < fileFree+fileWrites*size { // a disk that cannot be looked at says so when it is written
		return errDiskFull
	}
	return nil
}

// roomy ends a body when the disk fills up.
type roomy struct {
	io.Reader
	files attached
	since int
}

// Read implements [io.Reader].
func (r *roomy) Read(p []byte) (int, error) {
	if r.since >= lookEvery {
		r.since = 0
		if err := r.files.room(0); err != nil {
			return 0, err
		}
	}
	n, err := r.Reader.Read(p)
	r.since += n
	return n, err
}
