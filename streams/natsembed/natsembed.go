// Package natsembed starts, awaits and stops a NATS server with JetStream inside this process.
//
// # What it promises
//
//   - Without [Config.Listen] the server opens no port at all; [Server.Connect] goes through memory.
//   - With it, nobody connects without the token, and a token is required; or, with [Config.Guests], without one that Guests accepts, and then
//     into an account of their own, without JetStream: a guest can publish to one subject and receive what is sent to their own inbox.
//   - Streams are files under [Config.Dir], uncompressed and not encrypted by JetStream: both silently weaken deletion. What is stored is
//     sealed before it comes here.
//   - JetStream syncs its files every [SyncInterval]. What was acknowledged within that time can be lost by a power failure: package
//     streams has it in its journal.
//   - The server installs no signal handlers and logs no payloads: only warnings and errors, to [Config.Logger].
//   - The directory and what is in it is readable by the owner only.
//
// # Not promised
//
// A damaged file is not refused: JetStream cuts it and goes on. Package streams compares what is there with what was acknowledged.
package natsembed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	// SyncInterval is how often JetStream syncs its files.
	SyncInterval = 2 * time.Second
	// Settle is how long after its acknowledgement a message is safely on JetStream's disk, with room for a slow disk. The journal may be
	// trimmed behind it (streams.Config.Settle).
	Settle = 15 * SyncInterval

	maxPayload = 4 << 20
	startWait  = 30 * time.Second
)

// Config says where the server keeps its files and whether it listens.
type Config struct {
	// Dir is the directory of its files, nats/ of the data directory. Required.
	Dir string
	// Listen is the host:port to listen on. Empty: no port at all.
	Listen string
	// Token is what connections through the port must present; they may then do anything. Required when Listen is set without Guests.
	Token string
	// Guests is asked of the token that a connection through the port presents, whether it is let in and below which subject its inbox stands
	// (the client must be told: nats.CustomInboxPrefix, nats --inbox-prefix). A guest may publish to GuestSubject and $SRV.> (service discovery)
	// and reaches no stream; see [Server.ConnectService].
	Guests       func(token string) (inbox string, ok bool)
	GuestSubject string
	// TLS is for connections through the port (nil: none).
	TLS *tls.Config
	// Distrust makes the server read every stored message and check it, rather than trust the summaries that it left: for a start after a crash, when what
	// the summaries say and what is stored may be of different moments.
	Distrust bool
	// Logger takes the server's warnings and errors (nil: none are logged).
	Logger *slog.Logger
}

// Server is a running server.
type Server struct {
	s      *server.Server
	c      Config
	guests *guests
}

// Start starts a server and returns once it takes connections.
func Start(ctx context.Context, c Config) (*Server, error) {
	o, err := options(c)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the NATS server: %w", err)
	}
	if c.Distrust {
		if err := forget(c.Dir); err != nil {
			return nil, fmt.Errorf("taking away the summaries of the NATS server: %w", err)
		}
	}
	var g *guests
	if c.Guests != nil {
		g = newGuests(c)
		o.CustomClientAuthentication = g
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("making the NATS server: %w", err)
	}
	l := &logger{to: c.Logger}
	s.SetLoggerV2(l, false, false, false)
	s.Start()
	srv := &Server{s: s, c: c, guests: g}
	err = srv.ready(ctx)
	if err == nil && g != nil {
		err = g.open(s)
	}
	if err != nil {
		_ = srv.Stop(context.WithoutCancel(ctx))
		return nil, errors.Join(err, l.fatal())
	}
	return srv, nil
}

// forget takes away the summaries of the streams. The server makes them anew from the messages.
func forget(dir string) error {
	all, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "*", "msgs", "index.db"))
	for _, summary := range all {
		err = errors.Join(err, os.Remove(summary))
	}
	return err
}

func options(c Config) (*server.Options, error) {
	if c.Dir == "" {
		return nil, errors.New("natsembed: Config.Dir is required")
	}
	o := &server.Options{
		ServerName:            "oubli",
		JetStream:             true,
		StoreDir:              c.Dir,
		SyncInterval:          SyncInterval,
		JetStreamMaxMemory:    64 << 20,
		JetStreamMaxStore:     math.MaxInt64,
		JetStreamLimits:       server.JSLimitOpts{MaxRequestBatch: 1000},
		MaxPayload:            maxPayload,
		NoSigs:                true,
		DontListen:            true,
		DisableShortFirstPing: true,
	}
	if c.Listen == "" {
		return o, nil
	}
	if (c.Token == "") == (c.Guests == nil) || (c.Guests != nil) != (c.GuestSubject != "") {
		return nil, errors.New("natsembed: a listening NATS server needs a token, or guests and their subject")
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("the address of the NATS server: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, errors.New("the address of the NATS server: its port is not a number between 0 and 65535")
	}
	o.DontListen, o.Host, o.Port, o.Authorization = false, host, int(n), c.Token
	if n == 0 {
		o.Port = server.RANDOM_PORT
	}
	if c.TLS != nil {
		o.TLS, o.TLSConfig = true, c.TLS
	}
	return o, nil
}

// ready waits until the server takes connections, ctx ends, or too long a time has passed.
func (s *Server) ready(ctx context.Context) error {
	deadline := time.Now().Add(startWait)
	for !s.s.ReadyForConnections(50 * time.Millisecond) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("waiting for the NATS server: %w", err)
		}
		if !s.s.Running() || time.Now().After(deadline) {
			return errors.New("the NATS server did not start")
		}
	}
	if !s.s.JetStreamEnabled() {
		return errors.New("the NATS server started without JetStream")
	}
	return nil
}

// Connect makes a connection through memory. The caller closes it.
func (s *Server) Connect() (*nats.Conn, error) {
	switch {
	case s.guests != nil:
		return s.connect(nats.UserInfo(ownUser, s.guests.own))
	case s.c.Token != "":
		return s.connect(nats.Token(s.c.Token))
	}
	return s.connect()
}

func (s *Server) connect(as ...nats.Option) (*nats.Conn, error) {
	o := append([]nats.Option{nats.Name("oubli"), nats.InProcessServer(s.s), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(100 * time.Millisecond)}, as...)
	nc, err := nats.Connect("", o...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the NATS server in this process: %w", err)
	}
	return nc, nil
}

// URL is where the server listens, or empty.
func (s *Server) URL() string {
	if s.c.Listen == "" {
		return ""
	}
	return s.s.ClientURL()
}

// Stop stops the server, its files closed, and waits for it until ctx ends.
func (s *Server) Stop(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.s.Shutdown()
		s.s.WaitForShutdown()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the NATS server to stop: %w", ctx.Err())
	}
}
