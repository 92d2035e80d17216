package eventstore

import (
	"context"
	"iter"
)

// Chunks keeps the sealed bytes of attachments, in chunks, on a stream of its own (BLOB_<tenant>). It is a [Log] with the same promises, whose messages are
// chunks, and differs in this:
//
//   - The Envelope's Event is the [AttachmentID]; its Month is the key month of the attachment's event, so that [Log.Expire] takes both.
//   - A message is up to [MaxChunk] bytes long. Whoever submits bounds how many are on their way.
//   - There are no idempotency rows: [Message.Row] is not looked at.
//   - Open asks nobody about chunks that were never journalled: the key of a chunk is in its event, and who reads it checks it.
type Chunks interface {
	Log
	// ReadAttachment yields the chunks of one attachment with a sequence above after, in order. Nothing if there are none.
	ReadAttachment(ctx context.Context, tenant TenantID, a Attachment, after uint64) iter.Seq2[Stored, error]
	// Size says how many bytes a tenant's chunks take on the stream, those included that wait to be removed.
	Size(ctx context.Context, tenant TenantID) (uint64, error)
}

// MaxChunk bounds a sealed chunk, its envelope included: a message of a NATS server with its default settings, less room for subject and headers.
const MaxChunk = 1<<20 - 1<<10
