package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore/sample"
)

// ErrNotProved: something did not come out as it must.
var ErrNotProved = errors.New("the demo did not come out as it must")

// Bar shows progress.
type Bar interface {
	Add(n int)
	Done()
}

// Config wires a demo. Every field but Events is required.
type Config struct {
	// Out takes the story.
	Out io.Writer
	// Bold says that Out is a terminal.
	Bold bool
	// Command runs one oubli command as a person would, without its name.
	Command func(ctx context.Context, args []string, in io.Reader, out, err io.Writer) int
	// Bar begins a bar of so many events.
	Bar func(total int, what string) Bar
	// Start starts a server on a data directory.
	Start func(ctx context.Context, dir string) (Server, error)
	// Events is how many events are streamed in (0: 20,000).
	Events int
}

// Server is a running server.
type Server interface {
	URL() string
	Stop(ctx context.Context) error
}

// Fact is something that was tried.
type Fact struct {
	Fact   string `json:"fact"`
	Shown  string `json:"shown"`
	Proved bool   `json:"proved"`
}

const (
	defaultEvents = 20_000
	seed          = 1978
	days          = 10
)

// run is one demo under way.
type run struct {
	Config
	dir, data string
	server    Server
	token     string
	step      int
	facts     []Fact

	gen    *sample.Generator
	person person
	// id is the person's id, learned by looking them up.
	id     string
	traces traces
	others []other
	before copyOf
}

// Run plays the whole demo and returns what it proved. It leaves nothing behind. ErrNotProved if a fact did not hold.
func Run(ctx context.Context, c Config) ([]Fact, error) {
	if c.Events == 0 {
		c.Events = defaultEvents
	}
	dir, err := os.MkdirTemp("", "oubli-demo-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &run{Config: c, dir: dir, data: filepath.Join(dir, "data")}
	r.gen = sample.New(sample.Options{Seed: seed, Events: c.Events, Start: time.Now().UTC().AddDate(0, 0, -days-1), Days: days})
	err = r.play(ctx)
	if r.server != nil {
		err = errors.Join(err, r.stop(ctx))
	}
	if err != nil {
		return r.facts, err
	}
	for _, f := range r.facts {
		if !f.Proved {
			return r.facts, ErrNotProved
		}
	}
	return r.facts, nil
}

func (r *run) play(ctx context.Context) error {
	for _, act := range []func(context.Context) error{
		r.begin, r.fill, r.support, r.analysts, r.keepACopy, r.erase, r.gone, r.oldCopies, r.search,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	r.finale()
	return nil
}

// begin starts the server.
func (r *run) begin(ctx context.Context) error {
	r.say("Oubli stores what people say to bots, encrypted, and can forget any one of them for good.")
	r.say("This shows how, on a server of its own in %s, which is removed at the end.", r.dir)
	r.title("A server")
	if err := r.start(ctx); err != nil {
		return err
	}
	r.say("Listening at %s. One program, one directory: the store, the key vault and a NATS server", r.server.URL())
	r.say("are in it. Nothing else is needed.")
	return nil
}

func (r *run) start(ctx context.Context) (err error) {
	if r.server, err = r.Start(ctx, r.data); err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(r.data, "admin.token"))
	if err != nil {
		return err
	}
	r.token = strings.TrimSpace(string(text))
	return nil
}

const stopWithin = 15 * time.Second

func (r *run) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	server := r.server
	r.server = nil
	if err := server.Stop(ctx); err != nil {
		return fmt.Errorf("stopping the server: %w", err)
	}
	return nil
}
