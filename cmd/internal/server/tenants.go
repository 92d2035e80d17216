package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// tenant is a tenant that is served.
type tenant struct {
	id     eventstore.TenantID
	cancel context.CancelFunc
	done   chan struct{}
	// stopped says that the runner of its projections is not at work: it failed and will be tried again.
	stopped atomic.Bool
}

// tableServer keeps what the server itself must remember.
const tableServer eventstore.MetaTable = "server"

const (
	// wholeRow, in a tenant's own rows, says that its streams were made, attachmentsRow that the one of its attachments was.
	wholeRow       = "whole"
	attachmentsRow = "attachments"
	// erasePrefix, in the default tenant's rows, begins the row of an erasure of a tenant that is under way.
	erasePrefix = "erase/"
)

// openTenants opens every tenant; the first start makes the default one.
func (s *Server) openTenants(ctx context.Context) error {
	if err := s.makeDefault(ctx); err != nil {
		return err
	}
	if err := s.finishErasures(ctx); err != nil {
		return err
	}
	list, err := s.vault.Tenants(ctx)
	if err != nil {
		return fmt.Errorf("listing the tenants: %w", err)
	}
	for _, id := range list {
		if err := s.openTenant(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// makeDefault makes the default tenant on the first start.
func (s *Server) makeDefault(ctx context.Context) error {
	list, err := s.vault.Tenants(ctx)
	if err != nil {
		return fmt.Errorf("listing the tenants: %w", err)
	}
	if slices.Contains(list, eventstore.DefaultTenant) {
		return nil
	}
	if !s.data.fresh {
		return fmt.Errorf("%w: the vault does not know the tenant default", eventstore.ErrDamaged)
	}
	if err := s.vault.CreateTenant(ctx, eventstore.DefaultTenant); err != nil {
		return fmt.Errorf("making the tenant default: %w", err)
	}
	return nil
}

// openTenant makes a tenant ready; one that was not made to the end is finished.
func (s *Server) openTenant(ctx context.Context, id eventstore.TenantID) error {
	_, err := s.vault.Get(ctx, id, tableServer, wholeRow)
	create := errors.Is(err, eventstore.ErrNotFound)
	if err != nil && !create {
		return fmt.Errorf("tenant %s: %w", id, err)
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{"its stream", func() error { return s.store.Open(ctx, id, create) }},
		{"the stream of its ledger", func() error {
			return s.streams.OpenRecords(ctx, id, eventstore.RecordsLedger, s.vault.Vault(), create)
		}},
		{"the stream of its releases", func() error {
			return s.streams.OpenRecords(ctx, id, eventstore.RecordsStats, s.vault.Vault(), create)
		}},
		{"the stream of its attachments", func() error { return s.openAttachments(ctx, id) }},
		{"its ledger", func() error { return s.ledger.Open(ctx, id) }},
		{"its checkpoint", func() error { return s.compareCheckpoint(ctx, id) }},
		{"its settings", func() error { return s.settings.load(ctx, id) }},
		{"its interrupted erasures", func() error { return s.rights.Resume(ctx, id) }},
		{"its interrupted uploads", func() error { return s.store.ResumeAttachments(ctx, id) }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("tenant %s: opening %s: %w", id, step.what, err)
		}
	}
	if create {
		made := eventstore.Entry{Act: eventstore.ActTenantCreated, Token: eventstore.TokenSystem}
		if _, err := s.ledger.Record(ctx, id, made); err != nil {
			return fmt.Errorf("tenant %s: %w", id, err)
		}
		if err := s.vault.Put(ctx, id, tableServer, wholeRow, []byte{1}); err != nil {
			return fmt.Errorf("tenant %s: %w", id, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenants[id] = &tenant{id: id}
	return nil
}

// openAttachments opens the stream of a tenant's attachments; of a tenant that an older program made it makes it.
func (s *Server) openAttachments(ctx context.Context, id eventstore.TenantID) error {
	_, err := s.vault.Get(ctx, id, tableServer, attachmentsRow)
	create := errors.Is(err, eventstore.ErrNotFound)
	if err != nil && !create {
		return err
	}
	err = s.store.OpenAttachments(ctx, id, create)
	switch {
	case errors.Is(err, eventstore.ErrNotFound):
		return fmt.Errorf("%w: neither log/ nor the server knows the stream BLOB_%s", eventstore.ErrDamaged, id)
	case err != nil || !create:
		return err
	}
	return s.vault.Put(ctx, id, tableServer, attachmentsRow, []byte{1})
}

// run starts the runners.
func (s *Server) run() {
	s.running.Go(func() {
		s.again("erasures", func() error { return s.rights.Run(s.work) }, s.work, func(bool) {})
	})
	s.running.Go(func() {
		s.again("attachments", func() error { return s.store.RunAttachments(s.work) }, s.work, func(bool) {})
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tenants {
		s.follow(t)
	}
}

// follow starts the runner of a tenant's projections. s.mu is held.
func (s *Server) follow(t *tenant) {
	ctx, cancel := context.WithCancel(s.work)
	t.cancel, t.done = cancel, make(chan struct{})
	s.running.Go(func() {
		defer close(t.done)
		s.again("projections of "+string(t.id), func() error { return s.figures.Run(ctx, t.id) }, ctx, t.stopped.Store)
	})
}

const (
	firstPause = time.Second
	longest    = time.Minute
)

// again runs what shall run until ctx ends, and tries again ever later when it fails.
func (s *Server) again(what string, run func() error, ctx context.Context, stopped func(bool)) {
	for pause := firstPause; ; pause = min(2*pause, longest) {
		err := run()
		if ctx.Err() != nil {
			return
		}
		stopped(true)
		s.c.Log.Error("a runner stopped and is tried again", "runner", what, "in", pause, "error", describe(err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		stopped(false)
	}
}

// List implements [api.Tenants].
func (s *Server) List(context.Context) ([]eventstore.TenantID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.tenants)), nil
}

// Create implements [api.Tenants].
func (s *Server) Create(ctx context.Context, id eventstore.TenantID) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.vault.CreateTenant(ctx, id); err != nil && !s.halfMade(ctx, id, err) {
		return err
	}
	if err := s.openTenant(ctx, id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.follow(s.tenants[id])
	return nil
}

// halfMade says that a tenant is there because its making failed half way, so that it can be asked for again.
func (s *Server) halfMade(ctx context.Context, id eventstore.TenantID, err error) bool {
	if !errors.Is(err, eventstore.ErrConflict) {
		return false
	}
	_, err = s.vault.Get(ctx, id, tableServer, wholeRow)
	return errors.Is(err, eventstore.ErrNotFound)
}

// Erase implements [api.Tenants].
func (s *Server) Erase(ctx context.Context, id eventstore.TenantID) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	t := s.tenants[id]
	s.mu.Unlock()
	if t == nil {
		if err := s.pending(ctx, id); err != nil {
			return err
		}
		return s.erase(ctx, id)
	}
	if err := s.vault.Put(ctx, eventstore.DefaultTenant, tableServer, erasePrefix+string(id), []byte{1}); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.tenants, id)
	s.mu.Unlock()
	t.cancel()
	select {
	case <-t.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.erase(ctx, id)
}

// pending says whether a tenant's erasure was begun and not finished. ErrNotFound.
func (s *Server) pending(ctx context.Context, id eventstore.TenantID) error {
	_, err := s.vault.Get(ctx, eventstore.DefaultTenant, tableServer, erasePrefix+string(id))
	return err
}

// erase carries out the erasure of a tenant that is no longer served. Every step can be repeated.
func (s *Server) erase(ctx context.Context, id eventstore.TenantID) error {
	defer s.tokens.ForgetTenant(id)
	if err := s.vault.EraseTenant(ctx, id); err != nil && !errors.Is(err, eventstore.ErrErased) {
		return fmt.Errorf("effacing the root of tenant %s: %w", id, err)
	}
	s.tokens.ForgetTenant(id)
	if err := s.streams.EraseTenant(ctx, id); err != nil {
		return fmt.Errorf("deleting the streams of tenant %s: %w", id, err)
	}
	if err := s.figures.Drop(id); err != nil {
		return fmt.Errorf("deleting the figures of tenant %s: %w", id, err)
	}
	s.settings.forget(id)
	s.signer.Forget(id)
	return s.vault.Delete(ctx, eventstore.DefaultTenant, tableServer, erasePrefix+string(id))
}

// finishErasures carries out what a crash interrupted.
func (s *Server) finishErasures(ctx context.Context) error {
	rows, err := s.vault.List(ctx, eventstore.DefaultTenant, tableServer)
	if err != nil {
		return fmt.Errorf("reading the server's rows: %w", err)
	}
	for name := range rows {
		if id, ok := cutErase(name); ok {
			if err := s.erase(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

func cutErase(row string) (eventstore.TenantID, bool) {
	if len(row) <= len(erasePrefix) || row[:len(erasePrefix)] != erasePrefix {
		return "", false
	}
	return eventstore.TenantID(row[len(erasePrefix):]), true
}
