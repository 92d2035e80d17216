package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams"
)

// RebuildLog makes log/ of a stopped server anew from the stored streams, see [streams.Rebuild]: what is lost with the old one stays lost. progress is told
// how many messages of all are done. Errors: those of [OpenOffline] and of streams.Rebuild; ErrDamaged also for a tenant of which no stream is left.
func RebuildLog(ctx context.Context, c Config, progress func(done, total uint64)) (out []streams.Rebuilt, err error) {
	c.asItIs = true
	s, err := openStoppedServer(ctx, c, (*Server).openNATS)
	if err != nil {
		return nil, err
	}
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		err = errors.Join(err, s.Stop(bounded))
	}()
	all, err := s.vault.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	if out, err = streams.Rebuild(ctx, s.log, s.vault.Vault(), all, opener(s.vault), progress); err != nil {
		return nil, fmt.Errorf("making log/ anew: %w", err)
	}
	var lost []error
	for _, r := range out {
		if !r.New {
			continue
		}
		if whole, err := noted(ctx, s.vault, r.Tenant, wholeRow); err != nil {
			return out, err
		} else if whole {
			lost = append(lost, fmt.Errorf("%w: no stream of the tenant %s is left in nats/", eventstore.ErrDamaged, r.Tenant))
		}
	}
	return out, errors.Join(lost...)
}
