package api

import (
	"context"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections"
)

type projectionsOutput struct {
	Tenant eventstore.TenantID `json:"tenant"`
	projections.Status
}

type closeInput struct {
	Body struct {
		Before string `json:"before" doc:"A day, such as 2026-11-01, no later than today: every period that ended before it is closed"`
	}
}

func (a *API) registerProjections() {
	handle(a, operation("projections-status", "GET", "/v1/projections/status", "How far the projections have come"), a.projectionsStatus)
	closing := operation("projections-close", "POST", "/v1/projections/close", "Publish the statistics of periods that are over")
	closing.Description = "Every period that ended before a day is closed now, whatever the grace time says: its figures are released and never change. " +
		"Answered when the releases are published."
	handle(a, closing, a.closePeriods)
	rebuild := operation("projections-rebuild", "POST", "/v1/projections/rebuild", "Make the figures of open periods anew from the events")
	rebuild.Description = "Answered when that is begun. Questions are answered meanwhile; the status says how far it is."
	handle(a, rebuild, a.rebuild)
}

func (a *API) projectionsStatus(ctx context.Context, c *call, _ *struct{}) (*reply[projectionsOutput], error) {
	status, err := a.Stats.Status(ctx, c.tenant)
	if err != nil {
		return nil, err
	}
	return ok(projectionsOutput{c.tenant, status}), nil
}

var errFuture = eventstore.Refuse(eventstore.KindInvalid, "before", "only periods that are over can be closed: the day is no later than today")

func (a *API) closePeriods(ctx context.Context, c *call, in *closeInput) (*reply[projectionsOutput], error) {
	day, err := time.Parse(time.DateOnly, in.Body.Before)
	if err != nil {
		return nil, errDay
	}
	// Today begins first at UTC+14; where it has not begun, the period that would be over is not, and stays open.
	if day.After(a.Now().UTC().Add(14 * time.Hour)) {
		return nil, errFuture
	}
	if err := a.record(ctx, c, c.tenant, eventstore.Entry{Act: eventstore.ActPeriodsClosed, Scope: eventstore.ScopeCode(day.Format(time.DateOnly))}); err != nil {
		return nil, err
	}
	if err := a.Stats.CloseBefore(ctx, c.tenant, day); err != nil {
		return nil, err
	}
	return a.projectionsStatus(ctx, c, nil)
}

func (a *API) rebuild(ctx context.Context, c *call, _ *struct{}) (*reply[projectionsOutput], error) {
	if err := a.record(ctx, c, c.tenant, eventstore.Entry{Act: eventstore.ActProjectionsRebuilt}); err != nil {
		return nil, err
	}
	if err := a.Stats.Rebuild(ctx, c.tenant); err != nil {
		return nil, err
	}
	return a.projectionsStatus(ctx, c, nil)
}
