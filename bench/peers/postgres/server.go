// Package postgres runs a PostgreSQL server of its own in a directory of its own, to compare with: nothing but bench imports it.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrAbsent says that there is no PostgreSQL on this machine, or that nobody may run it.
var ErrAbsent = errors.New("there is no PostgreSQL here")

// Server is a running server. It listens on a socket in its directory only.
type Server struct {
	dir  string
	cmd  *exec.Cmd
	done chan error
}

// programs finds the directory of initdb and postgres.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(all) == 0 {
		return "", ErrAbsent
	}
	slices.Sort(all)
	return filepath.Dir(all[len(all)-1]), nil
}

// unprivileged is whom the server runs as: it refuses to run as root.
func unprivileged() (*syscall.SysProcAttr, int, error) {
	if os.Getuid() != 0 {
		return nil, os.Getuid(), nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, int(uid), nil
		}
	}
	return nil, 0, ErrAbsent
}

// Start makes a database cluster in a new temporary directory and starts a server over it, with fsync and synchronous_commit on. ErrAbsent.
func Start(ctx context.Context) (_ *Server, err error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	attr, uid, err := unprivileged()
	if err != nil {
		return nil, err
	}
	s := &Server{done: make(chan error, 1)}
	if s.dir, err = os.MkdirTemp("", "oubli-pg-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	if err := os.Chown(s.dir, uid, -1); err != nil {
		return nil, err
	}
	data := filepath.Join(s.dir, "data")
	run := func(program string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, filepath.Join(bin, program), args...)
		cmd.Dir, cmd.SysProcAttr = s.dir, attr
		return cmd
	}
	if out, err := run("initdb", "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-locale").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	s.cmd = run("postgres", "-D", data, "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=on", "-c", "synchronous_commit=on",
		"-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB", "-c", "max_connections=120")
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGINT) }
	s.cmd.WaitDelay = 10 * time.Second
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting postgres: %w", err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	return s, s.ready(ctx)
}

// ready waits until the server takes connections.
func (s *Server) ready(ctx context.Context) error {
	for deadline := time.Now().Add(30 * time.Second); ; {
		c, err := s.Connect(ctx)
		if err == nil {
			return c.Close(ctx)
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("waiting for postgres: %w", err)
		}
		select {
		case err := <-s.done:
			s.done <- err
			return fmt.Errorf("postgres ended: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Connect makes a connection. The caller closes it.
func (s *Server) Connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, "host="+s.dir+" user=bench dbname=postgres sslmode=disable")
}

// Stop ends the server and takes its directory away.
func (s *Server) Stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGINT)
		<-s.done
	}
	_ = os.RemoveAll(s.dir)
}
