package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/ledger"
)

// Outside is what is kept outside.
type Outside struct {
	// Vault is the vault's id in hexadecimal.
	Vault   string
	Tenants map[eventstore.TenantID]Tenant
	// Updates counts the changes of what is kept.
	Updates uint64

	place place
}

// Tenant is what is kept of one tenant. Of an erased one nothing but that.
type Tenant struct {
	Erased bool
	// Public is the key of Signed, which says what Checkpoint is.
	Public     string
	Signed     []byte
	Checkpoint ledger.Checkpoint
}

// Load reads what is kept at a place, a path or a URL, and verifies all of it, entries included. ErrNotFound if there is nothing; ErrDamaged names the damage; ErrNewerVersion.
func Load(ctx context.Context, source string) (*Outside, error) {
	p, err := placeOf(source)
	if err != nil {
		return nil, err
	}
	o, _, err := load(ctx, p)
	if err != nil {
		return nil, err
	}
	for tenant, t := range o.Tenants {
		if t.Erased {
			continue
		}
		head, err := ledger.Verify(o.Records(ctx, tenant), t.Checkpoint.Head)
		if err == nil && head != t.Checkpoint.Head {
			err = fmt.Errorf("%w: there are %d entries and the checkpoint covers %d", eventstore.ErrDamaged, head.Size, t.Checkpoint.Size)
		}
		if err != nil {
			return nil, fmt.Errorf("the ledger of tenant %s beside the checkpoint: %w", tenant, err)
		}
	}
	return o, nil
}

// load reads and verifies the document.
func load(ctx context.Context, p place) (*Outside, *document, error) {
	data, err := p.get(ctx, "")
	if err != nil {
		return nil, nil, fmt.Errorf("reading the checkpoint outside: %w", err)
	}
	d, err := decodeDocument(data)
	if err != nil {
		return nil, nil, err
	}
	o := &Outside{Vault: d.Vault, Updates: d.Updates, Tenants: map[eventstore.TenantID]Tenant{}, place: p}
	for _, k := range d.Tenants {
		t := Tenant{Erased: k.Erased, Public: k.Key, Signed: []byte(k.Note)}
		if !k.Erased {
			if t.Checkpoint, err = ledger.OpenCheckpoint(t.Signed, t.Public); err != nil {
				return nil, nil, fmt.Errorf("the checkpoint of tenant %s: %w", k.Tenant, err)
			}
			if t.Checkpoint.Tenant != k.Tenant || t.Checkpoint.Vault.String() != d.Vault {
				return nil, nil, fmt.Errorf("%w: the checkpoint of tenant %s is that of another ledger", eventstore.ErrDamaged, k.Tenant)
			}
		}
		o.Tenants[k.Tenant] = t
	}
	return o, d, nil
}

// Records yields the records of a tenant's ledger up to its checkpoint, from the first on. The first error ends it; ErrDamaged names the entry. What it yields is
// known to be the ledger once [Load] has returned.
func (o *Outside) Records(ctx context.Context, tenant eventstore.TenantID) iter.Seq2[eventstore.Record, error] {
	return func(yield func(eventstore.Record, error) bool) {
		size := o.Tenants[tenant].Checkpoint.Size
		for n := uint64(1); n <= size; {
			records, err := o.object(ctx, tenant, n, size)
			if err != nil {
				yield(eventstore.Record{}, err)
				return
			}
			for _, r := range records {
				if !yield(eventstore.Record{Number: n, Data: r}, nil) {
					return
				}
				n++
			}
		}
	}
}

// object reads the entries of the object that begins with entry first, up to size.
func (o *Outside) object(ctx context.Context, tenant eventstore.TenantID, first, size uint64) ([][]byte, error) {
	data, err := o.place.get(ctx, objectName(tenant, first))
	if errors.Is(err, eventstore.ErrNotFound) {
		return nil, fmt.Errorf("%w: the entries from %d on are missing", eventstore.ErrDamaged, first)
	}
	if err != nil {
		return nil, err
	}
	records, ok := decodeEntries(data)
	want := min(perObject, size-first+1)
	if !ok || uint64(len(records)) < want {
		return nil, fmt.Errorf("%w: the entries from %d on are not what was written", eventstore.ErrDamaged, first)
	}
	return records[:want], nil
}

// Entries is Records, decoded.
func (o *Outside) Entries(ctx context.Context, tenant eventstore.TenantID) iter.Seq2[eventstore.Entry, error] {
	return func(yield func(eventstore.Entry, error) bool) {
		for r, err := range o.Records(ctx, tenant) {
			var e eventstore.Entry
			if err == nil {
				e, err = ledger.Decode(r.Data)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}
