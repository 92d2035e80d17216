package streams

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/streams/journal"
)

// Traces implements [eventstore.Log]. In the journal it looks at every record that can be read, void ones too; what is behind a torn end was never
// acknowledged and goes with its segment. In the files of the stream it looks for the subjects as bytes, wherever they stand.
func (s *Streams) Traces(ctx context.Context, tenant eventstore.TenantID, of []eventstore.Removed) (out eventstore.Traces, err error) {
	w, err := s.writer(convSpec(tenant))
	if err != nil {
		return out, err
	}
	looked := lookout{}
	for _, r := range of {
		looked[r.Person] = max(looked[r.Person], end(r))
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

// lookout maps the persons that are looked for to the sequence below which a message of theirs is a trace.
type lookout map[eventstore.PersonID]uint64

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
			if below, asked := l[p]; asked && g.First+uint64(i) < below {
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
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || e.IsDir() {
				return err
			}
			if err = l.inFile(ctx, sp, path, found); errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

const (
	// searchBytes is how much of a file is looked at at once.
	searchBytes = 1 << 20
	// idSize is the length of a person's id in a subject.
	idSize = 26
	// beforeSubject is how far before its subject a record of a block file has its sequence (8 bytes, little endian), then time (8) and length (2).
	beforeSubject = 18
)

// inFile looks for subjects in a file, in pieces that overlap.
func (l lookout) inFile(ctx context.Context, sp spec, path string, found map[eventstore.PersonID]bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	prefix := []byte("conv." + string(sp.tenant) + ".")
	overlap := beforeSubject + len(prefix) + idSize
	buf := make([]byte, searchBytes)
	kept := 0
	for {
		n, err := io.ReadFull(f, buf[kept:])
		piece := buf[:kept+n]
		l.inBytes(piece, kept, prefix, found)
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
func (l lookout) inBytes(b []byte, seen int, prefix []byte, found map[eventstore.PersonID]bool) {
	for from := 0; ; {
		i := bytes.Index(b[from:], prefix)
		if i < 0 {
			return
		}
		at := from + i
		from = at + len(prefix)
		if from+idSize > len(b) {
			return // whole in the next piece
		}
		if from+idSize <= seen {
			continue
		}
		p, err := eventstore.ParsePersonID(string(b[from : from+idSize]))
		if err != nil {
			continue
		}
		below, asked := l[p]
		if asked && (at < beforeSubject || binary.LittleEndian.Uint64(b[at-beforeSubject:]) < below) {
			found[p] = true
		}
	}
}
