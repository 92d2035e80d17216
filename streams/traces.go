package streams

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/journal"
)

// Traces implements [eventstore.Log]. In the journal it looks at every record that can be read, void ones too; what is behind a torn end was never
// acknowledged and goes with its segment. In the files of the stream it looks for the subjects as bytes, wherever they stand; a summary of the server's that is
// out of date is taken away.
func (s *Streams) Traces(ctx context.Context, tenant eventstore.TenantID, of []eventstore.Removed) (out eventstore.Traces, err error) {
	return s.traces(ctx, convSpec(tenant), of)
}

func (s *Streams) traces(ctx context.Context, sp spec, of []eventstore.Removed) (out eventstore.Traces, err error) {
	w, err := s.writer(sp)
	if err != nil {
		return out, err
	}
	looked := lookout{}
	for _, r := range of {
		looked.add(r)
	}
	found, err := looked.inJournal(w.j)
	if err != nil {
		return out, journalError(err)
	}
	out.Journal = looked.take(of, found)
	if s.c.Files == "" {
		return out, nil
	}
	out.Searched = true
	if len(looked) == 0 {
		return out, nil
	}
	if found, err = looked.inFiles(ctx, w.spec, s.c.Files); err != nil {
		return out, fmt.Errorf("searching the files of the stream %s: %w", w.spec.stream(), err)
	}
	out.Files = looked.take(of, found)
	return out, nil
}

// lookout maps the persons that are looked for to what is a trace of them.
type lookout map[eventstore.PersonID]sought

// sought are the messages of a person below a sequence, or the chunks of some attachments.
type sought struct {
	below uint64
	only  map[eventstore.AttachmentID]struct{} // nil: all
}

func (l lookout) add(r eventstore.Removed) {
	known, there := l[r.Person]
	next := sought{below: max(known.below, end(r))}
	if len(r.Attachments) > 0 && (!there || known.only != nil) {
		next.only = map[eventstore.AttachmentID]struct{}{}
		maps.Copy(next.only, known.only)
		for _, id := range r.Attachments {
			next.only[id] = struct{}{}
		}
	}
	l[r.Person] = next
}

// has says whether a message is among what is sought.
func (s sought) has(sequence uint64, id eventstore.AttachmentID) bool {
	if s.only != nil {
		_, there := s.only[id]
		return there
	}
	return sequence < s.below
}

// end is behind the last sequence that was removed.
func end(r eventstore.Removed) uint64 {
	if r.Below == 0 {
		return 1<<64 - 1
	}
	return r.Below
}

// take lists who was found, in the order asked for, and looks for them no longer.
func (l lookout) take(of []eventstore.Removed, found map[eventstore.PersonID]bool) (out []eventstore.PersonID) {
	for _, r := range of {
		if _, there := l[r.Person]; there && found[r.Person] {
			out = append(out, r.Person)
			delete(l, r.Person)
		}
	}
	return out
}

func (l lookout) inJournal(j *journal.Journal) (map[eventstore.PersonID]bool, error) {
	found := map[eventstore.PersonID]bool{}
	err := j.Everything(func(g journal.Group) {
		for i := range g.Entries {
			p := eventstore.PersonID(g.Entries[i].Person)
			if want, asked := l[p]; asked && want.has(g.First+uint64(i), attachmentOf(g.Entries[i].Data)) {
				found[p] = true
			}
		}
	})
	return found, err
}

// inFiles searches every file of a stream. A file that goes meanwhile holds nothing any more.
func (l lookout) inFiles(ctx context.Context, sp spec, dir string) (map[eventstore.PersonID]bool, error) {
	found := map[eventstore.PersonID]bool{}
	roots, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", sp.stream()))
	if err != nil {
		return nil, err
	}
	if len(roots) == 0 {
		return nil, errors.New("there are none")
	}
	var summaries []string
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || e.IsDir() {
				return err
			}
			if e.Name() == summaryFile {
				summaries = append(summaries, path)
				return nil
			}
			return l.inFile(ctx, sp, path, found)
		})
		if err != nil {
			return nil, err
		}
	}
	for _, path := range summaries {
		if err := l.inSummary(ctx, sp, path, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// summaryFile is the server's list of a stream's subjects and blocks. It is read at a start behind an orderly stop, and written at that stop and every few
// minutes, each time if the stream has changed since; until then it lists who is gone.
const summaryFile = "index.db"

// inSummary takes away a summary that lists persons of whom no other file holds anything: the stream has changed since it was written, so the
// server writes it anew. Who has messages still is found there, not here.
func (l lookout) inSummary(ctx context.Context, sp spec, path string, found map[eventstore.PersonID]bool) error {
	gone := maps.Clone(l)
	for p := range found {
		delete(gone, p)
	}
	listed := map[eventstore.PersonID]bool{}
	if err := gone.inFile(ctx, sp, path, listed); err != nil || len(listed) == 0 {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

const (
	// searchBytes is how much of a file is looked at at once.
	searchBytes = 1 << 20
	// idSize is the length of a person's id in a subject.
	idSize = 26
	// beforeSubject is how far before its subject a record of a block file has its sequence (8 bytes, little endian), then time (8) and length (2).
	beforeSubject = 18
)

// inFile looks for subjects in a file, in pieces that overlap. A file that is not there holds nothing.
func (l lookout) inFile(ctx context.Context, sp spec, path string, found map[eventstore.PersonID]bool) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	prefix := []byte(sp.prefix())
	overlap := beforeSubject + len(prefix) + 2*idSize + 1
	buf := make([]byte, searchBytes)
	kept := 0
	for {
		n, err := io.ReadFull(f, buf[kept:])
		piece := buf[:kept+n]
		l.inBytes(piece, kept, sp, prefix, found)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		kept = copy(buf, piece[len(piece)-overlap:])
	}
}

// inBytes looks at the subjects in a piece that do not lie whole in its first seen bytes.
func (l lookout) inBytes(b []byte, seen int, sp spec, prefix []byte, found map[eventstore.PersonID]bool) {
	size := idSize
	if sp.kind == attachments {
		size = 2*idSize + 1
	}
	for from := 0; ; {
		i := bytes.Index(b[from:], prefix)
		if i < 0 {
			return
		}
		at := from + i
		from = at + len(prefix)
		if from+size > len(b) && from+idSize > len(b) {
			return // whole in the next piece
		}
		if from+size <= seen {
			continue
		}
		p, err := eventstore.ParsePersonID(string(b[from : from+idSize]))
		if err != nil {
			continue
		}
		want, asked := l[p]
		if !asked {
			continue
		}
		var sequence uint64
		if at >= beforeSubject {
			sequence = binary.LittleEndian.Uint64(b[at-beforeSubject:])
		}
		var id eventstore.AttachmentID
		if from+size <= len(b) && size > idSize {
			id, _ = eventstore.ParseAttachmentID(string(b[from+idSize+1 : from+size]))
		}
		if want.has(sequence, id) {
			found[p] = true
		}
	}
}
