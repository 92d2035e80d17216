package streams

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/oubli-store/oubli/eventstore"
)

// Import makes a tenant's conversation stream from messages, under their sequences, which ascend and may leave holes; last is the stream's last
// sequence. It needs no log/ (c.Dir is not touched): [Rebuild] makes it afterwards. The messages get the time of the import. ErrConflict if the stream
// is there already; what an import that failed has left must be deleted with the server's files. It returns how many messages it stored, once
// the server has them all; they are on its disk a sync interval later.
func Import(ctx context.Context, c Config, tenant eventstore.TenantID, vault eventstore.VaultID, last uint64,
	messages iter.Seq2[eventstore.Stored, error]) (uint64, error) {
	return importLog(ctx, c, convSpec(tenant), vault, last, messages)
}

// ImportChunks makes a tenant's stream of attachments in the same way.
func ImportChunks(ctx context.Context, c Config, tenant eventstore.TenantID, vault eventstore.VaultID, last uint64,
	messages iter.Seq2[eventstore.Stored, error]) (uint64, error) {
	return importLog(ctx, c, chunkSpec(tenant), vault, last, messages)
}

func importLog(ctx context.Context, c Config, sp spec, vault eventstore.VaultID, last uint64, messages iter.Seq2[eventstore.Stored, error]) (uint64, error) {
	return importStream(ctx, c, sp, vault, last, func(yield func(message, error) bool) {
		for m, err := range messages {
			data := m.Envelope.Append(nil)
			if !yield(message{sequence: m.Sequence, subject: sp.subject(m.Person, data), data: data}, err) || err != nil {
				return
			}
		}
	})
}

// ImportRecords makes a record stream of a tenant in the same way. Records have no holes.
func ImportRecords(ctx context.Context, c Config, tenant eventstore.TenantID, stream eventstore.RecordStream, vault eventstore.VaultID,
	records iter.Seq2[eventstore.Record, error]) (uint64, error) {
	sp, err := recordSpec(tenant, stream)
	if err != nil {
		return 0, err
	}
	next := uint64(1)
	return importStream(ctx, c, sp, vault, 0, func(yield func(message, error) bool) {
		for r, err := range records {
			if err == nil && r.Number != next {
				err = damaged("the record %d is missing", next)
			}
			next++
			if !yield(message{sequence: r.Number, subject: sp.control(), data: r.Data}, err) || err != nil {
				return
			}
		}
	})
}

// importCount is how many messages are sent before their acknowledgements are awaited.
const importCount = 1000

// importer publishes messages of a stream that it made.
type importer struct {
	pub    *publisher
	spec   spec
	window []message
	size   int
	next   uint64 // the sequence that the next message gets
	holes  bool
}

func importStream(ctx context.Context, c Config, sp spec, vault eventstore.VaultID, last uint64, all iter.Seq2[message, error]) (stored uint64, err error) {
	if _, err := eventstore.ParseTenantID(string(sp.tenant)); err != nil {
		return 0, err
	}
	if c, err = c.withDefaults(); err != nil {
		return 0, err
	}
	js, err := jetstream.New(c.Conn)
	if err != nil {
		return 0, fmt.Errorf("streams: %w", err)
	}
	var i *importer
	begin := func(first uint64) error {
		i = &importer{spec: sp, next: first}
		return i.begin(ctx, c, js, vault)
	}
	defer func() {
		if i != nil && i.pub != nil {
			i.pub.close()
		}
	}()
	for m, err := range all {
		if err != nil {
			return stored, err
		}
		if i == nil {
			if err := begin(m.sequence); err != nil {
				return stored, err
			}
		}
		if m.sequence < i.next {
			return stored, damaged("the message %d does not ascend", m.sequence)
		}
		if err := i.upTo(ctx, m.sequence); err != nil {
			return stored, err
		}
		if err := i.add(ctx, m); err != nil {
			return stored, err
		}
		stored++
	}
	if i == nil { // nothing is left of it
		if err := begin(last + 1); err != nil {
			return stored, err
		}
	}
	if err := i.upTo(ctx, last+1); err != nil {
		return stored, err
	}
	return stored, i.end(ctx, js)
}

// begin makes the stream, whose first sequence will be i.next.
func (i *importer) begin(ctx context.Context, c Config, js jetstream.JetStream, vault eventstore.VaultID) error {
	short, cancel := context.WithTimeout(ctx, 2*answerWait)
	defer cancel()
	if _, err := js.Stream(short, i.spec.stream()); !errors.Is(err, jetstream.ErrStreamNotFound) {
		if err == nil {
			return fmt.Errorf("%w: the stream %s is there already", eventstore.ErrConflict, i.spec.stream())
		}
		return unavailable(err)
	}
	config := i.spec.config(vault, c.Replicas)
	config.FirstSeq = i.next
	quicken(&config, c.Conn)
	st, err := js.CreateStream(short, config)
	if err != nil {
		return unavailable(fmt.Errorf("creating the stream: %w", err))
	}
	if i.pub, err = newPublisher(c.Conn, i.spec.stream()); err != nil {
		return err
	}
	i.pub.batched = st.CachedInfo().Config.AllowBatchPublish
	return nil
}

// upTo fills the hole before a sequence with empty messages.
func (i *importer) upTo(ctx context.Context, sequence uint64) error {
	for i.next < sequence {
		i.holes = true
		if err := i.add(ctx, message{subject: i.spec.filler()}); err != nil {
			return err
		}
	}
	return nil
}

func (i *importer) add(ctx context.Context, m message) error {
	i.window = append(i.window, m)
	i.size += len(m.data)
	i.next++
	if len(i.window) < importCount && i.size < batchBytes {
		return nil
	}
	return i.flush(ctx)
}

// flush publishes the window. Each message is refused by the server unless it gets its own sequence.
func (i *importer) flush(ctx context.Context) error {
	if len(i.window) == 0 {
		return nil
	}
	w := i.pub.begin(i.next-uint64(len(i.window)), len(i.window))
	for _, m := range i.window {
		if err := i.pub.send(w, m.subject, m.data); err != nil {
			return unavailable(err)
		}
	}
	if err := i.pub.wait(ctx, w, 4*answerWait); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return unavailable(fmt.Errorf("importing into the stream %s: %w", i.spec.stream(), err))
	}
	i.window, i.size = i.window[:0], 0
	return nil
}

// end publishes what is left and takes the fillers out: they are empty, so a purge that leaves their bytes leaves nothing.
func (i *importer) end(ctx context.Context, js jetstream.JetStream) error {
	if err := i.flush(ctx); err != nil || !i.holes {
		return err
	}
	st, err := js.Stream(ctx, i.spec.stream())
	if err == nil {
		err = st.Purge(ctx, jetstream.WithPurgeSubject(i.spec.filler()))
	}
	if err != nil {
		return unavailable(fmt.Errorf("taking the fillers out: %w", err))
	}
	return nil
}
