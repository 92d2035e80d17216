package natsembed

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// logger hands the server's warnings and errors to slog. Its notices, debug lines and traces are dropped: traces hold payloads. A fatal line
// does not end the process, as the server's own logger would; it is kept for the answer of [Start].
type logger struct {
	to *slog.Logger

	mu   sync.Mutex
	last error
}

func (l *logger) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

func (l *logger) log(level func(*slog.Logger, string, ...any), format string, v ...any) {
	if l.to != nil {
		level(l.to, "nats: "+harmless(fmt.Sprintf(format, v...)))
	}
}

// ofClients lists what is kept of a line about a client's connection.
var ofClients = []string{"Permissions Violation", "Publish Violation", "Subscription Violation", "Authorization Violation", "authentication error", "Authentication Timeout",
	"Maximum Payload", "Slow Consumer", "TLS handshake error", "Parser", "Stale"}

// harmless takes out of a line what a client sent: lines about connections hold addresses, the names that clients give themselves, and subjects.
func harmless(line string) string {
	if !strings.Contains(line, "cid:") {
		return line
	}
	for _, what := range ofClients {
		if strings.Contains(strings.ToLower(line), strings.ToLower(what)) {
			return "a client's connection: " + what
		}
	}
	return "a client's connection: a protocol error"
}

func (l *logger) Noticef(string, ...any) {}
func (l *logger) Debugf(string, ...any)  {}
func (l *logger) Tracef(string, ...any)  {}

func (l *logger) Warnf(format string, v ...any)  { l.log((*slog.Logger).Warn, format, v...) }
func (l *logger) Errorf(format string, v ...any) { l.log((*slog.Logger).Error, format, v...) }

func (l *logger) Fatalf(format string, v ...any) {
	l.mu.Lock()
	l.last = errors.New("nats: " + fmt.Sprintf(format, v...))
	l.mu.Unlock()
	l.log((*slog.Logger).Error, format, v...)
}
