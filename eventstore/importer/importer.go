// Package importer is the register of the formats that Oubli can import, for `oubli import` and POST /v1/import/{format}.
//
// A format is a pure function from bytes to events ([record.Format]): it does no I/O but reading, holds at most one document
// in memory, and gives the same events with the same idempotency keys each time it reads the same bytes, so that importing a
// file twice stores it once. Each format's package comment has the table of what becomes what.
package importer

import (
	"maps"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore/importer/botframework"
	"github.com/oubli-store/oubli/eventstore/importer/cdr"
	"github.com/oubli-store/oubli/eventstore/importer/cloudevents"
	"github.com/oubli-store/oubli/eventstore/importer/mail"
	"github.com/oubli-store/oubli/eventstore/importer/openai"
	"github.com/oubli-store/oubli/eventstore/importer/oubli"
	"github.com/oubli-store/oubli/eventstore/importer/rasa"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

// The words of [record], for callers that need no format of their own.
type (
	Format   = record.Format
	Options  = record.Options
	Item     = record.Item
	Position = record.Position
	Counts   = record.Counts
	Kind     = record.Kind
)

var formats = map[string]Format{
	botframework.Name: botframework.Read,
	cdr.Name:          cdr.Read,
	cloudevents.Name:  cloudevents.Read,
	mail.Name:         mail.Read,
	openai.Name:       openai.Read,
	oubli.Name:        oubli.Read,
	rasa.Name:         rasa.Read,
}

// Zone is [record.Zone].
func Zone(name string) (*time.Location, error) { return record.Zone(name) }

// Formats lists the names of the formats, sorted.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// Open finds a format by its name.
func Open(name string) (Format, bool) {
	f, ok := formats[name]
	return f, ok
}
