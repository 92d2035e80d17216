package mail

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"regexp"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

var errLong = eventstore.Refuse(eventstore.KindTooLarge, "", "the mail is longer than 32 MiB")

// separator begins a mail in an mbox: behind an empty line, with a day and a time of day.
var separator = regexp.MustCompile(`^From \S.*\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b.*\d:\d\d`)

// quotedFrom is a line of text that an mbox has marked so as not to be a separator.
var quotedFrom = regexp.MustCompile(`^>+From `)

// box cuts input into mails: one, or those of an mbox, which begins with "From ".
type box struct {
	r      *bufio.Reader
	at     record.Position
	line   int // the last line read
	mbox   bool
	next   int // the line of the separator of the next mail
	begun  bool
	failed bool
	ended  bool
}

func newBox(r io.Reader) *box {
	in := &box{r: bufio.NewReaderSize(r, 64<<10)}
	if b, _ := in.r.Peek(3); string(b) == "\xef\xbb\xbf" {
		_, _ = in.r.Discard(3)
	}
	return in
}

// mail returns the next mail. Behind a problem it can be called again unless the input failed.
func (in *box) mail() ([]byte, record.Position, error) {
	if in.ended {
		return nil, in.at, io.EOF
	}
	var out []byte
	tooLong, blank, head := false, false, true // head: at the head of a line
	if in.begun {
		in.at = record.Position{Line: in.next, Document: in.at.Document + 1}
	}
	for {
		line, whole, err := in.read()
		if err != nil && err != io.EOF {
			in.failed, in.ended = true, true
			in.at.Line = max(in.at.Line, 1)
			return nil, in.at, fmt.Errorf("reading the input: %w", err)
		}
		text := bytes.TrimRight(line, "\r\n")
		switch {
		case !in.begun && len(bytes.TrimSpace(text)) == 0: // before the first mail
		case !in.begun:
			in.begun = true
			in.at = record.Position{Line: in.line, Document: 1}
			if !whole { // not counted yet
				in.at.Line++
			}
			if in.mbox = bytes.HasPrefix(text, []byte("From ")); !in.mbox {
				out = append(out, line...)
			}
		case in.mbox && blank && whole && head && separator.Match(text):
			in.next = in.line
			return in.finish(out, tooLong)
		case len(out)+len(line) > record.MaxDocument:
			tooLong, out = true, nil
		case !tooLong:
			if in.mbox && head && quotedFrom.Match(text) {
				line = line[1:]
			}
			out = append(out, line...)
		}
		blank, head = whole && head && len(text) == 0, whole
		if err == io.EOF {
			in.ended = true
			if !in.begun {
				return nil, in.at, io.EOF
			}
			return in.finish(out, tooLong)
		}
	}
}

func (in *box) finish(out []byte, tooLong bool) ([]byte, record.Position, error) {
	if tooLong {
		return nil, in.at, errLong.AtLine(in.at.Line)
	}
	return out, in.at, nil
}

// read reads a line, or a part of a long one; whole says that it is all of a line.
func (in *box) read() (line []byte, whole bool, err error) {
	line, err = in.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return line, false, nil
	}
	in.line++
	return line, true, err
}
