package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"oubli": main})
}

// TestScripts runs the scripts of testdata/script with the real program.
//
//	serve DIR [ARG…]        starts `oubli serve` on a free port, waits until it listens, and points OUBLI_SERVER and OUBLI_DATA to it
//	stop                    sends it SIGTERM; it must end with exit code 0
//	exits N COMMAND [ARG…]  runs a command that must end with the exit code N
//	counted                 waits until the statistics have counted everything that is stored
//	capture NAME FIELD      puts a member of the JSON document that the last command printed into the environment; no FIELD: all of the output
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "UTC")
			e.Values[serverKey{}] = new(server)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"serve": serve, "stop": stop, "exits": exits, "capture": capture, "counted": counted},
	})
}

// server is the process of a script's server.
type server struct {
	cmd    *exec.Cmd
	said   string
	log    *os.File
	output io.Reader
}

type serverKey struct{}

func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: serve DIR [ARG...]")
	}
	s := ts.Value(serverKey{}).(*server)
	if s.cmd != nil {
		ts.Fatalf("a server runs already")
	}
	program, err := exec.LookPath("oubli")
	ts.Check(err)
	log, err := os.OpenFile(ts.MkAbs("serve.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	cmd := exec.Command(program, append([]string{"serve", "--data", args[0], "--listen", "127.0.0.1:0"}, args[1:]...)...)
	cmd.Dir, cmd.Stderr = ts.Getenv("WORK"), log
	cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "TMPDIR=" + ts.Getenv("TMPDIR"), "TZ=UTC"}
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	*s = server{cmd: cmd, log: log}
	ts.Defer(func() {
		if s.cmd != nil {
			s.cmd.Process.Kill()
			s.cmd.Wait()
		}
	})
	lines := bufio.NewReader(out)
	for !strings.Contains(s.said, "Stop with Ctrl-C.") {
		line, err := lines.ReadString('\n')
		s.said += line
		if err != nil {
			ts.Fatalf("the server ended: %v\n%s%s", err, s.said, ts.ReadFile("serve.log"))
		}
		if url, ok := strings.CutPrefix(line, "Oubli listens at "); ok {
			ts.Setenv("OUBLI_SERVER", strings.TrimSpace(url))
		}
	}
	s.output = lines
	ts.Setenv("OUBLI_DATA", args[0])
	ts.Check(os.WriteFile(ts.MkAbs("serve.out"), []byte(s.said), 0o600))
}

func stop(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value(serverKey{}).(*server)
	if neg || len(args) != 0 || s.cmd == nil {
		ts.Fatalf("stop takes no arguments, and a running server")
	}
	ts.Check(s.cmd.Process.Signal(syscall.SIGTERM))
	_, err := io.Copy(io.Discard, s.output)
	ts.Check(err)
	err = s.cmd.Wait()
	s.cmd = nil
	s.log.Close()
	if err != nil {
		ts.Fatalf("the server did not end with exit code 0: %v\n%s", err, ts.ReadFile("serve.log"))
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits N COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Check(err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: capture NAME [FIELD]")
	}
	text := strings.TrimSpace(ts.ReadFile("stdout"))
	if len(args) == 2 {
		var doc map[string]any
		ts.Check(json.Unmarshal([]byte(text), &doc))
		value, ok := doc[args[1]].(string)
		if !ok {
			ts.Fatalf("the document has no text %s", args[1])
		}
		text = value
	}
	ts.Setenv(args[0], text)
}

// mostAsked bounds how often counted asks; each time takes a process.
const mostAsked = 300

func counted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: counted")
	}
	for range mostAsked {
		ts.Check(ts.Exec("oubli", "projections", "status", "--json"))
		var status struct{ Lag *uint64 }
		ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &status))
		if status.Lag != nil && *status.Lag == 0 {
			return
		}
	}
	ts.Fatalf("the statistics do not follow")
}
