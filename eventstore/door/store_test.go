package door_test

import (
	"testing"

	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/logtest"
	"github.com/oubli-store/oubli/eventstore/storetest"
)

// TestStore runs the store behind this door, over the fakes.
func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Parts {
		keys := keystest.New()
		return storetest.Parts{Keys: keys, Log: logtest.New(), Door: door.New(door.Rules{}), Chunks: logtest.NewChunks(), Meta: keys}
	})
}
