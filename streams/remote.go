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
	// batchCount and batchBytes bound one direct get.
	batchCount = 1000
	batchBytes = 4 << 20
	// answerWait is how long the server may be silent.
	answerWait = 5 * time.Second
)

// remote is a stream as the server has it.
type remote struct {
	js     jetstream.JetStream
	reads  *nats.Conn
	readJS jetstream.JetStream // over reads
	spec   spec
	// clustered: one of several servers answers a direct get, see leader.go.
	clustered bool
}

// state is what the server says of a stream.
type state struct {
	created int64
	vault   string
	format  string
	// first is the sequence of the first message that is there.
	first, last, count, bytes uint64
	// batched: it takes fast batches.
	batched  bool
	replicas int
}

var errNoStream = errors.New("the stream does not exist")

// state asks the server. errNoStream if it knows no such stream; other errors are outages.
func (r remote) state(ctx context.Context) (state, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	st, err := r.js.Stream(ctx, r.spec.stream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return state{}, errNoStream
	}
	if err != nil {
		return state{}, unavailable(err)
	}
	return stateOf(st.CachedInfo()), nil
}

func stateOf(i *jetstream.StreamInfo) state {
	return state{
		created: i.Created.UnixNano(),
		vault:   i.Config.Metadata[metaVault],
		format:  i.Config.Metadata[metaFormat],
		first:   i.State.FirstSeq,
		last:    i.State.LastSeq,
		count:   i.State.Msgs,
		bytes:   i.State.Bytes,
		batched: i.Config.AllowBatchPublish,

		replicas: i.Config.Replicas,
	}
}

// quicken sets what makes appends cheap for a server that knows it. The windows of a publisher go as fast batches. A stream of one replica writes
// to its file within milliseconds of the acknowledgement instead of before it, many messages at a time: they are in the journal, which puts back what
// a server that was killed had not written yet.
func quicken(c *jetstream.StreamConfig, nc *nats.Conn) {
	if !takesBatches(nc) {
		return
	}
	c.AllowBatchPublish = true
	if c.Replicas <= 1 && nc.ConnectedClusterName() == "" { // in a cluster the stream may get more: the mode cannot be changed
		c.PersistMode = jetstream.AsyncPersistMode
	}
}

// takesBatches says whether the connected server knows fast batches.
func takesBatches(nc *nats.Conn) bool {
	var major, minor int
	_, err := fmt.Sscanf(nc.ConnectedServerVersion(), "%d.%d", &major, &minor)
	return err == nil && (major > 2 || major == 2 && minor >= 14)
}

// allowBatches has the stream take fast batches, and says whether it does.
func (r remote) allowBatches(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	st, err := r.js.Stream(ctx, r.spec.stream())
	if err != nil {
		return false, unavailable(err)
	}
	config := st.CachedInfo().Config
	config.AllowBatchPublish = true
	if st, err = r.js.UpdateStream(ctx, config); err != nil {
		return false, unavailable(err)
	}
	return st.CachedInfo().Config.AllowBatchPublish, nil
}

// raise gives the stream more replicas.
func (r remote) raise(ctx context.Context, replicas int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*answerWait)
	defer cancel()
	st, err := r.js.Stream(ctx, r.spec.stream())
	if err != nil {
		return unavailable(err)
	}
	c := st.CachedInfo().Config
	c.Replicas = replicas
	if _, err := r.js.UpdateStream(ctx, c); err != nil {
		return unavailable(fmt.Errorf("giving the stream more replicas: %w", err))
	}
	return nil
}

// count asks how many messages of a subject are stored.
func (r remote) count(ctx context.Context, subject string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	st, err := r.js.Stream(ctx, r.spec.stream())
	if err != nil {
		return 0, unavailable(err)
	}
	info, err := st.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return 0, unavailable(err)
	}
	var n uint64
	for _, of := range info.State.Subjects { // several if the subject has a wildcard
		n += of
	}
	return n, nil
}

// destroy deletes a message and overwrites its bytes. No error if it is gone already.
func (r remote) destroy(ctx context.Context, sequence uint64) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	request, err := json.Marshal(struct {
		Seq uint64 `json:"seq"`
	}{sequence})
	if err != nil {
		return fmt.Errorf("asking for a removal: %w", err)
	}
	m, err := r.js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.MSG.DELETE."+r.spec.stream(), request)
	if err != nil {
		return unavailable(err)
	}
	var answer struct {
		Success bool                `json:"success"`
		Error   *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return unavailable(err)
	}
	if answer.Success {
		return nil
	}
	// The server answers the same code for a message that is not there and for other failures: look.
	if _, err := r.get(ctx, sequence); errors.Is(err, errNoMessage) {
		return nil
	}
	if answer.Error != nil {
		return unavailable(answer.Error)
	}
	return unavailable(errors.New("the server did not remove the message"))
}

// message is one message as the server has it.
type message struct {
	sequence uint64
	subject  string
	at       time.Time
	pending  uint64 // of the first of a batch: how many the server says are behind it
	data     []byte
}

// size is a lower bound of what it takes in a block file.
func (m message) size() uint64 { return 30 + uint64(len(m.subject)+len(m.data)) }

// purge deletes everything up to a sequence. The server unlinks the block files that this empties.
func (r remote) purge(ctx context.Context, to uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 2*answerWait)
	defer cancel()
	st, err := r.js.Stream(ctx, r.spec.stream())
	if err != nil {
		return unavailable(err)
	}
	if err := st.Purge(ctx, jetstream.WithPurgeSequence(to+1)); err != nil {
		return unavailable(fmt.Errorf("purging the stream: %w", err))
	}
	return nil
}

var errNoMessage = errors.New("there is no such message")

type getRequest struct {
	Seq      uint64 `json:"seq,omitempty"`
	LastFor  string `json:"last_by_subj,omitempty"`
	NextFor  string `json:"next_by_subj,omitempty"`
	Batch    int    `json:"batch,omitempty"`
	MaxBytes int    `json:"max_bytes,omitempty"`
}

func (r remote) direct() string { return "$JS.API.DIRECT.GET." + r.spec.stream() }

// get reads one message. errNoMessage if there is none.
func (r remote) get(ctx context.Context, sequence uint64) (message, error) {
	m, err := r.one(ctx, getRequest{Seq: sequence})
	if !r.clustered || !errors.Is(err, errNoMessage) {
		return m, err
	}
	return m, insist(ctx, func(ctx context.Context) (bool, error) {
		there, failed := r.leaderHolds(ctx, sequence)
		if failed != nil || !there {
			return failed == nil, errors.Join(failed, errNoMessage)
		}
		m, failed = r.one(ctx, getRequest{Seq: sequence})
		return failed == nil, failed
	})
}

// lastOf finds the sequence of the last message of a subject, 0 if there is none. What was published up to upTo is counted.
func (r remote) lastOf(ctx context.Context, subject string, upTo uint64) (uint64, error) {
	if r.clustered {
		if err := r.leaderReaches(ctx, upTo); err != nil {
			return 0, err
		}
		return r.leaderLast(ctx, subject)
	}
	m, err := r.one(ctx, getRequest{LastFor: subject})
	if errors.Is(err, errNoMessage) {
		return 0, nil
	}
	return m.sequence, err
}

func (r remote) one(ctx context.Context, q getRequest) (message, error) {
	request, err := json.Marshal(q)
	if err != nil {
		return message{}, fmt.Errorf("asking for a message: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	m, err := r.reads.RequestWithContext(ctx, r.direct(), request)
	if err != nil {
		return message{}, unavailable(err)
	}
	out, status, err := decode(m)
	switch {
	case err != nil:
		return message{}, err
	case status == "404":
		return message{}, errNoMessage
	case status != "":
		return message{}, unavailable(errors.New("the server answered a read with status " + status))
	}
	return out, nil
}

// decode reads an answer of a direct get: a message, or a status.
func decode(m *nats.Msg) (out message, status string, err error) {
	if s := m.Header.Get("Status"); s != "" {
		return out, s, nil
	}
	out.subject = m.Header.Get(jetstream.SubjectHeader)
	out.data = m.Data
	out.sequence, err = strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil || out.subject == "" {
		return out, "", unavailable(errors.New("the server answered a read with something else"))
	}
	out.at, err = time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return out, "", unavailable(errors.New("the server answered a read without its time"))
	}
	return out, "", nil
}

// batch is a direct get of many messages that is under way.
type batch struct{ sub *nats.Subscription }

// ask begins a batch of messages of a subject (wildcards allowed), from a sequence on.
func (r remote) ask(subject string, from uint64) (*batch, error) {
	request, err := json.Marshal(getRequest{Seq: max(from, 1), NextFor: subject, Batch: batchCount, MaxBytes: batchBytes})
	if err != nil {
		return nil, fmt.Errorf("asking for messages: %w", err)
	}
	inbox := r.reads.NewInbox()
	sub, err := r.reads.SubscribeSync(inbox)
	if err != nil {
		return nil, unavailable(err)
	}
	b := &batch{sub}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		b.drop()
		return nil, unavailable(err)
	}
	if err := r.reads.PublishRequest(r.direct(), inbox, request); err != nil {
		b.drop()
		return nil, unavailable(err)
	}
	return b, nil
}

func (b *batch) drop() {
	if b != nil {
		_ = b.sub.Unsubscribe()
	}
}

// collect awaits the messages. more: there may be others behind the last one.
func (b *batch) collect(ctx context.Context) (out []message, more bool, err error) {
	defer b.drop()
	for {
		one, cancel := context.WithTimeout(ctx, answerWait)
		m, err := b.sub.NextMsgWithContext(one)
		cancel()
		if err != nil {
			if ctx.Err() != nil {
				return nil, false, ctx.Err()
			}
			return nil, false, unavailable(err)
		}
		msg, status, err := decode(m)
		switch {
		case err != nil:
			return nil, false, err
		case status == "":
			if len(out) == 0 {
				msg.pending, _ = strconv.ParseUint(m.Header.Get("Nats-Num-Pending"), 10, 64)
			}
			out = append(out, msg)
		case status == "404":
			return out, false, nil
		case status == "204":
			return out, m.Header.Get("Nats-Num-Pending") != "0" && len(out) > 0, nil
		default:
			return nil, false, unavailable(errors.New("the server answered a read with status " + status))
		}
	}
}

// each gives fn the messages of a subject with a sequence from..to in order, one batch read ahead. fn ends it by returning false. The stream must reach to.
func (r remote) each(ctx context.Context, subject string, from, to uint64, fn func(message) bool) error {
	if from > to {
		return nil
	}
	if r.clustered {
		return r.eachReplicated(ctx, subject, from, to, fn)
	}
	_, _, err := r.pass(ctx, subject, from, to, fn)
	return err
}

// pass is each as one server sees the stream. seen is the last sequence that was met, ended says that it did not end for want of messages.
func (r remote) pass(ctx context.Context, subject string, from, to uint64, fn func(message) bool) (seen uint64, ended bool, err error) {
	next, err := r.ask(subject, from)
	if err != nil {
		return 0, false, err
	}
	defer func() { next.drop() }()
	for next != nil {
		got, more, err := next.collect(ctx)
		next = nil
		if err != nil {
			return seen, false, err
		}
		if more {
			if last := got[len(got)-1].sequence; last < to {
				if next, err = r.ask(subject, last+1); err != nil {
					return seen, false, err
				}
			}
		}
		for _, m := range got {
			seen = m.sequence
			if m.sequence > to || !fn(m) {
				return seen, true, nil
			}
		}
	}
	return seen, false, nil
}
