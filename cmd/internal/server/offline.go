package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault"
	"github.com/oubli-store/oubli/streams"
)

// Offline is the data directory of a server that does not run: locked, with its vault open, and log/ over NATS without a port. Tenants are not
// opened, and nothing is served.
type Offline struct {
	Vault   *keyvault.Vault
	Streams *streams.Streams
	s       *Server
}

// OpenOffline opens what [Start] made before. Errors: ErrNotFound if there is no data directory or its first start was not finished; ErrInUse while a
// server runs; those of Start.
func OpenOffline(ctx context.Context, c Config) (*Offline, error) {
	s, err := openStoppedServer(ctx, c, (*Server).openStreams)
	if err != nil {
		return nil, err
	}
	return &Offline{Vault: s.vault, Streams: s.streams, s: s}, nil
}

// openStoppedServer opens data directory and vault, and what rest opens.
func openStoppedServer(ctx context.Context, c Config, rest func(*Server, context.Context) error) (*Server, error) {
	c = c.withDefaults()
	c.NATSListen = ""
	if _, err := os.Stat(filepath.Join(c.Data, formatFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is not a data directory of oubli (the file %s is missing)", eventstore.ErrNotFound, c.Data, formatFile)
	}
	ctx, cancel := context.WithTimeout(ctx, c.StartWithin)
	defer cancel()
	s := &Server{c: c, work: ctx, ended: make(chan struct{}), tenants: map[eventstore.TenantID]*tenant{}}
	for _, step := range []func(context.Context) error{
		s.openData, s.finished, s.openVault, func(ctx context.Context) error { return rest(s, ctx) },
	} {
		if err := step(ctx); err != nil {
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
			defer cancel()
			_ = s.Stop(bounded) // what it could not close is closed by the end of the process
			return nil, explain(err)
		}
	}
	return s, nil
}

// finished refuses a directory whose first start was interrupted: there may be no vault to open yet.
func (s *Server) finished(context.Context) error {
	if s.data.fresh {
		return fmt.Errorf("%w: the first start on %s was not finished; run oubli serve once", eventstore.ErrNotFound, s.c.Data)
	}
	return nil
}

// Close closes everything, within the time of ctx.
func (o *Offline) Close(ctx context.Context) error { return o.s.Stop(ctx) }
