package eventstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// ParseEvent reads one event as bots send it, strictly: an unknown field, a wrong type, a name that stands twice, invalid UTF-8, NUL, a
// nesting deeper than [MaxDepth], anything behind the event, and everything that [Event.Check] refuses. null is a wrong type, but
// for data and slot.value, which are any JSON. The error is a [Problem]: ErrInvalid or ErrTooLarge.
func ParseEvent(b []byte) (Event, error) {
	var e Event
	if len(b) > MaxEvent {
		return e, Refuse(KindTooLarge, "", "the event is longer than 256 KiB")
	}
	p := parsers.Get().(*parser)
	defer parsers.Put(p)
	p.start(b)
	problem := p.event(&e)
	p.start(nil) // keep nothing of the event
	if problem != nil {
		return Event{}, problem
	}
	if err := e.check(false); err != nil {
		return Event{}, err
	}
	return e, nil
}

var parsers = sync.Pool{New: func() any {
	p := &parser{}
	p.d = jsontext.NewDecoder(&p.in)
	return p
}}

// parser reads an event token by token. field is the known field that is being read.
type parser struct {
	in    bytes.Buffer
	d     *jsontext.Decoder
	all   []byte
	field text
}

func (p *parser) start(b []byte) {
	p.all, p.field = b, ""
	p.in = *bytes.NewBuffer(b)
	p.d.Reset(&p.in)
}

// refuse names the field and the depth, and nothing of what was sent.
func (p *parser) refuse(what text) *Problem {
	return Refuse(KindInvalid, p.field, what).AtDepth(max(1, p.d.StackDepth()))
}

// broken says what is wrong with the JSON itself. The decoder's own errors repeat what was sent.
func (p *parser) broken(err error) *Problem {
	switch {
	case !utf8.Valid(p.all):
		return p.refuse("the JSON is not valid UTF-8")
	case errors.Is(err, jsontext.ErrDuplicateName):
		return p.refuse("a name stands twice in one object")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return p.refuse("the JSON ends too early")
	}
	return p.refuse("this is not valid JSON")
}

func (p *parser) event(e *Event) *Problem {
	if problem := p.object(eventFields, e); problem != nil {
		return problem
	}
	p.field = ""
	if _, err := p.d.ReadToken(); err == nil || !errors.Is(err, io.EOF) {
		return p.refuse("something stands behind the event")
	}
	return nil
}

// object reads an object whose fields are known.
func (p *parser) object(fields func(*parser, *Event, string) (bool, *Problem), e *Event) *Problem {
	of := p.field
	if problem := p.open('{'); problem != nil {
		return problem
	}
	for p.d.PeekKind() != '}' {
		p.field = of
		raw, err := p.d.ReadValue()
		if err != nil {
			return p.broken(err)
		}
		name, err := nameOf(raw)
		if err != nil {
			return p.broken(err)
		}
		known, problem := fields(p, e, name)
		if problem != nil {
			return problem
		}
		if !known {
			p.field = of
			return p.refuse("there is a field that does not exist")
		}
	}
	p.field = of
	_, err := p.d.ReadToken()
	if err != nil {
		return p.broken(err)
	}
	return nil
}

// open reads the first token of an object or array.
func (p *parser) open(kind jsontext.Kind) *Problem {
	if k := p.d.PeekKind(); k != kind && k > 0 {
		if kind == '{' {
			return p.refuse("this must be an object")
		}
		return p.refuse("this must be an array")
	}
	if _, err := p.d.ReadToken(); err != nil {
		return p.broken(err)
	}
	return nil
}

// array reads an array, calling element for each.
func (p *parser) array(limit int, element func() *Problem) *Problem {
	field := p.field
	if problem := p.open('['); problem != nil {
		return problem
	}
	for n := 0; p.d.PeekKind() != ']'; n++ {
		p.field = field
		if n == limit {
			return p.refuse("there are too many elements")
		}
		if problem := element(); problem != nil {
			return problem
		}
	}
	p.field = field
	if _, err := p.d.ReadToken(); err != nil {
		return p.broken(err)
	}
	return nil
}

// scalar reads a value that must be of a kind.
func (p *parser) scalar(field text, kind jsontext.Kind, wrong text) (jsontext.Value, *Problem) {
	p.field = field
	if k := p.d.PeekKind(); k != kind && k > 0 && !(kind == 't' && k == 'f') {
		return nil, p.refuse(wrong)
	}
	raw, err := p.d.ReadValue()
	if err != nil {
		return nil, p.broken(err)
	}
	return raw, nil
}

func (p *parser) str(field text, to *string) *Problem {
	raw, problem := p.scalar(field, '"', "this must be a string")
	if problem != nil {
		return problem
	}
	s, err := unquote(raw)
	if err != nil {
		return p.broken(err)
	}
	if strings.IndexByte(s, 0) >= 0 {
		return p.refuse("the value holds a NUL byte")
	}
	*to = s
	return nil
}

// names are the known names as they stand in JSON, so that reading one allocates nothing.
var names = func() map[string]string {
	m := map[string]string{}
	for _, name := range []string{
		"id", "time", "identity", "also", "conversation", "type", "author", "operator", "bot", "bot_version", "channel", "language", "text",
		"status", "approver", "data", "expected_sequence", "intent", "entities", "slot", "handoff", "conversation_state", "feedback", "consent",
		"notice", "disclosure", "namespace", "name", "confidence", "fallback", "value", "start", "end", "sensitive", "to", "reason", "state",
		"outcome", "score", "scale", "purpose", "granted", "method", "source", "version", "recipient", "categories",
	} {
		m[`"`+name+`"`] = name
	}
	return m
}()

// nameOf is unquote for the name of a field.
func nameOf(raw []byte) (string, error) {
	if name, ok := names[string(raw)]; ok {
		return name, nil
	}
	return unquote(raw)
}

// unquote gives the text of a JSON string that is known to be valid.
func unquote(raw []byte) (string, error) {
	if len(raw) >= 2 && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	b, err := jsontext.AppendUnquote(nil, raw)
	return string(b), err
}

func (p *parser) boolean(field text, to *bool) *Problem {
	raw, problem := p.scalar(field, 't', "this must be true or false")
	if problem == nil {
		*to = raw.Kind() == 't'
	}
	return problem
}

func (p *parser) float(field text, to *float64) *Problem {
	raw, problem := p.scalar(field, '0', "this must be a number")
	if problem != nil {
		return problem
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return p.refuse("the number is out of its range")
	}
	*to = f + 0 // no negative zero
	return nil
}

func (p *parser) whole(field text, to *uint64, limit uint64) *Problem {
	raw, problem := p.scalar(field, '0', "this must be a whole number")
	if problem != nil {
		return problem
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return p.refuse("this must be a whole number that is not negative")
	case err != nil || n > limit:
		return p.refuse("the number is out of its range")
	}
	*to = n
	return nil
}

func (p *parser) index(field text, to *int) *Problem {
	var n uint64
	problem := p.whole(field, &n, 1<<31-1)
	*to = int(n)
	return problem
}

func (p *parser) time(to *time.Time) *Problem {
	var s string
	if problem := p.str("time", &s); problem != nil {
		return problem
	}
	var t time.Time
	if len(s) > 64 || t.UnmarshalText([]byte(s)) != nil { // its error repeats the value
		return p.refuse("the time must look like 2026-11-22T10:00:00.123Z (RFC 3339)")
	}
	*to = t.UTC()
	if to.IsZero() {
		return p.refuse("the time is out of range; it must lie after 1970")
	}
	return nil
}

// raw reads any JSON. It is kept without white space and needless escapes, so that it comes back as it went in.
func (p *parser) raw(field text, to *json.RawMessage) *Problem {
	p.field = field
	from := p.d.InputOffset()
	if problem := p.walk(); problem != nil {
		return problem
	}
	raw := bytes.TrimLeft(p.all[from:p.d.InputOffset()], ": \t\r\n")
	out, err := jsontext.AppendFormat(make([]byte, 0, len(raw)), raw, compact...)
	if err != nil {
		return p.broken(err)
	}
	*to = out
	return nil
}

var compact = []jsontext.Options{jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)}

// walk passes one value of any kind.
func (p *parser) walk() *Problem {
	base := p.d.StackDepth()
	for {
		t, err := p.d.ReadToken()
		if err != nil {
			return p.broken(err)
		}
		switch t.Kind() {
		case '"':
			if strings.IndexByte(t.String(), 0) >= 0 {
				return p.refuse("the value holds a NUL byte")
			}
		case '0':
			if _, err := strconv.ParseFloat(t.String(), 64); err != nil {
				return p.refuse("the number is out of its range")
			}
		}
		switch depth := p.d.StackDepth(); {
		case depth > MaxDepth:
			return p.refuse("the JSON is nested too deeply; at most 32 levels are taken")
		case depth <= base:
			return nil
		}
	}
}

// checkJSON holds a raw value to what the parser would take.
func checkJSON(field text, v []byte) *Problem {
	p := parsers.Get().(*parser)
	defer parsers.Put(p)
	p.start(v)
	defer p.start(nil)
	p.field = field
	if problem := p.walk(); problem != nil {
		return problem
	}
	if _, err := p.d.ReadToken(); !errors.Is(err, io.EOF) {
		return p.refuse("something stands behind the value")
	}
	return nil
}
