package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oubli-store/oubli/cmd/internal/api"
)

// stopWithin bounds the closing of what a failed start had opened.
const stopWithin = 30 * time.Second

// Stop stops the server in the reverse order of its start: requests that are under way are answered, then the rooms close. Each part gets what is left of
// ctx's time; one that does not end in time is left behind and named in the error. Called again it gives the same answer.
func (s *Server) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		var failed []error
		for _, c := range slices.Backward(s.closers) {
			if err := c.end(ctx); err != nil {
				failed = append(failed, fmt.Errorf("stopping: %s: %w", c.part, err))
				s.disorderly = true
			}
		}
		s.stopErr = errors.Join(failed...)
	})
	return s.stopErr
}

// closeData gives the data directory free. After a stop in good order it gets its stamp first: of a start that came to its end, or that found everything as
// the stop before had left it.
func (s *Server) closeData(ctx context.Context) error {
	if !s.disorderly && (s.whole || s.data.whole) {
		if err := s.data.stamp(ctx); err != nil {
			s.c.Log.Warn("the list of the files was not written: the next start is one as after a crash", "error", err.Error())
		}
	}
	return s.data.Close()
}

// Wait blocks until ctx ends or the server stops serving. The error is nil unless it stopped without being asked.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.ended:
		return s.failure
	}
}

// halfOf is half of the time that ctx has left.
func halfOf(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// within runs what takes no context, and leaves it behind when ctx ends.
func within(ctx context.Context, end func() error) error {
	done := make(chan error, 1)
	go func() { done <- end() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// describe is what may be logged of an error.
func describe(err error) string { return api.Describe(err) }
