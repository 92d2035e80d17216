package api

import (
	"context"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/rights"
)

type expireInput struct {
	Body struct {
		Before string `json:"before" doc:"A day, such as 2024-11-01: the months that end before it expire"`
	}
}

func (a *API) registerExpiry() {
	expire := operation("expire", "POST", "/v1/vault/expire", "Let old events expire")
	expire.Description = "The data keys of every month that ends before a day are destroyed, but for persons on hold; at least 92 days are kept. " +
		"Answered when the ledger has its entry: the rest is done in the background, and GET says how far it is. Asked again, it answers the same."
	handle(a, expire, a.expire)
	handle(a, operation("expiry", "GET", "/v1/vault/expire", "The run of retention that is under way, or the last one"), a.expiry)
}

var errDay = eventstore.Refuse(eventstore.KindInvalid, "before", "a day is written like 2024-11-01")

func (a *API) expire(ctx context.Context, c *call, in *expireInput) (*reply[rights.Expiry], error) {
	day, err := time.Parse(time.DateOnly, in.Body.Before)
	if err != nil {
		return nil, errDay
	}
	e, err := a.Rights.Expire(context.WithoutCancel(ctx), c.tenant, c.actor(), eventstore.KeyMonthOf(day, day))
	if err != nil {
		return nil, err
	}
	return ok(e), nil
}

func (a *API) expiry(ctx context.Context, c *call, _ *struct{}) (*reply[rights.Expiry], error) {
	e, err := a.Rights.Expiry(ctx, c.tenant)
	if err != nil {
		return nil, err
	}
	return ok(e), nil
}
