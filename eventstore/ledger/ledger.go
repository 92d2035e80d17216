package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/oubli-store/oubli/eventstore"
)

// Ledger implements [eventstore.Ledger] over [eventstore.Records]. It is safe for concurrent use; concurrent calls of Record share the
// disk's syncs, because those of AppendRecord do.
type Ledger struct {
	records eventstore.Records

	mu      sync.RWMutex
	tenants map[eventstore.TenantID]*open
}

// open is a tenant's tree. Calls of AppendRecord return in any order, so a leaf waits until those before it are there; one whose caller
// was told "uncertain" is read back.
type open struct {
	mu      sync.Mutex
	tree    *tree
	waiting map[uint64]tlog.Hash
}

// New makes a ledger over record streams that are open.
func New(records eventstore.Records) *Ledger {
	return &Ledger{records: records, tenants: map[eventstore.TenantID]*open{}}
}

var _ eventstore.Ledger = (*Ledger)(nil)

// Open reads a tenant's ledger and builds its Merkle tree. It must be called once for each tenant before anything else.
// ErrDamaged names the entry that is missing or cannot be read; ErrNewerVersion.
func (l *Ledger) Open(ctx context.Context, tenant eventstore.TenantID) error {
	t, err := build(l.records.ReadRecords(ctx, tenant, eventstore.RecordsLedger, 1))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tenants[tenant] = &open{tree: t, waiting: map[uint64]tlog.Hash{}}
	return nil
}

var errNotOpen = errors.New("the tenant's ledger is not open")

func (l *Ledger) tenant(tenant eventstore.TenantID) (*open, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if o := l.tenants[tenant]; o != nil {
		return o, nil
	}
	return nil, errNotOpen
}

// Record implements [eventstore.Ledger]. ErrInvalid for what is not made of codes (nothing is recorded then); ErrUncertain,
// ErrUnavailable as [eventstore.Records].AppendRecord.
func (l *Ledger) Record(ctx context.Context, tenant eventstore.TenantID, e eventstore.Entry) (uint64, error) {
	o, err := l.tenant(tenant)
	if err != nil {
		return 0, err
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	record, err := Encode(e)
	if err != nil {
		return 0, err
	}
	n, err := l.records.AppendRecord(ctx, tenant, eventstore.RecordsLedger, record)
	if err != nil {
		return 0, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return n, o.put(n, tlog.RecordHash(record))
}

// put adds the leaf of entry n, or keeps it until those before it are there. o.mu is held.
func (o *open) put(n uint64, leaf tlog.Hash) error {
	if n == 0 || (n <= o.tree.size && o.tree.leaf(n) != leaf) {
		return fmt.Errorf("%w: two ledger entries have the number %d", eventstore.ErrDamaged, n)
	}
	if n > o.tree.size {
		o.waiting[n] = leaf
	}
	for {
		next, ok := o.waiting[o.tree.size+1]
		if !ok {
			return nil
		}
		if err := o.tree.add(next); err != nil {
			return err
		}
		delete(o.waiting, o.tree.size)
	}
}

// settle reads back what stands before a leaf that waits. o.mu is held.
func (l *Ledger) settle(ctx context.Context, tenant eventstore.TenantID, o *open) error {
	if len(o.waiting) == 0 {
		return nil
	}
	for r, err := range l.records.ReadRecords(ctx, tenant, eventstore.RecordsLedger, o.tree.size+1) {
		if err != nil {
			return err
		}
		if err := o.put(r.Number, tlog.RecordHash(r.Data)); err != nil {
			return err
		}
		if len(o.waiting) == 0 {
			break
		}
	}
	return nil
}

// Numbered is one entry with its number, from 1.
type Numbered struct {
	Number uint64
	eventstore.Entry
}

// Entries yields the entries with a number of at least from, in order. The first error ends it.
func (l *Ledger) Entries(ctx context.Context, tenant eventstore.TenantID, from uint64) iter.Seq2[Numbered, error] {
	return func(yield func(Numbered, error) bool) {
		for r, err := range l.records.ReadRecords(ctx, tenant, eventstore.RecordsLedger, max(from, 1)) {
			if err != nil {
				yield(Numbered{}, err)
				return
			}
			e, err := Decode(r.Data)
			if err != nil {
				yield(Numbered{}, fmt.Errorf("ledger entry %d: %w", r.Number, err))
				return
			}
			if !yield(Numbered{Number: r.Number, Entry: e}, nil) {
				return
			}
		}
	}
}

// Head is the size of the tenant's tree and its root hash (RFC 6962). It covers every entry whose Record has returned, but for one that
// stands behind an uncertain entry that cannot be read back yet.
func (l *Ledger) Head(tenant eventstore.TenantID) (size uint64, root [32]byte, err error) {
	o, err := l.tenant(tenant)
	if err != nil {
		return 0, root, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := l.settleSoon(tenant, o); err != nil {
		return 0, root, err
	}
	h, err := o.tree.at(o.tree.size)
	return h.Size, h.Root, err
}

// settleSoon is settle for callers that have no context. That the stream is away for a moment is no reason to have no head.
func (l *Ledger) settleSoon(tenant eventstore.TenantID, o *open) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := l.settle(ctx, tenant, o); errors.Is(err, eventstore.ErrDamaged) {
		return err
	}
	return nil
}

// ProveInclusion proves that entry n is in the tree of that size (0: the present one), for [CheckInclusion] with the head returned.
// ErrNotFound for a number that is not in it, ErrInvalid for a size that the tree has not reached.
func (l *Ledger) ProveInclusion(tenant eventstore.TenantID, n, size uint64) (Proof, Head, error) {
	return l.prove(tenant, size, func(t *tree, size uint64) ([]tlog.Hash, error) {
		if n == 0 || n > size {
			return nil, eventstore.Refuse(eventstore.KindNotFound, "", "the ledger has no entry of that number")
		}
		return tlog.ProveRecord(int64(size), int64(n-1), t)
	})
}

// ProveConsistency proves that the tree of size newer (0: the present one) begins with the one of size older, for [CheckConsistency]
// with the head returned as the newer one. ErrInvalid for a size that the tree has not reached.
func (l *Ledger) ProveConsistency(tenant eventstore.TenantID, older, newer uint64) (Proof, Head, error) {
	return l.prove(tenant, newer, func(t *tree, newer uint64) ([]tlog.Hash, error) {
		if older > newer {
			return nil, eventstore.Refuse(eventstore.KindInvalid, "", "the older ledger must not be longer than the newer one")
		}
		if older == 0 {
			return nil, nil
		}
		return tlog.ProveTree(int64(newer), int64(older), t)
	})
}

func (l *Ledger) prove(tenant eventstore.TenantID, size uint64, of func(*tree, uint64) ([]tlog.Hash, error)) (Proof, Head, error) {
	o, err := l.tenant(tenant)
	if err != nil {
		return nil, Head{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := l.settleSoon(tenant, o); err != nil {
		return nil, Head{}, err
	}
	if size == 0 {
		size = o.tree.size
	}
	head, err := o.tree.at(size)
	if err != nil {
		return nil, Head{}, err
	}
	p, err := of(o.tree, size)
	return proof(p), head, err
}

// Verify reads the tenant's whole ledger again and holds it to a head, as the function [Verify] does.
func (l *Ledger) Verify(ctx context.Context, tenant eventstore.TenantID, head Head) (Head, error) {
	return Verify(l.records.ReadRecords(ctx, tenant, eventstore.RecordsLedger, 1), head)
}
