package eventstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
)

// FindAttachment finds the event of an attachment. ErrNotFound; ErrErased if its person, or the part that it was in, was erased; ErrExpired; other errors as
// [Keys.Gate].
func (s *Store) FindAttachment(ctx context.Context, tenant TenantID, ref AttachmentRef) (Recorded, error) {
	gate, err := s.c.Keys.Gate(ctx, tenant, ref.Person)
	if err != nil {
		return Recorded{}, s.unknown(ctx, tenant, ref.Person, err)
	}
	defer gate.Release()
	r, err := s.hinted(ctx, tenant, gate, ref)
	if errors.Is(err, ErrNotFound) && ref.Sequence < gate.State().First {
		r, err = s.copied(ctx, tenant, gate, ref)
	}
	switch {
	case err != nil:
		return Recorded{}, err
	case r.Event.Attachment == nil || r.ID != ref.Event:
		return Recorded{}, errNoAttachment
	}
	return r, nil
}

// hinted looks where the reference says. ErrNotFound.
func (s *Store) hinted(ctx context.Context, tenant TenantID, gate Gate, ref AttachmentRef) (Recorded, error) {
	if ref.Sequence < gate.State().First {
		return Recorded{}, ErrNotFound
	}
	m, err := s.c.Log.Get(ctx, tenant, ref.Sequence)
	switch {
	case errors.Is(err, ErrNotFound):
		return Recorded{}, errNoAttachment
	case err != nil:
		return Recorded{}, err
	case m.Person != ref.Person || EventID(m.Envelope.Event) != ref.Event:
		return Recorded{}, errNoAttachment
	}
	return s.recorded(ctx, tenant, gate, m)
}

// copied looks for the copy of an event that stood below what was erased of its person. If there is none it was erased.
func (s *Store) copied(ctx context.Context, tenant TenantID, gate Gate, ref AttachmentRef) (Recorded, error) {
	for m, err := range s.c.Log.Read(ctx, tenant, ref.Person, gate.State().First-1) {
		if err != nil {
			return Recorded{}, err
		}
		if EventID(m.Envelope.Event) == ref.Event {
			return s.recorded(ctx, tenant, gate, m)
		}
	}
	return Recorded{}, ErrErased
}

// ReadAttachment gives the bytes of an attachment whose event was read back. The caller closes it. Its reads answer ErrErased or ErrFenced once an erasure
// of the person has begun, ErrDamaged for bytes that are missing or do not open. It holds about 10 MiB and can seek. It is not safe for concurrent use.
func (s *Store) ReadAttachment(ctx context.Context, tenant TenantID, r Recorded) (*AttachmentReader, error) {
	if s.c.Chunks == nil || r.Event.Attachment == nil {
		return nil, errNoAttachment
	}
	return &AttachmentReader{ctx: ctx, s: s, tenant: tenant, person: r.Person, file: *r.Event.Attachment, month: KeyMonthOf(r.Event.Time, r.Received)}, nil
}

// AttachmentReader reads the bytes of an attachment. It implements [io.ReadSeekCloser].
type AttachmentReader struct {
	ctx    context.Context
	s      *Store
	tenant TenantID
	person PersonID
	file   File
	month  KeyMonth

	at   uint64 // the next byte
	next func() (Stored, error, bool)
	stop func()
	// coming is the piece that next gives; piece is the one in buf.
	coming, piece uint64
	buf           []byte
}

// File is what the event says.
func (a *AttachmentReader) File() File { return a.file }

// Read implements [io.Reader].
func (a *AttachmentReader) Read(p []byte) (int, error) {
	if a.at >= a.file.Size {
		return 0, io.EOF
	}
	want := a.at / ChunkSize
	if a.buf == nil || a.piece != want {
		if err := a.fetch(want); err != nil {
			return 0, err
		}
	}
	n := copy(p, a.buf[a.at%ChunkSize:])
	a.at += uint64(n)
	return n, nil
}

// fetch opens a piece.
func (a *AttachmentReader) fetch(want uint64) error {
	if a.next == nil || a.coming > want {
		a.Close()
		a.next, a.stop = iter.Pull2(a.s.c.Chunks.ReadAttachment(a.ctx, a.tenant, Attachment{a.person, a.file.ID}, 0))
		a.coming = 0
	}
	for {
		m, err, there := a.next()
		if err != nil {
			return err
		}
		if there && a.coming < want {
			a.coming++
			continue
		}
		// What is removed meanwhile looks like an end: the gate says whether it was.
		gate, err := a.s.c.Keys.Gate(a.ctx, a.tenant, a.person)
		if err != nil {
			return err
		}
		defer gate.Release()
		if !there {
			return fmt.Errorf("%w: %d of %d chunks of an attachment are there", ErrDamaged, a.coming, a.file.pieces())
		}
		if KeyMonth(m.Envelope.Month) != a.month {
			return ErrDamaged
		}
		return a.open(m, want)
	}
}

func (a *AttachmentReader) open(m Stored, i uint64) error {
	padded, err := a.s.c.Keys.OpenChunk(a.file.Key.key[:], m.Envelope.Ciphertext, a.file.associated(a.tenant, a.person, a.month, i))
	if err != nil {
		return err
	}
	size := int(min(ChunkSize, a.file.Size-i*ChunkSize))
	if len(padded) != paddedPiece(size) {
		return ErrDamaged
	}
	a.coming, a.piece, a.buf = i+1, i, padded[:size]
	return nil
}

// Seek implements [io.Seeker].
func (a *AttachmentReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += int64(a.at)
	case io.SeekEnd:
		offset += int64(a.file.Size)
	}
	if offset < 0 {
		return 0, errors.New("eventstore: a seek before the beginning of an attachment")
	}
	a.at = uint64(offset)
	return offset, nil
}

// Close ends the reading.
func (a *AttachmentReader) Close() error {
	if a.stop != nil {
		a.stop()
	}
	a.next, a.stop, a.buf = nil, nil, nil
	return nil
}
