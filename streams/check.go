package streams

import (
	"context"
	"errors"
	"fmt"

	"github.com/oubli-store/oubli/eventstore"
)

// Checked is what [Check] found of one tenant.
type Checked struct {
	Tenant eventstore.TenantID `json:"tenant"`
	// Events counts the stored messages, control messages included, Rows the idempotency rows, Removed the sequences up to Last that hold no message
	// because it was removed, Records the records of the other streams.
	Events  uint64 `json:"events"`
	Rows    uint64 `json:"rows"`
	Removed uint64 `json:"removed"`
	Last    uint64 `json:"last_sequence"`
	Records uint64 `json:"records"`
	// Chunks counts the chunks of attachments; Attachments says that there is a stream of them.
	Chunks      uint64 `json:"chunks"`
	Attachments bool   `json:"-"`
	// New says that neither log/ nor the server knows a stream of it: its creation did not come to its end, or all is lost.
	New bool `json:"new,omitempty"`
	// Damage says what is wrong; it names streams and sequences.
	Damage []string `json:"damage"`
}

// maxDamage bounds how many damages of a tenant are named; the last line says how many more there are.
const maxDamage = 100

// Check walks everything that the streams of the tenants hold, while no other has log/ or appends:
//
//   - what a start compares (see the package comment);
//   - each message has the envelope, the subject and the sequence that it must, and opens refuses none;
//   - no more sequences are empty than messages were removed; records have no gap;
//   - the row that each message was sent under leads to it, or to an earlier one that was sent under it, and every row leads to a message.
//
// It does what a start does, so on files that must stay as they are it works on copies (keyvault/shadow for c.FS, a server on a copy of its files). The
// memory that it takes is a bit for each sequence behind the removed head. progress (nil: none) is told how many messages of all are done.
func Check(ctx context.Context, c Config, vault eventstore.VaultID, tenants []eventstore.TenantID, opens Opener,
	progress func(done, total uint64)) (out []Checked, err error) {
	s, err := Open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	k := &check{s: s, vault: vault, opens: opens, progress: progress}
	if progress == nil {
		k.progress = func(uint64, uint64) {}
	}
	for _, id := range tenants {
		for _, sp := range specs(id) {
			if st, err := s.remote(sp).state(ctx); err == nil {
				k.total += st.count
			}
		}
	}
	for _, id := range tenants {
		if err := k.tenant(ctx, id); err != nil {
			return out, err
		}
		if k.more > 0 {
			k.out.Damage = append(k.out.Damage, fmt.Sprintf("%d more", k.more))
		}
		out = append(out, k.out)
	}
	return out, nil
}

type check struct {
	s           *Streams
	vault       eventstore.VaultID
	opens       Opener
	progress    func(done, total uint64)
	done, total uint64
	out         Checked
	more        int
}

func (k *check) found(format string, a ...any) {
	if len(k.out.Damage) < maxDamage {
		k.out.Damage = append(k.out.Damage, fmt.Sprintf(format, a...))
	} else {
		k.more++
	}
}

// note notes damage; another error ends the check.
func (k *check) note(err error) error {
	if errors.Is(err, eventstore.ErrDamaged) {
		k.found("%v", err)
		return nil
	}
	return err
}

func (k *check) tenant(ctx context.Context, id eventstore.TenantID) error {
	k.out, k.more = Checked{Tenant: id, Damage: []string{}}, 0
	var unknown []spec
	for _, sp := range specs(id) {
		err := k.stream(ctx, sp)
		if errors.Is(err, eventstore.ErrNotFound) && sp.kind == attachments {
			continue // made when its tenant is served first
		} else if errors.Is(err, eventstore.ErrNotFound) {
			unknown = append(unknown, sp)
		} else if err != nil {
			return err
		} else if sp.kind == attachments {
			k.out.Attachments = true
		}
	}
	k.out.New = len(unknown) == len(specs(id))-1
	for _, sp := range unknown {
		if !k.out.New {
			k.found("neither log/ nor the server knows the stream %s", sp.stream())
		}
	}
	return nil
}

// stream looks through one stream. ErrNotFound if nobody knows it.
func (k *check) stream(ctx context.Context, sp spec) error {
	var err error
	switch {
	case sp.isRecords():
		err = k.s.OpenRecords(ctx, sp.tenant, eventstore.RecordStream(sp.kind), k.vault, false)
	case sp.kind == attachments:
		err = k.s.Chunks().Open(ctx, sp.tenant, k.vault, false, nil)
	default:
		err = k.s.Open(ctx, sp.tenant, k.vault, false, func(ctx context.Context, m eventstore.Stored) (eventstore.Row, error) {
			return k.opens(ctx, sp.tenant, m)
		})
	}
	if err != nil {
		return k.note(err)
	}
	w, err := k.s.writer(sp)
	if err != nil {
		return err
	}
	walk := &walk{check: k, w: w, floor: w.floor.Load(), to: w.committed.now()}
	return walk.run(ctx)
}

// walk is one stream on its way through a check.
type walk struct {
	*check
	w         *writer
	floor, to uint64
	there     bitmap // by sequence behind the floor
	seen      uint64
	pending   []message
	gaps      []string
	next      uint64
}

func (k *walk) run(ctx context.Context) error {
	k.there = newBitmap(k.to - k.floor)
	k.next = k.floor + 1
	var failed error
	err := k.w.remote.each(ctx, everything, k.floor+1, k.to, func(m message) bool {
		if m.subject == k.w.spec.filler() {
			return true
		}
		k.pending = append(k.pending, m)
		if len(k.pending) == k.w.spec.atOnce() {
			failed = k.take(ctx)
		}
		return failed == nil
	})
	for _, step := range []func() error{
		func() error { return err },
		func() error { return failed },
		func() error { return k.take(ctx) },
		func() error { return k.gapsAccounted(ctx) },
		func() error { return k.rowsLead() },
	} {
		if err := step(); err != nil {
			return k.note(err)
		}
	}
	return nil
}

// take looks at the pending messages.
func (k *walk) take(ctx context.Context) error {
	rows, errs := openAll(ctx, k.w.spec, k.pending, k.opens)
	for i, m := range k.pending {
		if m.sequence < k.next {
			k.found("the stream %s gives the message %d after a later one", k.w.spec.stream(), m.sequence)
			continue
		}
		k.gap(m.sequence)
		k.next = m.sequence + 1
		k.there.set(m.sequence - k.floor - 1)
		k.seen++
		if errs[i] != nil {
			if err := k.note(errs[i]); err != nil {
				return err
			}
			continue
		}
		if err := k.leadsTo(ctx, m, rows[i]); err != nil {
			return err
		}
	}
	k.done += uint64(len(k.pending))
	k.progress(k.done, k.total)
	k.pending = k.pending[:0]
	return ctx.Err()
}

// gap notes what is missing before a sequence.
func (k *walk) gap(sequence uint64) {
	if sequence > k.next && len(k.gaps) < 10 {
		k.gaps = append(k.gaps, fmt.Sprintf("%d-%d", k.next, sequence-1))
	}
}

// leadsTo checks that the row of a message leads to it, or to an earlier message that was sent under the same row.
func (k *walk) leadsTo(ctx context.Context, m message, r row) error {
	if r == (row{}) {
		return nil
	}
	at, err := k.s.index.row(k.w.spec.tenant, &r)
	if err != nil || at == m.sequence {
		return err
	}
	if at == 0 {
		k.found("the message %d of the stream %s has no idempotency row", m.sequence, k.w.spec.stream())
		return nil
	}
	if at < m.sequence && at > k.floor {
		if first, err := k.w.remote.get(ctx, at); err == nil {
			if same, err := openOne(ctx, k.w.spec, first, k.opens); err == nil && same == r {
				return nil
			}
		}
	}
	k.found("the idempotency row of the message %d of the stream %s leads to %d", m.sequence, k.w.spec.stream(), at)
	return nil
}

// gapsAccounted holds the empty sequences against what was removed.
func (k *walk) gapsAccounted(ctx context.Context) error {
	k.gap(k.to + 1)
	missing := k.to - k.floor - k.seen
	sp := k.w.spec
	if sp.isRecords() {
		k.out.Records += k.seen
		if missing > 0 {
			k.found("the records %v of the stream %s are missing", k.gaps, sp.stream())
		}
		return nil
	}
	if sp.kind == attachments {
		k.out.Chunks = k.seen
	} else {
		k.out.Events, k.out.Removed, k.out.Last = k.seen, k.floor+missing, k.to
	}
	return k.w.do(ctx, func() error {
		if removed := k.w.mark.removedAbove(); missing > removed {
			k.found("the stream %s holds %d messages from %d to %d; %d were removed, so %d are missing, among %v",
				sp.stream(), k.seen, k.floor+1, k.to, removed, missing-removed, k.gaps)
		}
		return nil
	})
}

// rowsLead checks that every row leads to a message.
func (k *walk) rowsLead() error {
	sp := k.w.spec
	if !sp.hasRows() {
		return nil
	}
	_, _, err := k.s.index.find(sp.tenant, row{}, 0, func(r rowAt) bool {
		k.out.Rows++
		if r.sequence <= k.floor || r.sequence > k.to || !k.there.has(r.sequence-k.floor-1) {
			k.found("an idempotency row leads to %d, where the stream %s has no message", r.sequence, sp.stream())
		}
		return false
	})
	return err
}

// bitmap is a set of small numbers.
type bitmap []uint64

func newBitmap(n uint64) bitmap { return make(bitmap, (n+63)/64) }

func (b bitmap) set(i uint64)      { b[i/64] |= 1 << (i % 64) }
func (b bitmap) has(i uint64) bool { return b[i/64]>>(i%64)&1 == 1 }
