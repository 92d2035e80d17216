package keyvault

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// expiryStep is about how many records retention looks at while everybody else waits.
const expiryStep = 512

// floor is the first month for which data keys are made.
func (t *tenant) floor() eventstore.KeyMonth { return eventstore.KeyMonth(t.least.Load()) }

// tooOld says that retention has reached the month of an event that comes in.
func (t *tenant) tooOld(a eventstore.Arrival) bool {
	return eventstore.KeyMonthOf(eventTime(a), a.Received) < t.floor()
}

var errNotOver = eventstore.Refuse(eventstore.KindInvalid, "before", "only months that are over can expire")

// Expire implements [eventstore.Keys].
func (v *Vault) Expire(ctx context.Context, tenant eventstore.TenantID, before eventstore.KeyMonth, progress func(done, total uint64)) (eventstore.Expiry, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return eventstore.Expiry{}, err
	}
	if now := v.c.Now(); before > eventstore.KeyMonthOf(now, now) {
		return eventstore.Expiry{}, errNotOver
	}
	select {
	case t.expiry <- struct{}{}:
		defer func() { <-t.expiry }()
	case <-ctx.Done():
		return eventstore.Expiry{}, ctx.Err()
	}
	e := &expiry{t: t, progress: progress}
	if err := e.run(ctx, before); err != nil {
		return eventstore.Expiry{}, err
	}
	return e.answer()
}

// Expired implements [eventstore.Keys].
func (v *Vault) Expired(_ context.Context, tenant eventstore.TenantID) (eventstore.KeyMonth, error) {
	t, err := v.tenant(tenant)
	if err != nil {
		return 0, err
	}
	if err := t.enterShared(); err != nil {
		return 0, err
	}
	defer t.mu.RUnlock()
	return t.own.expired, nil
}

// expiry is a call of [Vault.Expire]; it holds the tenant's token.
type expiry struct {
	t        *tenant
	progress func(done, total uint64)
	// keys counts the data keys that were destroyed, changed says that the run under way has re-sealed something.
	keys    uint64
	changed bool
	walk    *tree.Walk
}

// run ends what an earlier call left, and then does what is asked.
func (e *expiry) run(ctx context.Context, before eventstore.KeyMonth) error {
	underWay, floor, err := e.resume()
	if err != nil {
		return err
	}
	if underWay {
		if err := e.sweep(ctx); err != nil {
			return err
		}
	}
	if before <= floor {
		return e.takeReleased(ctx)
	}
	if err := e.begin(ctx, before); err != nil {
		return err
	}
	return e.sweep(ctx)
}

// resume finds the run that is under way, if one is.
func (e *expiry) resume() (underWay bool, floor eventstore.KeyMonth, err error) {
	t := e.t
	if err := t.enterShared(); err != nil {
		return false, 0, err
	}
	defer t.mu.RUnlock()
	if t.own.floor == t.own.expired {
		return false, t.own.floor, nil
	}
	var next uint64
	b, err := rows{t.v.db}.Get(t.row(rowExpiry))
	switch {
	case err != nil:
		return false, 0, err
	case b == nil:
	case len(b) != 16:
		return false, 0, fmt.Errorf("vault: the row of a run of retention is cut: %w", eventstore.ErrDamaged)
	default:
		next, e.keys, e.changed = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), true
	}
	e.walk = t.tree.Walk(next, e.changed)
	return true, t.own.floor, nil
}

// begin is step 1.
func (e *expiry) begin(ctx context.Context, before eventstore.KeyMonth) error {
	t := e.t
	leave, err := t.enterToRekey()
	if err != nil {
		return err
	}
	defer leave()
	b := t.v.batch()
	defer b.Close()
	next := t.own.clone()
	next.floor = before
	if err := t.rekey(ctx, b, tree.Edits{}, next); err != nil {
		return err
	}
	t.closeMonths(nil)
	e.changed = false
	e.walk = t.tree.Walk(0, false)
	return nil
}

// sweep is the steps 2 and 3.
func (e *expiry) sweep(ctx context.Context) error {
	for {
		next, done := e.walk.Next()
		e.tell(next, done)
		if done {
			return e.end(ctx)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		passed, err := e.pass()
		if err == nil && !passed {
			err = e.step()
		}
		if err != nil {
			return err
		}
	}
}

// tell says how many persons are behind a hash: the ids are random.
func (e *expiry) tell(next uint64, done bool) {
	if e.progress == nil {
		return
	}
	total := uint64(max(0, e.t.count.Load()))
	behind, _ := bits.Mul64(next, total)
	if done {
		behind = total
	}
	e.progress(behind, total)
}

// pass goes on behind a leaf in which there is nothing to do, beside everybody else.
func (e *expiry) pass() (bool, error) {
	t := e.t
	if err := t.enterShared(); err != nil {
		return false, err
	}
	defer t.mu.RUnlock()
	passed, err := e.walk.Pass(func(_ tree.PersonID, plain []byte) (bool, error) {
		r, err := decodeRecord(plain)
		if err != nil {
			return false, err
		}
		defer r.wipe()
		return r.reaches(t.own.floor), nil
	})
	return passed, fromTree(err)
}

// reaches says that a record has a data key of a month below.
func (r *record) reaches(floor eventstore.KeyMonth) bool {
	return len(r.months) > 0 && r.months[0].month < floor
}

// drop takes the data keys of the months below out of a record and says how many there were.
func (r *record) drop(floor eventstore.KeyMonth) (n uint64) {
	r.months = slices.DeleteFunc(r.months, func(k monthKey) bool {
		if k.month >= floor {
			return false
		}
		n++
		k.key.Wipe()
		return true
	})
	if n > 0 {
		r.flags |= flagExpired
	}
	return n
}

// step re-seals the next leaves. It is not synced by itself: the log keeps the order of commits, and the end of the run is synced.
func (e *expiry) step() error {
	t := e.t
	if err := t.enterAlone(); err != nil {
		return err
	}
	defer t.mu.Unlock()
	b := t.v.batch()
	defer b.Close()
	changed := map[eventstore.PersonID]struct{}{}
	keys := e.keys
	change, err := e.walk.Step(b, func(id tree.PersonID, plain []byte) ([]byte, error) {
		r, err := decodeRecord(slices.Clone(plain))
		if err != nil {
			return nil, err
		}
		if !r.reaches(t.own.floor) {
			r.wipe()
			return nil, nil
		}
		held, err := t.held(r)
		if err != nil {
			return nil, err
		}
		if held {
			return nil, t.spare(b, eventstore.PersonID(id))
		}
		keys += r.drop(t.own.floor)
		changed[eventstore.PersonID(id)] = struct{}{}
		defer r.wipe()
		return r.encode(), nil
	}, expiryStep, t.root)
	if err != nil {
		return fromTree(err)
	}
	if change != nil {
		next, _ := e.walk.Next()
		at := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, next), keys)
		if err := b.Set(t.row(rowExpiry), at); err != nil {
			return err
		}
	}
	if b.Empty() {
		return nil
	}
	if err := t.v.commit(b, pebble.NoSync); err != nil {
		return err
	}
	if change != nil {
		change.Apply()
		e.keys, e.changed = keys, true
	}
	t.closeMonths(changed)
	return nil
}

// closeMonths takes the data keys that have expired from whoever holds records open; mu is held alone.
func (t *tenant) closeMonths(changed map[eventstore.PersonID]struct{}) {
	for id := range changed {
		t.v.gates.expire(gateKey{t.index, id}, t.own.floor)
	}
	t.aside.expire(t.own.floor, among(changed))
}

// end is step 3.
func (e *expiry) end(ctx context.Context) error {
	t := e.t
	leave, err := t.enterToRekey()
	if err != nil {
		return err
	}
	defer leave()
	b := t.v.batch()
	defer b.Close()
	next := t.own.clone()
	next.expired = next.floor
	if err := b.Delete(t.row(rowExpiry)); err != nil {
		return err
	}
	return e.rekey(ctx, b, e.changed, next)
}

// takeReleased takes the keys of those whose hold is over since the last run. It writes nothing if there are none.
func (e *expiry) takeReleased(ctx context.Context) error {
	if spared, err := e.spared(); err != nil || len(spared) == 0 {
		return err
	}
	t := e.t
	leave, err := t.enterToRekey()
	if err != nil {
		return err
	}
	defer leave()
	b := t.v.batch()
	defer b.Close()
	return e.rekey(ctx, b, false, t.own.clone())
}

// rekey makes a new root and takes the keys of those who were spared and are not on hold any more; mu is held alone. Without a reason to it does nothing.
func (e *expiry) rekey(ctx context.Context, b batch, top bool, next *tenantKeys) error {
	t := e.t
	edits := tree.Edits{Records: map[tree.PersonID][]byte{}, Top: top}
	changed := map[eventstore.PersonID]struct{}{}
	keys := e.keys
	err := t.eachSpared(func(row []byte, id eventstore.PersonID) error {
		r, err := t.record(id)
		if err != nil {
			return err
		}
		if r != nil && r.reaches(t.own.floor) {
			held, err := t.held(r)
			if err != nil || held {
				return err
			}
			keys += r.drop(t.own.floor)
			changed[id], edits.Records[id] = struct{}{}, r.encode()
			r.wipe()
		}
		return b.Delete(row)
	})
	if err != nil {
		return err
	}
	if b.Empty() {
		return nil
	}
	if err := t.rekey(ctx, b, edits, next); err != nil {
		return err
	}
	e.keys = keys
	t.closeMonths(changed)
	return nil
}

func (e *expiry) answer() (eventstore.Expiry, error) {
	spared, err := e.spared()
	if err != nil {
		return eventstore.Expiry{}, err
	}
	if err := e.t.enterShared(); err != nil {
		return eventstore.Expiry{}, err
	}
	defer e.t.mu.RUnlock()
	return eventstore.Expiry{Before: e.t.own.expired, Keys: e.keys, Spared: spared}, nil
}

// spared lists them.
func (e *expiry) spared() (out []eventstore.PersonID, err error) {
	t := e.t
	if err := t.enterShared(); err != nil {
		return nil, err
	}
	defer t.mu.RUnlock()
	err = t.eachSpared(func(_ []byte, id eventstore.PersonID) error { out = append(out, id); return nil })
	slices.SortFunc(out, eventstore.PersonID.Compare)
	return out, err
}
