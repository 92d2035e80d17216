package projections

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/sqltables"
	"github.com/oubli-store/oubli/projections/tabular"
)

// Bounds of what SQL is asked of, in bytes: an image, and those of all tenants together.
const (
	maxImage  = 128 << 20
	maxImages = 192 << 20
)

// images keeps what SQL is asked of, for each tenant, up to [maxImages] bytes together; the tenant that asked longest ago goes first. Images are made under the lock, so
// that they are made once, and for one tenant at a time.
type images struct {
	mu      sync.Mutex
	tenants map[eventstore.TenantID]*pair
}

// pair is what SQL of one tenant is asked of.
type pair struct {
	released, provisional *sqltables.Image
	parameters            Parameters
	// version is that of the releases in released.
	version     uint64
	made, asked time.Time
}

func (t *pair) size() int64 { return t.released.Size() + t.provisional.Size() }

func (t *pair) release() {
	for _, image := range []*sqltables.Image{t.released, t.provisional} {
		if image != nil {
			image.Release()
		}
	}
}

// usable are images held for one query.
type usable struct {
	images     []*sqltables.Image
	parameters Parameters
	// empty says that nothing is released.
	empty bool
}

// of gives a tenant's images, held for the caller.
func (c *images) of(ctx context.Context, p *Projections, id eventstore.TenantID) (usable, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	made, err := p.renewed(ctx, id, c.tenants[id])
	if err != nil {
		return usable{}, err
	}
	if c.tenants == nil {
		c.tenants = map[eventstore.TenantID]*pair{}
	}
	c.tenants[id] = made
	made.asked = p.c.Now()
	c.makeRoom(id)
	return usable{images: []*sqltables.Image{made.released.Hold(), made.provisional.Hold()}, parameters: made.parameters,
		empty: made.released.Rows() == len(dictionaryRows(p.models))}, nil
}

// makeRoom lets images of others than a tenant go until all fit.
func (c *images) makeRoom(id eventstore.TenantID) {
	for {
		total, oldest := int64(0), id
		for other, t := range c.tenants {
			total += t.size()
			if other != id && (oldest == id || t.asked.Before(c.tenants[oldest].asked)) {
				oldest = other
			}
		}
		if total <= maxImages || oldest == id {
			return
		}
		c.forget(oldest)
	}
}

func (c *images) forget(id eventstore.TenantID) {
	if t := c.tenants[id]; t != nil {
		delete(c.tenants, id)
		t.release()
	}
}

// drop lets a tenant's images go; queries that run keep theirs to their end.
func (c *images) drop(id eventstore.TenantID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(id)
}

// close lets all images go.
func (c *images) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.tenants {
		c.forget(id)
	}
}

// renewed is a tenant's pair as it is now: old where that still holds. What it replaces is released.
func (p *Projections) renewed(ctx context.Context, id eventstore.TenantID, old *pair) (*pair, error) {
	t, err := p.tenant(ctx, id)
	if err != nil {
		return nil, err
	}
	s, err := p.settings(id)
	if err != nil {
		return nil, err
	}
	out := &pair{parameters: parameters(s, t.zoneName()), version: t.releases(), made: p.c.Now()}
	if old == nil {
		old = &pair{}
	}
	same := old.released != nil && old.parameters == out.parameters && old.version == out.version
	if age := out.made.Sub(old.made); same && age < renewal && age >= 0 {
		return old, nil
	}
	if same {
		out.released = old.released.Hold()
	} else if out.released, err = p.image(ctx, id, true); err != nil {
		return nil, err
	}
	if out.provisional, err = p.image(ctx, id, false); err != nil {
		out.released.Release()
		return nil, err
	}
	old.release()
	return out, nil
}

// suffixes are those of the tables of weeks and months.
var suffixes = map[eventstore.PeriodKind]string{eventstore.Day: "", eventstore.Week: "_week", eventstore.Month: "_month"}

// image makes the tables of the periods that are closed, or of those that are open.
func (p *Projections) image(ctx context.Context, id eventstore.TenantID, released bool) (*sqltables.Image, error) {
	var sources []sqltables.Source
	for _, m := range p.models {
		for _, kind := range kinds {
			name := m.Name + suffixes[kind]
			if !released {
				name += "_provisional"
			}
			sources = append(sources, sqltables.Source{Name: name, Columns: columns(m), Rows: p.sourceRows(ctx, id, m, kind, released)})
		}
	}
	if released {
		sources = append(sources, sqltables.Source{Name: "dictionary", Columns: dictionaryColumns, Rows: func(yield func([]any, error) bool) {
			for _, row := range dictionaryRows(p.models) {
				if !yield(row, nil) {
					return
				}
			}
		}})
	}
	return sqltables.Build(ctx, maxImage, sources...)
}

func (p *Projections) sourceRows(ctx context.Context, id eventstore.TenantID, m *readmodel.Model, kind eventstore.PeriodKind, released bool) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		q := Query{Projection: m.Name, By: kind}
		f, err := p.published(ctx, id, m, q)
		if err != nil {
			yield(nil, err)
			return
		}
		for row := range f.rows(m, q, func(d dated) bool { return d.released == released }) {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// dictionaryColumns are those of the table dictionary.
var dictionaryColumns = []Column{{Name: "table_name", Type: tabular.String}, {Name: "column_name", Type: tabular.String}, {Name: "type", Type: tabular.String},
	{Name: "unit", Type: tabular.String}, {Name: "meaning", Type: tabular.String}, {Name: "meaning_fr", Type: tabular.String}}

func dictionaryRows(models []*readmodel.Model) (out [][]any) {
	for _, t := range tables(models) {
		for _, c := range t.Columns {
			out = append(out, []any{t.Name, c.Name, string(c.Type), c.Unit, c.Meaning, c.MeaningFR})
		}
	}
	return out
}

// releases is raised whenever a release comes or goes.
func (t *tenant) releases() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed.number
}
