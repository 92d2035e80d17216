package server

import (
	"context"
	"sync"

	"github.com/oubli-store/oubli/cmd/internal/settings"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections"
)

// tenantSettings keeps at hand what projections ask for all the time.
type tenantSettings struct {
	*settings.Tenants
	known sync.Map // eventstore.TenantID → projections.Settings
}

// load reads a tenant's settings anew.
func (t *tenantSettings) load(ctx context.Context, id eventstore.TenantID) error {
	s, err := t.Get(ctx, id)
	if err != nil {
		return err
	}
	t.known.Store(id, projections.Settings{K: s.K, Zone: s.Zone()})
	return nil
}

// Put changes settings; they are in force when it returns.
func (t *tenantSettings) Put(ctx context.Context, id eventstore.TenantID, values map[string]string) error {
	if err := t.Tenants.Put(ctx, id, values); err != nil {
		return err
	}
	return t.load(ctx, id)
}

func (t *tenantSettings) forget(id eventstore.TenantID) { t.known.Delete(id) }

// analytics is what projections ask for.
func (t *tenantSettings) analytics(id eventstore.TenantID) projections.Settings {
	if s, ok := t.known.Load(id); ok {
		return s.(projections.Settings)
	}
	d := settings.Defaults()
	return projections.Settings{K: d.K, Zone: d.Zone()}
}
