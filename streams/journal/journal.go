package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const category = vfs.DiskWriteCategory("oubli-journal")

// Journal is an open journal. Append, Sync, Roll, Trim and Close must not be called concurrently with each other, but Sync may run while the
// caller does something else; Scan may run at any time.
type Journal struct {
	fs  vfs.FS
	dir string
	id  Identity

	// closed are the earlier segments; open is the last, which is written.
	closed []Segment
	open   Segment
	top    uint64 // the highest number that a file has or had
	file   vfs.File
	w      *record.Writer
	failed error // of a write or sync to the open segment
	buf    []byte
}

// Create makes the directory and an empty journal whose first entry will be first, durably.
func Create(fs vfs.FS, dir string, id Identity, first uint64) (*Journal, error) {
	if err := mkdir(fs, dir); err != nil {
		return nil, err
	}
	j := &Journal{fs: fs, dir: dir, id: id}
	all, err := numbers(fs, dir)
	if err != nil {
		return nil, err
	}
	// Left over from a creation that a crash ended.
	for _, n := range all {
		if err := fs.Remove(fs.PathJoin(dir, name(n))); err != nil {
			return nil, fmt.Errorf("removing an unused segment: %w", err)
		}
		j.top = n
	}
	return j, j.Roll(first)
}

// Open reads a journal: fn is given every valid [Group] and [Removal] in order, valid during the call only. The journal cannot be appended to
// before the first [Journal.Roll]. What was read is on disk when it returns. ErrDamaged, ErrVersion; an error that [vfs.FS] knows as
// not-exist if there is no journal.
func Open(fs vfs.FS, dir string, id Identity, fn func(any) error) (*Journal, error) {
	j := &Journal{fs: fs, dir: dir, id: id}
	all, err := numbers(fs, dir)
	if err != nil {
		return nil, err
	}
	if j.closed, err = walk(fs, dir, id, all, fn); err != nil {
		return nil, err
	}
	if len(j.closed) == 0 {
		return nil, fmt.Errorf("%w: there is no segment", ErrDamaged)
	}
	j.top = all[len(all)-1]
	// A process that was killed may have written without syncing.
	for _, s := range j.closed {
		if err := syncFile(fs, fs.PathJoin(dir, name(s.Number))); err != nil {
			return nil, err
		}
	}
	j.failed = errNotRolled
	return j, syncDir(fs, dir)
}

var errNotRolled = errors.New("journal: no segment was started")

func mkdir(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the directory of the journal: %w", err)
	}
	// The new names in the directories above must be durable too: stream, tenant, log.
	for d, i := fs.PathDir(dir), 0; i < 3; d, i = fs.PathDir(d), i+1 {
		if err := syncDir(fs, d); err != nil {
			return err
		}
	}
	return nil
}

func syncFile(fs vfs.FS, path string) error {
	f, err := fs.OpenReadWrite(path, category)
	if err != nil {
		return fmt.Errorf("opening a segment of the journal: %w", err)
	}
	err = f.Sync()
	return wrap("syncing the journal", errors.Join(err, f.Close()))
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("opening the directory of the journal: %w", err)
	}
	err = d.Sync()
	return wrap("syncing the directory of the journal", errors.Join(err, d.Close()))
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// First is the sequence of the first entry that the journal can still hold; Last that of its last one.
func (j *Journal) First() uint64 {
	if len(j.closed) > 0 {
		return j.closed[0].First
	}
	return j.open.First
}

// Last is the sequence of the last entry, First-1 if there is none.
func (j *Journal) Last() uint64 {
	if j.file != nil {
		return j.open.Last
	}
	return j.closed[len(j.closed)-1].Last
}

// Closed are the segments before the open one.
func (j *Journal) Closed() []Segment { return slices.Clone(j.closed) }

// Segment is the open segment.
func (j *Journal) Segment() Segment { return j.open }

// Failed is why the open segment can no longer be written, or nil.
func (j *Journal) Failed() error { return j.failed }

// Append writes a group behind the last entry. It is handed to the operating system, not synced. After an error it is not known whether it
// will be found again, until a Roll has succeeded.
func (j *Journal) Append(g Group) error {
	if j.failed == nil && g.First != j.open.Last+1 {
		return fmt.Errorf("journal: entry %d cannot follow %d", g.First, j.open.Last)
	}
	j.buf = appendGroup(j.buf[:0], g)
	if err := j.write(j.buf); err != nil {
		return err
	}
	j.open.Last = g.Last()
	return nil
}

// Remove writes a removal, not synced.
func (j *Journal) Remove(r Removal) error {
	j.buf = appendRemoval(j.buf[:0], r)
	return j.write(j.buf)
}

func (j *Journal) write(b []byte) error {
	if j.failed != nil {
		return j.failed
	}
	if _, err := j.w.WriteRecord(b); err != nil {
		j.failed = fmt.Errorf("writing the journal: %w", err)
		return j.failed
	}
	j.open.Size = j.w.Size()
	if cap(j.buf) > 8<<20 {
		j.buf = nil
	}
	return nil
}

// Sync makes what was written durable.
func (j *Journal) Sync() error {
	if j.failed != nil {
		return j.failed
	}
	if err := j.file.Sync(); err != nil {
		j.failed = fmt.Errorf("syncing the journal: %w", err)
	}
	return j.failed
}

// Roll starts a new segment, durably, whose first entry will be first: entries from there on in earlier segments are void from now on. If it
// fails the journal cannot be written, until a Roll succeeds.
func (j *Journal) Roll(first uint64) error {
	number := j.top + 1
	j.top = number
	path := j.fs.PathJoin(j.dir, name(number))
	f, err := j.fs.Create(path, category)
	if err != nil {
		return j.fail(fmt.Errorf("starting a segment of the journal: %w", err))
	}
	w := record.NewWriter(f)
	_, err = w.WriteRecord(appendHeader(nil, header{first: first, id: j.id}))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(j.fs, j.dir)
	}
	if err != nil {
		// A header may stand there all the same. It would void nothing that was acknowledged: first is above all of that.
		_ = f.Close()
		_ = j.fs.Remove(path)
		return j.fail(fmt.Errorf("starting a segment of the journal: %w", err))
	}
	if j.file != nil {
		_ = j.file.Close()
		j.closed = append(j.closed, j.open)
	}
	for i := range j.closed {
		j.closed[i].Last = min(j.closed[i].Last, first-1)
	}
	j.file, j.w, j.failed = f, w, nil
	j.open = Segment{Number: number, First: first, Last: first - 1, Size: w.Size()}
	return nil
}

func (j *Journal) fail(err error) error {
	j.failed = err
	return err
}

// Trim unlinks the closed segments up to and with the given number.
func (j *Journal) Trim(number uint64) error {
	for len(j.closed) > 0 && j.closed[0].Number <= number {
		if err := j.fs.Remove(j.fs.PathJoin(j.dir, name(j.closed[0].Number))); err != nil {
			return fmt.Errorf("trimming the journal: %w", err)
		}
		j.closed = j.closed[1:]
	}
	return syncDir(j.fs, j.dir)
}

// Scan gives fn the valid groups and removals as [Open] does, from the segment on that holds the entry from. It sees what was appended before it
// began.
func (j *Journal) Scan(from uint64, fn func(any) error) error {
	var numbers []uint64
	for _, s := range j.closed {
		if s.Last >= from {
			numbers = append(numbers, s.Number)
		}
	}
	if j.file != nil {
		numbers = append(numbers, j.open.Number)
	}
	_, err := walk(j.fs, j.dir, j.id, numbers, fn)
	return err
}

// Everything gives fn every group that can be read in any segment, void or not. It may run at any time: a segment that is trimmed meanwhile is passed over,
// and what is appended meanwhile may be left out.
func (j *Journal) Everything(fn func(Group)) error {
	all, err := numbers(j.fs, j.dir)
	if err != nil {
		return err
	}
	for _, n := range all {
		_, err := scan(j.fs, j.fs.PathJoin(j.dir, name(n)), func(rec any) error {
			if g, ok := rec.(Group); ok {
				fn(g)
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Close closes the files. It syncs nothing.
func (j *Journal) Close() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file, j.w, j.failed = nil, nil, errors.New("journal: closed")
	j.closed = append(j.closed, j.open)
	return wrap("closing the journal", err)
}
