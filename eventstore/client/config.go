package client

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/keyvault/secret"
)

// DefaultServer is where a server listens that was told nothing.
const DefaultServer = "http://127.0.0.1:8420"

// Config says where the server is and how patient to be. Token or TokenFunc is required; everything else has a default.
type Config struct {
	// Server is the server's address (default [DefaultServer]).
	Server string
	// Token is the access token of a bot.
	Token secret.Bytes
	// TokenFunc, if set, is asked before each try instead: for tokens that are renewed.
	TokenFunc func(context.Context) (secret.Bytes, error)
	// HTTP sends the requests (default: a client of its own). Its Timeout, if any, should not be below TryTimeout.
	HTTP *http.Client

	// KeepOld sends events also of months that the tenant keeps no more (an import of an archive); without it they are refused.
	KeepOld bool

	// TryTimeout bounds one try (default 20 s).
	TryTimeout time.Duration
	// Patience bounds all tries together, counted from the last answer (default 1 min).
	Patience time.Duration
	// MinPause and MaxPause bound the pause before another try (default 50 ms and 5 s).
	MinPause, MaxPause time.Duration

	// BatchEvents and BatchBytes bound a batch of AppendMany (default 500 events, 1 MiB).
	BatchEvents, BatchBytes int
}

// Client sends events to one server. It is safe for concurrent use.
type Client struct {
	c                               Config
	events, attachments, pseudonyms string
	http                            http.Client
}

// New makes a client. It checks its configuration and sends nothing. The error is [eventstore.ErrInvalid].
func New(c Config) (*Client, error) {
	c.Server = strings.TrimRight(withDefault(c.Server, DefaultServer), "/")
	u, err := url.Parse(c.Server)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, eventstore.Refuse(eventstore.KindInvalid, "server", "the server's address is like http://127.0.0.1:8420")
	}
	if c.TokenFunc == nil {
		if c.Token.Len() == 0 {
			return nil, eventstore.Refuse(eventstore.KindInvalid, "token", "an access token is required")
		}
		token := c.Token
		c.TokenFunc = func(context.Context) (secret.Bytes, error) { return token, nil }
	}
	c.TryTimeout = withDefault(c.TryTimeout, 20*time.Second)
	c.Patience = withDefault(c.Patience, time.Minute)
	c.MinPause = withDefault(c.MinPause, 50*time.Millisecond)
	c.MaxPause = max(withDefault(c.MaxPause, 5*time.Second), c.MinPause)
	c.BatchEvents = withDefault(c.BatchEvents, 500)
	c.BatchBytes = withDefault(c.BatchBytes, 1<<20)
	if c.TryTimeout < 0 || c.Patience < 0 || c.MinPause < 0 || c.BatchEvents < 0 || c.BatchBytes < 0 {
		return nil, eventstore.Refuse(eventstore.KindInvalid, "", "times and sizes of a client cannot be negative")
	}
	cl := &Client{c: c, events: c.Server + "/v1/events", attachments: c.Server + "/v1/attachments", pseudonyms: c.Server + "/v1/pseudonyms"}
	if c.KeepOld {
		cl.events += "?keep_old=true"
		cl.attachments += "?keep_old=true"
	}
	if c.HTTP != nil {
		cl.http = *c.HTTP
	} else {
		cl.http.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	if cl.http.CheckRedirect == nil {
		// A redirect would carry events to where nobody configured them to go.
		cl.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return cl, nil
}

// Close closes idle connections. Calls that are under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func withDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
