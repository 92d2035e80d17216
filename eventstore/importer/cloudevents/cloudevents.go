// Package cloudevents reads CloudEvents 1.0 in JSON: one event in structured form, a batch (a JSON array), or NDJSON, one event a
// line. Each carries one event of Oubli in its data.
//
// # Mapping
//
//	specversion                    must be "1.0"
//	source and id                  together the idempotency key, as a hash: the same pair is the same event
//	type                           must be there; what kind of event it is, the data says
//	time                           the event's time; without it, the time in the data counts
//	datacontenttype                application/json, or absent; anything else is refused
//	data                           the event, exactly the JSON that POST /v1/events takes; its own id gives way to source and id
//	subject, dataschema,
//	extension attributes           not kept
//	data_base64                    refused: an event of Oubli is JSON
//
// What does not fit this table is refused with its line, and what stands behind it is read. Names of attributes are compared exactly.
package cloudevents

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
	"mime"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

// Name is the format's name.
const Name = "cloudevents"

var (
	errVersion   = eventstore.Refuse(eventstore.KindInvalid, "specversion", `this is not a CloudEvent of version "1.0"`)
	errAttribute = eventstore.Refuse(eventstore.KindInvalid, "", "a CloudEvent needs id, source and type; each is a text that is not empty")
	errContent   = eventstore.Refuse(eventstore.KindInvalid, "datacontenttype", "only application/json is taken")
	errBinary    = eventstore.Refuse(eventstore.KindInvalid, "data_base64", "binary data is not taken; data must hold an event as JSON")
	errData      = eventstore.Refuse(eventstore.KindInvalid, "data", "the CloudEvent has no data; it must hold an event as JSON")
)

// Read is the [record.Format] of CloudEvents.
func Read(r io.Reader, o record.Options, counts *record.Counts) iter.Seq2[record.Item, error] {
	return record.Documents(r, o, counts, func(sink *record.Sink) record.Reader { return importer{sink} })
}

type importer struct{ sink *record.Sink }

// End implements [record.Reader].
func (importer) End() {}

// Document implements [record.Reader].
func (im importer) Document(raw []byte, at record.Position) bool {
	e, err := event(raw)
	if err != nil {
		if p, ok := errors.AsType[*eventstore.Problem](err); ok {
			err = p.AtLine(at.Line)
		}
		return im.sink.Problem(err, at)
	}
	return im.sink.Event(e, at)
}

// event maps one CloudEvent.
func event(raw []byte) (e eventstore.Event, err error) {
	var attributes map[string]json.RawMessage
	if err := record.Decode(raw, &attributes); err != nil {
		return e, err
	}
	if v, ok := text(attributes["specversion"]); !ok || v != "1.0" {
		return e, errVersion
	}
	var required [3]string
	for i, name := range []string{"source", "id", "type"} {
		v, ok := text(attributes[name])
		if !ok || v == "" {
			return e, errAttribute
		}
		required[i] = v
	}
	if !isJSON(attributes["datacontenttype"]) {
		return e, errContent
	}
	when, err := moment(attributes["time"])
	if err != nil {
		return e, err
	}
	data := attributes["data"]
	switch {
	case absent(data) && !absent(attributes["data_base64"]):
		return e, errBinary
	case absent(data):
		return e, errData
	}
	if e, err = eventstore.ParseEvent(data); err != nil {
		return e, err
	}
	if !when.IsZero() {
		e.Time = when
	}
	e.Key = "ce:" + record.Digest(required[0], required[1])
	return e, nil
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// text reads a string; nothing else is one.
func text(raw json.RawMessage) (v string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return v, json.Unmarshal(raw, &v) == nil
}

func isJSON(raw json.RawMessage) bool {
	if absent(raw) {
		return true
	}
	v, ok := text(raw)
	if !ok {
		return false
	}
	kind, _, err := mime.ParseMediaType(v)
	return err == nil && kind == "application/json"
}

// moment reads a timestamp, RFC 3339 only. Absent is the zero time.
func moment(raw json.RawMessage) (time.Time, error) {
	if absent(raw) {
		return time.Time{}, nil
	}
	v, ok := text(raw)
	if _, err := time.Parse(time.RFC3339Nano, v); !ok || err != nil {
		return time.Time{}, record.ErrTime
	}
	return record.Time(raw)
}
