package natsembed

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
)

func start(t *testing.T, c Config) *Server {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	s, err := Start(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestNoPortWithoutListen(t *testing.T) {
	s := start(t, Config{})
	if s.URL() != "" || s.s.Addr() != nil {
		t.Fatalf("the server listens on %v", s.s.Addr())
	}
	nc, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestListenNeedsToken(t *testing.T) {
	if _, err := Start(context.Background(), Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"}); err == nil {
		t.Fatal("started without a token")
	}
	s := start(t, Config{Listen: "127.0.0.1:0", Token: "sesame"})
	if nc, err := nats.Connect(s.URL()); err == nil {
		nc.Close()
		t.Fatal("connected without the token")
	}
	nc, err := nats.Connect(s.URL(), nats.Token("sesame"))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	own, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	own.Close()
}

func TestBadConfig(t *testing.T) {
	for _, c := range []Config{{}, {Dir: t.TempDir(), Listen: "nonsense", Token: "x"}, {Dir: t.TempDir(), Listen: "127.0.0.1:70000", Token: "x"}} {
		if _, err := Start(context.Background(), c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

func TestStopLeavesNothingRunning(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s, err := Start(context.Background(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
}

func TestFilesAreTheOwners(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nats")
	start(t, Config{Dir: dir})
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		t.Fatalf("the directory has mode %v", info.Mode())
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".key") {
			t.Errorf("JetStream keeps a key: its encryption is on")
		}
		return nil
	})
}
