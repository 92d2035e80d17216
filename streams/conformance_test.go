package streams

import (
	"context"
	"errors"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/logtest"
)

func TestConformance(t *testing.T) {
	logtest.Run(t, func(t *testing.T) (logtest.Log, func(*testing.T) logtest.Log) {
		r := newRoom(t, func(c *Config) { c.Settle = quick })
		reopen := func(*testing.T) logtest.Log {
			r.restart()
			return strayer{r.s, r}
		}
		return strayer{r.s, r}, reopen
	})
}

func TestChunksConformance(t *testing.T) {
	logtest.RunChunks(t, func(t *testing.T) (eventstore.Chunks, func(*testing.T) eventstore.Chunks) {
		r := newRoom(t, func(c *Config) { c.Settle = quick })
		return r.s.Chunks(), func(*testing.T) eventstore.Chunks {
			r.restart()
			return r.s.Chunks()
		}
	})
}

// strayer leaves messages in the stream that no journal has.
type strayer struct {
	*Streams
	r *room
}

func (s strayer) Stray(tenant eventstore.TenantID, m eventstore.Message) uint64 {
	// The writer stops before: it would take the message for that of a second one.
	if err := s.Close(); err != nil && !errors.Is(err, errClosed) {
		s.r.t.Fatal(err)
	}
	s.r.s = nil
	ack, err := s.r.js().Publish(context.Background(), convSpec(tenant).subject(m.Person, nil), m.Envelope.Append(nil))
	if err != nil {
		s.r.t.Fatal(err)
	}
	return ack.Sequence
}
