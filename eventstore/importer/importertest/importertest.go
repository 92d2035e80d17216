// Package importertest holds the tests that every format must pass.
package importertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Golden reads each testdata/*.in and compares what comes of it with the .golden file beside it: one line for each event or
// error, behind the line of the input, and the counts.
func Golden(t *testing.T, read record.Format) {
	t.Helper()
	for _, name := range inputs(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := render(t, read, raw)
			golden := strings.TrimSuffix(name, ".in") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func inputs(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "*.in"))
	if err != nil || len(names) == 0 {
		t.Fatal("no inputs in testdata")
	}
	return names
}

func render(t *testing.T, read record.Format, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var counts record.Counts
	for item, err := range read(bytes.NewReader(raw), record.Options{}, &counts) {
		if err != nil {
			fmt.Fprintf(&b, "%d error: %v\n", item.At.Line, err)
			continue
		}
		line, err := json.Marshal(item.Event)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%d %s\n", item.At.Line, line)
	}
	line, err := json.Marshal(counts)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "%s\n", line)
	return b.Bytes()
}

// Robust feeds each input cut off and damaged at a hundred places, slowly, and from a reader that fails; and what no importer
// may stumble over.
func Robust(t *testing.T, read record.Format) {
	t.Helper()
	for _, name := range inputs(t) {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(raw); n += max(1, len(raw)/100) {
			Check(t, read, raw[:n])
			for _, b := range []byte{0, '"', '}', ']', 0xff} {
				damaged := bytes.Clone(raw)
				damaged[n] = b
				Check(t, read, damaged)
			}
		}
		whole, _ := collect(t, read, bytes.NewReader(raw))
		slow, _ := collect(t, read, iotest.OneByteReader(bytes.NewReader(raw)))
		if !reflect.DeepEqual(whole, slow) {
			t.Errorf("%s: a slow reader gives other events", name)
		}
	}
	for _, hostile := range []string{
		"", " ", "\n\n", "null", "42", `"text"`, "[]", "{}", "[{}]", "[[]]", "[null]", "[1,2]", "\xef\xbb\xbf", "\xff\xfe[\x00]\x00", "]", "}", "[}", ",",
		strings.Repeat("[", 100_000), strings.Repeat(`{"event":`, 100_000), strings.Repeat(`{"a":[`, 1000) + strings.Repeat("]}", 1000),
		`{"event":"user","text":"\u0000","sender_id":"a"}`, `{"type":"message","text":"\u0000"}`, `{"role":"user","content":"a\u0000b"}`,
		`{"role":7}`, `{"messages":7}`, `{"messages":[7]}`, `{"event":{"event":7}}`, `{"events":7}`, `{"type":{}}`, `{"conversation":[],"type":"message"}`,
		`{"event":"user","sender_id":"a","text":"b","timestamp":1e999999999}`, `{"event":"user","sender_id":"a","text":"b","timestamp":-1}`,
		"\x00", strings.Repeat("x", 1<<20), strings.Repeat("{\n", 1000),
	} {
		Check(t, read, []byte(hostile))
	}
	failure := errors.New("the disk is gone")
	_, errs := collect(t, read, io.MultiReader(strings.NewReader("[\n"), iotest.ErrReader(failure)))
	if len(errs) == 0 || !errors.Is(errs[len(errs)-1], failure) {
		t.Errorf("a reader's failure became %v", errs)
	}
}

// Fuzz runs Check on whatever the fuzzer finds, beginning with the inputs.
func Fuzz(f *testing.F, read record.Format) {
	f.Helper()
	for _, name := range inputs(f) {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) { Check(t, read, raw) })
}

// Check holds a format to what it promises for any input: every event keeps the contract, every error is a problem with a line, and
// reading again gives the same.
func Check(t *testing.T, read record.Format, raw []byte) {
	t.Helper()
	events, errs := collect(t, read, bytes.NewReader(raw))
	for i := range events {
		e := &events[i]
		if err := e.Check(); err != nil {
			t.Fatalf("an event does not keep the contract: %v", err)
		}
		if e.Key == "" {
			t.Fatal("an event has no key")
		}
		wire, err := json.Marshal(*e)
		if err != nil {
			t.Fatalf("an event has no JSON: %T", err)
		}
		if _, err := eventstore.ParseEvent(wire); err != nil && len(wire) <= eventstore.MaxEvent {
			t.Fatalf("an event cannot be sent: %v", err)
		}
	}
	for _, err := range errs {
		var p *eventstore.Problem
		if !errors.As(err, &p) || p.Line() < 1 {
			t.Fatalf("not a problem with a line: %T", err)
		}
	}
	again, errs2 := collect(t, read, bytes.NewReader(raw))
	if !reflect.DeepEqual(events, again) || len(errs) != len(errs2) {
		t.Fatal("reading again gives something else")
	}
}

func collect(t *testing.T, read record.Format, r io.Reader) (events []eventstore.Event, errs []error) {
	t.Helper()
	var counts record.Counts
	for item, err := range read(r, record.Options{}, &counts) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		events = append(events, item.Event)
	}
	if counts.Events != len(events) || counts.Problems != len(errs) {
		t.Fatalf("%d events and %d errors were counted as %d and %d", len(events), len(errs), counts.Events, counts.Problems)
	}
	return events, errs
}
