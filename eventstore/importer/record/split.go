package record

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/oubli-store/oubli/eventstore"
)

// Limits of one document of the input.
const (
	MaxDocument = 32 << 20
	MaxNesting  = 64
)

// The problems of input. Each is given its line where it is met.
var (
	errSyntax    = eventstore.Refuse(eventstore.KindInvalid, "", "this is not JSON")
	errTruncated = eventstore.Refuse(eventstore.KindInvalid, "", "the input ends within a JSON document that begins here")
	errArray     = eventstore.Refuse(eventstore.KindInvalid, "", "the JSON array is broken behind this element")
	errEncoding  = eventstore.Refuse(eventstore.KindInvalid, "", "the document is not UTF-8")
	errScalar    = eventstore.Refuse(eventstore.KindInvalid, "", "a JSON object is expected here")
	errLong      = eventstore.Refuse(eventstore.KindTooLarge, "", "the document is longer than 32 MiB")
	errNested    = eventstore.Refuse(eventstore.KindInvalid, "", "the document is nested more than 64 levels deep")
)

// Splitter cuts JSON input into documents.
type Splitter struct {
	r     *bufio.Reader
	buf   []byte
	line  int
	count int
	begun bool
	array bool
	comma bool // an array element was read: a comma or the end must follow
	final error
}

// Split cuts r into documents.
func Split(r io.Reader) *Splitter {
	return &Splitter{r: bufio.NewReaderSize(r, 64<<10), line: 1}
}

// Next returns the next document, valid JSON in UTF-8, until the next call. At the end it returns io.EOF. Behind a
// problem with one document the call can be repeated; other errors stay.
func (s *Splitter) Next() ([]byte, Position, error) {
	if s.final != nil {
		return nil, Position{Line: s.line, Document: s.count}, s.final
	}
	first, err := s.start()
	at := Position{Line: s.line, Document: s.count}
	if err != nil {
		return nil, at, s.end(err, at)
	}
	s.count++
	at.Document = s.count
	problem, err := s.capture(first)
	if err != nil {
		return nil, at, s.end(err, at)
	}
	s.comma = s.array
	if problem == nil {
		problem = check(s.buf)
	}
	if problem != nil {
		return nil, at, problem.AtLine(at.Line)
	}
	return s.buf, at, nil
}

// Ended reports whether the last error was the last: nothing can be read behind it.
func (s *Splitter) Ended() bool { return s.final != nil }

func check(raw []byte) *eventstore.Problem {
	switch {
	case raw[0] != '{' && raw[0] != '[':
		return errScalar
	case !utf8.Valid(raw):
		return errEncoding
	case !json.Valid(raw):
		return errSyntax
	}
	return nil
}

// end makes err final.
func (s *Splitter) end(err error, at Position) error {
	var p *eventstore.Problem
	switch {
	case errors.As(err, &p):
		err = p.AtLine(at.Line)
	case err != io.EOF:
		err = fmt.Errorf("reading the input: %w", err)
	}
	s.final = err
	return err
}

// start skips to a document's first byte.
func (s *Splitter) start() (byte, error) {
	if !s.begun {
		if b, _ := s.r.Peek(3); string(b) == "\xef\xbb\xbf" {
			_, _ = s.r.Discard(3)
		}
	}
	for {
		b, err := s.space()
		if err == io.EOF && s.array {
			return 0, errTruncated
		}
		if err != nil {
			return 0, err
		}
		if !s.begun {
			s.begun = true
			if b == '[' {
				s.array = true
				continue
			}
		}
		if !s.array {
			return b, nil
		}
		switch {
		case b == ']':
			return 0, s.closed()
		case b == ',' && s.comma:
			s.comma = false
		case s.comma:
			return 0, errArray
		default:
			return b, nil
		}
	}
}

// closed checks that nothing follows the array.
func (s *Splitter) closed() error {
	_, err := s.space()
	if err == nil {
		return errArray
	}
	return err
}

// space returns the first byte that is not white space.
func (s *Splitter) space() (byte, error) {
	for {
		b, err := s.r.ReadByte()
		if err != nil {
			return 0, err
		}
		switch b {
		case '\n':
			s.line++
		case ' ', '\t', '\r':
		default:
			return b, nil
		}
	}
}

// capture reads the document that begins with first into the buffer. A problem leaves the input at the end of the
// document, an error does not.
func (s *Splitter) capture(first byte) (*eventstore.Problem, error) {
	s.buf = append(s.buf[:0], first)
	if first != '{' && first != '[' {
		return errScalar, s.skipScalar(first)
	}
	var problem *eventstore.Problem
	var inString, escaped bool
	depth, last, column := 1, first, 1
	for depth > 0 {
		b, err := s.r.ReadByte()
		if err == io.EOF {
			return nil, errTruncated
		}
		if err != nil {
			return nil, err
		}
		column++
		switch {
		case b == '\n':
			s.line++
			column = 0
			if inString && !s.array {
				return errSyntax, nil // a broken line: go on with the next
			}
		case inString:
			switch {
			case escaped:
				escaped = false
			case b == '\\':
				escaped = true
			case b == '"':
				inString = false
			}
			last = b
		case b == '"':
			inString, last = true, b
		case b == '{' && column == 1 && !s.array && last != ':' && last != ',' && last != '[':
			// No JSON has an object here: the line before was cut off.
			return errSyntax, s.r.UnreadByte()
		case b == '{' || b == '[':
			depth++
			last = b
			if depth > MaxNesting && problem == nil {
				problem = errNested
			}
		case b == '}' || b == ']':
			depth--
			last = b
		case b != ' ' && b != '\t' && b != '\r':
			last = b
		}
		if problem == nil && len(s.buf) >= MaxDocument {
			problem = errLong
		}
		if problem == nil {
			s.buf = append(s.buf, b)
		}
	}
	return problem, nil
}

// skipScalar leaves the input behind a value that is neither an object nor an array: before the next comma or bracket of
// the array, or at the end of the line.
func (s *Splitter) skipScalar(b byte) error {
	inString, escaped := false, false
	for {
		switch {
		case b == '\n' && !s.array:
			return s.r.UnreadByte()
		case b == '\n':
			s.line++
		case inString && escaped:
			escaped = false
		case inString && b == '\\':
			escaped = true
		case b == '"':
			inString = !inString
		case s.array && !inString && (b == ',' || b == ']'):
			return s.r.UnreadByte()
		}
		var err error
		if b, err = s.r.ReadByte(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
