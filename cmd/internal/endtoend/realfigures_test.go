package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/bench/corpora"
	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/door"
	"github.com/oubli-store/oubli/eventstore/importer"
	"github.com/oubli-store/oubli/eventstore/keystest"
	"github.com/oubli-store/oubli/eventstore/logtest"
	"github.com/oubli-store/oubli/projections"
	"github.com/oubli-store/oubli/projections/readmodel"
)

// tally is an independent count: a line of period and values leads to its persons and its counters by name.
type tally map[string]*tallied

type tallied struct {
	persons, conversations map[string]bool
	counters               map[string]uint64
}

func (t tally) add(period, values, person, counter string) *tallied {
	line := period + " " + values
	if t[line] == nil {
		t[line] = &tallied{map[string]bool{}, map[string]bool{}, map[string]uint64{}}
	}
	t[line].persons[person] = true
	if counter != "" {
		t[line].counters[counter]++
	}
	return t[line]
}

// compare holds the cells of one kind of period to a tally: no line more, no line less, and every counter the same.
func compare(t *testing.T, p map[string][]projections.ExactCell, m *readmodel.Model, kind eventstore.PeriodKind, want tally) {
	t.Helper()
	seen := 0
	for _, c := range p[m.Name] {
		if c.Period.Kind != kind {
			continue
		}
		seen++
		line := c.Period.String() + " " + strings.Join(c.Values, "|")
		w := want[line]
		if w == nil {
			t.Errorf("%s: %d persons are counted that the source does not have", m.Name, c.Persons)
			continue
		}
		if c.Persons != uint64(len(w.persons)) {
			t.Errorf("%s %s: %d persons, want %d", m.Name, c.Period, c.Persons, len(w.persons))
		}
		if len(w.conversations) > 0 {
			w.counters["conversations"] = uint64(len(w.conversations))
		}
		for i, counter := range m.Counters() {
			if kind == eventstore.Day && c.Sums[i] != w.counters[counter.Name] {
				t.Errorf("%s %s: %d %s, want %d", m.Name, c.Period, c.Sums[i], counter.Name, w.counters[counter.Name])
			}
		}
	}
	if seen != len(want) || seen == 0 {
		t.Errorf("%s: %d cells, want %d", m.Name, seen, len(want))
	}
}

// cells runs events through the store and the projections, and gives the exact cells.
func cells(t *testing.T, events iter.Seq2[eventstore.Event, error]) map[string][]projections.ExactCell {
	t.Helper()
	ctx, keys := context.Background(), keystest.New()
	store := eventstore.New(eventstore.Config{Keys: keys, Log: logtest.New(), Door: door.New(door.Rules{})})
	if err := keys.CreateTenant(ctx, shop); err != nil {
		t.Fatal(err)
	}
	if err := store.Open(ctx, shop, true); err != nil {
		t.Fatal(err)
	}
	for e, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Append(ctx, eventstore.Caller{Tenant: shop, Bot: e.Bot}, e); err != nil {
			t.Fatal(err)
		}
	}
	return follow(t, filepath.Join(t.TempDir(), "projections"), projections.Config{Store: store, Keys: keys})
}

func corpus(t *testing.T, pattern string) (dir string, names []string) {
	t.Helper()
	if dir = corpora.Dir(); dir == "" {
		t.Skip("the real conversations are not here (OUBLI_CORPORA names their folder)")
	}
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Skipf("no files for %s: %v", pattern, err)
	}
	return dir, names
}

func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(raw, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func paris(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func model(t *testing.T, name string) *readmodel.Model {
	t.Helper()
	for _, m := range projections.Models() {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("there is no model %s", name)
	return nil
}

// turn is one message of a source.
type turn struct {
	at                      time.Time
	person, talk, bot, side string
	intent                  string
}

// durations are the bounds that the dictionary promises, by the names of the counters.
func durationOf(d time.Duration) string {
	for _, b := range []struct {
		below time.Duration
		name  string
	}{{30 * time.Second, "lt30s"}, {time.Minute, "lt1m"}, {2 * time.Minute, "lt2m"}, {5 * time.Minute, "lt5m"}, {10 * time.Minute, "lt10m"}, {20 * time.Minute, "lt20m"}, {time.Hour, "lt1h"}} {
		if d < b.below {
			return "duration_" + b.name
		}
	}
	return "duration_ge1h"
}

// stretch is a run of turns without a silence of more than half an hour.
type stretch []turn

func stretches(turns []turn) (out []stretch) {
	by := map[string][]turn{}
	for _, u := range turns {
		key := u.person + "|" + u.bot + "|" + u.talk
		by[key] = append(by[key], u)
	}
	for _, key := range slices.Sorted(maps.Keys(by)) {
		talk := by[key]
		slices.SortStableFunc(talk, func(a, b turn) int { return a.at.Compare(b.at) })
		begin := 0
		for i := range talk {
			if i > begin && talk[i].at.Sub(talk[i-1].at) > 30*time.Minute {
				out = append(out, talk[begin:i])
				begin = i
			}
		}
		out = append(out, talk[begin:])
	}
	return out
}

func outcomesOf(zone *time.Location, channel string, all []stretch) tally {
	out := tally{}
	for _, s := range all {
		first, last := s[0], s[len(s)-1]
		line := out.add(first.at.In(zone).Format(time.DateOnly), channel+"|"+first.bot, first.person, "conversations")
		if last.side == "user" {
			line.counters["abandoned"]++
		} else {
			line.counters["contained"]++
		}
		line.counters[durationOf(last.at.Sub(first.at).Truncate(time.Millisecond))]++
		for _, other := range all {
			after := other[0].at.UnixMilli() - last.at.UnixMilli()
			if other[0].person == first.person && other[0].bot == first.bot && after > 0 && after <= 24*3600*1000 {
				line.counters["back_24h"]++
				break
			}
		}
	}
	return out
}

// TestFiguresOfDiabla: what the projections say of a hundred real chats is what a plain reading of the files says.
func TestFiguresOfDiabla(t *testing.T) {
	dir, names := corpus(t, corpora.DiablaFolder+"/dialogues/*.json")
	zone, got := paris(t), cells(t, corpora.Diabla(dir))
	activity, months, feedback, wordings := tally{}, tally{}, tally{}, tally{}
	var turns []turn
	for _, name := range names {
		var d object
		readJSON(t, name, &d)
		base := strings.TrimSuffix(filepath.Base(name), ".json")
		parts := strings.Split(base, "_")
		person := map[string]string{"french": parts[len(parts)-2], "english": parts[len(parts)-1]}
		bot := "diabla-" + text(d["translation_model"])
		for _, v := range d["utterances"].(object) {
			u := v.(object)
			language := text(u["language"])
			at, err := time.Parse("2006-01-02T15:04:05.999999", text(u["sent_time"]))
			if err != nil {
				t.Fatal(err)
			}
			day, month := at.In(zone).Format(time.DateOnly), at.In(zone).Format("2006-01")
			writer, values := person[language], "web|"+bot+"|(none)|"+language[:2]
			activity.add(day, values, writer, "messages_user").conversations[writer+base] = true
			months.add(month, values, writer, "")
			wordings.add(day, bot+"|"+language[:2]+"|"+readmodel.Normalise(text(u["original_text"])), writer, "uses")
			turns = append(turns, turn{at: at, person: writer, talk: base, bot: bot, side: "user"})
			judged, _ := u["eval"].(object)
			class := map[string]string{"poor": "score_1", "medium": "score_3", "perfect": "score_5"}[text(judged["judgment"])]
			if class == "" {
				continue
			}
			if history, _ := judged["judgment_history"].([]any); len(history) > 0 {
				if last, err := time.Parse("2006-01-02T15:04:05.999999", text(history[len(history)-1].([]any)[1])); err == nil {
					at = last
				}
			}
			reader := person[map[string]string{"french": "english", "english": "french"}[language]]
			feedback.add(at.In(zone).Format(time.DateOnly), "web|"+bot, reader, "answers").counters[class]++
		}
	}
	compare(t, got, model(t, "activity"), eventstore.Day, activity)
	compare(t, got, model(t, "activity"), eventstore.Month, months)
	compare(t, got, model(t, "feedback"), eventstore.Day, feedback)
	compare(t, got, model(t, "utterances"), eventstore.Day, wordings)
	compare(t, got, model(t, "outcomes"), eventstore.Day, outcomesOf(zone, "web", stretches(turns)))
	if len(got["latency"])+len(got["paths"])+len(got["intents"]) != 0 {
		t.Error("answers or intents are counted, and the corpus has none")
	}
}

// TestFiguresOfSGD: the same of task-oriented dialogues, with answers and intents.
func TestFiguresOfSGD(t *testing.T) {
	dir, names := corpus(t, corpora.SGDFolder+"/dialogues_*.json")
	zone, got := paris(t), cells(t, corpora.SGD(dir))
	var turns []turn
	n := 0
	for _, name := range names {
		var dialogues []object
		readJSON(t, name, &dialogues)
		for _, d := range dialogues {
			for i, v := range d["turns"].([]any) {
				v := v.(object)
				u := turn{at: time.Date(2026, 3, 2, 8+n, 0, 20*i, 0, time.UTC), person: strconv.Itoa(n % corpora.SGDPersons), talk: text(d["dialogue_id"]), bot: "sgd", side: "user"}
				if text(v["speaker"]) == "SYSTEM" {
					u.side = "bot"
				}
				for _, f := range v["frames"].([]any) {
					state, _ := f.(object)["state"].(object)
					if in := text(state["active_intent"]); in != "" && in != "NONE" && u.intent == "" {
						u.intent = in
					}
				}
				turns = append(turns, u)
			}
			n++
		}
	}
	answers, paths, intents := tally{}, tally{}, tally{}
	all := stretches(turns)
	day := func(u turn) string { return u.at.In(zone).Format(time.DateOnly) }
	for _, s := range all {
		last, asked := turn{intent: "(start)"}, false
		for i, u := range s {
			if u.side == "bot" && asked {
				answers.add(day(s[i-1]), "voice|sgd", u.person, "answers").counters["answer_time_lt30s"]++
			}
			asked = u.side == "user"
			if u.intent == "" {
				continue
			}
			intents.add(day(u), "sgd|en|"+u.intent, u.person, "uses").counters["confidence_00"]++
			if last.person == "" {
				last.at = u.at
			}
			paths.add(day(last), "sgd|"+last.intent+"|"+u.intent, u.person, "transitions")
			last = u
		}
		if last.person != "" {
			paths.add(day(last), "sgd|"+last.intent+"|(end)", last.person, "transitions")
		}
	}
	compare(t, got, model(t, "latency"), eventstore.Day, answers)
	compare(t, got, model(t, "paths"), eventstore.Day, paths)
	compare(t, got, model(t, "intents"), eventstore.Day, intents)
	compare(t, got, model(t, "outcomes"), eventstore.Day, outcomesOf(zone, "voice", all))
}

// TestFiguresOfRasa: what was understood, and how surely, in a real Rasa history.
func TestFiguresOfRasa(t *testing.T) {
	_, names := corpus(t, "rasa/conversations*.json")
	zone := paris(t)
	format, _ := importer.Open("rasa")
	raw, err := os.Open(names[0])
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	var counts importer.Counts
	got := cells(t, func(yield func(eventstore.Event, error) bool) {
		for item, err := range format(raw, importer.Options{}, &counts) {
			if !yield(item.Event, err) {
				return
			}
		}
	})
	var documents []object
	readJSON(t, names[0], &documents)
	uses, fallbacks, buckets, persons := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}, map[string]map[string]bool{}
	for _, d := range documents {
		e, _ := d["event"].(object)
		parsed, _ := e["parse_data"].(object)
		in, _ := parsed["intent"].(object)
		if text(e["event"]) != "user" || text(in["name"]) == "" {
			continue
		}
		name := time.UnixMicro(int64(e["timestamp"].(float64)*1e6)).In(zone).Format(time.DateOnly) + " " + text(in["name"])
		uses[name]++
		if text(in["name"]) == "nlu_fallback" || text(in["name"]) == "out_of_scope" {
			fallbacks[name]++
		}
		sure, _ := in["confidence"].(float64)
		buckets[fmt.Sprint(name, min(9, int(sure*10)))]++
		if persons[name] == nil {
			persons[name] = map[string]bool{}
		}
		persons[name][text(d["sender_id"])] = true
	}
	seen := 0
	for _, c := range got["intents"] {
		if c.Period.Kind != eventstore.Day {
			continue
		}
		seen++
		name := c.Period.String() + " " + c.Values[2]
		if c.Sums[0] != uses[name] || c.Sums[1] != fallbacks[name] || c.Persons != uint64(len(persons[name])) {
			t.Errorf("%s: %d persons, %v; want %d, %d, %d", c.Period, c.Persons, c.Sums, len(persons[name]), uses[name], fallbacks[name])
		}
		for i := range 10 {
			if want := buckets[fmt.Sprint(name, i)]; c.Sums[2+i] != want {
				t.Errorf("%s: %d in bucket %d, want %d", c.Period, c.Sums[2+i], i, want)
			}
		}
	}
	if seen != len(uses) || seen == 0 {
		t.Errorf("%d cells of intents, want %d", seen, len(uses))
	}
}
