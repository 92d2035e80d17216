package server

import (
	"log/slog"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/settings"
)

// Config says what server to start. Data and Listen are required.
type Config struct {
	// Server holds the settings; Start does not call its Check.
	settings.Server
	// RootsLost gives up the copies of the root register that are missing: an operator's decision for one start.
	RootsLost bool
	// asItIs opens a directory that is not as the last stop left it, to mend it.
	asItIs bool
	// Log takes what an operator should know, without personal data (nil: nothing).
	Log *slog.Logger
	// Now is the clock (nil: time.Now).
	Now func() time.Time
	// Version is the program's.
	Version string
	// StartWithin bounds the start (0: 10 minutes; comparing very large streams takes its time).
	StartWithin time.Duration
}

const defaultStart = 10 * time.Minute

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.StartWithin == 0 {
		c.StartWithin = defaultStart
	}
	return c
}
