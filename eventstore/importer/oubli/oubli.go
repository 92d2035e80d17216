// Package oubli reads Oubli's own form: NDJSON, one event a line, exactly the JSON that POST /v1/events takes
// ([eventstore.ReadEvents]), with or without a byte order mark.
//
// Nothing is mapped. A line with an unknown field, a value out of its range or a type of its own is refused with its line, and the
// lines behind it are read. An event without an id gets a key derived from its content, exact repeats numbered, so that the
// same file gives the same events each time. The options complete what a line does not say; identity and bot, where
// given, win over it.
package oubli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

// Name is the format's name.
const Name = "oubli"

// Read is the [record.Format] of Oubli's own events.
func Read(r io.Reader, o record.Options, counts *record.Counts) iter.Seq2[record.Item, error] {
	if counts == nil {
		counts = new(record.Counts)
	}
	return func(yield func(record.Item, error) bool) {
		sink := record.NewSink(o, counts, yield)
		var repeats record.Repeats
		at := record.Position{}
		for line, err := range eventstore.ReadEvents(plain(r), 0) {
			at.Line = line.Number
			if err != nil {
				sink.Problem(fmt.Errorf("reading the input: %w", err), at)
				return
			}
			at.Document++
			counts.Documents = at.Document
			e := line.Event
			switch {
			case line.Err != nil:
				if !sink.Problem(line.Err, at) {
					return
				}
				continue
			case e.Key == "":
				e.Key = repeats.Distinct(key(e))
			}
			if !sink.Event(e, at) {
				return
			}
		}
	}
}

// key is derived from the whole event.
func key(e eventstore.Event) string {
	raw, _ := json.Marshal(e) // of an event that was just read from JSON
	return "oubli:" + record.Digest(string(raw))
}

// plain leaves out a byte order mark.
func plain(r io.Reader) io.Reader {
	in := bufio.NewReader(r)
	if b, _ := in.Peek(3); string(b) == "\xef\xbb\xbf" {
		_, _ = in.Discard(3)
	}
	return in
}
