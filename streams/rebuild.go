package streams

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/journal"
)

// Rebuilt is what [Rebuild] found of one tenant.
type Rebuilt struct {
	Tenant eventstore.TenantID `json:"tenant"`
	// Events counts the stored messages, control messages included, Rows the idempotency rows made for them. Last is the last sequence;
	// the sequences up to it that hold no message are Missing: they were removed, or are lost.
	Events  uint64 `json:"events"`
	Rows    uint64 `json:"rows"`
	Last    uint64 `json:"last_sequence"`
	Missing uint64 `json:"missing_sequences"`
	// Records counts the records of its other streams, the ledger among them, Chunks the chunks of its attachments.
	Records uint64 `json:"records"`
	Chunks  uint64 `json:"chunks"`
	// New says that it has no stream yet: its creation did not come to its end.
	New bool `json:"new,omitempty"`
}

// Rebuild makes log/ (c.Dir) anew from what the streams of the tenants hold, while no other has log/ or appends: every message is given to opens, so
// that its row is there again, and the watermarks take what is stored as what was acknowledged. What was acknowledged in the last seconds
// before a crash, stood in the old journal only and had not reached the server's disk is therefore missing afterwards, and so is
// whatever the server lost before: nothing can tell any more. Bring back log/ if there is a copy of it.
//
// ErrConflict if log/ knows a stream already, but for a Rebuild that was cut off: that one is begun anew, and nothing opens such a log/ before. ErrDamaged for a
// stream that is missing, belongs to another vault, or holds what opens refuses; ErrInUse, ErrNewerVersion, ErrUnavailable. progress (nil: none) is told how many messages of
// all are done.
func Rebuild(ctx context.Context, c Config, vault eventstore.VaultID, tenants []eventstore.TenantID, opens Opener,
	progress func(done, total uint64)) (out []Rebuilt, err error) {
	s, err := open(c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	b := &rebuild{s: s, vault: vault, opens: opens, progress: progress}
	if b.progress == nil {
		b.progress = func(uint64, uint64) {}
	}
	if err := s.index.beginBuilding(); err != nil {
		return nil, err
	}
	for _, id := range tenants {
		if err := b.survey(ctx, id); err != nil {
			return nil, err
		}
	}
	for _, id := range tenants {
		r, err := b.tenant(ctx, id)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, s.index.endBuilding()
}

type rebuild struct {
	s           *Streams
	vault       eventstore.VaultID
	opens       Opener
	progress    func(done, total uint64)
	done, total uint64
	states      map[spec]state
}

// specs are the streams of a tenant.
func specs(tenant eventstore.TenantID) []spec {
	all := []spec{convSpec(tenant), chunkSpec(tenant)}
	for _, r := range recordStreams {
		all = append(all, spec{tenant, string(r)})
	}
	return all
}

// survey looks at a tenant's streams: all are there, or none. The one of attachments may be missing.
func (b *rebuild) survey(ctx context.Context, tenant eventstore.TenantID) error {
	if _, err := eventstore.ParseTenantID(string(tenant)); err != nil {
		return err
	}
	if b.states == nil {
		b.states = map[spec]state{}
	}
	var missing []spec
	there := 0
	for _, sp := range specs(tenant) {
		st, err := b.s.remote(sp).state(ctx)
		switch {
		case errors.Is(err, errNoStream) && sp.kind == attachments:
			continue // made when its tenant is served first
		case errors.Is(err, errNoStream):
			missing = append(missing, sp)
			continue
		case err != nil:
			return err
		case st.format > format:
			return fmt.Errorf("%w: the stream %s has format %s", eventstore.ErrNewerVersion, sp.stream(), st.format)
		case st.vault != b.vault.String():
			return damaged("the stream %s belongs to another vault", sp.stream())
		}
		b.states[sp] = st
		b.total += st.count
		there++
	}
	if n := len(missing); n > 0 && there > 0 {
		return damaged("the stream %s is gone", missing[0].stream())
	}
	return nil
}

func (b *rebuild) tenant(ctx context.Context, tenant eventstore.TenantID) (Rebuilt, error) {
	out := Rebuilt{Tenant: tenant, New: true}
	for _, sp := range specs(tenant) {
		st, there := b.states[sp]
		if !there {
			continue
		}
		out.New = false
		built, err := b.stream(ctx, sp, st)
		if err != nil {
			return out, err
		}
		switch {
		case sp.isRecords():
			out.Records += built.found
			continue
		case sp.kind == attachments:
			out.Chunks = built.found
			continue
		}
		out.Events, out.Rows, out.Last, out.Missing = built.found, built.rows, st.last, st.last-built.found
	}
	return out, nil
}

// stream makes the rows, the journal and at last the mark of one stream.
func (b *rebuild) stream(ctx context.Context, sp spec, st state) (*building, error) {
	built := &building{b: b, spec: sp, mark: mark{state: stateCreating, vault: b.vault, created: st.created, last: st.last}}
	var failed error
	server := b.s.remote(sp)
	err := server.each(ctx, everything, 1, st.last, func(m message) bool {
		if m.subject == sp.filler() { // a start that was cut off left it
			st.count--
			failed = server.destroy(ctx, m.sequence)
			return failed == nil
		}
		built.pending = append(built.pending, m)
		if len(built.pending) == sp.atOnce() {
			failed = built.take(ctx)
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		err = built.take(ctx)
	}
	switch {
	case err != nil:
		return nil, err
	case built.found != st.count:
		return nil, damaged("the stream %s holds %d messages and gives %d", sp.stream(), st.count, built.found)
	case sp.isRecords() && st.count != st.last:
		return nil, damaged("the stream %s ends at %d and holds %d records: %d are missing", sp.stream(), st.last, st.count, st.last-st.count)
	}
	built.mark.removed = st.last - st.count
	if st.count == 0 {
		built.mark.floor = st.last
	} else {
		built.mark.floor = st.first - 1
	}
	return built, built.finish()
}

// buildCount is how many messages are opened at a time.
const buildCount = 2048

// building is one stream on its way into the index.
type building struct {
	b           *rebuild
	spec        spec
	mark        mark
	pending     []message
	found, rows uint64
}

// take opens the pending messages, in parallel, and puts their rows into the index, in order.
func (u *building) take(ctx context.Context) error {
	rows, errs := openAll(ctx, u.spec, u.pending, u.b.opens)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	c := change{spec: u.spec, mark: u.mark}
	fresh := map[row]bool{}
	for i, r := range rows {
		if r == (row{}) || fresh[r] {
			continue
		}
		at, err := u.b.s.index.row(u.spec.tenant, &r)
		if err != nil {
			return err
		}
		if at == 0 { // else the earlier message keeps it
			fresh[r] = true
			c.rows = append(c.rows, rowAt{r, u.pending[i].sequence, monthOf(u.pending[i].data)})
		}
	}
	if n := len(u.pending); n > 0 {
		u.mark.anchor, u.mark.event = u.pending[n-1].sequence, u.spec.event(u.pending[n-1].data)
	}
	u.found += uint64(len(u.pending))
	u.rows += uint64(len(c.rows))
	u.b.done += uint64(len(u.pending))
	u.pending = u.pending[:0]
	u.b.progress(u.b.done, u.b.total)
	return u.b.s.index.apply(c)
}

// finish makes the empty journal that follows, and says that the stream is ready.
func (u *building) finish() error {
	w := &writer{s: u.b.s, spec: u.spec, mark: u.mark}
	j, err := journal.Create(u.b.s.c.FS, w.dir(), w.identity(), u.mark.last+1)
	if err != nil {
		return journalError(err)
	}
	if err := j.Close(); err != nil {
		return err
	}
	u.mark.state = stateReady
	return u.b.s.index.setMark(u.spec, u.mark)
}

// errBuilding: log/ was left by a Rebuild that did not end.
var errBuilding = damaged("log/ was not made anew to its end: run `oubli log rebuild` again")

// beginBuilding notes that the index is being made anew, and empties it of what an earlier attempt left. ErrConflict if it is in use.
func (x *index) beginBuilding() error {
	building, err := x.building()
	if err != nil {
		return err
	}
	if !building {
		known, err := x.knowsAny()
		if err != nil {
			return err
		}
		if known {
			return fmt.Errorf("%w: log/ knows its streams; to have it made anew, move it away first", eventstore.ErrConflict)
		}
	}
	b := x.db.NewBatch()
	defer func() { _ = b.Close() }()
	for _, kind := range []byte{keyStream, keyRow} {
		if err := b.DeleteRange([]byte{kind}, []byte{kind + 1}, nil); err != nil {
			return fmt.Errorf("writing log/%s: %w", indexDir, err)
		}
	}
	if err := b.Set([]byte{keyBuilding}, nil, nil); err != nil {
		return fmt.Errorf("writing log/%s: %w", indexDir, err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("writing log/%s: %w", indexDir, err)
	}
	return x.flush()
}

func (x *index) building() (bool, error) {
	v, err := x.get([]byte{keyBuilding})
	return v != nil, err
}

func (x *index) endBuilding() error {
	if err := x.flush(); err != nil { // what was built is there before the note goes
		return err
	}
	if err := x.db.Delete([]byte{keyBuilding}, pebble.NoSync); err != nil {
		return fmt.Errorf("writing log/%s: %w", indexDir, err)
	}
	return x.flush()
}

// knowsAny says whether there is a watermark.
func (x *index) knowsAny() (known bool, err error) {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyStream}, UpperBound: []byte{keyStream + 1}})
	if err != nil {
		return false, fmt.Errorf("reading log/%s: %w", indexDir, err)
	}
	known = it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return false, fmt.Errorf("reading log/%s: %w", indexDir, err)
	}
	return known, nil
}
