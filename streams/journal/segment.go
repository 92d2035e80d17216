package journal

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const suffix = ".journal"

// Segment is one file of a journal.
type Segment struct {
	// Number is its number; First the sequence of the first entry that it may hold; Last that of its last valid one, First-1 if there is none.
	Number      uint64
	First, Last uint64
	// Size in bytes, as far as this process wrote it; 0 for segments of an earlier process.
	Size int64
}

func name(number uint64) string { return fmt.Sprintf("%016x%s", number, suffix) }

// numbers lists the segments in dir in ascending order.
func numbers(fs vfs.FS, dir string) ([]uint64, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("listing the journal: %w", err)
	}
	var out []uint64
	for _, n := range names {
		hex, ok := strings.CutSuffix(n, suffix)
		if !ok || len(hex) != 16 {
			continue
		}
		if number, err := strconv.ParseUint(hex, 16, 64); err == nil {
			out = append(out, number)
		}
	}
	slices.Sort(out)
	return out, nil
}

// scan reads one segment and gives its records to fn, the header first, until its end, torn or not. The record is valid during the call only.
// Torn: the last record is not whole.
func scan(fs vfs.FS, path string, fn func(any) error) (torn bool, err error) {
	f, err := fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return false, fmt.Errorf("opening a segment of the journal: %w", err)
	}
	defer func() { _ = f.Close() }()
	source := &reads{r: f}
	r := record.NewReader(source, 0)
	var buf []byte
	for {
		var one io.Reader
		if one, err = r.Next(); err == nil {
			buf, err = readAll(one, buf[:0])
		}
		switch {
		case source.err != nil:
			return false, fmt.Errorf("reading a segment of the journal: %w", source.err)
		case err == io.EOF:
			return false, nil
		case err != nil:
			return true, nil
		}
		rec, err := parse(buf)
		if err != nil {
			return false, fmt.Errorf("%w: a record of segment %s", err, fs.PathBase(path))
		}
		if err := fn(rec); err != nil {
			return false, err
		}
	}
}

func readAll(r io.Reader, buf []byte) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// reads remembers an error of the disk, so that it is never taken for a torn end.
type reads struct {
	r   io.Reader
	err error
}

func (s *reads) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// walk reads the segments in order and gives fn every group and removal that is not void; a group that is void in part is cut. It checks what
// always holds. It returns the segments with their bounds.
func walk(fs vfs.FS, dir string, id Identity, all []uint64, fn func(any) error) ([]Segment, error) {
	segments, err := headers(fs, dir, id, all)
	if err != nil {
		return nil, err
	}
	if len(segments) == 0 {
		return nil, nil
	}
	next := segments[0].First
	for i := range segments {
		s := &segments[i]
		if s.First > next {
			return nil, fmt.Errorf("%w: the entries %d to %d are missing before segment %s", ErrDamaged, next, s.First-1, name(s.Number))
		}
		next = s.First
		void := uint64(math.MaxUint64)
		for _, later := range segments[i+1:] {
			void = min(void, later.First)
		}
		_, err := scan(fs, fs.PathJoin(dir, name(s.Number)), func(rec any) error {
			g, ok := rec.(Group)
			if !ok {
				if _, ok := rec.(header); ok {
					return nil
				}
				return fn(rec)
			}
			if g.First != next {
				return fmt.Errorf("%w: segment %s goes on with entry %d instead of %d", ErrDamaged, name(s.Number), g.First, next)
			}
			next = g.Last() + 1
			if g.First >= void {
				return nil
			}
			if g.Last() >= void {
				g.Entries = g.Entries[:void-g.First]
			}
			return fn(g)
		})
		if err != nil {
			return nil, err
		}
		next = min(next, void)
		s.Last = max(next, s.First) - 1
	}
	return segments, nil
}

var errStop = errors.New("stop")

// headers reads the header of each segment, and leaves out those that were never used.
func headers(fs vfs.FS, dir string, id Identity, all []uint64) ([]Segment, error) {
	var out []Segment
	for _, number := range all {
		var h *header
		_, err := scan(fs, fs.PathJoin(dir, name(number)), func(rec any) error {
			first, ok := rec.(header)
			if !ok {
				return fmt.Errorf("%w: segment %s does not begin with a header", ErrDamaged, name(number))
			}
			h = &first
			return errStop
		})
		if err != nil && !errors.Is(err, errStop) {
			return nil, err
		}
		if h == nil {
			continue
		}
		if h.id != id {
			return nil, fmt.Errorf("%w: segment %s belongs to another stream or vault", ErrDamaged, name(number))
		}
		out = append(out, Segment{Number: number, First: h.first, Last: h.first - 1})
	}
	return out, nil
}
