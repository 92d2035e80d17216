package eventstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"mime"
	"time"

	"github.com/oubli-store/oubli/eventstore/envelope"
)

// chunkWindow is how many chunks of one upload are on their way at once.
const chunkWindow = 4

var (
	errAttachType  = Refuse(KindInvalid, "type", "an event with a file is of type attachment")
	errFileName    = Refuse(KindInvalid, "file", "the name of a file has at most 512 bytes of valid UTF-8")
	errFileType    = Refuse(KindInvalid, "file", "the content type of the file is none")
	errAttachGone  = Refuse(KindErased, "", "the person was erased while the file was being stored; it was not stored")
	errAttachments = Refuse(KindUnavailable, "", "this server keeps no attachments")
)

// Attach stores an event of type attachment with its file, whose name and content type file says and whose bytes body yields, and returns once both are on disk.
// declared is the size that was announced (negative: none), so that what is too large is refused before it is read.
//
// The event is held to its rules first (see [Store.Append], whose errors these are beside), then the bytes are stored, then the event. What was cut off in
// between is removed by [Store.RunAttachments], also after a crash. The same event with the same file under the same idempotency key is answered as a duplicate. An erasure
// ends an upload: ErrFenced or ErrErased. ErrTooLarge beyond the tenant's limits; an error of body is returned as it is. It holds about 8 MiB.
func (s *Store) Attach(ctx context.Context, caller Caller, e Event, file File, body io.Reader, declared int64) (Receipt, error) {
	u, err := s.beginUpload(ctx, caller, e, file, declared)
	if err != nil {
		return Receipt{}, err
	}
	stored := false
	defer func() { u.end(stored) }()
	if err := u.copy(ctx, body); err != nil {
		return Receipt{}, err
	}
	u.event.Attachment = &u.file
	f := &flight{s: s, caller: caller, event: u.event, until: time.Now().Add(gateHold)}
	ticket, err := f.start(ctx, u.received, u.person)
	if err != nil {
		return Receipt{}, err
	}
	r, err := f.await(s.landing.by(f.until), ticket)
	if errors.Is(err, ErrUncertain) || errors.Is(err, errNotRecorded) {
		u.undecided = true
	}
	stored = err == nil && !r.Duplicate
	return r, err
}

// upload is one call of Attach.
type upload struct {
	s        *Store
	caller   Caller
	event    Event
	file     File
	received time.Time
	person   PersonID
	month    KeyMonth
	reserved *reservation
	sum      hash.Hash
	flying   []chunkFlight
	// undecided: the event may be stored.
	undecided bool
}

// chunkFlight is a chunk on its way, and the gate that an erasure waits for.
type chunkFlight struct {
	ticket Ticket
	gate   Gate
}

// beginUpload decides whether the event may be stored, and finds or mints its person.
func (s *Store) beginUpload(ctx context.Context, caller Caller, e Event, file File, declared int64) (*upload, error) {
	switch {
	case s.c.Chunks == nil || s.c.Meta == nil:
		return nil, errAttachments
	case caller.Tenant == "":
		return nil, errTenantNeeded
	case e.Type == "":
		e.Type = TypeAttachment
	case e.Type != TypeAttachment:
		return nil, errAttachType
	}
	if err := file.check(); err != nil {
		return nil, err
	}
	received := s.c.Now().UTC().Truncate(time.Millisecond)
	e, err := s.c.Door.Admit(caller, e, received)
	if err != nil {
		return nil, err
	}
	u := &upload{s: s, caller: caller, event: e, file: File{Name: file.Name, ContentType: file.ContentType}, received: received, sum: sha256.New()}
	if u.file.ID, err = NewAttachmentID(nil); err == nil {
		u.file.Key, err = newFileKey()
	}
	if err != nil {
		return nil, err
	}
	a, err := s.arrival(caller, &e, received)
	if err != nil {
		return nil, err
	}
	u.month = KeyMonthOf(a.Time, received)
	if u.reserved, err = s.uploads.reserve(ctx, s, caller.Tenant, declared); err != nil {
		return nil, err
	}
	if err := u.enter(ctx, a); err != nil {
		u.reserved.release()
		return nil, err
	}
	return u, nil
}

// enter finds or mints the person, and notes the upload durably, so that a crash leaves nothing that is not found.
func (u *upload) enter(ctx context.Context, a Arrival) error {
	f := &flight{s: u.s, caller: u.caller}
	var err error
	f.entered, err = u.s.c.Keys.Enter(ctx, u.caller.Tenant, a, func(st State) error { return u.s.c.Door.Consent(u.caller, u.event, st) })
	if errors.Is(err, ErrExpired) {
		err = ErrTooOld.Because(err)
	}
	if err != nil {
		return err
	}
	defer f.land()
	u.person = f.entered.Gate.Person()
	return u.s.uploads.begin(ctx, u.s, u.caller.Tenant, Attachment{u.person, u.file.ID})
}

func (f *File) check() error {
	var c checker
	if c.short("file", f.Name, MaxFileName); c.problem != nil {
		return errFileName
	}
	if _, _, err := mime.ParseMediaType(f.ContentType); err != nil || len(f.ContentType) > MaxName {
		return errFileType
	}
	return nil
}

// copy stores the bytes.
func (u *upload) copy(ctx context.Context, body io.Reader) error {
	defer u.drop()
	buf := make([]byte, ChunkSize)
	for i := uint64(0); ; i++ {
		n, end, err := fill(body, buf)
		if err != nil {
			return err
		}
		if n > 0 || i == 0 {
			if err := u.piece(ctx, i, buf[:n]); err != nil {
				return err
			}
		}
		if end {
			break
		}
	}
	u.file.SHA256 = u.sum.Sum(nil)
	return u.land(ctx, 0)
}

// fill reads until the buffer is full or the body has ended. Unlike [io.ReadFull] it tells an end from a body that says itself that it broke off.
func fill(body io.Reader, buf []byte) (n int, end bool, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = body.Read(buf[n:])
		n += m
	}
	if err == io.EOF {
		return n, true, nil
	}
	return n, false, err
}

// piece seals and submits the next bytes; they may be overwritten when it returns.
func (u *upload) piece(ctx context.Context, i uint64, data []byte) error {
	u.file.Size += uint64(len(data))
	if err := u.reserved.grow(u.file.Size); err != nil {
		return err
	}
	u.sum.Write(data)
	padded := data[:paddedPiece(len(data))] // within the buffer
	clear(padded[len(data):])
	tenant, keys := u.caller.Tenant, u.s.c.Keys
	sealed, err := keys.SealChunk(u.file.Key.key[:], padded, u.file.associated(tenant, u.person, u.month, i))
	if err != nil {
		return err
	}
	if err := u.land(ctx, chunkWindow-1); err != nil {
		return err
	}
	gate, err := keys.Gate(ctx, tenant, u.person)
	if err != nil {
		return err
	}
	ticket, err := u.s.c.Chunks.Submit(ctx, tenant, Message{Person: u.person, Envelope: envelope.Envelope{Event: u.file.ID, Month: uint16(u.month), Ciphertext: sealed}})
	if err != nil {
		gate.Release()
		return err
	}
	u.flying = append(u.flying, chunkFlight{ticket, gate})
	return nil
}

// land waits until at most most chunks are on their way.
func (u *upload) land(ctx context.Context, most int) error {
	for len(u.flying) > most {
		f := u.flying[0]
		u.flying = u.flying[1:]
		_, err := f.ticket.Wait(ctx)
		f.gate.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// drop lets go of what is on its way.
func (u *upload) drop() {
	for _, f := range u.flying {
		f.gate.Release()
	}
	u.flying = nil
}

// end closes the books: what is not stored is to be removed.
func (u *upload) end(stored bool) {
	u.reserved.release()
	a := Attachment{u.person, u.file.ID}
	switch {
	case u.undecided: // the next start finds out
	case stored:
		u.s.uploads.stored(u.caller.Tenant, a)
	default:
		u.s.uploads.failed(u.caller.Tenant, a)
	}
}
