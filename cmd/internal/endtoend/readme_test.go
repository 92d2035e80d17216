package endtoend

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestReadme runs the README's five minutes as they stand there, but for building, and for the terminal that erasing asks on.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)## Five minutes\n\n```\nmake build\n(bin/oubli serve &)[^\n]*\n(.*?)```").FindSubmatch(readme)
	if m == nil {
		t.Fatal("the README's five minutes do not begin with building and serving")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "bin", "oubli"), "github.com/oubli-store/oubli/cmd/oubli").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // building has its own pace
	defer cancel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	env := append(os.Environ(), "OUBLI_LISTEN="+address, "OUBLI_SERVER=http://"+address)

	serve := exec.CommandContext(ctx, filepath.Join(dir, "bin", "oubli"), "serve")
	serve.Dir, serve.Env = dir, env
	ready, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := ready.Read(make([]byte, 1)); err != nil { // it says where it listens once it does
		t.Fatal(err)
	}
	commands := strings.Replace(string(m[2]), "--reason person-request", "--reason person-request --yes", 1)
	shell := exec.CommandContext(ctx, "sh", "-c", commands)
	shell.Dir, shell.Env = dir, env
	out, err := shell.CombinedOutput()
	if shell.ProcessState.ExitCode() != 3 {
		t.Errorf("the last command ends with %v, want exit code 3 (not found)", err)
	}
	for _, want := range []string{"1 stored", "email:alice@example.com", "Bonjour, où est ma commande A17 ?", "Erased.", "nobody is known"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
	if err := serve.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := serve.Wait(); err != nil {
		t.Errorf("serve ends with %v", err)
	}
}
