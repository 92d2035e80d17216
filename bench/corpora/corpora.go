// Package corpora turns real conversations into native events, for benchmarks and for tests on real input.
//
// The corpora are not part of Oubli: their licences differ, and some are share-alike. [Dir] finds them beside the project
// or where OUBLI_CORPORA says; without them tests skip.
//
//   - [Diabla]: the DiaBLa dataset (CC BY-SA 4.0), spontaneous French and English chats through a translation system.
//   - [SGD]: Schema-Guided Dialogues (CC BY-SA 4.0), task-oriented dialogues with intents and slot spans.
//
// Events carry idempotency keys made of the dialogue and the place in it, so that loading a corpus twice stores it once.
package corpora

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/oubli-store/oubli/eventstore"
)

// The folders of the corpora inside [Dir].
const (
	DiablaFolder = "diabla-fr-en"
	SGDFolder    = "sgd-dev"
)

// ErrFormat says that a file is not what its corpus promises.
var ErrFormat = errors.New("the file does not have the corpus's form")

// Dir finds the folder of the corpora: OUBLI_CORPORA, or shared/data beside one of the folders above the working one. It is ""
// if there is none.
func Dir() string {
	if d := os.Getenv("OUBLI_CORPORA"); d != "" {
		return d
	}
	at, err := os.Getwd()
	for err == nil {
		d := filepath.Join(at, "..", "shared", "data")
		if info, err := os.Stat(d); err == nil && info.IsDir() {
			return d
		}
		if parent := filepath.Dir(at); parent != at {
			at = parent
			continue
		}
		break
	}
	return ""
}

// WriteNDJSON writes a sequence as NDJSON and returns how many events it wrote. The sequence's first error ends it.
func WriteNDJSON(w io.Writer, seq iter.Seq2[eventstore.Event, error]) (n int, err error) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for e, err := range seq {
		if err != nil {
			return n, err
		}
		if err := enc.Encode(e); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// files yields the files of a folder in the order of their names.
func files(pattern string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		names, err := filepath.Glob(pattern)
		if err == nil && len(names) == 0 {
			err = fmt.Errorf("no corpus at %s: %w", pattern, os.ErrNotExist)
		}
		if err != nil {
			yield("", err)
			return
		}
		for _, n := range names {
			if !yield(n, nil) {
				return
			}
		}
	}
}

// load reads one JSON file.
func load(name string, v any) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s: %w", name, ErrFormat)
	}
	return nil
}
