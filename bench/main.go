// Command bench measures Oubli's parts and the peers they are compared with, in one run on one machine, and prints medians and
// ratios: a table for people, or with -json one line a figure after a line that describes the machine.
//
//	go run ./bench -run memory,append,http,read,replay,vault,erase,rebuild,stats,door,attach [-persons N] [-events N] [-rounds N] [-sizes N,N…] [-cache N] [-json]
//
// The vault is measured at the sizes, ascending: -run vault -sizes 10000,100000,1000000 shows how the cost of an erasure follows the number of
// persons. Most of them come in at once (keyvault.Vault.Populate), so that a million takes seconds; for 10000000 have some minutes, 2 GB of memory and 8 GB of
// disk. Without -sizes it is measured at -persons. -cache is the vault's cache setting, which bounds its memory.
//
// append and http start a PostgreSQL of their own beside it, if initdb is in PATH or /usr/lib/postgresql; http builds the server with go build. memory takes ten
// times the persons and events.
//
// A figure on its own says little, machines being shared and noisy: compare ratios. Each figure is the median of the rounds. Everything runs on
// loopback or in this process, in a temporary directory that is removed at the end.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
)

// options are what the command line says.
type options struct {
	persons, events, rounds int
	// sizes are the persons of a vault at which it is measured.
	sizes []int
	// cache is the vault's cache setting, 0 for the default.
	cache int
	dir   string
}

// workloads are run in this order.
var workloads = []workload{
	{"memory", benchMemory},
	{"append", benchAppend},
	{"http", benchHTTP},
	{"read", benchRead},
	{"replay", benchReplay},
	{"vault", benchVault},
	{"erase", benchErase},
	{"rebuild", benchRebuild},
	{"stats", benchStats},
	{"door", benchDoor},
	{"attach", benchAttach},
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// workload is one thing to measure.
type workload struct {
	name string
	run  func(context.Context, options, *report) error
}

func run(args []string, out io.Writer) error {
	var (
		o     options
		flags = flag.NewFlagSet("bench", flag.ContinueOnError)
		names = flags.String("run", "memory,append,http,read,replay,vault,erase,rebuild,stats,door,attach", "workloads, separated by commas")
		json  = flags.Bool("json", false, "one JSON line a figure")
	)
	flags.IntVar(&o.persons, "persons", 10_000, "persons in the store")
	flags.IntVar(&o.events, "events", 100_000, "events of one round of a workload")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds; a figure is their median")
	flags.IntVar(&o.cache, "cache", 0, "persons whom the vault keeps opened (0: as many as it does by default)")
	sizes := flags.String("sizes", "", "persons at which the vault is measured, ascending, separated by commas (default: -persons)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || o.persons < 1 || o.events < 1 || o.rounds < 1 || o.cache < 0 {
		return fmt.Errorf("usage: bench [-run NAMES] [-persons N] [-events N] [-rounds N] [-sizes N,N…] [-cache N] [-json], each N at least 1")
	}
	if o.sizes = []int{o.persons}; *sizes != "" {
		o.sizes = nil
		for _, size := range strings.Split(*sizes, ",") {
			n, err := strconv.Atoi(size)
			if err != nil || n < 20 || len(o.sizes) > 0 && n < 2*o.sizes[len(o.sizes)-1] {
				return fmt.Errorf("-sizes: numbers of at least 20, each at least twice the one before, separated by commas")
			}
			o.sizes = append(o.sizes, n)
		}
	}
	chosen := strings.Split(*names, ",")
	for _, name := range chosen {
		if !slices.ContainsFunc(workloads, func(w workload) bool { return w.name == name }) {
			return fmt.Errorf("there is no workload of that name; there are memory, append, http, read, replay, vault, erase, rebuild, stats, door and attach")
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r := newReport(out, *json)
	r.machine()
	for _, w := range workloads {
		if !slices.Contains(chosen, w.name) {
			continue
		}
		if err := inTemporaryDirectory(o, func(o options) error { return w.run(ctx, o, r) }); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return r.close()
}

func inTemporaryDirectory(o options, f func(options) error) error {
	dir, err := os.MkdirTemp("", "oubli-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o.dir = dir
	return f(o)
}
