package console

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/oubli-store/oubli/cmd/internal/demo"
	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/cmd/internal/settings"
)

type demoCmd struct {
	Events int `default:"20000" placeholder:"N" help:"How many events to stream in (otherwise: 20,000)."`
}

// Run plays the demo; with --json only the facts are printed, one a line.
func (c demoCmd) Run(e *env) error {
	if c.Events < 2000 || c.Events > 10_000_000 {
		return usage("--events is a number from 2,000 to 10,000,000")
	}
	config := demo.Config{
		Out: e.out, Bold: isTerminal(e.out), Events: c.Events, Start: e.demoServer,
		Bar: func(total int, what string) demo.Bar { return e.progress(int64(total), what, false) },
		Command: func(ctx context.Context, args []string, in io.Reader, out, err io.Writer) int {
			return Main(ctx, e.version, args, Streams{In: in, Out: out, Err: err})
		},
	}
	if e.JSON {
		config.Out = io.Discard
	}
	signal.Ignore(syscall.SIGPIPE) // whoever stops reading must not leave the temporary server behind
	facts, err := demo.Run(e.ctx, config)
	if e.JSON {
		for _, f := range facts {
			if err := e.line(f); err != nil {
				return err
			}
		}
	}
	if err != nil {
		return exit{demoCode(err), err}
	}
	return nil
}

// demoServer starts a server for nobody but the demo.
func (e *env) demoServer(ctx context.Context, dir string) (demo.Server, error) {
	if err := noCoreDumps(); err != nil {
		return nil, err
	}
	none := func(string) (string, bool) { return "", false }
	s, err := settings.Load(map[string]string{"data": dir, "listen": "127.0.0.1:0", "log-level": "error"}, none, "")
	if err != nil {
		return nil, err
	}
	return server.Start(ctx, server.Config{Server: s, Log: slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelError})), Version: e.version})
}

// demoCode is the exit code of a demo that failed.
func demoCode(err error) int {
	if errors.Is(err, demo.ErrNotProved) {
		return Damaged
	}
	return Failed
}
