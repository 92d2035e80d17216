package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/api"
	"github.com/oubli-store/oubli/eventstore"
)

// Bounds of HTTP; those of bodies and answers are the API's own.
const (
	headerWithin = 10 * time.Second
	idleFor      = 2 * time.Minute
	maxHeader    = 16 << 10
)

func (s *Server) openAPI() error {
	made := api.New(api.Config{Store: &reserve{Store: api.Over(s.store), path: s.data.path}, Door: s.door, Keys: s.vault, Tokens: s.tokens, Rights: s.rights, Attachments: attached{s.store, s.rights, s.data.path}, Stats: s.figures, Ledger: s.ledger, Signer: s.signer,
		Settings: s.settings, Tenants: s, Tree: s.vault.Status, Ready: s.ready, Notes: s.notes, Backups: s, BackupStatus: s.backupStatus(), Log: s.c.Log, Now: s.c.Now, Registry: s.registry, Version: s.c.Version})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.api = made
	return nil
}

// listen opens the listener and serves.
func (s *Server) listen() error {
	l, err := net.Listen("tcp", s.c.Listen)
	if err != nil {
		return fmt.Errorf("listening for HTTP: %w", err)
	}
	s.http = &http.Server{Handler: s.api, ReadHeaderTimeout: headerWithin, IdleTimeout: idleFor, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(quiet{s.c.Log}, "", 0)}
	s.listener = l
	if s.c.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(s.c.TLSCert, s.c.TLSKey)
		if err != nil {
			l.Close()
			return fmt.Errorf("the TLS certificate: %w", err)
		}
		s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	served := make(chan error, 1)
	go func() {
		defer close(s.ended)
		serve := func() error { return s.http.Serve(l) }
		if s.c.TLSCert != "" {
			serve = func() error { return s.http.ServeTLS(l, "", "") }
		}
		err := serve()
		if !errors.Is(err, http.ErrServerClosed) {
			s.failure = fmt.Errorf("HTTP ended: %w", err)
		}
		served <- err
	}()
	s.atStop("HTTP", func(ctx context.Context) error {
		half, cancel := halfOf(ctx) // the rooms need time to close, too
		defer cancel()
		err := s.http.Shutdown(half)
		if err != nil {
			err = errors.Join(err, s.http.Close()) // requests that do not end in time are cut off
		}
		<-served
		return err
	})
	for _, name := range s.c.InClear() {
		s.c.Log.Warn("access tokens and texts cross the network unencrypted: give tls-cert and tls-key, or listen on loopback behind a proxy that has them", "setting", name)
	}
	s.c.Log.Info("serving", "url", s.URL())
	return nil
}

// quiet hands on what net/http says, without what it repeats of a request or of who sent it.
type quiet struct{ to *slog.Logger }

// Write implements [io.Writer] for [log.Logger].
func (q quiet) Write(p []byte) (int, error) {
	what, _, _ := strings.Cut(strings.TrimSpace(string(p)), " from ")
	what, _, _ = strings.Cut(strings.TrimPrefix(what, "http: "), ":")
	q.to.Warn("http", "what", what)
	return len(p), nil
}

// ready lists what keeps the server from serving.
func (s *Server) ready(ctx context.Context) (out []api.Reason) {
	if !s.conn.IsConnected() {
		out = append(out, api.Reason{Part: "nats", Why: "there is no connection to NATS; events cannot be stored until it is back"})
	}
	if left, err := free(s.data.path); err != nil || left < appendFree {
		out = append(out, api.Reason{Part: "disk", Why: "the disk of the data directory is as good as full: make room; events are refused until then, reading and erasing go on"})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, t := range s.tenants {
		if _, err := s.store.Committed(ctx, id); err != nil {
			out = append(out, api.Reason{Part: "log of " + string(id), Why: why(err)})
		}
		if t.stopped.Load() {
			out = append(out, api.Reason{Part: "projections of " + string(id), Why: "the runner failed and is tried again; figures are not up to date"})
		}
	}
	return out
}

// why says what is wrong without what an error may repeat.
func why(err error) string {
	var p *eventstore.Problem
	switch {
	case errors.Is(err, eventstore.ErrDamaged):
		return eventstore.ErrDamaged.Error()
	case errors.As(err, &p):
		return p.Error()
	}
	return "it does not answer; the server's log has more"
}
