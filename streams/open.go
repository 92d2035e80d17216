package streams

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/envelope"
	"github.com/oubli-store/oubli/streams/journal"
)

// opens is asked of messages that are in the stream and not in the journal; it gives the row of each.
type opens func(context.Context, message) (row, error)

// Open implements [eventstore.Log]. To open an open tenant again does nothing.
func (s *Streams) Open(ctx context.Context, tenant eventstore.TenantID, vault eventstore.VaultID, create bool,
	accept func(context.Context, eventstore.Stored) (eventstore.Row, error)) error {
	return s.openLog(ctx, convSpec(tenant), vault, create, accept)
}

func (s *Streams) openLog(ctx context.Context, sp spec, vault eventstore.VaultID, create bool,
	accept func(context.Context, eventstore.Stored) (eventstore.Row, error)) error {
	return s.open(ctx, sp, vault, create, func(ctx context.Context, m message) (row, error) {
		st, err := sp.stored(m)
		if err != nil {
			return row{}, err
		}
		if accept == nil {
			return row{}, errors.New("nobody can open it")
		}
		return accept(ctx, st)
	})
}

func (s *Streams) open(ctx context.Context, sp spec, vault eventstore.VaultID, create bool, accept opens) error {
	if _, err := eventstore.ParseTenantID(string(sp.tenant)); err != nil {
		return err
	}
	s.opening.Lock()
	defer s.opening.Unlock()
	if w, err := s.writer(sp); err == nil {
		if w.vault != vault {
			return damaged("the stream %s belongs to another vault", sp.stream())
		}
		return w.err()
	} else if err == errClosed {
		return err
	}
	w, err := newWriter(s, sp)
	if err != nil {
		return err
	}
	if err := w.start(ctx, vault, create, accept); err != nil {
		w.abandon()
		return err
	}
	if sp.hasRows() {
		w.learn()
	}
	s.put(w)
	go w.run()
	if w.unpurged.Load() {
		w.helpers.Go(w.finishPurge)
	}
	return nil
}

// start looks before it touches anything: at the index, the stream, the journal, in this order.
func (w *writer) start(ctx context.Context, vault eventstore.VaultID, create bool, accept opens) error {
	w.vault = vault
	var err error
	if w.mark, err = w.s.index.mark(w.spec); err != nil {
		return err
	}
	st, err := w.remote.state(ctx)
	exists := !errors.Is(err, errNoStream)
	if err != nil && exists {
		return err
	}
	if exists && st.format > format { // one digit so far
		return fmt.Errorf("%w: the stream %s has format %s", eventstore.ErrNewerVersion, w.spec.stream(), st.format)
	}
	if exists && st.vault != vault.String() || w.mark.state != stateNone && w.mark.vault != vault {
		return damaged("the stream %s belongs to another vault", w.spec.stream())
	}
	switch w.mark.state {
	case stateErasing:
		return eventstore.Refuse(eventstore.KindUnavailable, "tenant", "the tenant is being erased")
	case stateReady:
		if !exists {
			return damaged("the stream %s is gone; messages up to %d were acknowledged", w.spec.stream(), w.mark.last)
		}
		return w.resume(ctx, st, accept)
	case stateNone:
		if exists {
			return damaged("log/ knows nothing of the stream %s, which holds messages up to %d: log/ is missing or of another data directory. "+
				"Bring it back, or have it made anew by `oubli log rebuild`",
				w.spec.stream(), st.last)
		}
	case stateCreating:
		if exists && st.last > 0 {
			return damaged("the stream %s holds messages up to %d that were not written here", w.spec.stream(), st.last)
		}
	}
	if !create {
		return eventstore.ErrNotFound
	}
	return w.create(ctx, vault)
}

func (w *writer) dir() string {
	fs := w.s.c.FS
	return fs.PathJoin(w.s.c.Dir, string(w.spec.tenant), w.spec.kind)
}

func (w *writer) identity() journal.Identity {
	return journal.Identity{Name: w.spec.name(), Created: w.mark.created, Vault: w.mark.vault}
}

// create makes a stream that nobody knows. Each step can be repeated after a crash.
func (w *writer) create(ctx context.Context, vault eventstore.VaultID) error {
	w.mark = mark{state: stateCreating, vault: vault, loose: w.isLoose()}
	if err := w.s.index.setMark(w.spec, w.mark); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*answerWait)
	defer cancel()
	config := w.spec.config(vault, w.s.c.Replicas)
	quicken(&config, w.s.c.Conn)
	st, err := w.s.js.CreateStream(ctx, config)
	if err != nil {
		return unavailable(fmt.Errorf("creating the stream: %w", err))
	}
	w.pub.batched = st.CachedInfo().Config.AllowBatchPublish
	w.mark.created = st.CachedInfo().Created.UnixNano()
	if w.j, err = journal.Create(w.s.c.FS, w.dir(), w.identity(), 1); err != nil {
		return journalError(err)
	}
	w.mark.state = stateReady
	return w.s.index.setMark(w.spec, w.mark)
}

// resume compares the stream and the journal with the watermark, and both with each other.
func (w *writer) resume(ctx context.Context, st state, accept opens) error {
	if err := w.sameStream(st); err != nil {
		return err
	}
	w.pub.batched = st.batched
	before := w.mark
	var err error
	w.j, err = journal.Open(w.s.c.FS, w.dir(), w.identity(), w.replayed)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return damaged("the journal of %s is missing; messages up to %d were acknowledged", w.spec.stream(), before.last)
		}
		return journalError(err)
	}
	w.journalled = w.j.Last()
	if w.journalled < before.last && !(before.loose && st.last >= before.last) {
		return damaged("the journal of %s ends at %d; messages up to %d were acknowledged", w.spec.stream(), w.journalled, before.last)
	}
	if w.journalled > before.last && w.j.First() > before.last+1 {
		return damaged("the journal of %s begins at %d; log/%s knows the messages up to %d only", w.spec.stream(), w.j.First(), indexDir, before.last)
	}
	for _, m := range []mark{before, w.mark} {
		if m.anchor == 0 || m.anchor > st.last || w.isGone(m.anchor) {
			continue
		}
		if err := w.expectAt(ctx, m.anchor, m.event); err != nil {
			return err
		}
	}
	w.floor.Store(w.mark.floor)
	if w.unpurged.Store(st.count > 0 && st.first <= w.mark.floor); w.unpurged.Load() { // what is to go does not make up for what is missing
		if err := w.remote.each(ctx, everything, 1, min(w.mark.floor, st.last), func(message) bool { st.count--; return true }); err != nil {
			return err
		}
	}
	if st.count+w.mark.removed < st.last {
		return damaged("the stream %s ends at %d and holds %d messages; only %d were removed: %d are missing",
			w.spec.stream(), st.last, st.count, w.mark.removed, st.last-st.count-w.mark.removed)
	}
	if err := w.compare(ctx, min(st.last, w.journalled)); err != nil {
		return err
	}
	if st.last > w.journalled {
		if st.last-w.journalled > groupCount && !before.loose {
			return damaged("the stream %s is %d messages ahead of its journal: log/ is older than the stream", w.spec.stream(), st.last-w.journalled)
		}
		err = w.adopt(ctx, st.last, accept)
	} else if err = w.j.Roll(w.journalled + 1); err == nil {
		w.rolled()
		w.published = w.journalled
		err = w.catchUp(ctx)
	}
	if err == nil {
		err = w.noteLoose()
	}
	if err != nil {
		return err
	}
	if n := w.s.c.Replicas; st.replicas < n {
		if err := w.remote.raise(ctx, n); err != nil { // it can be read and written all the same
			w.s.c.Logger.Warn("the stream keeps its number of replicas", "stream", w.spec.stream(), "replicas", st.replicas, "wanted", n, "error", err)
		}
	}
	if err := w.removeAgain(ctx); err != nil {
		return err
	}
	w.allowBatches(ctx)
	return nil
}

// allowBatches has a stream that was made before there were fast batches take them. It works without.
func (w *writer) allowBatches(ctx context.Context) {
	if w.pub.batched || !takesBatches(w.s.c.Conn) {
		return
	}
	var err error
	if w.pub.batched, err = w.remote.allowBatches(ctx); err != nil {
		w.s.c.Logger.Warn("the stream keeps its setting; its messages are published one by one", "stream", w.spec.stream(), "error", err)
	}
}

// replayed takes one record of the journal's tail into the mark and, if it came after the mark, into the index.
func (w *writer) replayed(rec any) error {
	c := change{spec: w.spec}
	switch rec := rec.(type) {
	case journal.Group:
		if rec.Last() <= w.mark.last {
			return nil
		}
		for i := range rec.Entries {
			e := &rec.Entries[i]
			at := rec.First + uint64(i)
			if at <= w.mark.last {
				continue
			}
			if e.Row != (row{}) {
				c.rows = append(c.rows, rowAt{e.Row, at, monthOf(e.Data)})
			}
			w.mark.anchor, w.mark.event = at, w.spec.event(e.Data)
		}
		w.mark.last = rec.Last()
	case journal.Removal:
		for _, at := range rec.Sequences {
			w.gone[at] = struct{}{}
		}
		w.mark.removed = max(w.mark.removed, rec.Total)
		w.mark.floor = max(w.mark.floor, rec.Floor)
		if rec.Floor > 0 && w.mark.anchor <= rec.Floor || slices.Contains(rec.Sequences, w.mark.anchor) {
			w.mark.anchor, w.mark.event = rec.Anchor, rec.AnchorEvent
		}
		c.wiped = rec.Prefixes
	}
	c.mark = w.mark
	return w.s.index.apply(c)
}

func monthOf(data []byte) uint16 {
	e, err := envelope.Parse(data)
	if err != nil {
		return 0
	}
	return e.Month
}

// removeAgain destroys messages that were to be removed and are still, or again, in the stream: the removal did not end, or the server lost it
// with its last seconds.
func (w *writer) removeAgain(ctx context.Context) error {
	for at := range w.gone {
		_, err := w.remote.get(ctx, at)
		if errors.Is(err, errNoMessage) {
			continue
		}
		if err == nil {
			err = w.remote.destroy(ctx, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
