package demo

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oubli-store/oubli/eventstore"
)

// traces are what a person would leave in clear: texts, handles, names of conversations, keys.
type traces struct {
	known map[string]bool
	// texts counts those that are texts.
	texts int
}

// shortest is the length below which a trace is not looked for: it would be found by chance.
const shortest = 8

func (t *traces) add(s string) {
	if len(s) < shortest {
		return
	}
	if t.known == nil {
		t.known = map[string]bool{}
	}
	t.known[s] = true
}

// of adds what an event would leave.
func (t *traces) of(e eventstore.Event) {
	if len(e.Text) >= shortest && !t.known[e.Text] {
		t.texts++
	}
	t.add(e.Text)
	t.add(string(e.Conversation))
	t.add(e.Key)
	for _, id := range e.Also {
		t.add(id.ID)
	}
}

// search reports in which files below dir a trace stands, and how much was looked at.
func (t *traces) search(dir string) (hits []string, files int, size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		size += int64(len(text))
		for trace := range t.known {
			if bytes.Contains(text, []byte(trace)) || bytes.Contains([]byte(path), []byte(trace)) {
				hits = append(hits, path)
				break
			}
		}
		return nil
	})
	return hits, files, size, err
}
