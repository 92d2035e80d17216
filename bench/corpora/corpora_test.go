package corpora

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/oubli-store/oubli/eventstore"
)

func collect(t *testing.T, seq iter.Seq2[eventstore.Event, error]) (events []eventstore.Event) {
	t.Helper()
	keys := map[string]bool{}
	for e, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		if keys[e.Key] || e.Key == "" || len(e.Key) > eventstore.MaxIdempotencyKey {
			t.Fatal("a key is missing, long or used twice")
		}
		keys[e.Key] = true
		if err := e.Check(); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

func dir(t *testing.T, folder string) string {
	t.Helper()
	d := Dir()
	if d == "" {
		t.Skip("no corpora: shared/data is absent")
	}
	if _, err := os.Stat(filepath.Join(d, folder)); err != nil {
		t.Skipf("no corpora: %s is absent", folder)
	}
	return d
}

func TestDiabla(t *testing.T) {
	d := dir(t, DiablaFolder)
	want, judged := map[string]int{}, 0
	names, _ := filepath.Glob(filepath.Join(d, DiablaFolder, "dialogues", "*.json"))
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(strings.TrimSuffix(name, ".json"), "_")
		writer := map[string]string{"french": parts[len(parts)-2], "english": parts[len(parts)-1]}
		for _, u := range doc["utterances"].(map[string]any) {
			u := u.(map[string]any)
			want[writer[u["language"].(string)]+": "+u["original_text"].(string)]++
			if j, _ := u["eval"].(map[string]any)["judgment"].(string); j != "" {
				judged++
			}
		}
	}
	events := collect(t, Diabla(d))
	got, feedback := map[string]int{}, 0
	dialogues := map[eventstore.ConversationID]bool{}
	for _, e := range events {
		dialogues[e.Conversation] = true
		switch e.Type {
		case eventstore.TypeMessage:
			got[e.Identity.ID+": "+e.Text]++
		case eventstore.TypeFeedback:
			feedback++
		}
	}
	if !reflect.DeepEqual(got, want) || feedback != judged || len(dialogues) != len(names) {
		t.Errorf("%d feedbacks (want %d), %d dialogues (want %d), or texts differ", feedback, judged, len(dialogues), len(names))
	}
	if !reflect.DeepEqual(events, collect(t, Diabla(d))) {
		t.Error("reading again gives other events")
	}
}

func TestSGD(t *testing.T) {
	d := dir(t, SGDFolder)
	want, slots := map[string]int{}, 0
	names, _ := filepath.Glob(filepath.Join(d, SGDFolder, "dialogues_*.json"))
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var docs []struct {
			Turns []struct {
				Speaker, Utterance string
				Frames             []struct{ Slots []any }
			}
		}
		if err := json.Unmarshal(raw, &docs); err != nil {
			t.Fatal(err)
		}
		for _, doc := range docs {
			for _, turn := range doc.Turns {
				want[map[string]string{"USER": "user", "SYSTEM": "bot"}[turn.Speaker]+": "+turn.Utterance]++
				for _, f := range turn.Frames {
					slots += len(f.Slots)
				}
			}
		}
	}
	events := collect(t, SGD(d))
	got, entities := map[string]int{}, 0
	for _, e := range events {
		got[string(e.Author)+": "+e.Text]++
		entities += len(e.Entities)
		for _, n := range e.Entities {
			// A span that counted anything but code points would cut words.
			if n.Value == "" || n.Value != strings.TrimSpace(n.Value) {
				t.Errorf("an entity's value is %q", n.Value)
			}
		}
	}
	if !reflect.DeepEqual(got, want) || entities != slots {
		t.Errorf("texts differ, or %d entities where there are %d slots", entities, slots)
	}
}

func TestWriteNDJSON(t *testing.T) {
	seq := func(yield func(eventstore.Event, error) bool) {
		for _, text := range []string{"l'été <3", "fin"} {
			if !yield(eventstore.Event{Conversation: "c", Type: eventstore.TypeMessage, Text: text}, nil) {
				return
			}
		}
	}
	var b bytes.Buffer
	n, err := WriteNDJSON(&b, seq)
	want := `{"conversation":"c","type":"message","text":"l'été <3"}` + "\n" + `{"conversation":"c","type":"message","text":"fin"}` + "\n"
	if n != 2 || err != nil || b.String() != want {
		t.Errorf("wrote %d, %v:\n%s", n, err, &b)
	}
}

// The files below were written for this test: the corpora's texts stay outside of the project.
func TestForms(t *testing.T) {
	d := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		name = filepath.Join(d, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const dialogue = DiablaFolder + "/dialogues/x_french_english_4_9.json"
	write(dialogue, `{"translation_model":"m","utterances":{
		"0":{"language":"english","original_text":"Tea?","sent_time":"2018-01-01T10:00:00.000001","eval":{"judgment":"poor","judgment_history":[["poor","2018-01-01T10:00:09"]]}},
		"1":{"language":"french","original_text":"Volontiers.","sent_time":"2018-01-01T10:01:00","eval":{"judgment":null}}}}`)
	events := collect(t, Diabla(d))
	if len(events) != 3 || events[0].Identity.ID != "9" || events[1].Identity.ID != "4" || events[2].Identity.ID != "4" ||
		events[1].Feedback.Score != 1 || events[1].Time.Second() != 9 || events[1].Language != "fr" || events[2].Text != "Volontiers." {
		t.Errorf("got %d events", len(events))
	}
	write(SGDFolder+"/dialogues_001.json", `[{"dialogue_id":"1","turns":[{"speaker":"USER","utterance":"Un café à Nîmes 🙂 ici",
		"frames":[{"slots":[{"slot":"city","start":10,"exclusive_end":15}],"state":{"active_intent":"FindCafe"}}]},
		{"speaker":"SYSTEM","utterance":"Voilà.","frames":[]}]}]`)
	events = collect(t, SGD(d))
	if len(events) != 2 || events[0].Entities[0].Value != "Nîmes" || events[0].Intent.Name != "FindCafe" || events[1].Author != eventstore.AuthorBot {
		t.Errorf("got %d events", len(events))
	}
	for _, bad := range []string{`{`, `[]`, `{"utterances":{"0":{"language":"klingon","original_text":"x","sent_time":"2018-01-01T10:00:00"}}}`} {
		write(dialogue, bad)
		var err error
		for _, err = range Diabla(d) {
		}
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, err := range Diabla(t.TempDir()) {
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("without a corpus: %v", err)
		}
	}
}
