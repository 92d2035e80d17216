package importer

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

// realFiles finds real conversations, or skips.
func realFiles(t *testing.T, pattern string) []string {
	t.Helper()
	dir := os.Getenv("OUBLI_CORPORA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Skipf("no real data: %s is absent", pattern)
	}
	return files
}

// readAll imports a file without errors.
func readAll(t *testing.T, format string, raw []byte) ([]Item, Counts) {
	t.Helper()
	read, ok := Open(format)
	if !ok {
		t.Fatalf("no format %s", format)
	}
	var counts Counts
	var items []Item
	for item, err := range read(bytes.NewReader(raw), Options{}, &counts) {
		if err != nil {
			t.Fatalf("line %d: %v", item.At.Line, err)
		}
		items = append(items, item)
	}
	return items, counts
}

// same checks that a second reading gives the same events, and that no key is used twice.
func same(t *testing.T, format string, raw []byte, items []Item) {
	t.Helper()
	again, _ := readAll(t, format, raw)
	if !reflect.DeepEqual(items, again) {
		t.Error("reading again gives other events")
	}
	keys := map[string]bool{}
	for _, item := range items {
		e := item.Event
		if keys[e.Key] || e.Key == "" || len(e.Key) > eventstore.MaxIdempotencyKey {
			t.Errorf("line %d: the key is missing, long or used twice", item.At.Line)
		}
		keys[e.Key] = true
		if raw, err := json.Marshal(e); err != nil || len(raw) > eventstore.MaxEvent || e.Time.IsZero() || e.Check() != nil {
			t.Errorf("line %d: not a valid event", item.At.Line)
		}
	}
}

type anyMap = map[string]any

func decode[T any](t *testing.T, raw []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func str(v any) string { s, _ := v.(string); return s }

// TestRealRasa counts anew, from the JSON alone, what must arrive.
func TestRealRasa(t *testing.T) {
	for _, name := range realFiles(t, "rasa/*.json") {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		wantTexts, wantEvents, documents := map[string]int{}, 0, 0
		for _, d := range decode[[]anyMap](t, raw) {
			documents++
			e, ok := d["event"].(anyMap)
			if !ok {
				if e = d; str(d["event"]) == "" {
					continue
				}
			}
			text := str(e["text"])
			if m, ok := e["text"].(anyMap); ok {
				text = str(m["message"])
			}
			custom := false
			if data, ok := e["data"].(anyMap); ok {
				custom = data["custom"] != nil
			}
			switch str(e["event"]) {
			case "session_started", "restart":
				wantEvents++
			case "slot":
				if e["name"] != "session_started_metadata" {
					wantEvents++
				}
			case "user", "bot":
				if text != "" || custom {
					wantEvents++
				}
				if text != "" {
					wantTexts[text]++
				}
			}
		}
		items, counts := readAll(t, "rasa", raw)
		same(t, "rasa", raw, items)
		gotTexts := map[string]int{}
		for _, item := range items {
			text := item.Event.Text
			if h := item.Event.Handoff; h != nil && h.To != "" {
				text = h.To
			}
			if text != "" {
				gotTexts[text]++
			}
		}
		if counts.Documents != documents || len(items) != wantEvents || counts.Events != wantEvents {
			t.Errorf("%s: %d documents, %d events; want %d and %d", filepath.Base(name), counts.Documents, len(items), documents, wantEvents)
		}
		if !reflect.DeepEqual(gotTexts, wantTexts) {
			t.Errorf("%s: the texts do not arrive as often as they were said", filepath.Base(name))
		}
		skipped := 0
		for _, n := range counts.Skipped {
			skipped += n
		}
		if skipped+counts.Events != documents {
			t.Errorf("%s: %d events and %d skipped do not make %d documents", filepath.Base(name), counts.Events, skipped, documents)
		}
	}
}

// TestRealBotFramework counts anew, from the JSON alone, what must arrive.
func TestRealBotFramework(t *testing.T) {
	for _, name := range realFiles(t, "botframework-transcripts/*.transcript") {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		wantTexts, wantTypes, noise := map[string]int{}, map[string]int{}, 0
		for _, a := range decode[[]anyMap](t, raw) {
			typ := str(a["type"])
			if typ == "typing" || typ == "trace" {
				noise++
				continue
			}
			wantTypes[typ]++
			if text := str(a["text"]); text != "" {
				from := a["from"].(anyMap)
				wantTexts[str(from["role"])+": "+text]++
			}
		}
		items, counts := readAll(t, "botframework", raw)
		same(t, "botframework", raw, items)
		gotTexts, gotTypes := map[string]int{}, map[eventstore.EventType]int{}
		for _, item := range items {
			e := item.Event
			gotTypes[e.Type]++
			if e.Text != "" {
				gotTexts[string(e.Author)+": "+e.Text]++
			} else if e.Type == "message" && !strings.Contains(string(e.Data), `"texts"`) && !strings.Contains(string(e.Data), "suggested") {
				t.Errorf("%s line %d: nothing is left of a message without text", filepath.Base(name), item.At.Line)
			}
		}
		if !reflect.DeepEqual(gotTexts, wantTexts) {
			t.Errorf("%s: the texts do not arrive as often as they were said", filepath.Base(name))
		}
		if gotTypes["message"] != wantTypes["message"] || gotTypes["handoff"] != wantTypes["handoff"] ||
			gotTypes["custom"]+gotTypes["conversation"] != wantTypes["event"]+wantTypes["conversationUpdate"] {
			t.Errorf("%s: got %v, want %v", filepath.Base(name), gotTypes, wantTypes)
		}
		if got := counts.Skipped["typing"] + counts.Skipped["trace"]; got != noise {
			t.Errorf("%s: %d of noise were skipped, want %d", filepath.Base(name), got, noise)
		}
	}
}
