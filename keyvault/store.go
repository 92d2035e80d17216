package keyvault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/tree"
)

// rows is a [tree.Store] over Pebble.
type rows struct{ db *pebble.DB }

func (r rows) Get(key []byte) ([]byte, error) {
	value, closer, err := r.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("vault: reading a row: %w", damage(err))
	}
	defer closer.Close()
	return append([]byte{}, value...), nil
}

func (r rows) Scan(prefix []byte, visit func(key, value []byte) error) error {
	it, err := r.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return fmt.Errorf("vault: reading rows: %w", damage(err))
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(fmt.Errorf("vault: reading rows: %w", damage(err)), it.Close())
		}
		if err := visit(it.Key(), value); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("vault: reading rows: %w", damage(err))
	}
	return nil
}

// ScanEach goes through the database once, forwards.
func (r rows) ScanEach(prefixes [][]byte, visit func(i int, key, value []byte) error) error {
	if len(prefixes) == 0 {
		return nil
	}
	it, err := r.db.NewIter(&pebble.IterOptions{LowerBound: prefixes[0], UpperBound: after(prefixes[len(prefixes)-1])})
	if err != nil {
		return fmt.Errorf("vault: reading rows: %w", damage(err))
	}
	for i, prefix := range prefixes {
		for ok := it.SeekGE(prefix); ok && bytes.HasPrefix(it.Key(), prefix); ok = it.Next() {
			value, err := it.ValueAndErr()
			if err != nil {
				return errors.Join(fmt.Errorf("vault: reading rows: %w", damage(err)), it.Close())
			}
			if err := visit(i, it.Key(), value); err != nil {
				return errors.Join(err, it.Close())
			}
		}
		if err := it.Error(); err != nil {
			break
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("vault: reading rows: %w", damage(err))
	}
	return nil
}

// after is the first key behind all that begin with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// damage makes Pebble's corruption errors ours.
func damage(err error) error {
	if pebble.IsCorruptionError(err) {
		return errors.Join(eventstore.ErrDamaged, err)
	}
	return err
}

// unopened makes ours an error of opening a database: unless the system says why, its files are not what was written.
func unopened(err error) error {
	var system syscall.Errno
	if errors.As(err, &system) && system != syscall.ENOENT {
		return err
	}
	return errors.Join(eventstore.ErrDamaged, err)
}

// fromTree gives the tree's errors their public form.
func fromTree(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tree.ErrVersion):
		return fmt.Errorf("vault: %w", errors.Join(err, eventstore.ErrNewerVersion))
	case errors.Is(err, tree.ErrDamaged), errors.Is(err, tree.ErrNoRoot), errors.Is(err, tree.ErrWrongKey):
		return fmt.Errorf("vault: %w", errors.Join(err, eventstore.ErrDamaged))
	}
	return err
}

// batch is a [tree.Batch] over Pebble.
type batch struct {
	*pebble.Batch
	db *pebble.DB
}

func (b batch) Set(key, value []byte) error { return b.Batch.Set(key, value, nil) }
func (b batch) Delete(key []byte) error     { return b.Batch.Delete(key, nil) }

// partSize is about what 64 re-sealed buckets need.
const partSize = 512 << 10

// Part implements [tree.Batch].
func (b batch) Part() tree.Batch { return batch{b.db.NewBatchWithSize(partSize), b.db} }

// Join implements [tree.Batch].
func (b batch) Join(part tree.Batch) error {
	p := part.(batch)
	return errors.Join(b.Apply(p.Batch, nil), p.Close())
}

// adder is the merger of the counters: a sum of signed varints, so that concurrent first contacts need no common lock.
var adder = &pebble.Merger{
	Name: "oubli.sum.1",
	Merge: func(_, value []byte) (pebble.ValueMerger, error) {
		s := &sum{}
		return s, s.MergeNewer(value)
	},
}

type sum struct{ n int64 }

func (s *sum) MergeNewer(value []byte) error {
	n, k := binary.Varint(value)
	if k <= 0 {
		return fmt.Errorf("vault: a counter is cut: %w", eventstore.ErrDamaged)
	}
	s.n += n
	return nil
}

func (s *sum) MergeOlder(value []byte) error { return s.MergeNewer(value) }

func (s *sum) Finish(bool) ([]byte, io.Closer, error) {
	return binary.AppendVarint(nil, s.n), nil, nil
}

// fatal is what Pebble gives up with.
type fatal struct{ error }

// quiet is Pebble's logger: it is silent, because a log line could hold what must not be logged, and turns what Pebble regards as fatal into a stop of the vault.
type quiet struct{ v *Vault }

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (q quiet) Fatalf(format string, args ...any) {
	err := fatal{fmt.Errorf(format, args...)}
	q.v.fail(err)
	panic(err)
}

// commit commits a batch. When it fails nobody knows whether the batch is stored, and the vault stops.
func (v *Vault) commit(b batch, o *pebble.WriteOptions) error {
	return v.attempt(func() error { return b.Commit(o) })
}

// apply is commit up to where the batch is seen by all and stands in the log; [Vault.syncWait] must follow.
func (v *Vault) apply(b batch) error {
	return v.attempt(func() error { return v.db.ApplyNoSyncWait(b.Batch, pebble.Sync) })
}

// syncWait waits until an applied batch, and with it everything before it in the log, is synced.
func (v *Vault) syncWait(b batch) error { return v.attempt(b.SyncWait) }

// givenUp makes an error of what Pebble gives up with.
func givenUp(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(fatal)
			if !ok {
				panic(r)
			}
			err = f
		}
	}()
	return do()
}

// attempt stops the vault when a write fails.
func (v *Vault) attempt(write func() error) error {
	if err := givenUp(write); err != nil {
		return v.fail(err)
	}
	return nil
}

// fail stops the vault: from here every call answers with a retryable error, until it is opened again.
func (v *Vault) fail(cause error) error {
	return v.stop(errStopped.Because(cause))
}

// stop lets every further call answer err.
func (v *Vault) stop(err error) error {
	v.stopped.CompareAndSwap(nil, &err)
	return err
}

// rotten stops the vault over a damaged table.
func (v *Vault) rotten() {
	if !v.c.Inspect {
		_ = v.stop(errRotten) // whoever calls next is told
	}
}

// errRotten: Pebble met a table that is not what it wrote.
var errRotten = fmt.Errorf("vault: a table of the database does not hold what was written; the vault has stopped: %w", eventstore.ErrDamaged)

var errStopped = eventstore.Refuse(eventstore.KindUnavailable, "", "the key vault could not write to its disk and has stopped; it must be opened again")
