package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// Streams is where a command reads and writes. What is an [os.File] may turn out to be a terminal.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// env is what every command is given.
type env struct {
	ctx     context.Context
	in      *bufio.Reader
	out     io.Writer
	err     io.Writer
	inTTY   bool
	outTTY  bool
	errTTY  bool
	lang    lang
	version string
	parsed  *kong.Context
	*Globals
}

// Main runs one command and returns its exit code. It writes nothing but to s.
func Main(ctx context.Context, version string, args []string, s Streams) int {
	return newEnv(ctx, version, s).main(args)
}

func newEnv(ctx context.Context, version string, s Streams) *env {
	return &env{
		ctx: ctx, in: bufio.NewReader(s.In), out: s.Out, err: s.Err, version: version, lang: chooseLang(os.Getenv("OUBLI_LANG")),
		inTTY: isTerminal(s.In), outTTY: isTerminal(s.Out), errTTY: isTerminal(s.Err),
	}
}

func (e *env) main(args []string) int {
	var c commands
	e.Globals = &c.Globals
	code, err := e.run(&c, args)
	if err == nil {
		return code
	}
	if !errors.Is(err, errSaid) {
		fmt.Fprintln(e.err, "oubli: "+e.explain(err))
	}
	return Code(err)
}

// leave carries an exit code that kong asked for out of the parser.
type leave int

func (e *env) run(c *commands, args []string) (code int, err error) {
	parser, err := e.parser(c)
	if err != nil {
		return 0, err
	}
	bare := len(args) == 0
	if bare {
		args, parser.Stdout = []string{"--help"}, e.err
	}
	defer func() {
		if v := recover(); v != nil {
			l, ok := v.(leave)
			if !ok {
				panic(v)
			}
			if code = int(l); bare {
				code = Usage
			}
		}
	}()
	e.parsed, err = parser.Parse(args)
	if err != nil {
		return 0, e.misused(err)
	}
	return 0, e.parsed.Run(e)
}

func (e *env) parser(c *commands) (*kong.Kong, error) {
	return kong.New(c, kong.Name("oubli"), kong.Description(e.lang.say("oubli")), kong.Writers(e.out, e.err),
		kong.Exit(func(code int) { panic(leave(code)) }), kong.PostBuild(e.lang.fill), kong.Help(e.help))
}

// misused explains a wrong call and says where the help is.
func (e *env) misused(err error) error {
	command := "oubli"
	if pe, ok := errors.AsType[*kong.ParseError](err); ok && pe.Context != nil {
		if node := pe.Context.Selected(); node != nil {
			command = node.FullPath()
		} else if path := pe.Context.Path; len(path) > 1 && path[len(path)-1].Node() != nil {
			command = path[len(path)-1].Node().FullPath()
		}
	}
	command, _, _ = strings.Cut(command, " (")
	text := clean(err.Error(), false)
	return exit{Usage, fmt.Errorf("%s\n  %s: %s --help", text, e.lang.of(command).say("see"), command)}
}

func isTerminal(s any) bool {
	f, ok := s.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// note tells a person something that is no result.
func (e *env) note(format string, args ...any) {
	fmt.Fprintf(e.err, format+"\n", args...)
}
