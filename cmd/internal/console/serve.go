package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/cmd/internal/settings"
)

type serveCmd struct {
	serveFlags
	RootsLost bool `help:"Once: a copy of the root register is gone for good; start with those that are left. The ledger records it."`
}

// stopWithin bounds a clean stop.
const stopWithin = 30 * time.Second

// Run serves until it is interrupted.
func (c serveCmd) Run(e *env) error {
	s, err := e.serverSettings()
	if err != nil {
		return err
	}
	if err := s.Check(); err != nil {
		return err
	}
	if err := noCoreDumps(); err != nil {
		return err
	}
	srv, err := server.Start(e.ctx, server.Config{Server: s, RootsLost: c.RootsLost, Log: e.logger(s), Version: e.version})
	if err != nil {
		return err
	}
	failed := e.listening(s, srv)
	if failed == nil {
		failed = srv.Wait(e.ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), stopWithin)
	defer cancel()
	return errors.Join(failed, srv.Stop(ctx))
}

// listening says where the server answers, and what the first access token may do.
func (e *env) listening(s settings.Server, srv *server.Server) error {
	if e.JSON {
		return e.document(map[string]string{"url": srv.URL(), "nats_url": srv.NATSURL(), "admin_token_file": srv.AdminToken()})
	}
	fmt.Fprintf(e.out, "Oubli listens at %s\n", srv.URL())
	if srv.NATSURL() != "" {
		fmt.Fprintf(e.out, "NATS for bots listens at %s\n", srv.NATSURL())
	}
	_, missing := os.Stat(srv.AdminToken()) // it may be taken away once there are others
	if missing == nil {
		fmt.Fprintf(e.out, "The first access token is in %s\n", srv.AdminToken())
	}
	if missing == nil && !s.Production {
		fmt.Fprintln(e.out, "It holds every role in the tenant default (unless it was made with --production), so that you can try everything.")
	}
	_, err := fmt.Fprintln(e.out, "Stop with Ctrl-C.")
	return err
}

// noCoreDumps keeps keys in memory from being written to disk when the process dies.
func noCoreDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("switching core dumps off: %w", err)
	}
	// A program that the kernel pipes core dumps to is not bound by the limit.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("switching core dumps off: %w", err)
	}
	return nil
}

// logger writes to standard error.
func (e *env) logger(s settings.Server) *slog.Logger {
	var o slog.HandlerOptions
	var level slog.Level
	if level.UnmarshalText([]byte(s.LogLevel)) == nil {
		o.Level = level
	}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(e.err, &o))
	}
	return slog.New(slog.NewTextHandler(e.err, &o))
}
