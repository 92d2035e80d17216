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

// refusal is one mark. Within the term of an hour an event of the handle from before the time is refused, within a longer term any
// event until the time.
type refusal struct {
	term term
	mark [16]byte
	at   int64 // unix milliseconds
}

// refusals remembers when the newest erasure was, so that an event of now need not be looked at, and whether there are longer refusals.
type refusals struct {
	mu     sync.RWMutex
	newest time.Time
	longer bool
}

func (r *refusals) add(all []refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range all {
		if m.term.longer() {
			r.longer = true
		} else if at := time.UnixMilli(m.at); at.After(r.newest) {
			r.newest = at
		}
	}
}

// maybe says whether an arrival is older than some erasure; longer, whether any could be refused.
func (r *refusals) maybe(a eventstore.Arrival) (older, longer bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return eventTime(a).Before(r.newest), r.longer
}

func eventTime(a eventstore.Arrival) time.Time {
	if a.Time.IsZero() {
		return a.Received
	}
	return a.Time
}

func refusalMark(key secret.Bytes, handle string) (m [16]byte) {
	h := newPRF(key, "oubli/refusal/1")
	io.WriteString(h, handle)
	copy(m[:], h.Sum(nil))
	return m
}

// termRows is the prefix of a term's refusals.
func (t *tenant) termRows(n term) []byte {
	return t.row(rowRefusal, binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func (t *tenant) refusalRow(n term, mark [16]byte) []byte {
	return t.row(rowRefusal, binary.BigEndian.AppendUint64(nil, uint64(n)), mark[:])
}

// decodeRefusal reads the time of a refusal; a longer one has more.
func decodeRefusal(value []byte) (time.Time, error) {
	if len(value) != 8 && len(value) != 8+len(eventstore.LedgerReference{}) {
		return time.Time{}, fmt.Errorf("vault: a refusal is cut: %w", eventstore.ErrDamaged)
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(value))), nil
}

// loadRefusals finds the newest erasure.
func (t *tenant) loadRefusals() error {
	prefix := t.row(rowRefusal)
	return rows{t.v.db}.Scan(prefix, func(row, value []byte) error {
		at, err := decodeRefusal(value)
		if err == nil && len(row) != len(prefix)+8+16 {
			err = fmt.Errorf("vault: a refusal's row is cut: %w", eventstore.ErrDamaged)
		}
		if err == nil {
			t.refused.add([]refusal{{term: term(binary.BigEndian.Uint64(row[len(prefix):])), at: at.UnixMilli()}})
		}
		return err
	})
}

// refuse answers ErrErased for an arrival that is older than an erasure of one of its handles, or of which one is refused for longer; mu is held
// shared. A handle that names somebody is never refused for longer: it would not have been let in.
func (t *tenant) refuse(a eventstore.Arrival) error {
	older, longer := t.refused.maybe(a)
	if !older && !longer {
		return nil
	}
	now, at := t.v.c.Now(), eventTime(a)
	handles := []string{handleOf(a.Identity)}
	for _, h := range a.Also {
		handles = append(handles, handleOf(h))
	}
	if older {
		if err := t.refuseParts(a, handles); err != nil {
			return err
		}
	}
	for n, key := range t.own.refusals {
		if !older && !n.longer() {
			continue
		}
		for _, h := range handles {
			b, err := rows{t.v.db}.Get(t.refusalRow(n, refusalMark(key, h)))
			if err != nil {
				return err
			}
			if b == nil {
				continue
			}
			when, err := decodeRefusal(b)
			if err != nil {
				return err
			}
			if n.longer() && now.Before(when) || !n.longer() && at.Before(when) && now.Sub(when) < eventstore.RefusedFor {
				return eventstore.ErrErased
			}
		}
	}
	return nil
}

// shredding is one person who is taken out.
type shredding struct {
	*record
	// refuse is until when events of the person's handles are refused, whatever their time.
	refuse time.Time
}

// refusalsFor puts the marks of an erasure into b and returns the tenant's keys with those of its terms and without those that are over.
func (t *tenant) refusalsFor(b batch, gone map[eventstore.PersonID]shredding) (next *tenantKeys, marks []refusal, err error) {
	now := t.v.c.Now()
	if next, err = t.refusalKeys(b); err != nil {
		return nil, nil, err
	}
	put := func(n term, handle string, at time.Time, more []byte) error {
		key, err := next.refusal(t.v.entropy, n)
		if err != nil {
			return err
		}
		m := refusal{n, refusalMark(key, handle), at.UnixMilli()}
		marks = append(marks, m)
		return b.Set(t.refusalRow(n, m.mark), append(binary.BigEndian.AppendUint64(nil, uint64(m.at)), more...))
	}
	for id, s := range gone {
		until := s.refuse
		if most := now.Add(eventstore.MaxRefusal); until.After(most) {
			until = most
		}
		reference := referenceOfSet(gone, id)
		for _, handle := range s.identities {
			if err := put(hourOf(now), handleOf(handle), now, nil); err != nil {
				return nil, nil, err
			}
			if !until.After(now) {
				continue
			}
			if err := put(monthOf(until), handleOf(handle), until, reference[:]); err != nil {
				return nil, nil, err
			}
		}
	}
	return next, marks, nil
}

// referenceOfSet is the ledger reference by which the longer refusals of a linked set are found again: that of its lowest person.
func referenceOfSet(gone map[eventstore.PersonID]shredding, id eventstore.PersonID) eventstore.LedgerReference {
	lowest := id
	for _, o := range gone[id].others {
		if _, too := gone[o]; too && o.Compare(lowest) < 0 {
			lowest = o
		}
	}
	return gone[lowest].reference
}

// dropExpired takes the terms that are over out of next, and their rows.
func (t *tenant) dropExpired(b batch, next *tenantKeys, now time.Time) error {
	for n := range next.refusals {
		if !n.over(now) {
			continue
		}
		delete(next.refusals, n)
		prefix := t.termRows(n)
		if err := b.DeleteRange(prefix, after(prefix), nil); err != nil {
			return err
		}
	}
	return nil
}

// expireRefusals shreds the keys of the terms that are over, with a new root.
func (t *tenant) expireRefusals(ctx context.Context) error {
	leave, err := t.enterToRekey()
	if err != nil {
		return err
	}
	defer leave()
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
