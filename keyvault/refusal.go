package keyvault

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// refusedFor is how long events from before an erasure are turned away.
const refusedFor = 24 * time.Hour

// refusal is one mark: an event of the handle from before the time is refused.
type refusal struct {
	hour uint64
	mark [16]byte
	at   int64 // unix milliseconds
}

// refusals remembers when the newest erasure was, so that an event of now need not be looked at.
type refusals struct {
	mu     sync.RWMutex
	newest time.Time
}

func (r *refusals) add(all []refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range all {
		if at := time.UnixMilli(m.at); at.After(r.newest) {
			r.newest = at
		}
	}
}

// maybe says whether an arrival is older than some erasure.
func (r *refusals) maybe(a eventstore.Arrival) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return eventTime(a).Before(r.newest)
}

func eventTime(a eventstore.Arrival) time.Time {
	if a.Time.IsZero() {
		return a.Received
	}
	return a.Time
}

func hourOf(t time.Time) uint64 { return uint64(t.Unix() / 3600) }

func refusalMark(key secret.Bytes, handle string) (m [16]byte) {
	h := newPRF(key, "oubli/refusal/1")
	io.WriteString(h, handle)
	copy(m[:], h.Sum(nil))
	return m
}

func (t *tenant) refusalRow(hour uint64, mark [16]byte) []byte {
	return t.row(rowRefusal, binary.BigEndian.AppendUint64(nil, hour), mark[:])
}

// loadRefusals finds the newest erasure.
func (t *tenant) loadRefusals() error {
	return rows{t.v.db}.Scan(t.row(rowRefusal), func(_, value []byte) error {
		if len(value) != 8 {
			return fmt.Errorf("vault: a refusal is cut: %w", eventstore.ErrDamaged)
		}
		t.refused.add([]refusal{{at: int64(binary.BigEndian.Uint64(value))}})
		return nil
	})
}

// refuse answers ErrErased for an arrival that is older than an erasure of one of its handles; mu is held shared.
func (t *tenant) refuse(a eventstore.Arrival) error {
	if !t.refused.maybe(a) {
		return nil
	}
	now, at := t.v.c.Now(), eventTime(a)
	handles := []string{handleOf(a.Identity)}
	for _, h := range a.Also {
		handles = append(handles, handleOf(h))
	}
	if err := t.refuseParts(a, handles); err != nil {
		return err
	}
	for hour, key := range t.own.refusals {
		for _, h := range handles {
			b, err := rows{t.v.db}.Get(t.refusalRow(hour, refusalMark(key, h)))
			if err != nil {
				return err
			}
			if len(b) != 8 {
				continue
			}
			if erased := time.UnixMilli(int64(binary.BigEndian.Uint64(b))); at.Before(erased) && now.Sub(erased) < refusedFor {
				return eventstore.ErrErased
			}
		}
	}
	return nil
}

// refusalsFor puts the marks of an erasure into b and returns the tenant's keys with that of this hour and without those that expired.
func (t *tenant) refusalsFor(b batch, gone map[eventstore.PersonID]*record) (next *tenantKeys, marks []refusal, err error) {
	next, hour, err := t.refusalHour(b)
	if err != nil {
		return nil, nil, err
	}
	now := t.v.c.Now()
	for _, r := range gone {
		for _, id := range r.identities {
			m := refusal{hour, refusalMark(next.refusals[hour], handleOf(id)), now.UnixMilli()}
			marks = append(marks, m)
			if err := b.Set(t.refusalRow(m.hour, m.mark), binary.BigEndian.AppendUint64(nil, uint64(m.at))); err != nil {
				return nil, nil, err
			}
		}
	}
	return next, marks, nil
}

// expired says whether every mark of an hour has run out.
func expired(hour uint64, now time.Time) bool {
	return now.Sub(time.Unix(int64(hour+1)*3600, 0)) >= refusedFor
}

func (t *tenant) dropExpired(b batch, next *tenantKeys, now time.Time) error {
	for hour := range next.refusals {
		if !expired(hour, now) {
			continue
		}
		delete(next.refusals, hour)
		prefix := t.row(rowRefusal, binary.BigEndian.AppendUint64(nil, hour))
		if err := b.DeleteRange(prefix, after(prefix), nil); err != nil {
			return err
		}
	}
	return nil
}

// expireRefusals shreds the keys of the hours that have run out, with a new root.
func (t *tenant) expireRefusals(ctx context.Context) error {
	t.shreds.turn.Lock()
	defer t.shreds.turn.Unlock()
	if err := t.enterAlone(); err != nil {
		return err
	}
	defer t.mu.Unlock()
	now := t.v.c.Now()
	b := t.v.batch()
	defer b.Close()
	next := t.own.clone()
	if err := t.dropExpired(b, next, now); err != nil {
		return err
	}
	if len(next.refusals) == len(t.own.refusals) {
		return nil
	}
	return t.rekey(ctx, b, tree.Edits{}, next)
}
