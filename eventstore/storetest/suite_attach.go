package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/oubli-store/oubli/eventstore"
)

// recording is an event for a file of a visitor.
func recording(visitor string) eventstore.Event {
	e := Message(visitor, "a recording")
	e.Type = eventstore.TypeAttachment
	return e
}

var wav = eventstore.File{Name: "appel Zoé.wav", ContentType: "audio/wav"}

// content is so many bytes that nobody can guess.
func content(seed byte, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func (s *Suite) attachable(t *testing.T) {
	if s.Parts.Chunks == nil {
		t.Skip("without attachments")
	}
}

// attach stores a file and gives its event as it is read back.
func (s *Suite) attach(ctx context.Context, t fataler, e eventstore.Event, body []byte) eventstore.Recorded {
	t.Helper()
	r, err := s.Attach(ctx, caller, e, wav, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatalf("Attach: %v", err)
	}
	for got, err := range s.Read(ctx, Tenant, r.Person, eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		if got.ID == r.ID {
			return got
		}
	}
	t.Fatalf("the event is not there")
	return eventstore.Recorded{}
}

// fetch reads an attachment by its reference.
func (s *Suite) fetch(ctx context.Context, ref string) ([]byte, error) {
	r, err := eventstore.ParseAttachmentRef(ref)
	if err != nil {
		return nil, err
	}
	e, err := s.FindAttachment(ctx, Tenant, r)
	if err != nil {
		return nil, err
	}
	in, err := s.ReadAttachment(ctx, Tenant, e)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

// left counts the chunks of the tenant.
func (s *Suite) left(t *testing.T) (n int) {
	t.Helper()
	for _, err := range s.Parts.Chunks.Replay(t.Context(), Tenant, 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// attachments: of any size around the edges of pieces and padding comes back what was sent, from the beginning or from anywhere in it.
func attachments(t *testing.T, s *Suite) {
	s.attachable(t)
	edges := []int{0, 1, 60, 61, 1020, 1021, 1 << 16, eventstore.ChunkSize - 70_000, eventstore.ChunkSize - 1, eventstore.ChunkSize, eventstore.ChunkSize + 1, 2*eventstore.ChunkSize + 5}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.SampledFrom(edges), rapid.IntRange(0, 5000)).Draw(t, "size")
		body := content(rapid.Byte().Draw(t, "seed"), size)
		got := s.attach(context.Background(), t, recording("alice"), body)
		f := got.Event.Attachment
		if f == nil || f.Name != wav.Name || f.ContentType != wav.ContentType || f.Size != uint64(size) || f.Ref == "" {
			t.Fatalf("its event says %+v", f)
		}
		back, err := s.fetch(context.Background(), f.Ref)
		if err != nil || !bytes.Equal(back, body) {
			t.Fatalf("%d bytes came back as %d, %v", size, len(back), err)
		}
		in, err := s.ReadAttachment(context.Background(), Tenant, got)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		for range 3 {
			from := rapid.IntRange(0, size).Draw(t, "from")
			if _, err := in.Seek(int64(from), io.SeekStart); err != nil {
				t.Fatal(err)
			}
			n := rapid.IntRange(0, size-from).Draw(t, "n")
			part := make([]byte, n)
			if _, err := io.ReadFull(in, part); err != nil || !bytes.Equal(part, body[from:from+n]) {
				t.Fatalf("from %d, %d bytes: %v", from, n, err)
			}
		}
	})
}

// attachmentRetry: the same file under the same key is there once; another file, or name, under it is refused. What came twice is removed.
func attachmentRetry(t *testing.T, s *Suite) {
	s.attachable(t)
	e := recording("alice")
	e.Key = "call-7"
	body := content(1, 3000)
	first := s.attach(t.Context(), t, e, body)
	before := s.left(t)
	again, err := s.Attach(t.Context(), caller, e, wav, bytes.NewReader(body), -1)
	if err != nil || !again.Duplicate || again.ID != first.ID {
		t.Fatalf("again: %+v, %v", again, err)
	}
	_, err = s.Attach(t.Context(), caller, e, wav, bytes.NewReader(content(2, 3000)), -1)
	want(t, "another file", err, eventstore.ErrConflict)
	_, err = s.Attach(t.Context(), caller, e, eventstore.File{Name: "other", ContentType: wav.ContentType}, bytes.NewReader(body), -1)
	want(t, "another name", err, eventstore.ErrConflict)
	if err := s.SweepAttachments(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.left(t); n != before {
		t.Errorf("%d chunks, want %d", n, before)
	}
	if back, err := s.fetch(t.Context(), first.Event.Attachment.Ref); err != nil || !bytes.Equal(back, body) {
		t.Errorf("the file: %d bytes, %v", len(back), err)
	}
}

// attachmentRefused: what is too large, malformed or not consented to is refused, before it is read where that can be known, and leaves nothing.
func attachmentRefused(t *testing.T, s *Suite) {
	s.attachable(t)
	s.limits = eventstore.AttachmentLimits{Largest: 10_000, Total: 25_000}
	unread := iotest.ErrReader(errors.New("the body was read"))
	for _, c := range []struct {
		what     string
		event    eventstore.Event
		file     eventstore.File
		body     io.Reader
		declared int64
		err      error
	}{
		{"declared too large", recording("alice"), wav, unread, 10_001, eventstore.ErrTooLarge},
		{"too large", recording("alice"), wav, bytes.NewReader(content(1, 10_001)), -1, eventstore.ErrTooLarge},
		{"larger than declared", recording("alice"), wav, bytes.NewReader(content(1, 10_001)), 5, eventstore.ErrTooLarge},
		{"of another type", Message("alice", "hello"), wav, unread, -1, eventstore.ErrInvalid},
		{"a long name", recording("alice"), eventstore.File{Name: string(content(1, 600)), ContentType: "a/b"}, unread, -1, eventstore.ErrInvalid},
		{"no content type", recording("alice"), eventstore.File{ContentType: "\r\nx: y"}, unread, -1, eventstore.ErrInvalid},
		{"another's bot", func() eventstore.Event { e := recording("alice"); e.Bot = "other"; return e }(), wav, unread, -1, eventstore.ErrForbidden},
		{"a broken body", recording("alice"), wav, io.MultiReader(bytes.NewReader(content(1, 100)), iotest.ErrReader(io.ErrUnexpectedEOF)), -1, io.ErrUnexpectedEOF},
	} {
		_, err := s.Attach(t.Context(), caller, c.event, c.file, c.body, c.declared)
		want(t, c.what, err, c.err)
	}
	for i := range 2 {
		s.attach(t.Context(), t, recording("alice"), content(byte(i), 10_000))
	}
	_, err := s.Attach(t.Context(), caller, recording("bob"), wav, bytes.NewReader(content(9, 10_000)), -1)
	want(t, "beyond the total", err, eventstore.ErrTooLarge)
	if err := s.SweepAttachments(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.left(t); n != 2 {
		t.Errorf("%d chunks are left", n)
	}
}

// attachmentCutOff: what a crash in the middle of an upload leaves is found at the next start, whichever write was the last; a file whose event stands stays.
func attachmentCutOff(t *testing.T, s *Suite) {
	s.attachable(t)
	kept := content(1, eventstore.ChunkSize+10)
	ref := s.attach(t.Context(), t, recording("alice"), kept).Event.Attachment.Ref // its row is still there
	for after := range 3 {
		ctx, crash := context.WithCancel(t.Context())
		pieces := 0
		_, err := s.Attach(ctx, caller, recording("bob"), wav, reader(func(p []byte) (int, error) {
			if pieces++; pieces > after {
				crash()
			}
			return len(p), nil
		}), -1)
		if err == nil {
			t.Fatal("it ended")
		}
	}
	next := s.again(t) // a new process knows nothing of these
	if err := next.ResumeAttachments(t.Context(), Tenant); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := next.SweepAttachments(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.left(t); n != 2 {
		t.Errorf("%d chunks are left", n)
	}
	if rows, err := s.Parts.Meta.List(t.Context(), Tenant, eventstore.TableUploads); err != nil || len(rows) != 0 {
		t.Errorf("%d rows are left, %v", len(rows), err)
	}
	if back, err := s.fetch(t.Context(), ref); err != nil || !bytes.Equal(back, kept) {
		t.Errorf("the file that was stored: %d bytes, %v", len(back), err)
	}
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

// again is another store over the same parts.
func (s *Suite) again(t *testing.T) *eventstore.Store {
	t.Helper()
	return eventstore.New(eventstore.Config{Keys: s.Keys, Log: s.Log, Door: s.Door, Ledger: &s.entries, Chunks: s.Parts.Chunks, Meta: s.Parts.Meta})
}

// attachmentErased: with its person a file is gone, also for who is reading it; an upload that an erasure meets is refused and leaves nothing.
func attachmentErased(t *testing.T, s *Suite) {
	s.attachable(t)
	e := s.attach(t.Context(), t, recording("alice"), content(1, 2*eventstore.ChunkSize))
	in, err := s.ReadAttachment(t.Context(), Tenant, e)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	pieces := 0
	_, err = s.Attach(t.Context(), caller, recording("alice"), wav, reader(func(p []byte) (int, error) {
		if pieces++; pieces == 2 {
			s.Erase(t, e.Person)
		}
		return len(p), nil
	}), -1)
	if !errors.Is(err, eventstore.ErrErased) && !errors.Is(err, eventstore.ErrFenced) {
		t.Errorf("an upload that was under way: %v", err)
	}
	_, err = s.fetch(t.Context(), e.Event.Attachment.Ref)
	want(t, "an erased one", err, eventstore.ErrErased)
	_, err = io.ReadAll(in)
	want(t, "one that was being read", err, eventstore.ErrErased)
	if err := s.Parts.Chunks.Remove(t.Context(), Tenant, eventstore.Removal{Persons: []eventstore.PersonID{e.Person}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.SweepAttachments(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := s.left(t); n != 0 {
		t.Errorf("%d chunks are left", n)
	}
}

// attachmentPart: the erasure of a part takes its files; the others open by the reference that they had.
func attachmentPart(t *testing.T, s *Suite) {
	s.attachable(t)
	var refs []string
	var person eventstore.PersonID
	for i := range 2 {
		e := recording("alice")
		e.Conversation = eventstore.ConversationID(fmt.Sprint("c", i))
		got := s.attach(t.Context(), t, e, content(byte(i), 5000))
		refs, person = append(refs, got.Event.Attachment.Ref), got.Person
	}
	if err := s.SweepAttachments(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := s.fencePart(t.Context(), t, person)
	_, err := s.Reseal(t.Context(), Tenant, eventstore.Resealing{Persons: p.persons(), First: p.first, Keep: func(r *eventstore.Recorded) bool { return r.Event.Conversation != "c0" }})
	if err != nil {
		t.Fatal(err)
	}
	s.supersede(t.Context(), t, p, eventstore.Refused{})
	check := func(when string) {
		t.Helper()
		_, err := s.fetch(t.Context(), refs[0])
		want(t, when+": the erased one", err, eventstore.ErrErased)
		if back, err := s.fetch(t.Context(), refs[1]); err != nil || !bytes.Equal(back, content(1, 5000)) {
			t.Errorf("%s: the other: %d bytes, %v", when, len(back), err)
		}
	}
	check("superseded")
	going, err := s.Unnamed(t.Context(), Tenant, p.persons())
	if err != nil || len(going) != 1 {
		t.Fatalf("unnamed: %v, %v", going, err)
	}
	s.removePart(t.Context(), t, p)
	if err := s.Parts.Chunks.Remove(t.Context(), Tenant, eventstore.Removal{Attachments: going}, nil); err != nil {
		t.Fatal(err)
	}
	check("removed")
	if n := s.left(t); n != 1 {
		t.Errorf("%d chunks are left", n)
	}
}

// attachmentDamaged: chunks that are missing are damage, never an erasure.
func attachmentDamaged(t *testing.T, s *Suite) {
	s.attachable(t)
	e := s.attach(t.Context(), t, recording("alice"), content(1, 100))
	ref, _ := eventstore.ParseAttachmentRef(e.Event.Attachment.Ref)
	ref.Sequence++
	_, err := s.FindAttachment(t.Context(), Tenant, ref)
	want(t, "another place", err, eventstore.ErrNotFound)
	a := eventstore.Attachment{Person: e.Person, ID: e.Event.Attachment.ID}
	if err := s.Parts.Chunks.Remove(t.Context(), Tenant, eventstore.Removal{Attachments: []eventstore.Attachment{a}}, nil); err != nil {
		t.Fatal(err)
	}
	_, err = s.fetch(t.Context(), e.Event.Attachment.Ref)
	want(t, "missing chunks", err, eventstore.ErrDamaged)
	if errors.Is(err, eventstore.ErrErased) {
		t.Error("damage is reported as an erasure")
	}
}
