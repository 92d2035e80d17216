package eventstore

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
)

// Line is one line of NDJSON: an event, or why there is none.
type Line struct {
	// Number counts from 1; empty lines count, and are left out.
	Number int
	Event  Event
	// Err is a [Problem] that names the line, or nil.
	Err error
}

// ReadEvents reads NDJSON, one event a line, in bounded memory. A line that is broken or longer than [MaxEvent] is a Line with an Err, and
// reading goes on. The iteration ends with an error when r fails, or with ErrTooLarge behind limit lines (0: no limit).
func ReadEvents(r io.Reader, limit int) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		in := bufio.NewReaderSize(r, MaxEvent+len("\r\n"))
		for n := 1; ; n++ {
			raw, err := in.ReadSlice('\n')
			long := false
			for errors.Is(err, bufio.ErrBufferFull) {
				long = true
				_, err = in.ReadSlice('\n')
			}
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Line{Number: n}, err)
				return
			}
			end := err != nil
			raw = bytes.TrimSpace(raw)
			switch {
			case len(raw) == 0 && !long:
			case limit > 0 && n > limit:
				yield(Line{Number: n}, Refuse(KindTooLarge, "", "there are too many lines").AtLine(n))
				return
			default:
				if !yield(readLine(n, raw, long), nil) {
					return
				}
			}
			if end {
				return
			}
		}
	}
}

func readLine(n int, raw []byte, long bool) Line {
	l := Line{Number: n}
	if long {
		l.Err = Refuse(KindTooLarge, "", "the line is longer than 256 KiB").AtLine(n)
		return l
	}
	var err error
	if l.Event, err = ParseEvent(raw); err != nil {
		var p *Problem
		if !errors.As(err, &p) {
			p = ErrInvalid
		}
		l.Err = p.AtLine(n)
	}
	return l
}
