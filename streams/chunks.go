package streams

import (
	"context"
	"iter"

	"github.com/oubli-store/oubli/eventstore"
)

// Chunks is the log of attachments: it implements [eventstore.Chunks] on the streams BLOB_<tenant>.
func (s *Streams) Chunks() eventstore.Chunks { return chunks{s} }

type chunks struct{ s *Streams }

// Open implements [eventstore.Log]. What the stream holds beyond the journal is taken in.
func (c chunks) Open(ctx context.Context, tenant eventstore.TenantID, vault eventstore.VaultID, create bool,
	_ func(context.Context, eventstore.Stored) (eventstore.Row, error)) error {
	return c.s.openLog(ctx, chunkSpec(tenant), vault, create, func(context.Context, eventstore.Stored) (eventstore.Row, error) { return row{}, nil })
}

// Submit implements [eventstore.Log].
func (c chunks) Submit(ctx context.Context, tenant eventstore.TenantID, m eventstore.Message) (eventstore.Ticket, error) {
	m.Row = row{}
	return c.s.submit(ctx, chunkSpec(tenant), m)
}

// Read implements [eventstore.Log].
func (c chunks) Read(ctx context.Context, tenant eventstore.TenantID, person eventstore.PersonID, after uint64) iter.Seq2[eventstore.Stored, error] {
	sp := chunkSpec(tenant)
	return c.s.read(ctx, sp, sp.of(person), after)
}

// ReadAttachment implements [eventstore.Chunks].
func (c chunks) ReadAttachment(ctx context.Context, tenant eventstore.TenantID, a eventstore.Attachment, after uint64) iter.Seq2[eventstore.Stored, error] {
	sp := chunkSpec(tenant)
	return c.s.read(ctx, sp, sp.chunks(a), after)
}

// Get implements [eventstore.Log].
func (c chunks) Get(ctx context.Context, tenant eventstore.TenantID, sequence uint64) (eventstore.Stored, error) {
	return c.s.get(ctx, chunkSpec(tenant), sequence)
}

// Replay implements [eventstore.Log].
func (c chunks) Replay(ctx context.Context, tenant eventstore.TenantID, after uint64) iter.Seq2[eventstore.Stored, error] {
	return c.s.read(ctx, chunkSpec(tenant), everything, after)
}

// Committed implements [eventstore.Log].
func (c chunks) Committed(_ context.Context, tenant eventstore.TenantID) (uint64, error) {
	return c.s.committed(chunkSpec(tenant))
}

// Await implements [eventstore.Log].
func (c chunks) Await(ctx context.Context, tenant eventstore.TenantID, after uint64) (uint64, error) {
	return c.s.await(ctx, chunkSpec(tenant), after)
}

// Count implements [eventstore.Log].
func (c chunks) Count(ctx context.Context, tenant eventstore.TenantID, person eventstore.PersonID) (uint64, error) {
	return c.s.count(ctx, chunkSpec(tenant), person)
}

// Size implements [eventstore.Chunks].
func (c chunks) Size(ctx context.Context, tenant eventstore.TenantID) (uint64, error) {
	w, err := c.s.writer(chunkSpec(tenant))
	if err != nil {
		return 0, err
	}
	st, err := w.remote.state(ctx)
	return st.bytes, err
}

// Remove implements [eventstore.Log].
func (c chunks) Remove(ctx context.Context, tenant eventstore.TenantID, what eventstore.Removal, progress func(done, left uint64)) error {
	what.Prefixes = nil
	return c.s.remove(ctx, chunkSpec(tenant), what, progress)
}

// Expire implements [eventstore.Log].
func (c chunks) Expire(ctx context.Context, tenant eventstore.TenantID, before eventstore.KeyMonth, spared func(eventstore.PersonID) bool,
	progress func(done, left uint64)) error {
	return c.s.expire(ctx, chunkSpec(tenant), before, spared, progress)
}

// Traces implements [eventstore.Log].
func (c chunks) Traces(ctx context.Context, tenant eventstore.TenantID, of []eventstore.Removed) (eventstore.Traces, error) {
	return c.s.traces(ctx, chunkSpec(tenant), of)
}

// AwaitTrim is [Streams.AwaitTrim] of the attachments' journal.
func (c chunks) AwaitTrim(ctx context.Context, tenant eventstore.TenantID) error {
	return c.s.awaitTrim(ctx, chunkSpec(tenant))
}

// EraseTenant implements [eventstore.Log]: all streams of the tenant go, as with [Streams.EraseTenant].
func (c chunks) EraseTenant(ctx context.Context, tenant eventstore.TenantID) error {
	return c.s.EraseTenant(ctx, tenant)
}
