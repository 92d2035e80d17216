package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer"
)

func (h *harness) batch(body io.Reader) response {
	h.Helper()
	return h.do(request{method: "POST", path: "/v1/events", token: h.tokens["default/bot"], reader: body, header: map[string]string{"Content-Type": linesType}})
}

// results reads the answer to a batch.
func (h *harness) results(r response) (out []struct {
	eventstore.Receipt
	Line  int
	Error *Problem
}) {
	h.Helper()
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != linesType {
		h.Fatalf("%d %s %s", r.StatusCode, r.Header.Get("Content-Type"), r.text)
	}
	d := json.NewDecoder(strings.NewReader(r.text))
	for d.More() {
		var l struct {
			eventstore.Receipt
			Line  int
			Error *Problem
		}
		if err := d.Decode(&l); err != nil {
			h.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

// TestLargeBatchWithBrokenLines: 100,000 lines, every tenth broken: good ones kept in order, bad ones named by line.
func TestLargeBatchWithBrokenLines(t *testing.T) {
	h := newHarness(t)
	const n = 100_000
	var body bytes.Buffer
	for i := 1; i <= n; i++ {
		if i%10 == 0 {
			body.WriteString(`{"text":"` + canary + "\n")
			continue
		}
		fmt.Fprintf(&body, `{"conversation":"c%d","type":"message","text":"%s"}`+"\n", i%7, canary)
	}
	r := h.batch(&body) // the client writes everything before it reads
	results := h.results(r)
	h.unseen(r, canary)
	if len(results) != n {
		t.Fatalf("%d results for %d lines", len(results), n)
	}
	last := map[eventstore.PersonID]uint64{}
	for i, l := range results {
		if broken := (i+1)%10 == 0; broken != (l.Error != nil) {
			t.Fatalf("line %d: %+v", i+1, l)
		}
		if l.Error != nil {
			if l.Line != i+1 || l.Error.Line != i+1 || l.Error.Type != "urn:oubli:invalid" || l.Error.Status != 400 {
				t.Fatalf("line %d: %+v", i+1, l.Error)
			}
			continue
		}
		if l.Sequence <= last[l.Person] {
			t.Fatalf("line %d has sequence %d after %d", i+1, l.Sequence, last[l.Person])
		}
		last[l.Person] = l.Sequence
	}
	if len(last) != 7 {
		t.Errorf("%d persons", len(last))
	}
	if len(h.store.all) != n/10*9 {
		t.Errorf("%d stored", len(h.store.all))
	}
}

// TestLines: blank lines, line ends, a last line without one, and a line that is too long in between.
func TestLines(t *testing.T) {
	h := newHarness(t)
	long := strings.Replace(good, `"text":"`, `"text":"`+strings.Repeat("x", 3*eventstore.MaxEvent), 1)
	results := h.results(h.batch(strings.NewReader(good + "\n\n" + good + "\r\n" + long + "\n" + good)))
	want := []string{"", "", "urn:oubli:too-large", ""}
	if len(results) != len(want) {
		t.Fatalf("%d results", len(results))
	}
	for i, l := range results {
		if (l.Error == nil) != (want[i] == "") || l.Error != nil && (l.Error.Type != want[i] || l.Line != 4) {
			t.Errorf("result %d: %+v %+v", i+1, l, l.Error)
		}
	}
	if results := h.results(h.batch(strings.NewReader(""))); len(results) != 0 {
		t.Errorf("an empty batch has %d results", len(results))
	}
}

// TestTooManyLines: one last line says where the reading ended.
func TestTooManyLines(t *testing.T) {
	n, last := 0, error(nil)
	var at int
	for item, err := range lines(strings.NewReader(strings.Repeat("x\n", MaxBatchLines+5))) {
		n, at, last = n+1, item.At.Line, err
	}
	if n != MaxBatchLines+1 || at != n || problemOf(last).Type != "urn:oubli:too-large" {
		t.Errorf("%d lines, the last at %d: %v", n, at, last)
	}
}

// TestLargeBatchBytes: a batch that passes the bound ends with a line.
func TestLargeBatchBytes(t *testing.T) {
	n, last := 0, error(nil)
	endless := repeat(strings.Repeat("x", 1<<20-1) + "\n")
	for _, err := range lines(endless) {
		n++
		last = err
	}
	if n != 257 || problemOf(last).Type != "urn:oubli:too-large" {
		t.Errorf("%d lines, then %v", n, last)
	}
}

// repeater yields s for ever.
type repeater struct{ s, left string }

func repeat(s string) io.Reader { return &repeater{s: s} }

func (r *repeater) Read(p []byte) (int, error) {
	if r.left == "" {
		r.left = r.s
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// TestOrderInBatch: one handle's events keep their order however it is written, and an event that links handles overtakes nothing and is not overtaken.
func TestOrderInBatch(t *testing.T) {
	h := newHarness(t)
	var body strings.Builder
	const n = 2000
	for i := range n {
		id, also := "Alice@Example.com", ""
		switch {
		case i%100 == 50:
			id, also = fmt.Sprintf("p%d@example.com", i), `,"also":[{"namespace":"web","id":"v1"}]`
		case i%2 == 0:
			id = "alice@example.com"
		case i%3 == 0:
			id = fmt.Sprintf("p%d@example.com", i%50)
		}
		fmt.Fprintf(&body, `{"identity":{"namespace":"email","id":"%s"}%s,"conversation":"c","type":"message","text":"%d"}`+"\n", id, also, i)
	}
	results := h.results(h.batch(strings.NewReader(body.String())))
	last := map[eventstore.PersonID]uint64{}
	var highest, link uint64
	for i, l := range results {
		if l.Error != nil {
			t.Fatalf("%+v", l.Error)
		}
		if l.Sequence <= last[l.Person] || l.Sequence < link {
			t.Fatalf("line %d: sequence %d of a person at %d, behind a link at %d", i+1, l.Sequence, last[l.Person], link)
		}
		if i%100 == 50 {
			if link = l.Sequence; link < highest {
				t.Fatalf("line %d: a link at %d overtakes %d", i+1, link, highest)
			}
		}
		last[l.Person], highest = l.Sequence, max(highest, l.Sequence)
	}
}

// TestBatchesAreBounded: one more than may run is turned away and can come back.
func TestBatchesAreBounded(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Batches = 1 })
	h.store.submitted = make(chan struct{}, 10)
	r, w := io.Pipe()
	done := make(chan response)
	go func() { done <- h.batch(r) }()
	io.WriteString(w, good+"\n")
	<-h.store.submitted
	h.problem(h.batch(strings.NewReader(good)), eventstore.KindRate, 429)
	w.Close()
	if got := h.results(<-done); len(got) != 1 || got[0].Error != nil {
		t.Errorf("%+v", got)
	}
	if got := h.results(h.batch(strings.NewReader(good))); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestSlowBatch: what was read of a batch that stops is stored and told.
func TestSlowBatch(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Patience = 200 * time.Millisecond })
	r, w := io.Pipe()
	defer w.Close()
	go io.WriteString(w, good+"\n"+good+"\n")
	results := h.results(h.batch(r))
	if len(results) != 3 || results[1].Error != nil || results[2].Error == nil || results[2].Error.Status != 408 || results[2].Line != 3 {
		t.Errorf("%+v", results)
	}
	if len(h.store.all) != 2 {
		t.Errorf("%d stored", len(h.store.all))
	}
}

// TestImport: counts, duplicates, refusals by position, and no values.
func TestImport(t *testing.T) {
	h := newHarness(t)
	file := good + "\n" + strings.Replace(good, "{", `{"id":"k1",`, 1) + "\n{" + canary + "\n"
	ask := func(format, body string) response {
		return h.do(request{method: "POST", path: "/v1/import/" + format, token: h.tokens["default/bot"], body: body, header: map[string]string{"Content-Type": linesType}})
	}
	r := ask("oubli", file)
	h.unseen(r, canary)
	var out imported
	if err := json.Unmarshal([]byte(r.text), &out); r.StatusCode != 200 || err != nil {
		t.Fatalf("%d %v %s", r.StatusCode, err, r.text)
	}
	if out.Imported != 2 || out.Duplicates != 0 || out.RefusedCount != 1 || out.Refused[0].Line != 3 {
		t.Errorf("%s", r.text)
	}
	for _, format := range importer.Formats() {
		if !strings.Contains(errFormatName.What(), format) {
			t.Errorf("the refusal of an unknown format does not name %s", format)
		}
	}
	h.problem(ask(canary, file), eventstore.KindNotFound, 404, canary)
	h.problem(ask("rasa", canary), eventstore.KindInvalid, 400, canary)
}
