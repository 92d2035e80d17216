package logtest

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// FakeChunks is a log of attachments in memory. Make one with [NewChunks].
type FakeChunks struct{ *Fake }

var _ eventstore.Chunks = FakeChunks{}

// NewChunks makes an empty one.
func NewChunks() FakeChunks { return FakeChunks{New()} }

// Submit implements [eventstore.Log].
func (f FakeChunks) Submit(ctx context.Context, id eventstore.TenantID, m eventstore.Message) (eventstore.Ticket, error) {
	m.Row = row{}
	return f.Fake.Submit(ctx, id, m)
}

// ReadAttachment implements [eventstore.Chunks].
func (f FakeChunks) ReadAttachment(ctx context.Context, id eventstore.TenantID, a eventstore.Attachment, after uint64) iter.Seq2[eventstore.Stored, error] {
	return f.messages(ctx, id, after, func(m eventstore.Stored) bool { return m.Person == a.Person && m.Envelope.Event == a.ID })
}

// Size implements [eventstore.Chunks].
func (f FakeChunks) Size(ctx context.Context, id eventstore.TenantID) (n uint64, err error) {
	for m, err := range f.Replay(ctx, id, 0) {
		if err != nil {
			return 0, err
		}
		n += uint64(m.Envelope.Size())
	}
	return n, nil
}

// ChunksOpener is an [Opener] for logs of attachments.
type ChunksOpener func(t *testing.T) (c eventstore.Chunks, reopen func(t *testing.T) eventstore.Chunks)

// RunChunks holds a log of attachments to its contract.
func RunChunks(t *testing.T, open ChunksOpener) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"Order", order},
		{"Expected", expected},
		{"Replay", replay},
		{"Await", await},
		{"RemoveBelow", removeBelow},
		{"RemoveRefused", removeRefused},
		{"Traces", traces},
		{"Open", openRules},
		{"Attachments", attachments},
		{"RemoveAttachments", removeAttachments},
		{"ExpireChunks", expireChunks},
		{"Largest", largest},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, reopen := open(t)
			s := &suite{Log: chunkLog{Chunks: l}}
			if reopen != nil {
				s.reopen = func(t *testing.T) Log { return chunkLog{Chunks: reopen(t)} }
			}
			s.open(t, tenantA)
			c.test(t, s)
		})
	}
}

// chunkLog stands where the suite has a log; there are no records.
type chunkLog struct {
	eventstore.Chunks
	eventstore.Records
}

// AwaitTrim waits for the journal of a log that has one.
func (c chunkLog) AwaitTrim(ctx context.Context, id eventstore.TenantID) error {
	if l, can := c.Chunks.(interface {
		AwaitTrim(context.Context, eventstore.TenantID) error
	}); can {
		return l.AwaitTrim(ctx, id)
	}
	return nil
}

func (s *suite) chunks() eventstore.Chunks { return s.Log.(chunkLog).Chunks }

func newChunk(t *testing.T, a eventstore.Attachment, month uint16, text string) eventstore.Message {
	m := newMessage(t, a.Person, text)
	m.Envelope.Event, m.Envelope.Month = a.ID, month
	return m
}

func newAttachment(t *testing.T, p eventstore.PersonID) eventstore.Attachment {
	t.Helper()
	id, err := eventstore.NewAttachmentID(nil)
	if err != nil {
		t.Fatal(err)
	}
	return eventstore.Attachment{Person: p, ID: id}
}

// attachments: each is read by itself, in order, from any of its chunks on; a row is not looked at; all of a person's are read as one.
func attachments(t *testing.T, s *suite) {
	alice, bob := newPerson(t), newPerson(t)
	all := []eventstore.Attachment{newAttachment(t, alice), newAttachment(t, alice), newAttachment(t, bob)}
	var first, size uint64
	for n := range 5 {
		for i, a := range all {
			m := newChunk(t, a, 680, fmt.Sprint(i, "/", n))
			m.Row = row{1}
			at := s.append(t, tenantA, m)
			if at.Duplicate {
				t.Fatal("a row was looked at")
			}
			if i == 0 && n == 1 {
				first = at.Sequence
			}
			size += uint64(m.Envelope.Size())
		}
	}
	c := s.chunks()
	same(t, "ReadAttachment", texts(collect(t, c.ReadAttachment(t.Context(), tenantA, all[0], 0))), []string{"0/0", "0/1", "0/2", "0/3", "0/4"})
	same(t, "ReadAttachment after", texts(collect(t, c.ReadAttachment(t.Context(), tenantA, all[0], first))), []string{"0/2", "0/3", "0/4"})
	other := eventstore.Attachment{Person: bob, ID: all[0].ID}
	same(t, "of another person", texts(collect(t, c.ReadAttachment(t.Context(), tenantA, other, 0))), nil)
	if n := len(collect(t, c.Read(t.Context(), tenantA, alice, 0))); n != 10 {
		t.Errorf("Read: %d", n)
	}
	if n, err := c.Count(t.Context(), tenantA, alice); n != 10 || err != nil {
		t.Errorf("Count: %d, %v", n, err)
	}
	if n, err := c.Size(t.Context(), tenantA); n < size || err != nil {
		t.Errorf("Size: %d, %v, want at least %d", n, err, size)
	}
	if s.reopen == nil {
		return
	}
	s.Log = s.reopen(t)
	s.open(t, tenantA)
	same(t, "reopened", texts(collect(t, s.chunks().ReadAttachment(t.Context(), tenantA, all[2], 0))), []string{"2/0", "2/1", "2/2", "2/3", "2/4"})
}

// removeAttachments: one attachment of a person goes and leaves no trace; their others stay, and are none.
func removeAttachments(t *testing.T, s *suite) {
	alice := newPerson(t)
	gone, kept := newAttachment(t, alice), newAttachment(t, alice)
	for n := range 3 {
		s.append(t, tenantA, newChunk(t, gone, 680, fmt.Sprint("gone ", n)))
		s.append(t, tenantA, newChunk(t, kept, 680, fmt.Sprint("kept ", n)))
	}
	of := []eventstore.Removed{{Person: alice, Attachments: []eventstore.AttachmentID{gone.ID}}}
	if found, err := s.Log.Traces(t.Context(), tenantA, of); err != nil || !found.Found(alice) {
		t.Errorf("before: %+v, %v", found, err)
	}
	var done uint64
	for range 2 {
		if err := s.Remove(t.Context(), tenantA, eventstore.Removal{Attachments: []eventstore.Attachment{gone}}, func(d, _ uint64) { done = max(done, d) }); err != nil {
			t.Fatal(err)
		}
	}
	if done != 3 {
		t.Errorf("progress says %d", done)
	}
	if err := s.Log.(chunkLog).AwaitTrim(t.Context(), tenantA); err != nil {
		t.Fatal(err)
	}
	same(t, "gone", texts(collect(t, s.chunks().ReadAttachment(t.Context(), tenantA, gone, 0))), nil)
	same(t, "kept", texts(collect(t, s.chunks().ReadAttachment(t.Context(), tenantA, kept, 0))), []string{"kept 0", "kept 1", "kept 2"})
	if found, err := s.Log.Traces(t.Context(), tenantA, of); err != nil || found.Found(alice) {
		t.Errorf("after: %+v, %v", found, err)
	}
	of[0].Attachments = append(of[0].Attachments, kept.ID)
	if found, err := s.Log.Traces(t.Context(), tenantA, of); err != nil || !found.Found(alice) {
		t.Errorf("what stays: %+v, %v", found, err)
	}
}

// expireChunks: the chunks of an expired month go wherever they stand, those of who is spared stay.
func expireChunks(t *testing.T, s *suite) {
	alice, held := newPerson(t), newPerson(t)
	var all []eventstore.Attachment
	for n := range 4 {
		for _, p := range []eventstore.PersonID{alice, held} {
			a := newAttachment(t, p)
			all = append(all, a)
			s.append(t, tenantA, newChunk(t, a, 680+uint16(n%2), fmt.Sprint(len(all))))
		}
	}
	if err := s.Expire(t.Context(), tenantA, 681, func(p eventstore.PersonID) bool { return p == held }, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "left", texts(collect(t, s.Replay(t.Context(), tenantA, 0))), []string{"2", "3", "4", "6", "7", "8"})
}

// largest: a chunk of the greatest size comes back as it was.
func largest(t *testing.T, s *suite) {
	seeded := rand.NewChaCha8([32]byte{1})
	a := newAttachment(t, newPerson(t))
	var sent [][]byte
	for range 9 { // more than one batch of a read holds
		m := newChunk(t, a, 680, "")
		m.Envelope.Ciphertext = make([]byte, eventstore.MaxChunk-(m.Envelope.Size()-len(m.Envelope.Ciphertext)))
		_, _ = seeded.Read(m.Envelope.Ciphertext)
		s.append(t, tenantA, m)
		sent = append(sent, m.Envelope.Ciphertext)
	}
	got := collect(t, s.chunks().ReadAttachment(t.Context(), tenantA, a, 0))
	if len(got) != len(sent) {
		t.Fatalf("%d chunks", len(got))
	}
	for i := range got {
		if !bytes.Equal(got[i].Envelope.Ciphertext, sent[i]) {
			t.Errorf("the chunk %d is another", i)
		}
	}
}
