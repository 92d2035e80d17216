package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// consumeFrom is the number of sequences from which a consumer is worth its creation.
	consumeFrom = 4 * batchCount
	// consumePatience is how long a consumer may be silent before it is given up.
	consumePatience = time.Second
	// consumerLife is how long the server keeps a consumer that nobody asks: whoever reads it may have much to do in between.
	consumerLife = time.Minute
)

var errConsumer = errors.New("a consumer did not deliver what was asked for")

// all is each for everything that the stream holds. A long way is read through a consumer, which costs much less than direct gets: these
// carry subject, sequence and time in headers, which are written and parsed for each message. Where a consumer fails, is silent or leaves something out,
// direct gets go on behind the last message: what they say counts.
func (r remote) all(ctx context.Context, from, to uint64, fn func(message) bool) error {
	if !r.clustered && from <= to && to-from >= consumeFrom {
		seen, ended := r.consume(ctx, from, to, fn)
		if ended {
			return nil
		}
		from = seen + 1
	}
	return r.each(ctx, everything, from, to, fn)
}

// consume gives fn messages in order, as long as a consumer has some. seen is the last sequence that fn was given, at least from-1. ended says that nothing is left
// to be read up to to, or that fn ended it.
func (r remote) consume(ctx context.Context, from, to uint64, fn func(message) bool) (seen uint64, ended bool) {
	seen = from - 1
	c, err := r.consumer(ctx, from)
	if err != nil {
		return seen, false
	}
	defer c.drop()
	for {
		m, err := c.next(ctx)
		if err != nil {
			return seen, false
		}
		if m.sequence > to {
			return seen, true
		}
		if seen = m.sequence; !fn(m) || seen == to {
			return seen, true
		}
		if m.pending == 0 {
			return seen, false
		}
	}
}

// consumer reads a stream ahead: two requests for half of what a direct get asks for are under way. It stands in the server's memory, acknowledges nothing, and has one
// reader. (Messages of package jetstream has room for exactly what it asks for, and drops messages when the server says something besides.)
type consumer struct {
	r         remote
	name      string
	sub       *nats.Subscription
	request   []byte
	awaited   int // what was asked for and has not come
	delivered uint64
}

// consumer makes one that begins at a sequence.
func (r remote) consumer(ctx context.Context, from uint64) (*consumer, error) {
	asking, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	made, err := r.readJS.CreateConsumer(asking, r.spec.stream(), jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: consumerLife,
	})
	if err != nil {
		return nil, fmt.Errorf("making a consumer: %w", err)
	}
	c := &consumer{r: r, name: made.CachedInfo().Name}
	c.request, err = json.Marshal(map[string]any{"batch": batchCount / 2, "max_bytes": batchBytes / 2, "expires": consumerLife})
	if err == nil {
		c.sub, err = r.reads.SubscribeSync(r.reads.NewInbox())
	}
	if err == nil {
		err = c.sub.SetPendingLimits(-1, -1) // bounded by what is asked for
	}
	if err != nil {
		c.drop()
		return nil, err
	}
	return c, nil
}

// drop ends the consumer, here and at the server.
func (c *consumer) drop() {
	if c.sub != nil {
		_ = c.sub.Unsubscribe()
	}
	// Nobody waits for it: without this the server ends it by itself.
	_ = c.r.reads.Publish("$JS.API.CONSUMER.DELETE."+c.r.spec.stream()+"."+c.name, nil)
}

// next awaits the next message.
func (c *consumer) next(ctx context.Context) (message, error) {
	for {
		for c.awaited <= batchCount/2 {
			if err := c.r.reads.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+c.r.spec.stream()+"."+c.name, c.sub.Subject, c.request); err != nil {
				return message{}, err
			}
			c.awaited += batchCount / 2
		}
		m, err := c.sub.NextMsg(consumePatience)
		if err != nil || ctx.Err() != nil {
			return message{}, errors.Join(err, ctx.Err())
		}
		if m.Header.Get("Status") == "" || m.Reply != "" {
			return c.take(m)
		}
		// A request has ended, by its count, its bytes or its time, and says what it leaves.
		left, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
		if err != nil || left < 0 || left > c.awaited {
			return message{}, errConsumer
		}
		c.awaited -= left
	}
}

// take reads a delivery, which must be the one behind the last.
func (c *consumer) take(m *nats.Msg) (message, error) {
	at, err := m.Metadata()
	if err != nil {
		return message{}, err
	}
	c.awaited--
	if c.delivered++; at.Sequence.Consumer != c.delivered {
		return message{}, errConsumer
	}
	return message{sequence: at.Sequence.Stream, subject: m.Subject, at: at.Timestamp.UTC(), pending: at.NumPending, data: m.Data}, nil
}
