package console

import (
	"errors"

	"github.com/oubli-store/oubli/cmd/internal/backup"
	"github.com/oubli-store/oubli/cmd/internal/server"
	"github.com/oubli-store/oubli/eventstore"
)

// The exit codes.
const (
	Done     = 0
	Failed   = 1
	Usage    = 2
	NotFound = 3
	Gone     = 4
	Refused  = 5
	Damaged  = 6
)

// exit is an error with an exit code of its own.
type exit struct {
	code int
	error
}

func (e exit) Unwrap() error { return e.error }

// usage is an error in how the command was called.
func usage(text string) error { return exit{Usage, errors.New(text)} }

// errSaid goes with an exit code for which everything has been said already.
var errSaid = errors.New("")

// Code is the exit code of an error.
func Code(err error) int {
	if err == nil {
		return Done
	}
	if e, ok := errors.AsType[exit](err); ok {
		return e.code
	}
	for _, c := range []struct {
		code int
		errs []error
	}{
		{Damaged, []error{eventstore.ErrDamaged}},
		{Gone, []error{eventstore.ErrErased}},
		{NotFound, []error{eventstore.ErrNotFound}},
		{Refused, []error{eventstore.ErrUnauthenticated, eventstore.ErrForbidden, eventstore.ErrHold, eventstore.ErrWithheld, eventstore.ErrConsent,
			server.ErrNoLedger, server.ErrOldLedger, backup.ErrExpired, backup.ErrIdentity}},
		{Usage, []error{eventstore.ErrInvalid}},
	} {
		for _, target := range c.errs {
			if errors.Is(err, target) {
				return c.code
			}
		}
	}
	return Failed
}
