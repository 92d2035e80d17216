package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/oubli-store/oubli/eventstore"
)

var errCrash = errors.New("the process is gone")

// doom ends a process at one of its writes: with after, once that is on disk and before anybody knows.
type doom struct {
	left    int
	after   bool
	crashed bool
	flying  []eventstore.Ticket
}

func (d *doom) write(do func() error) error {
	if d.crashed {
		return errCrash
	}
	if d.left--; d.left >= 0 {
		return do()
	}
	d.crashed = true
	if d.after {
		_ = do()
	}
	return errCrash
}

func (d *doom) submit(ctx context.Context, l eventstore.Log, tenant eventstore.TenantID, m eventstore.Message) (k eventstore.Ticket, err error) {
	err = d.write(func() error {
		var err error
		if k, err = l.Submit(ctx, tenant, m); err == nil {
			d.flying = append(d.flying, k)
		}
		return err
	})
	return k, err
}

// doomedKeys, doomedMeta, doomedLog and doomedChunks are the parts of a process that ends.
type (
	doomedKeys struct {
		eventstore.Keys
		d *doom
	}
	doomedMeta struct {
		eventstore.Meta
		d *doom
	}
	doomedLog struct {
		eventstore.Log
		d *doom
	}
	doomedChunks struct {
		eventstore.Chunks
		d *doom
	}
)

// Enter implements [eventstore.Keys].
func (k doomedKeys) Enter(ctx context.Context, tenant eventstore.TenantID, a eventstore.Arrival, admit func(eventstore.State) error) (e *eventstore.Entered, err error) {
	err = k.d.write(func() (err error) { e, err = k.Keys.Enter(ctx, tenant, a, admit); return err })
	if err != nil && e != nil { // the gate went with the process
		e.Gate.Release()
		return nil, err
	}
	return e, err
}

// Put implements [eventstore.Meta].
func (m doomedMeta) Put(ctx context.Context, tenant eventstore.TenantID, table eventstore.MetaTable, key string, value []byte) error {
	return m.d.write(func() error { return m.Meta.Put(ctx, tenant, table, key, value) })
}

// Delete implements [eventstore.Meta].
func (m doomedMeta) Delete(ctx context.Context, tenant eventstore.TenantID, table eventstore.MetaTable, key string) error {
	return m.d.write(func() error { return m.Meta.Delete(ctx, tenant, table, key) })
}

// Submit implements [eventstore.Log].
func (l doomedLog) Submit(ctx context.Context, tenant eventstore.TenantID, m eventstore.Message) (eventstore.Ticket, error) {
	return l.d.submit(ctx, l.Log, tenant, m)
}

// Submit implements [eventstore.Log].
func (c doomedChunks) Submit(ctx context.Context, tenant eventstore.TenantID, m eventstore.Message) (eventstore.Ticket, error) {
	return c.d.submit(ctx, c.Chunks, tenant, m)
}

// Remove implements [eventstore.Log]. A process that ends after it ends once the first message is gone.
func (c doomedChunks) Remove(ctx context.Context, tenant eventstore.TenantID, what eventstore.Removal, progress func(done, left uint64)) error {
	ending := c.d.left == 0 && c.d.after
	return c.d.write(func() error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		return c.Chunks.Remove(ctx, tenant, what, func(done, left uint64) {
			if progress != nil {
				progress(done, left)
			}
			if ending {
				cancel()
			}
		})
	})
}

// process is a store that ends at a write.
func (s *Suite) process(d *doom) *eventstore.Store {
	return eventstore.New(eventstore.Config{Keys: doomedKeys{s.Keys, d}, Log: doomedLog{s.Log, d}, Door: s.Door, Ledger: &s.entries,
		Chunks: doomedChunks{s.Parts.Chunks, d}, Meta: doomedMeta{s.Parts.Meta, d}})
}

// landed waits for what a process had submitted when it ended.
func (d *doom) landed(t *testing.T) {
	t.Helper()
	for _, k := range d.flying {
		if _, err := k.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// attachmentEveryWrite ends the process before and after every write of an upload, of one that breaks off, and of what is removed then. After the next start
// there is the event with the whole file or neither, and no chunk and no row of an upload beside.
func attachmentEveryWrite(t *testing.T, s *Suite) {
	s.attachable(t)
	body := content(7, 2*eventstore.ChunkSize+100)
	files, chunks := 0, 0
	for _, breaks := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			for k := 0; ; k++ {
				d := &doom{left: k, after: after}
				when := fmt.Sprintf("write %d, after it: %v, the upload breaks off: %v", k, after, breaks)
				var in io.Reader = bytes.NewReader(body)
				if breaks {
					in = io.MultiReader(in, iotest.ErrReader(io.ErrUnexpectedEOF))
				}
				one := s.process(d)
				r, err := one.Attach(t.Context(), caller, recording("alice"), wav, in, -1)
				if swept := one.SweepAttachments(t.Context()); swept == nil && !d.crashed {
					_ = one.SweepAttachments(t.Context())
				}
				d.landed(t)
				s.started(t, when)
				stored, whole := s.filesOf(t, body)
				switch {
				case whole != stored:
					t.Fatalf("%s: %d of %d files are whole", when, whole, stored)
				case err == nil && (breaks || stored != files+1):
					t.Fatalf("%s: %+v was acknowledged and is not there", when, r)
				case stored != files && (stored != files+1 || breaks):
					t.Fatalf("%s: %d files, there were %d", when, stored, files)
				}
				files, chunks = stored, 3*stored
				if n := s.left(t); n != chunks {
					t.Fatalf("%s: %d chunks of %d files", when, n, stored)
				}
				if !d.crashed {
					break
				}
			}
		}
	}
	if files < 4 {
		t.Errorf("%d files were stored in all", files)
	}
}

// started does what a start does about uploads, and what follows it.
func (s *Suite) started(t *testing.T, when string) {
	t.Helper()
	next := s.again(t)
	err := next.ResumeAttachments(t.Context(), Tenant)
	for range 2 { // chunks, then rows
		err = errors.Join(err, next.SweepAttachments(t.Context()))
	}
	rows, listed := s.Parts.Meta.List(t.Context(), Tenant, eventstore.TableUploads)
	if err := errors.Join(err, listed); err != nil || len(rows) > 0 {
		t.Fatalf("%s: after the next start %d rows of uploads, %v", when, len(rows), err)
	}
}

// filesOf counts the events of alice with a file, and those whose file has come back whole.
func (s *Suite) filesOf(t *testing.T, body []byte) (stored, whole int) {
	t.Helper()
	person, err := s.Keys.Resolve(t.Context(), Tenant, web("alice"))
	if errors.Is(err, eventstore.ErrNotFound) {
		return 0, 0
	}
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range s.Read(t.Context(), Tenant, person, eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		stored++
		if got, err := s.fetch(t.Context(), r.Event.Attachment.Ref); err == nil && bytes.Equal(got, body) {
			whole++
		}
	}
	return stored, whole
}
