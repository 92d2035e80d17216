package streams

import (
	"testing"

	"github.com/oubli-store/oubli/eventstore/logtest"
)

func TestConformance(t *testing.T) {
	logtest.Run(t, func(t *testing.T) (logtest.Log, func(*testing.T) logtest.Log) {
		r := newRoom(t, nil)
		return r.s, func(*testing.T) logtest.Log {
			r.restart()
			return r.s
		}
	})
}
