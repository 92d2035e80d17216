package eventstore

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

// uploads keeps the books of uploads: how many bytes are on their way, and what is to be removed.
//
// Every upload has a row in [TableUploads] from before its first chunk until its event is stored or its chunks are removed. So whatever happens, each chunk belongs
// to a stored event or to a row. The rows of an earlier process are decided at the start: is there an event of the person that names the attachment?
type uploads struct {
	mu       sync.Mutex
	bytes    map[TenantID]uint64
	doomed   map[TenantID][]Attachment // their chunks, then their rows go
	finished map[TenantID][]Attachment // their rows go
	wake     chan struct{}
}

func newUploads() *uploads {
	return &uploads{bytes: map[TenantID]uint64{}, doomed: map[TenantID][]Attachment{}, finished: map[TenantID][]Attachment{}, wake: make(chan struct{}, 1)}
}

// reservation is how much of a tenant's limit an upload takes.
type reservation struct {
	u       *uploads
	tenant  TenantID
	limits  AttachmentLimits
	stored  uint64 // before it began
	has     uint64
	release func()
}

// reserve refuses an upload that is known to be too large.
func (u *uploads) reserve(ctx context.Context, s *Store, tenant TenantID, declared int64) (*reservation, error) {
	size, err := s.c.Chunks.Size(ctx, tenant)
	if err != nil {
		return nil, err
	}
	r := &reservation{u: u, tenant: tenant, limits: s.limits(tenant), stored: size}
	r.release = sync.OnceFunc(func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.bytes[tenant] -= r.has
	})
	if err := r.grow(uint64(max(0, declared))); err != nil {
		r.release()
		return nil, err
	}
	return r, nil
}

// grow reserves so many bytes in all. ErrTooLarge.
func (r *reservation) grow(size uint64) error {
	if size > r.limits.Largest {
		return errLargest
	}
	if size <= r.has {
		return nil
	}
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	all := r.u.bytes[r.tenant] - r.has + size
	if r.stored > r.limits.Total || all > r.limits.Total-r.stored {
		return errTotal
	}
	r.u.bytes[r.tenant], r.has = all, size
	return nil
}

func uploadKey(a Attachment) string { return a.Person.String() + "." + a.ID.String() }

// begin notes an upload, durably.
func (u *uploads) begin(ctx context.Context, s *Store, tenant TenantID, a Attachment) error {
	return s.c.Meta.Put(ctx, tenant, TableUploads, uploadKey(a), []byte(uploadKey(a)))
}

// stored lets the row go. It need not be at once.
func (u *uploads) stored(tenant TenantID, a Attachment) { u.add(u.finished, tenant, a) }

func (u *uploads) failed(tenant TenantID, a Attachment) { u.add(u.doomed, tenant, a) }

func (u *uploads) add(to map[TenantID][]Attachment, tenant TenantID, a Attachment) {
	u.mu.Lock()
	to[tenant] = append(to[tenant], a)
	u.mu.Unlock()
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

func (u *uploads) take(from map[TenantID][]Attachment) map[TenantID][]Attachment {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := map[TenantID][]Attachment{}
	for tenant, all := range from {
		if len(all) > 0 {
			out[tenant] = all
		}
		delete(from, tenant)
	}
	return out
}

// ResumeAttachments decides what became of the uploads of an earlier process. Call it for each tenant before serving.
func (s *Store) ResumeAttachments(ctx context.Context, tenant TenantID) error {
	if s.c.Chunks == nil || s.c.Meta == nil {
		return nil
	}
	rows, err := s.c.Meta.List(ctx, tenant, TableUploads)
	if err != nil {
		return err
	}
	byPerson := map[PersonID][]Attachment{}
	for _, value := range rows {
		person, id, _ := strings.Cut(string(value), ".")
		var a Attachment
		if a.Person, err = ParsePersonID(person); err == nil {
			a.ID, err = ParseAttachmentID(id)
		}
		if err != nil {
			return ErrDamaged
		}
		byPerson[a.Person] = append(byPerson[a.Person], a)
	}
	for person, all := range byPerson {
		named, err := s.named(ctx, tenant, person)
		if err != nil {
			return err
		}
		for _, a := range all {
			if named[a.ID] {
				s.uploads.stored(tenant, a)
			} else {
				s.uploads.failed(tenant, a)
			}
		}
	}
	return nil
}

// named lists the attachments that a person's events name; none if the person is erased.
func (s *Store) named(ctx context.Context, tenant TenantID, person PersonID) (map[AttachmentID]bool, error) {
	out := map[AttachmentID]bool{}
	for r, err := range s.Read(ctx, tenant, person, ReadOptions{}) {
		if errors.Is(err, ErrErased) || errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if r.Event.Attachment != nil && r.Person == person {
			out[r.Event.Attachment.ID] = true
		}
	}
	return out, nil
}

// Unnamed lists the attachments of persons of whose events none names them, uploads under way left out: after the erasure of a part, those that went with it.
func (s *Store) Unnamed(ctx context.Context, tenant TenantID, persons []PersonID) (out []Attachment, err error) {
	if s.c.Chunks == nil {
		return nil, nil
	}
	for _, person := range persons {
		there := map[AttachmentID]bool{} // before the events are read: an upload that ends meanwhile has its event then, or its row
		for m, err := range s.c.Chunks.Read(ctx, tenant, person, 0) {
			if err != nil {
				return nil, err
			}
			there[m.Envelope.Event] = true
		}
		if len(there) == 0 {
			continue
		}
		rows, err := s.c.Meta.List(ctx, tenant, TableUploads)
		if err != nil {
			return nil, err
		}
		named, err := s.named(ctx, tenant, person)
		if err != nil {
			return nil, err
		}
		for id := range there {
			a := Attachment{person, id}
			if _, underWay := rows[uploadKey(a)]; !underWay && !named[id] {
				out = append(out, a)
			}
		}
	}
	return out, nil
}

// sweepAgain is how long RunAttachments waits after a failure.
const sweepAgain = 5 * time.Second

// RunAttachments removes the chunks of uploads that came to nothing, until ctx ends; it then returns nil.
func (s *Store) RunAttachments(ctx context.Context) error {
	for {
		var again <-chan time.Time
		if err := s.SweepAttachments(ctx); err != nil && ctx.Err() == nil {
			again = time.After(sweepAgain)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-s.uploads.wake:
		}
	}
}

// SweepAttachments does once what RunAttachments does. What fails stays to be done.
func (s *Store) SweepAttachments(ctx context.Context) error {
	var failed []error
	for tenant, all := range s.uploads.take(s.uploads.doomed) {
		err := s.c.Chunks.Remove(ctx, tenant, Removal{Attachments: all}, nil)
		to := s.uploads.finished
		if err != nil {
			to = s.uploads.doomed
			failed = append(failed, err)
		}
		for _, a := range all {
			s.uploads.add(to, tenant, a)
		}
	}
	for tenant, all := range s.uploads.take(s.uploads.finished) {
		for i, a := range all {
			if err := s.c.Meta.Delete(ctx, tenant, TableUploads, uploadKey(a)); err != nil && !errors.Is(err, ErrErased) && !errors.Is(err, ErrNotFound) {
				failed = append(failed, err)
				for _, left := range all[i:] {
					s.uploads.add(s.uploads.finished, tenant, left)
				}
				break
			}
		}
	}
	return errors.Join(failed...)
}
