// Command oubli stores what people say to bots, encrypted, and can forget any one of them for good.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/oubli-store/oubli/cmd/internal/console"
)

// version is set by the Makefile.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	return console.Main(ctx, version, os.Args[1:], console.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}
