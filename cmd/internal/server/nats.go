package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams"
	"github.com/oubli-store/oubli/streams/natsembed"
)

const (
	// AppendSubject is where bots append over NATS.
	AppendSubject = "oubli.v1.append"
	inboxPrefix   = "_INBOX."
	// authenticateWithin bounds how long a connection waits to be let in, appendWithin a request.
	authenticateWithin = 5 * time.Second
	appendWithin       = 30 * time.Second
	// inFlight bounds the requests over NATS that are worked on; one more waits.
	inFlight = 1024
)

// openNATS starts or finds NATS, and says how log/ is opened over it.
func (s *Server) openNATS(ctx context.Context) error {
	s.log = streams.Config{Dir: s.data.in("log"), Now: s.c.Now, Logger: s.c.Log}
	connect := func() (*nats.Conn, error) { return streams.Dial(s.c.NATS) }
	if s.c.NATS == "" {
		if err := s.startNATS(ctx); err != nil {
			return err
		}
		connect, s.log.Settle, s.log.Files = s.nats.Connect, natsembed.Settle, s.data.in("nats")
	}
	var err error
	for _, to := range []**nats.Conn{&s.log.Conn, &s.log.Reads} {
		if *to, err = connect(); err != nil {
			return err
		}
		s.atStop("connection to NATS", func(context.Context) error { (*to).Close(); return nil })
	}
	s.conn = s.log.Conn
	if s.c.NATS != "" {
		s.log.Replicas = s.replicas()
	}
	if s.log.Loose = s.c.Journal == "off"; s.log.Loose && s.log.Replicas < 3 {
		return fmt.Errorf("the journal cannot be off: a cluster of %d NATS servers was found, which keeps %d of each stream; name the cluster with nats-replicas=3, or leave the journal on",
			len(s.conn.Servers()), s.log.Replicas)
	}
	s.c.Log.Info("what an answer means", "201", s.meaning(), "replicas", max(s.log.Replicas, 1))
	return nil
}

// meaning says in words what an event's acknowledgement promises.
func (s *Server) meaning() string {
	switch {
	case s.c.NATS == "":
		return "the event is synced in log/ on this machine"
	case s.log.Loose:
		return "most servers of the NATS cluster have the event; it survives what that cluster survives, and this machine's disk is not waited for"
	case s.log.Replicas > 1:
		return "the event is synced in log/ on this machine, and most servers of the NATS cluster have it"
	}
	return "the event is synced in log/ on this machine, and the NATS server has it"
}

// replicas is what is set, or 3 in a cluster that has so many servers.
func (s *Server) replicas() int {
	if n, err := strconv.Atoi(s.c.NATSReplicas); err == nil {
		return n
	}
	return replicas(s.conn)
}

// openStreams opens log/ over NATS.
func (s *Server) openStreams(ctx context.Context) error {
	if err := s.openNATS(ctx); err != nil {
		return err
	}
	var err error
	if s.streams, err = streams.Open(ctx, s.log); err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	s.atStop("log", func(ctx context.Context) error { return within(ctx, s.streams.Close) })
	return nil
}

// replicas is 3 in a cluster that has so many servers.
func replicas(nc *nats.Conn) int {
	if nc.ConnectedClusterName() != "" && len(nc.Servers()) >= 3 {
		return 3
	}
	return 1
}

func (s *Server) startNATS(ctx context.Context) error {
	c := natsembed.Config{Dir: s.data.in("nats"), Listen: s.c.NATSListen, Logger: s.c.Log, Distrust: !s.data.whole}
	if c.Listen != "" {
		c.Guests, c.GuestSubject = s.guest, AppendSubject
		if s.c.TLSCert != "" {
			pair, err := tls.LoadX509KeyPair(s.c.TLSCert, s.c.TLSKey)
			if err != nil {
				return fmt.Errorf("the TLS certificate: %w", err)
			}
			c.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		}
	}
	var err error
	if s.nats, err = natsembed.Start(ctx, c); err != nil {
		return fmt.Errorf("starting NATS: %w", err)
	}
	s.atStop("NATS", s.nats.Stop)
	return nil
}

// guest lets a bot's connection in by its access token. The port is open before the tokens are there: until then nobody comes in.
func (s *Server) guest(text string) (inbox string, ok bool) {
	s.mu.Lock()
	serving := s.api != nil
	s.mu.Unlock()
	if !serving {
		return "", false
	}
	ctx, cancel := context.WithTimeout(s.work, authenticateWithin)
	defer cancel()
	t, err := s.tokens.Authenticate(ctx, text)
	if err != nil || !slices.Contains(t.Roles, eventstore.RoleBot) {
		return "", false
	}
	return inboxPrefix + string(t.ID), true
}

// openService answers bots over NATS, where a port is open.
func (s *Server) openService() error {
	if s.nats == nil || s.c.NATSListen == "" {
		return nil
	}
	nc, err := s.nats.ConnectService()
	if err != nil {
		return err
	}
	s.atStop("connection of the NATS service", func(context.Context) error { nc.Close(); return nil })
	service, err := micro.AddService(nc, micro.Config{Name: "oubli", Version: "1.0.0", Description: "Appends events"})
	if err != nil {
		return fmt.Errorf("the NATS service: %w", err)
	}
	places := make(chan struct{}, inFlight)
	answer := func(r micro.Request) {
		places <- struct{}{}
		s.running.Go(func() {
			defer func() { <-places }()
			s.answer(r)
		})
	}
	if err := service.AddEndpoint("append", micro.HandlerFunc(answer), micro.WithEndpointSubject(AppendSubject)); err != nil {
		return fmt.Errorf("the NATS service: %w", err)
	}
	s.atStop("NATS service", func(context.Context) error {
		if err := service.Stop(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
		return nil
	})
	return nil
}

// answer appends one event and answers as HTTP would.
func (s *Server) answer(r micro.Request) {
	ctx, cancel := context.WithTimeout(s.work, appendWithin)
	defer cancel()
	status, body := s.api.Append(ctx, r.Headers().Get("Authorization"), r.Data())
	if status == http.StatusCreated {
		_ = r.Respond(body) // who asked may be gone; the event is stored
		return
	}
	_ = r.Error(strconv.Itoa(status), strings.ToLower(http.StatusText(status)), body)
}
