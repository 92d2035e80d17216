package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/oubli-store/oubli/bench/peers/postgres"
)

// benchHTTP appends over HTTP to a server in a process of its own, on the same machine: lines in a few requests, and single events over 64 connections.
// The client's work is in the figures.
func benchHTTP(ctx context.Context, o options, r *report) error {
	return withPostgres(ctx, o, r, func(pg *postgres.Store) error {
		var singles []figure
		if pg != nil {
			one, err := postgresSingles(ctx, o, pg)
			if err != nil {
				return err
			}
			singles = append(singles, one)
		}
		s, err := openStack(ctx, filepath.Join(o.dir, "oubli"))
		if err != nil {
			return err
		}
		inProcess := figure{Name: "in-process-1024"}
		if _, err = s.fill(ctx, o.persons, o.persons); err == nil {
			inProcess.Value, _, err = s.appendRate(ctx, o, 1024)
		}
		if err = errors.Join(err, s.Close()); err != nil {
			return err
		}
		srv, err := serve(ctx, o)
		if err != nil {
			return err
		}
		defer srv.stop()
		return srv.measure(o, r, inProcess, singles)
	})
}

func (s *served) measure(o options, r *report, inProcess figure, singles []figure) error {
	if err := s.lines(o.persons, 4, o.persons); err != nil { // first contacts
		return err
	}
	rate, err := median(o.rounds, func(int) (float64, error) {
		start := time.Now()
		err := s.lines(o.events, 4, o.persons)
		return perSecond(o.events, time.Since(start)), err
	})
	if err != nil {
		return err
	}
	r.compare(figure{Name: "http/lines", Value: rate, Unit: "events/s", Target: "≥ 0.5 ×"}, inProcess)
	var took []time.Duration
	rate, err = median(o.rounds, func(int) (float64, error) {
		n := callsFor(64, min(o.events, 40_000))
		var all time.Duration
		took, all, err = inParallel(64, n, func(i int) error { return s.post(i % o.persons) })
		return perSecond(n, all), err
	})
	if err != nil {
		return err
	}
	r.compare(figure{Name: "http/single/64", Value: rate, Unit: "events/s", Target: "≥ 0.5 ×"}, singles...)
	r.add(figure{Name: "http/single/64/p50", Value: percentile(took, 0.5), Unit: "ms"})
	r.add(figure{Name: "http/single/64/p99", Value: percentile(took, 0.99), Unit: "ms"})
	return nil
}

// served is a server in a process of its own.
type served struct {
	cmd    *exec.Cmd
	url    string
	token  string
	client *http.Client
}

// serve builds the program and starts it with an empty data directory.
func serve(ctx context.Context, o options) (*served, error) {
	program := filepath.Join(o.dir, "oubli-program")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/oubli-store/oubli/cmd/oubli").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the server: %w: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	at, data := l.Addr().String(), filepath.Join(o.dir, "served")
	if err := l.Close(); err != nil {
		return nil, err
	}
	s := &served{url: "http://" + at, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	s.cmd = exec.CommandContext(ctx, program, "serve", "--data", data, "--listen", at)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if answer, err := s.client.Get(s.url + "/healthz"); err == nil {
			_ = answer.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			s.stop()
			return nil, errors.New("the server did not start")
		}
	}
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		s.stop()
		return nil, err
	}
	s.token = strings.TrimSpace(string(token))
	return s, nil
}

func (s *served) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

func (s *served) send(contentType string, body io.Reader, want int) ([]byte, error) {
	q, err := http.NewRequest("POST", s.url+"/v1/events", body)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", "Bearer "+s.token)
	q.Header.Set("Content-Type", contentType)
	answer, err := s.client.Do(q)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	out, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != want {
		err = fmt.Errorf("status %d: %.200s", answer.StatusCode, out)
	}
	return out, err
}

func (s *served) post(person int) error {
	line, err := httpLine(person)
	if err == nil {
		_, err = s.send("application/json", bytes.NewReader(line), http.StatusCreated)
	}
	return err
}

// lines posts events in a few requests at the same time.
func (s *served) lines(events, requests, persons int) error {
	var wait sync.WaitGroup
	failed := make([]error, requests)
	for k := range requests {
		wait.Go(func() {
			var body bytes.Buffer
			for i := k; i < events; i += requests {
				line, err := httpLine(i % persons)
				if err != nil {
					failed[k] = err
					return
				}
				body.Write(line)
				body.WriteByte('\n')
			}
			var out []byte
			out, failed[k] = s.send("application/x-ndjson", &body, http.StatusOK)
			if failed[k] == nil && bytes.Contains(out, []byte(`"error"`)) {
				failed[k] = errors.New("a line was refused")
			}
		})
	}
	wait.Wait()
	return errors.Join(failed...)
}

// httpLine is a message as a program sends it.
func httpLine(person int) ([]byte, error) {
	e := message(person, "")
	e.Bot = "bench"
	return json.Marshal(e)
}
