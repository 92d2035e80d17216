package demo_test

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/cmd/internal/console"
	"github.com/oubli-store/oubli/cmd/internal/demo"
	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/cmd/internal/settings"
)

const few = 2000

// play runs a small demo; between lets a test stand between it and the commands.
func play(t *testing.T, between func(args []string, code int, out string) (int, string)) (facts []demo.Fact, story string, err error) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	var b strings.Builder
	facts, err = demo.Run(t.Context(), demo.Config{
		Out: &b, Events: few, Bar: func(int, string) demo.Bar { return bar{} }, Start: start,
		Command: func(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
			var o strings.Builder
			code := console.Main(ctx, "test", args, console.Streams{In: in, Out: &o, Err: errs})
			text := o.String()
			if between != nil {
				code, text = between(args, code, text)
			}
			io.WriteString(out, text)
			return code
		},
	})
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("the demo left %d things behind", len(left))
	}
	return facts, b.String(), err
}

func start(ctx context.Context, dir string) (demo.Server, error) {
	s, err := settings.Load(map[string]string{"data": dir, "listen": "127.0.0.1:0"}, func(string) (string, bool) { return "", false }, "")
	if err != nil {
		return nil, err
	}
	return server.Start(ctx, server.Config{Server: s})
}

type bar struct{}

func (bar) Add(int) {}
func (bar) Done()   {}

func TestDemoProvesWhatItSays(t *testing.T) {
	facts, story, err := play(t, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, story)
	}
	if len(facts) < 13 {
		t.Errorf("%d facts", len(facts))
	}
	for _, f := range facts {
		if !f.Proved {
			t.Errorf("not proved: %s %s", f.Fact, f.Shown)
		}
		if !strings.Contains(story, f.Fact) || !strings.Contains(story, f.Shown) {
			t.Errorf("the story does not tell: %s", f.Fact)
		}
	}
	for _, part := range []string{"$ oubli person show", "$ oubli stats", "── Conversation", "shredded: the keys are destroyed", "the person was erased", "2,000 answered"} {
		if !strings.Contains(story, part) {
			t.Errorf("the story does not show %q", part)
		}
	}
	for line := range strings.Lines(story) {
		if line != strings.TrimRight(line, " \n")+"\n" {
			t.Errorf("spaces at the end of %q", line)
		}
	}
}

// TestDemoNoticesWhatDoesNotHold: a server that goes on to answer with an erased person, or with changed others, is told from one that forgot.
func TestDemoNoticesWhatDoesNotHold(t *testing.T) {
	erased := false
	facts, _, err := play(t, func(args []string, code int, out string) (int, string) {
		erased = erased || slices.Contains(args, "erase") && slices.Contains(args, "--yes")
		if erased && slices.Contains(args, "transcript") {
			return 0, out + "{}\n"
		}
		return code, out
	})
	if !errors.Is(err, demo.ErrNotProved) {
		t.Fatalf("error %v", err)
	}
	var failed []string
	for _, f := range facts {
		if !f.Proved {
			failed = append(failed, f.Fact)
		}
	}
	if want := []string{"Reading the person is answered with: gone.", "Everybody else can be read as before."}; !slices.Equal(failed, want) {
		t.Errorf("not proved: %q, want %q", failed, want)
	}
}

func TestDemoEndsWhenItIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Setenv("TMPDIR", t.TempDir())
	_, err := demo.Run(ctx, demo.Config{
		Out: io.Discard, Events: few, Start: start, Command: func(context.Context, []string, io.Reader, io.Writer, io.Writer) int { return 1 },
		Bar: func(int, string) demo.Bar { cancel(); return bar{} },
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
