package demo

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// say tells a line of the story.
func (r *run) say(format string, args ...any) {
	fmt.Fprintln(r.Out, strings.TrimRight("  "+fmt.Sprintf(format, args...), " "))
}

// title begins a step.
func (r *run) title(text string) {
	r.step++
	text = fmt.Sprintf("%d. %s", r.step, text)
	if r.Bold {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Fprintf(r.Out, "\n%s\n\n", text)
}

// prove records a fact and says how it came out.
func (r *run) prove(ok bool, fact, shown string, args ...any) {
	f := Fact{Fact: fact, Shown: fmt.Sprintf(shown, args...), Proved: ok}
	r.facts = append(r.facts, f)
	mark := "✓"
	if !ok {
		mark = "✗ NOT SO:"
	}
	r.say("%s %s", mark, f.Fact)
	r.say("    %s", f.Shown)
}

// command runs a command against the demo's server, unseen.
func (r *run) command(ctx context.Context, stdin string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = r.Command(ctx, r.connect(args), strings.NewReader(stdin), &o, &e)
	return code, o.String(), e.String()
}

// connect names the demo's server to a command.
func (r *run) connect(args []string) []string {
	return append([]string{"--server", r.server.URL(), "--tenant", "default", "--token-file", filepath.Join(r.data, "admin.token")}, args...)
}

// tail is how many lines of an output that is cut are shown of its end.
const tail = 3

// show runs a command as a person would type it, and shows it with the first lines of what it printed, and the last.
func (r *run) show(ctx context.Context, head int, args ...string) (code int) {
	var both bytes.Buffer
	code = r.Command(ctx, r.connect(args), strings.NewReader(""), &both, &both)
	r.say("$ oubli %s", strings.Join(args, " "))
	lines := strings.Split(strings.TrimRight(both.String(), "\n"), "\n")
	for i, line := range lines {
		switch cut := len(lines) - tail; {
		case i == head && i < cut:
			r.say("| …")
		case i < head || i >= cut:
			r.say("| %s", line)
		}
	}
	return code
}

// finale says what was proved and where to look next.
func (r *run) finale() {
	r.title("What this proved")
	for _, f := range r.facts {
		mark := "✓"
		if !f.Proved {
			mark = "✗ NOT SO:"
		}
		r.say("%s %s", mark, f.Fact)
	}
	r.say("")
	r.say("Where to look next:")
	r.say("  oubli serve                  your own server, in ./oubli-data")
	r.say("  docs/how-it-works.md         why an old copy does not help")
	r.say("  docs/threat-model.md         what Oubli does not protect against")
	r.say("  docs/bots.md, docs/support.md, docs/analysts.md")
}
