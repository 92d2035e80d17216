package streams

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/oubli-store/oubli/eventstore"
)

// EraseTenant implements [eventstore.Log]. The marks say that it was begun until all else is gone, so nothing can be opened in between.
func (s *Streams) EraseTenant(ctx context.Context, tenant eventstore.TenantID) error {
	if _, err := eventstore.ParseTenantID(string(tenant)); err != nil {
		return err
	}
	s.opening.Lock()
	defer s.opening.Unlock()
	all := specs(tenant)
	for _, sp := range all {
		m, err := s.index.mark(sp)
		if err != nil {
			return err
		}
		if m.state == stateNone {
			continue
		}
		if err := s.take(sp); err != nil {
			return err
		}
		m.state = stateErasing
		if err := s.index.setMark(sp, m); err != nil {
			return err
		}
	}
	for _, sp := range all {
		if err := s.deleteStream(ctx, sp); err != nil {
			return err
		}
	}
	if err := s.removeJournals(tenant); err != nil {
		return err
	}
	if err := s.index.forget(tenant); err != nil {
		return err
	}
	for _, sp := range all {
		if err := s.index.forgetMark(sp); err != nil {
			return err
		}
	}
	return nil
}

func (s *Streams) deleteStream(ctx context.Context, sp spec) error {
	ctx, cancel := context.WithTimeout(ctx, 2*answerWait)
	defer cancel()
	if err := s.js.DeleteStream(ctx, sp.stream()); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return unavailable(fmt.Errorf("deleting the stream: %w", err))
	}
	return nil
}

// removeJournals unlinks a tenant's journals, durably.
func (s *Streams) removeJournals(tenant eventstore.TenantID) error {
	if err := s.c.FS.RemoveAll(s.c.FS.PathJoin(s.c.Dir, string(tenant))); err != nil {
		return fmt.Errorf("removing the tenant's journals: %w", err)
	}
	d, err := s.c.FS.OpenDir(s.c.Dir)
	if err != nil {
		return fmt.Errorf("opening the directory of the log: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing the directory of the log: %w", err)
	}
	return nil
}
