package server

import (
	"context"
	"sync"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/rights"
	"github.com/oubli-store/oubli/projections"
)

// tenantSettings keeps at hand what others ask for all the time, and tells the door.
type tenantSettings struct {
	*settings.Tenants
	known sync.Map // eventstore.TenantID → projections.Settings
	kept  sync.Map // eventstore.TenantID → time.Duration
	files sync.Map // eventstore.TenantID → eventstore.AttachmentLimits
	asked sync.Map // eventstore.TenantID → requestSettings
	// door is told what may be kept.
	door *door.Door
	// keep is how long events are kept by tenants that do not say otherwise.
	keep time.Duration
	// changing is held from a change until it is in force, so that of two changes the later stays.
	changing sync.Mutex
}

// load reads a tenant's settings anew.
func (t *tenantSettings) load(ctx context.Context, id eventstore.TenantID) error {
	s, err := t.Get(ctx, id)
	if err != nil {
		return err
	}
	t.known.Store(id, s.Analytics())
	t.kept.Store(id, s.Keep(t.keep))
	t.files.Store(id, s.Attachments())
	t.asked.Store(id, requestSettings{s.Promise(), s.FourEyes == "erasures"})
	t.door.Set(id, s.Rules())
	return nil
}

// Put changes settings; they are in force when it returns.
func (t *tenantSettings) Put(ctx context.Context, id eventstore.TenantID, values map[string]string) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	if err := t.Tenants.Put(ctx, id, values); err != nil {
		return err
	}
	return t.load(ctx, id)
}

func (t *tenantSettings) forget(id eventstore.TenantID) {
	t.known.Delete(id)
	t.kept.Delete(id)
	t.files.Delete(id)
	t.asked.Delete(id)
	t.door.Forget(id)
}

// retention is how long a tenant keeps events. ErrNotFound for one whose settings were not read yet.
func (t *tenantSettings) retention(id eventstore.TenantID) (time.Duration, error) {
	if d, ok := t.kept.Load(id); ok {
		return d.(time.Duration), nil
	}
	return 0, eventstore.ErrNotFound
}

// oldest is the first key month that a tenant takes events of.
func (t *tenantSettings) oldest(now func() time.Time) func(eventstore.TenantID) eventstore.KeyMonth {
	return func(id eventstore.TenantID) eventstore.KeyMonth {
		keep, err := t.retention(id)
		if err != nil {
			return 0
		}
		return rights.OldestKept(now(), keep)
	}
}

// attachments are the limits of a tenant's files.
func (t *tenantSettings) attachments(id eventstore.TenantID) eventstore.AttachmentLimits {
	if l, ok := t.files.Load(id); ok {
		return l.(eventstore.AttachmentLimits)
	}
	return settings.Defaults().Attachments()
}

// analytics is what projections ask for.
func (t *tenantSettings) analytics(id eventstore.TenantID) projections.Settings {
	if s, ok := t.known.Load(id); ok {
		return s.(projections.Settings)
	}
	return settings.Defaults().Analytics()
}
