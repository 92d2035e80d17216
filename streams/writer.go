package streams

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/journal"
)

const (
	// queueSize bounds how many messages wait for the writer; groupCount and groupBytes bound one group.
	queueSize  = 4096
	groupCount = 4096
	groupBytes = 4 << 20
	// segmentBytes is the size at which a segment of the journal is closed.
	segmentBytes = 64 << 20
	// firstRetry and lastRetry bound the pause between attempts to reach the stream again.
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// writer is the one writer of one stream.
//
// # The loop
//
//	for {
//		group = the first message that waits, and whatever waits beside it (at most 4,096 messages or 4 MiB)
//		for each: a duplicate? does the expected sequence hold? what is left gets the next sequences
//		write the group to the journal as one record
//		sync the journal            at the same time: publish all, as one fast batch (see publisher), each with its own
//		                            Nats-Expected-Last-Sequence, and put the rows of the group before into the index
//		answer those that asked to be Journalled when the sync is done; all others when both are
//	}
//
// The group grows while the one before is on its way, and while those who were answered get one turn of the scheduler: no delay is ever waited out, and
// a lone append goes at once.
//
// # What always holds
//
//  1. Only the loop touches the journal, the mark, the recent rows and the stream. What others want done there it does between two groups
//     (do).
//  2. journalled: all up to here is synced in the journal. published: all up to here is in the stream. Readers see up to the lower of the
//     two (committed). A sequence is given out once: what is journalled keeps its sequence and reaches the stream under it or never.
//  3. The journal's record is with the operating system before the first message of its group is sent. So after the death of this process
//     alone the stream is never ahead of the journal (it can be behind: the server writes a little later); after a power failure it is by at most one
//     group (with Config.Loose: by what was not synced yet).
//  4. No caller is told yes before the sync of its record returned (with Config.Loose: unless it asked to be Journalled). No caller is told no
//     (ErrUnavailable, ErrConflict) whose message can still
//     come up: a record whose write failed is void only once a new segment says so.
//  5. The index is never ahead of the journal: a group's rows enter it after the sync.
//  6. While published < journalled the loop is behind: it takes only Journalled messages, until the stream has caught up (catchUp).
//
// # When something fails
//
//   - The write of the record: nothing was sent. A new segment makes the record void; the callers hear ErrUnavailable, or ErrUncertain
//     if there can be no new segment.
//   - The sync: messages may be in the stream. The segment is never written again (a second fsync would say yes to lost pages); the group is
//     written to a new one under the same sequences, now or as soon as the disk allows. Until then the loop takes nothing.
//   - A publish: the stream's last sequence says how far it got; the rest is sent again from the journal, in order.
//   - A message in the stream that is not in the journal: somebody else writes. The writer stops for good (ErrDamaged).
//
// # Rejected
//
//   - JetStream's SyncAlways (4,800/s with 64 callers) and its atomic batches (22,000/s; a batch of one 2 ms): measured in the design.
//   - Publishing before the journal's write, which saves some microseconds: after a kill the stream could be ahead, with rows lost, and a
//     retry of an uncertain append would be stored twice.
//   - Two groups in flight: better with 256 callers (92,000/s against 84,500/s), worse with 64 (38,100/s against 47,600/s), and twice the cases
//     after a failure.
//   - A delay to let groups grow: a lone caller pays it every time.
//   - The backlog of an outage in memory: it is in the journal already.
type writer struct {
	s      *Streams
	spec   spec
	vault  eventstore.VaultID
	remote remote
	pub    *publisher
	j      *journal.Journal

	queue    chan *item
	commands chan func()
	stop     chan struct{}
	done     chan struct{}
	ctx      context.Context // ends with the loop
	cancel   context.CancelFunc

	committed position
	fatal     atomic.Pointer[error]
	// generation counts the changes that the index has taken.
	generation atomic.Uint64
	// floor is that of the mark, for readers: they see nothing up to here. unpurged: the server may still have some of it.
	floor    atomic.Uint64
	unpurged atomic.Bool

	// removing holds a token while a step of a removal runs. Its holder has doomed: what was given up and is perhaps not destroyed.
	removing chan struct{}
	doomed   map[uint64]struct{}

	// What follows belongs to the loop.
	mark       mark // as of journalled
	journalled uint64
	published  uint64
	pending    *change // journalled, not in the index yet
	recent     recent
	orphan     *plan     // sent, but its sync failed
	waiting    []promise // journalled, to be answered once the stream has caught up or the deadline is over
	deadline   time.Time
	dirty      bool // something stands in the open segment
	unsynced   bool // something was answered that the journal has not synced (Config.Loose)
	trimming   bool
	gone       map[uint64]struct{}
	retryAt    time.Time
	retryPause time.Duration
	reconnects uint64
	settled    map[uint64]time.Time // closed segments, and since when all of them is published
	rolledAt   time.Time
	syncs      chan error
	helpers    sync.WaitGroup
}

func newWriter(s *Streams, sp spec) (*writer, error) {
	w := &writer{
		s: s, spec: sp, remote: s.remote(sp),
		queue: make(chan *item, sp.queueSize()), commands: make(chan func()),
		stop: make(chan struct{}), done: make(chan struct{}),
		removing: make(chan struct{}, 1), doomed: map[uint64]struct{}{},
		gone: map[uint64]struct{}{}, settled: map[uint64]time.Time{}, syncs: make(chan error, 1),
	}
	var err error
	if w.pub, err = newPublisher(s.c.Conn, sp.stream()); err != nil {
		return nil, err
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.reconnects = s.c.Conn.Stats().Reconnects
	w.rolledAt = s.c.Now()
	return w, nil
}

// close ends the loop, what it has in hand first.
func (w *writer) close() error {
	close(w.stop)
	<-w.done
	w.helpers.Wait()
	w.committed.fail(errClosed)
	w.pub.close()
	return w.j.Close()
}

// learn makes the filter of the tenant's rows, and reads those that are there into it in the background. The loop must not run yet.
func (w *writer) learn() {
	filter := w.s.index.watch(w.spec.tenant)
	w.helpers.Go(func() {
		if err := w.s.index.learn(w.ctx, w.spec.tenant, filter); err != nil && w.ctx.Err() == nil {
			w.s.c.Logger.Warn("the idempotency rows cannot be read ahead; each is looked up", "stream", w.spec.stream(), "error", err)
		}
	})
}

// abandon frees a writer whose loop never ran.
func (w *writer) abandon() {
	w.cancel()
	w.pub.close()
	if w.j != nil {
		_ = w.j.Close()
	}
}

// err is why the writer stopped for good, or nil.
func (w *writer) err() error {
	if p := w.fatal.Load(); p != nil {
		return *p
	}
	return nil
}

func (w *writer) die(err error) {
	if w.fatal.CompareAndSwap(nil, &err) {
		w.s.c.Logger.Error("the log of a tenant has stopped", "stream", w.spec.stream(), "error", err)
		w.committed.fail(err)
	}
}

// do has the loop call fn, between two groups.
func (w *writer) do(ctx context.Context, fn func() error) error {
	result := make(chan error, 1)
	select {
	case w.commands <- func() { result <- fn() }:
	case <-w.done:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-result
}

// enqueue hands an item to the loop; it blocks while the queue is full.
func (w *writer) enqueue(ctx context.Context, it *item) error {
	if err := w.err(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	select {
	case <-w.stop:
		return errClosed
	default:
	}
	select {
	case w.queue <- it:
	default:
		select {
		case w.queue <- it:
		case <-w.stop:
			return errClosed
		case <-ctx.Done():
			return unavailable(ctx.Err())
		}
	}
	// The loop may have drained the queue for the last time just before.
	select {
	case <-w.done:
		w.drain()
	default:
	}
	return nil
}

func (w *writer) drain() {
	for {
		select {
		case it := <-w.queue:
			it.answer(eventstore.Appended{}, errClosed)
		default:
			return
		}
	}
}

// run is the loop.
func (w *writer) run() {
	defer w.drain() // last: whoever queues after done is closed drains the queue too
	defer close(w.done)
	defer w.cancel()
	tick := time.NewTicker(min(time.Second, max(w.s.c.Settle/4, 10*time.Millisecond)))
	defer tick.Stop()
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	var group []*item
	for {
		if w.behind() {
			retry.Reset(time.Until(w.retryAt))
		}
		select {
		case it := <-w.queue:
			// Those who were just answered, and append again at once, are let in first: the group is half as large again. Whoever is alone does not wait.
			if len(group) > 1 {
				runtime.Gosched()
			}
			group = w.gather(group[:0], it)
			w.commit(group)
			clear(group)
		case fn := <-w.commands:
			fn()
		case <-retry.C:
			w.tryCatchUp()
		case <-tick.C:
			w.housekeeping()
		case <-w.stop:
			w.last()
			return
		}
		if w.pending != nil && len(w.queue) == 0 {
			w.settlePending()
		}
	}
}

// last does what can still be done for those who wait.
func (w *writer) last() {
	if w.behind() {
		w.tryCatchUp()
	}
	w.disappoint(errClosed)
	w.settlePending()
	w.syncLate()
}

// gather takes what waits beside the first item.
func (w *writer) gather(group []*item, first *item) []*item {
	group = append(group, first)
	size := len(first.entry.Data)
	for len(group) < groupCount && size < groupBytes {
		select {
		case it := <-w.queue:
			group = append(group, it)
			size += len(it.entry.Data)
		default:
			return group
		}
	}
	return group
}

func (w *writer) behind() bool { return w.published < w.journalled || w.orphan != nil }

// advance publishes the new committed sequence.
func (w *writer) advance() { w.committed.advance(min(w.journalled, w.published)) }

// settlePending puts the last group's change into the index. If that fails it is tried again: the journal still has all of it.
func (w *writer) settlePending() {
	if w.pending == nil {
		return
	}
	if err := w.s.index.apply(*w.pending); err != nil {
		w.s.c.Logger.Error("the index of the log cannot be written", "stream", w.spec.stream(), "error", err)
		return
	}
	w.pending = nil
	w.recent.applied(w.generation.Add(1))
}

// upToDate makes sure that the index has every row that was journalled.
func (w *writer) upToDate() error {
	if err := w.ready(); err != nil {
		return err
	}
	if w.settlePending(); w.pending != nil {
		return errIndex
	}
	return nil
}

// lookup finds the sequence under an item's row, 0 if there is none.
func (w *writer) lookup(it *item) (uint64, error) {
	if it.entry.Row == (row{}) {
		return 0, nil
	}
	if at := w.recent.find(&it.entry.Row); at != 0 {
		return at, nil
	}
	now := w.generation.Load()
	if it.asked == now || (it.found == 0 && now-it.asked < generations-2) {
		return it.found, nil
	}
	return w.s.index.row(w.spec.tenant, &it.entry.Row)
}

// errIndex: a group's rows wait for an index that cannot be written.
var errIndex = unavailable(errors.New("the index of the log cannot be written"))

var errBehind = errors.New("the stream cannot be reached; what was acknowledged is in the journal")
