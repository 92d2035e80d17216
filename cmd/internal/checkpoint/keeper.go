package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

// Config wires a keeper. All but Log and Every are required.
type Config struct {
	// Source is the place: a path or a URL.
	Source  string
	Keys    eventstore.Keys
	Meta    eventstore.Meta
	Ledger  *ledger.Ledger
	Records eventstore.Records
	Signer  *ledger.Signer
	// Log takes warnings (nil: nobody).
	Log *slog.Logger
	// Every is how often the keeper looks for new entries (0: 1 s).
	Every time.Duration
}

// Keeper keeps the checkpoint outside up to date. It is safe for concurrent use.
type Keeper struct {
	c     Config
	place place

	// working is held while the place is written. doc is what stands there.
	working sync.Mutex
	doc     *document
	sizes   map[eventstore.TenantID]uint64
	// known is the number of updates that the vault knows of.
	known uint64
	// outside is what was there when the keeper was opened; nil if nothing was.
	outside *Outside

	mu     sync.Mutex
	status Status
}

// Status says how well the checkpoint follows.
type Status struct {
	// Behind is how many entries are not outside yet, and Since when the first of them was met (zero: none).
	Behind uint64
	Since  time.Time
	// Failures counts updates that failed; Why is the last one's reason, empty when the last update did not fail.
	Failures uint64
	Why      string
}

const (
	defaultEvery = time.Second
	longestPause = time.Minute
	// lastUpdate is how long the update at the end may take.
	lastUpdate = 5 * time.Second
)

// Open reads what is kept at the place and holds the vault to it. [Keeper.Compare] follows for each tenant whose ledger was opened, before anything is done with it,
// and then [Keeper.Update]. ErrDamaged as the package comment says, naming the tenant; other errors are those of the place.
func Open(ctx context.Context, c Config) (*Keeper, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Every == 0 {
		c.Every = defaultEvery
	}
	p, err := placeOf(c.Source)
	if err != nil {
		return nil, err
	}
	k := &Keeper{c: c, place: p, sizes: map[eventstore.TenantID]uint64{}}
	if k.known, err = known(ctx, c.Meta); err != nil && !errors.Is(err, eventstore.ErrNotFound) { // the first start has no tenant yet
		return nil, err
	}
	o, d, err := load(ctx, p)
	switch {
	case errors.Is(err, eventstore.ErrNotFound):
		c.Log.Warn("no checkpoint is kept outside yet; it is begun with the ledgers as they are now")
		k.doc = &document{Version: version, Vault: c.Keys.Vault().String(), Tenants: []kept{}}
	case err != nil:
		return nil, err
	default:
		if err := k.compareVault(ctx, o); err != nil {
			return nil, err
		}
		k.doc, k.outside = d, o
		for tenant, t := range o.Tenants {
			k.sizes[tenant] = t.Checkpoint.Size
		}
	}
	return k, nil
}

const older = "the data directory is older than the checkpoint: it was rolled back, or restored from a backup without it"

// compareVault holds the vault's tenants to what is kept outside.
func (k *Keeper) compareVault(ctx context.Context, o *Outside) error {
	if o.Vault != k.c.Keys.Vault().String() {
		return fmt.Errorf("%w: the checkpoint outside is that of another vault; name another place for this one", eventstore.ErrDamaged)
	}
	if k.known < o.Updates {
		return fmt.Errorf("%w: the vault knows of %d updates of the checkpoint outside, which has seen %d; %s", eventstore.ErrDamaged, k.known, o.Updates, older)
	}
	live, err := k.c.Keys.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, tenant := range slices.Sorted(maps.Keys(o.Tenants)) {
		_, counting := k.c.Keys.Count(ctx, tenant)
		switch alive := slices.Contains(live, tenant); {
		case alive && o.Tenants[tenant].Erased:
			return fmt.Errorf("%w: tenant %s was erased and the vault holds it; %s", eventstore.ErrDamaged, tenant, older)
		case !alive && !o.Tenants[tenant].Erased && !errors.Is(counting, eventstore.ErrErased):
			return fmt.Errorf("%w: the checkpoint outside names tenant %s, which the vault has never known; %s", eventstore.ErrDamaged, tenant, older)
		}
	}
	return nil
}

// Compare holds a tenant's opened ledger to what was kept outside when the keeper was opened. ErrDamaged.
func (k *Keeper) Compare(ctx context.Context, tenant eventstore.TenantID) error {
	if k.outside == nil {
		return nil
	}
	t, known := k.outside.Tenants[tenant]
	if !known || t.Erased {
		return nil
	}
	now, err := k.c.Ledger.At(tenant, 0)
	if err != nil {
		return err
	}
	if now.Size < t.Checkpoint.Size {
		return fmt.Errorf("%w: the ledger of tenant %s has %d entries and the checkpoint outside covers %d; %s", eventstore.ErrDamaged, tenant, now.Size, t.Checkpoint.Size, older)
	}
	if t.Checkpoint.Size > 0 {
		then, err := k.c.Ledger.At(tenant, t.Checkpoint.Size)
		if err != nil {
			return err
		}
		if then != t.Checkpoint.Head {
			return fmt.Errorf("%w: the first %d entries of the ledger of tenant %s are not those of the checkpoint outside: it was rewritten, or went on from an older copy",
				eventstore.ErrDamaged, then.Size, tenant)
		}
	}
	public, err := k.c.Signer.Public(ctx, tenant)
	if err == nil && public != t.Public {
		err = fmt.Errorf("%w: the checkpoint of tenant %s is not signed with the key of its ledger", eventstore.ErrDamaged, tenant)
	}
	return err
}

// Run keeps the checkpoint up to date until ctx ends, and once more then. It returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	pause := k.c.Every
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastUpdate)
			defer cancel()
			_ = k.Update(ctx) // it is in the status, and nobody waits for it
			return nil
		case <-time.After(pause):
		}
		if err := k.Update(ctx); err != nil && ctx.Err() == nil {
			k.c.Log.Warn("the checkpoint outside could not be updated and is tried again", "error", err)
			pause = min(2*pause, longestPause)
		} else {
			pause = k.c.Every
		}
	}
}

// Update brings the place up to the ledgers as they are now. Errors are those of the place and of reading the ledgers.
func (k *Keeper) Update(ctx context.Context) error {
	k.working.Lock()
	defer k.working.Unlock()
	next, sizes, behind, err := k.next(ctx)
	if behind > 0 {
		k.note(func(s *Status) {
			if s.Behind = behind; s.Since.IsZero() {
				s.Since = time.Now()
			}
		})
	}
	if next != nil { // also when one tenant of several failed
		data, encoding := k.count(ctx, next)
		if encoding == nil {
			encoding = k.place.put(ctx, "", data)
		}
		if encoding == nil {
			k.doc, k.sizes = next, sizes
		}
		err = errors.Join(err, encoding)
	}
	if err != nil {
		k.note(func(s *Status) { s.Failures, s.Why = s.Failures+1, err.Error() })
		return fmt.Errorf("the checkpoint outside: %w", err)
	}
	k.note(func(s *Status) { s.Behind, s.Since, s.Why = 0, time.Time{}, "" })
	return nil
}

// count gives a document its number, which the vault knows first.
func (k *Keeper) count(ctx context.Context, next *document) ([]byte, error) {
	next.Updates = max(k.known, k.doc.Updates+1)
	if k.known < next.Updates {
		if err := setKnown(ctx, k.c.Meta, next.Updates); err != nil {
			return nil, err
		}
		k.known = next.Updates
	}
	return next.encode()
}

func (k *Keeper) note(f func(*Status)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f(&k.status)
}

// Status says how well the checkpoint follows, as of the last update.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

// next writes the entries that are new and makes the document that covers them; nil if nothing is new.
func (k *Keeper) next(ctx context.Context) (next *document, sizes map[eventstore.TenantID]uint64, behind uint64, err error) {
	live, err := k.c.Keys.Tenants(ctx)
	if err != nil {
		return nil, nil, 0, err
	}
	doc, sizes := k.doc.clone(), maps.Clone(k.sizes)
	changed := false
	var failed []error
	for _, tenant := range live {
		head, err := k.c.Ledger.At(tenant, 0)
		if err != nil {
			continue // it is being made
		}
		i, known := doc.find(tenant)
		if known && sizes[tenant] >= head.Size && !doc.Tenants[i].Erased {
			continue
		}
		behind += head.Size - sizes[tenant]
		one, err := k.tenant(ctx, tenant, sizes[tenant], head)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		doc.set(one)
		sizes[tenant], changed = head.Size, true
	}
	for i, t := range doc.Tenants {
		if slices.Contains(live, t.Tenant) || t.Erased {
			continue
		}
		if _, err := k.c.Keys.Count(ctx, t.Tenant); errors.Is(err, eventstore.ErrErased) {
			doc.Tenants[i] = kept{Tenant: t.Tenant, Erased: true}
			delete(sizes, t.Tenant)
			changed = true
		}
	}
	if !changed {
		doc = nil
	}
	return doc, sizes, behind, errors.Join(failed...)
}

// tenant writes a tenant's entries behind those that are kept and signs the head that covers them.
func (k *Keeper) tenant(ctx context.Context, tenant eventstore.TenantID, from uint64, head ledger.Head) (kept, error) {
	if from < head.Size {
		if err := k.entries(ctx, tenant, objectOf(from+1), head.Size); err != nil {
			return kept{}, err
		}
	}
	note, err := k.c.Signer.Sign(ctx, tenant, head)
	if err != nil {
		return kept{}, err
	}
	public, err := k.c.Signer.Public(ctx, tenant)
	return kept{Tenant: tenant, Key: public, Note: string(note)}, err
}

// entries writes the objects of the entries from first, which begins one, to last.
func (k *Keeper) entries(ctx context.Context, tenant eventstore.TenantID, first, last uint64) error {
	var records [][]byte
	next := first
	for r, err := range k.c.Records.ReadRecords(ctx, tenant, eventstore.RecordsLedger, first) {
		if err != nil {
			return err
		}
		if r.Number != next {
			return fmt.Errorf("%w: ledger entry %d of tenant %s is missing", eventstore.ErrDamaged, next, tenant)
		}
		records = append(records, slices.Clone(r.Data))
		if next++; len(records) == perObject || next > last {
			if err := k.place.put(ctx, objectName(tenant, objectOf(r.Number)), encodeEntries(records)); err != nil {
				return err
			}
			records = nil
		}
		if next > last {
			return nil
		}
	}
	return fmt.Errorf("%w: the ledger of tenant %s ends before its entry %d", eventstore.ErrUnavailable, tenant, last)
}
