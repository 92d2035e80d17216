package cdr

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"strings"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

// maxLine bounds a record.
const maxLine = 64 << 10

var (
	errLong    = eventstore.Refuse(eventstore.KindTooLarge, "", "the record is longer than 64 KiB")
	errCSV     = eventstore.Refuse(eventstore.KindInvalid, "", "this is not a line of CSV")
	errColumns = eventstore.Refuse(eventstore.KindInvalid, "", "this is not a call record: 16 to 32 columns are expected, as in Master.csv")
)

// lines cuts CSV into records of one line each, so that a quote that is never closed costs one record.
type lines struct {
	r      *bufio.Reader
	at     record.Position
	failed bool
}

func newLines(r io.Reader) *lines {
	in := &lines{r: bufio.NewReaderSize(r, maxLine)}
	if b, _ := in.r.Peek(3); string(b) == "\xef\xbb\xbf" {
		_, _ = in.r.Discard(3)
	}
	return in
}

// next returns the next record that is not empty. Behind a problem it can be called again unless the input failed.
func (in *lines) next() ([]string, record.Position, error) {
	for {
		raw, err := in.r.ReadSlice('\n')
		in.at.Line++
		if err == bufio.ErrBufferFull {
			for err == bufio.ErrBufferFull {
				_, err = in.r.ReadSlice('\n')
			}
			if err == nil || err == io.EOF {
				err = errLong.AtLine(in.at.Line)
				in.at.Document++
				return nil, in.at, err
			}
		}
		if err != nil && err != io.EOF {
			in.failed = true
			return nil, in.at, fmt.Errorf("reading the input: %w", err)
		}
		if raw = bytes.TrimSpace(raw); len(raw) > 0 {
			in.at.Document++
			line, problem := fields(raw)
			return line, in.at, problem
		}
		if err == io.EOF {
			return nil, in.at, io.EOF
		}
	}
}

// fields parses one line.
func fields(raw []byte) ([]string, error) {
	r := csv.NewReader(strings.NewReader(strings.ToValidUTF8(string(raw), "\uFFFD")))
	r.FieldsPerRecord = -1
	line, err := r.Read()
	switch {
	case err != nil:
		return nil, errCSV
	case len(line) < minColumns || len(line) > maxColumns:
		return nil, errColumns
	}
	return line, nil
}
