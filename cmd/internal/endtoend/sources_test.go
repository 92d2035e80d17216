package endtoend

import (
	"bytes"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/bench/corpora"
	"github.com/oubli-store/oubli/eventstore"
)

// source is one real file, or corpus, as it is imported, with what an independent reading of it says.
type source struct {
	name   string
	format string
	bytes  []byte
	// texts counts how often each text was said.
	texts map[string]int
	// secrets are what must never stand in clear: texts, handles, conversation ids.
	secrets []string
}

type object = map[string]any

func text(v any) string { s, _ := v.(string); return s }

// sources reads all of the real data; the test skips where it is absent.
func sources(t *testing.T) []source {
	t.Helper()
	dir := corpora.Dir()
	if dir == "" {
		t.Skip("the real conversations are not here (OUBLI_CORPORA names their folder)")
	}
	var out []source
	for _, pattern := range []string{"rasa/*.json", "botframework-transcripts/*.transcript"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("no files for %s: %v", pattern, err)
		}
		for _, name := range names {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := source{name: filepath.Base(name), bytes: raw, texts: map[string]int{}}
			var documents []object
			if err := json.Unmarshal(bytes.TrimPrefix(raw, []byte("\ufeff")), &documents); err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, ".transcript") {
				s.format = "botframework"
				s.readActivities(documents)
			} else {
				s.format = "rasa"
				s.readTracker(documents)
			}
			out = append(out, s)
		}
	}
	return append(out, diabla(t, dir), sgd(t, dir))
}

func (s *source) said(words string) {
	s.texts[words]++
	s.secrets = append(s.secrets, words)
}

func (s *source) readActivities(documents []object) {
	for _, a := range documents {
		if kind := text(a["type"]); kind == "typing" || kind == "trace" {
			continue
		}
		if words := text(a["text"]); words != "" {
			s.said(words)
		}
		conversation, _ := a["conversation"].(object)
		s.secrets = append(s.secrets, text(a["id"]), text(conversation["id"]))
	}
}

func (s *source) readTracker(documents []object) {
	for _, d := range documents {
		s.secrets = append(s.secrets, text(d["sender_id"]), text(d["conversation_id"]))
		e, nested := d["event"].(object)
		if !nested {
			e = d
		}
		if kind := text(e["event"]); kind != "user" && kind != "bot" {
			continue
		}
		words := text(e["text"])
		if m, ok := e["text"].(object); ok { // kairon's live agents
			words = text(m["message"])
		}
		if words != "" {
			s.said(words)
		}
	}
}

// ndjson is a corpus as the native format.
func ndjson(t *testing.T, name string, seq iter.Seq2[eventstore.Event, error]) source {
	t.Helper()
	var b bytes.Buffer
	if _, err := corpora.WriteNDJSON(&b, seq); err != nil {
		t.Fatal(err)
	}
	return source{name: name, format: "oubli", bytes: b.Bytes(), texts: map[string]int{}}
}

type utterance struct {
	Language string `json:"language"`
	Text     string `json:"original_text"`
	Sent     string `json:"sent_time"`
}

type dialogue struct {
	// French and English are the participants' numbers, from the file's name.
	french, english string
	turns           []utterance
}

// dialogues reads DiaBLa's files in the order of their names, each with its turns in order.
func dialogues(t *testing.T, dir string) (out []dialogue) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, corpora.DiablaFolder, "dialogues", "*.json"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			Utterances map[string]utterance `json:"utterances"`
		}
		if err := json.Unmarshal(raw, &d); err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(strings.TrimSuffix(filepath.Base(name), ".json"), "_")
		one := dialogue{french: parts[len(parts)-2], english: parts[len(parts)-1]}
		keys := make([]int, 0, len(d.Utterances))
		for k := range d.Utterances {
			n, err := strconv.Atoi(k)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, n)
		}
		sort.Ints(keys)
		for _, k := range keys {
			one.turns = append(one.turns, d.Utterances[strconv.Itoa(k)])
		}
		out = append(out, one)
	}
	return out
}

func diabla(t *testing.T, dir string) source {
	s := ndjson(t, "diabla", corpora.Diabla(dir))
	for _, d := range dialogues(t, dir) {
		for _, u := range d.turns {
			if u.Text != "" {
				s.said(u.Text)
			}
		}
	}
	return s
}

func sgd(t *testing.T, dir string) source {
	s := ndjson(t, "sgd", corpora.SGD(dir))
	names, err := filepath.Glob(filepath.Join(dir, corpora.SGDFolder, "dialogues_*.json"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var all []struct {
			Turns []struct {
				Utterance string `json:"utterance"`
			} `json:"turns"`
		}
		if err := json.Unmarshal(raw, &all); err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			for _, turn := range d.Turns {
				s.said(turn.Utterance)
			}
		}
	}
	return s
}

// native adds what a native file names: handles, conversations, keys.
func (s *source) native(t *testing.T) {
	t.Helper()
	for l, err := range eventstore.ReadEvents(bytes.NewReader(s.bytes), 0) {
		if err != nil {
			t.Fatal(err)
		}
		e := l.Event
		s.secrets = append(s.secrets, string(e.Conversation), e.Key)
		if e.Identity != nil {
			s.secrets = append(s.secrets, e.Identity.Namespace+":"+e.Identity.ID)
		}
	}
}

func haveRealData() bool { return corpora.Dir() != "" }
