package streams

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oubli-store/oubli/eventstore"
)

// Config wires [Streams]. Dir and Conn are required.
type Config struct {
	// Dir is log/ of the data directory: journals, idempotency rows and watermarks.
	Dir string
	// Conn is the connection to the NATS server. It is not closed by [Streams.Close]. Its client must not buffer while it is disconnected
	// ([Dial] and natsembed see to it).
	Conn *nats.Conn
	// Reads is the connection for reading (nil: Conn). A server works on one connection's requests one after another, so with a second one
	// long reads do not hold up appends.
	Reads *nats.Conn
	// Replicas of each stream (0: 1). A stream that is there and has fewer is given more when it is opened; none is ever taken away.
	Replicas int
	// Loose answers for a person's events once the servers have them, and syncs the journal every second only: an answer then rests on the cluster,
	// and is as durable as that is. For streams with several replicas. What asks to be Journalled, removals and records are synced all the same.
	Loose bool
	// Files is the directory in which the server keeps its files, nats/ of the data directory, for [Streams.Traces] (empty: they are elsewhere).
	Files string
	// Settle is how long after its acknowledgement a message is safely on the server's disk: the journal is trimmed behind it. It must be
	// well above the server's sync interval (0: 10 minutes, for the default interval of 2 minutes).
	Settle time.Duration
	// RemoveRate bounds how many messages a second are destroyed (0: 200).
	RemoveRate int
	// AnswerWithin bounds how long a journalled message waits for the stream before its answer is uncertain (0: 5 s).
	AnswerWithin time.Duration
	// Now is the clock of trimming (nil: time.Now).
	Now func() time.Time
	// Logger takes what an operator should know: outages, recoveries, damage (nil: nothing is logged).
	Logger *slog.Logger
	// FS is where Dir lies (nil: the disk).
	FS vfs.FS
}

func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" || c.Conn == nil {
		return c, errors.New("streams: Config.Dir and Config.Conn are required")
	}
	if c.Replicas < 0 || c.Settle < 0 || c.RemoveRate < 0 || c.AnswerWithin < 0 {
		return c, errors.New("streams: a negative number in Config")
	}
	if c.Reads == nil {
		c.Reads = c.Conn
	}
	if c.Settle == 0 {
		c.Settle = 10 * time.Minute
	}
	if c.RemoveRate == 0 {
		c.RemoveRate = 200
	}
	if c.AnswerWithin == 0 {
		c.AnswerWithin = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	return c, nil
}

// Streams implements [eventstore.Log] and [eventstore.Records] over JetStream. It is safe for concurrent use.
type Streams struct {
	c      Config
	js     jetstream.JetStream
	readJS jetstream.JetStream
	index  *index
	lock   io.Closer
	pace   pace

	opening sync.Mutex // one Open, OpenRecords or EraseTenant at a time
	mu      sync.Mutex
	writers map[spec]*writer
	closed  bool
}

var (
	_ eventstore.Log     = (*Streams)(nil)
	_ eventstore.Records = (*Streams)(nil)
)

// Open opens log/ and takes its lock. ErrInUse if another process has it; ErrNewerVersion; ErrDamaged, also if a [Rebuild] was cut off.
func Open(ctx context.Context, c Config) (*Streams, error) {
	s, err := open(c)
	if err != nil {
		return nil, err
	}
	building, err := s.index.building()
	if err == nil && building {
		err = errBuilding
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open opens log/, whatever state it is in.
func open(c Config) (*Streams, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(c.Conn)
	if err != nil {
		return nil, fmt.Errorf("streams: %w", err)
	}
	readJS, err := jetstream.New(c.Reads)
	if err != nil {
		return nil, fmt.Errorf("streams: %w", err)
	}
	if err := c.FS.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the log: %w", err)
	}
	lock, err := c.FS.Lock(c.FS.PathJoin(c.Dir, "LOCK"))
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) { // the file itself, not its lock
			return nil, fmt.Errorf("locking the log: %w", err)
		}
		return nil, fmt.Errorf("%w: %w", eventstore.ErrInUse, err)
	}
	x, err := openIndex(c.FS, c.FS.PathJoin(c.Dir, indexDir), c.Logger)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := syncUp(c.FS, c.Dir); err != nil {
		return nil, errors.Join(err, x.close(), lock.Close())
	}
	s := &Streams{c: c, js: js, readJS: readJS, index: x, lock: lock, writers: map[spec]*writer{}}
	s.pace.every = time.Second / time.Duration(c.RemoveRate)
	return s, nil
}

// syncUp makes the names of a directory's files, its own and that of its parent durable.
func syncUp(fs vfs.FS, dir string) error {
	for range 3 {
		d, err := fs.OpenDir(dir)
		if err != nil {
			return fmt.Errorf("opening a directory of the log: %w", err)
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return fmt.Errorf("syncing a directory of the log: %w", err)
		}
		dir = fs.PathDir(dir)
	}
	return nil
}

// Close ends the writers, what they have in hand first, and closes log/.
func (s *Streams) Close() error {
	s.opening.Lock()
	defer s.opening.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	all := s.writers
	s.mu.Unlock()
	var errs []error
	for _, w := range all {
		errs = append(errs, w.close())
	}
	return errors.Join(append(errs, s.index.close(), s.lock.Close())...)
}

// remote is a stream as the server has it.
func (s *Streams) remote(sp spec) remote {
	return remote{js: s.js, reads: s.c.Reads, readJS: s.readJS, spec: sp, clustered: s.c.Conn.ConnectedClusterName() != ""}
}

var errClosed = eventstore.Refuse(eventstore.KindUnavailable, "", "the log is closed")

// writer finds the running writer of a stream.
func (s *Streams) writer(sp spec) (*writer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	if w := s.writers[sp]; w != nil {
		return w, nil
	}
	return nil, eventstore.Refuse(eventstore.KindUnavailable, "tenant", "the tenant's log is not open")
}

func (s *Streams) put(w *writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writers[w.spec] = w
}

// take takes a writer out and ends it, if there is one.
func (s *Streams) take(sp spec) error {
	s.mu.Lock()
	w := s.writers[sp]
	delete(s.writers, sp)
	s.mu.Unlock()
	if w == nil {
		return nil
	}
	return w.close()
}

// unavailable and uncertain keep the cause for errors.Is; it is not printed.
func unavailable(cause error) error { return eventstore.ErrUnavailable.Because(cause) }

func uncertain(cause error) error {
	return eventstore.ErrUncertain.Because(errors.Join(eventstore.ErrUncertain, cause))
}

func damaged(format string, a ...any) error {
	return fmt.Errorf("%w: %s", eventstore.ErrDamaged, fmt.Sprintf(format, a...))
}

// pace spaces acts evenly.
type pace struct {
	every time.Duration
	mu    sync.Mutex
	next  time.Time
}

func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	now := time.Now()
	p.next = latest(p.next.Add(p.every), now)
	d := p.next.Sub(now)
	p.mu.Unlock()
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
