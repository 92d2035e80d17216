package record

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

// split renders what a splitter gives: documents, and problems with their lines.
func split(t *testing.T, in io.Reader) (out []string) {
	t.Helper()
	s := Split(in)
	for {
		raw, at, err := s.Next()
		if err == io.EOF {
			return out
		}
		if err == nil {
			if !json.Valid(raw) || at.Line < 1 || at.Document < 1 {
				t.Fatalf("a document that is none, at %v", at)
			}
			out = append(out, string(raw))
			continue
		}
		out = append(out, err.Error())
		if s.Ended() {
			if _, _, again := s.Next(); again != err {
				t.Error("the last error does not stay")
			}
			return out
		}
	}
}

func TestSplit(t *testing.T) {
	const (
		syntax, cut = ": this is not JSON", ": the input ends within a JSON document that begins here"
		scalar      = ": a JSON object is expected here"
		array       = ": the JSON array is broken behind this element"
	)
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" \r\n\t", nil},
		{"\xef\xbb\xbf[]", nil},
		{`[{"a":1}, {"b":"]},{"}]`, []string{`{"a":1}`, `{"b":"]},{"}`}},
		{"{\"a\":1}\n\n{\n \"b\": [\n{\n}]\n}", []string{`{"a":1}`, "{\n \"b\": [\n{\n}]\n}"}},
		{`{"a":1}{"b":2}`, []string{`{"a":1}`, `{"b":2}`}},
		{`{"a":"\"}"}`, []string{`{"a":"\"}"}`}},
		{"{\"a\":1\n{\"b\":2}", []string{"line 1" + syntax, `{"b":2}`}},
		{"{\"a\":\"x\n{\"b\":2}", []string{"line 1" + syntax, `{"b":2}`}},
		{"\n{\"a\":1", []string{"line 2" + cut}},
		{`[{"a":1}`, []string{`{"a":1}`, "line 1" + cut}},
		{`[{"a":1},`, []string{`{"a":1}`, "line 1" + cut}},
		{`[{"a":1} {"b":2}]`, []string{`{"a":1}`, "line 1" + array}},
		{`[{"a":1}] {"b":2}`, []string{`{"a":1}`, "line 1" + array}},
		{`[{"a":tru},{"b":2}]`, []string{"line 1" + syntax, `{"b":2}`}},
		{`[1,"a]",null,{"b":2},3]`, []string{"line 1" + scalar, "line 1" + scalar, "line 1" + scalar, `{"b":2}`, "line 1" + scalar}},
		{"geheim\n{\"b\":2}\n7", []string{"line 1" + scalar, `{"b":2}`, "line 3" + scalar}},
		{"[{\"a\":\"\xff\"},\n{\"b\":\"\x00\"}]", []string{"line 1: the document is not UTF-8", "line 2" + syntax}},
		{`[` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `,{"b":2}]`, []string{"line 1: the document is nested more than 64 levels deep", `{"b":2}`}},
	} {
		if got := split(t, strings.NewReader(c.in)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%.60q gives\n%q, want\n%q", c.in, got, c.want)
		}
	}
}

func TestSplitPassesOverALongDocument(t *testing.T) {
	in := io.MultiReader(strings.NewReader(`[{"a":"`), io.LimitReader(repeat("x"), MaxDocument), strings.NewReader(`"},{"b":2}]`))
	want := []string{"line 1: the document is longer than 32 MiB", `{"b":2}`}
	if got := split(t, in); !reflect.DeepEqual(got, want) {
		t.Errorf("got %.200q", got)
	}
}

// repeat reads the same again and again.
type repeat string

func (r repeat) Read(p []byte) (n int, err error) {
	for n+len(r) <= len(p) {
		n += copy(p[n:], r)
	}
	return n, nil
}

func TestMemoryIsBounded(t *testing.T) {
	const line = `{"event":"user","sender_id":"visitor","text":"0123456789012345678901234567890123456789012345678901234567890"},` + "\n "
	in := io.MultiReader(strings.NewReader("["), io.LimitReader(repeat(line), int64(len(line))*300_000))
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, n := Split(in), 0
	var repeats Repeats
	for _, _, err := s.Next(); err == nil; _, _, err = s.Next() {
		repeats.Distinct(Digest(string(rune(n)), time.Duration(n).String()))
		n++
	}
	runtime.GC()
	runtime.ReadMemStats(&now)
	if grown := int64(now.HeapAlloc) - int64(before.HeapAlloc); n != 300_000 || grown > 24<<20 {
		t.Errorf("%d documents, the heap grew by %d bytes", n, grown)
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(repeats)
}

func TestRepeats(t *testing.T) {
	var r Repeats
	got := []string{r.Distinct("a"), r.Distinct("b"), r.Distinct("a"), r.Distinct("a")}
	if want := []string{"a", "b", "a-2", "a-3"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	for i := range window { // a is still known in the older half
		r.Distinct(time.Duration(i).String())
	}
	if got := r.Distinct("a"); got != "a-4" {
		t.Errorf("after one window: %s", got)
	}
}

// sink collects what a sink yields.
func sink(o Options, feed func(*Sink)) (items []Item, errs []error, counts Counts) {
	feed(NewSink(o, &counts, func(i Item, err error) bool {
		if err != nil {
			errs = append(errs, err)
		} else {
			items = append(items, i)
		}
		return true
	}))
	return
}

func TestLongTextIsSplit(t *testing.T) {
	text := strings.Repeat("é", eventstore.MaxText/2-1) + "🙂" + strings.Repeat("b", eventstore.MaxText)
	items, errs, counts := sink(Options{}, func(s *Sink) {
		s.Event(eventstore.Event{Key: "k", Conversation: "c", Type: eventstore.TypeConversation, Text: text, Data: json.RawMessage(`{"a":1}`),
			ConversationState: &eventstore.ConversationState{State: "ended"},
			Entities:          []eventstore.Entity{{Type: "t", Start: 0, End: 3}, {Type: "t", Start: 40_000, End: 40_001}}}, Position{Line: 1})
	})
	if len(items) != 3 || len(errs) != 0 || counts.Cut[KindText] != 1 || counts.Cut[KindEntities] != 1 || counts.Events != 3 {
		t.Fatalf("%d events, %v, %+v", len(items), errs, counts)
	}
	joined := ""
	for i, item := range items {
		e := item.Event
		joined += e.Text
		if e.Key != []string{"k", "k.2", "k.3"}[i] || (i > 0) != (e.Type == eventstore.TypeMessage) || (i > 0) != (e.ConversationState == nil) || (i > 0) != (e.Data == nil) {
			t.Errorf("part %d is wrong", i+1)
		}
	}
	if joined != text || len(items[0].Event.Entities) != 1 {
		t.Error("the parts do not make the text")
	}
}

func TestWhatIsTooLargeIsCutAndCounted(t *testing.T) {
	long := strings.Repeat("é", 1000)
	items, errs, counts := sink(Options{Channel: "web"}, func(s *Sink) {
		s.Event(eventstore.Event{Key: "k", Conversation: eventstore.ConversationID(long), Identity: &eventstore.Identity{Namespace: "n", ID: long}, Type: eventstore.TypeSlot,
			Bot: "a/b", BotVersion: long, Slot: &eventstore.Slot{Name: long, Value: json.RawMessage(`"` + strings.Repeat("x", eventstore.MaxData) + `"`)},
			Intent: &eventstore.Intent{Name: long, Confidence: 7},
			Data:   json.RawMessage(strings.Repeat("[", 40) + strings.Repeat("]", 40))}, Position{Line: 1})
	})
	want := map[Kind]int{KindHandle: 2, KindName: 3, KindSlot: 1, KindData: 1}
	if len(errs) != 0 || len(items) != 1 || !reflect.DeepEqual(counts.Cut, want) {
		t.Fatalf("%d events, %v, %+v", len(items), errs, counts)
	}
	e := items[0].Event
	if string(e.Data) != `{"omitted_bytes":80}` || e.Bot != "a_b" || e.Channel != "web" || len(e.BotVersion) != 256 || e.Intent.Confidence != 1 || !strings.HasPrefix(e.Identity.ID, "sha256-") {
		t.Error("the event was cut otherwise")
	}
}

func TestWhatCannotBeKeptIsAProblem(t *testing.T) {
	items, errs, counts := sink(Options{}, func(s *Sink) {
		s.Event(eventstore.Event{Conversation: "c", Type: eventstore.TypeMessage, Text: "a\x00b"}, Position{Line: 3})
		s.Event(eventstore.Event{Conversation: "c", Type: eventstore.TypeMessage, Text: "a"}, Position{Line: 4})
	})
	if len(items) != 1 || len(errs) != 1 || counts.Problems != 1 || counts.Events != 1 {
		t.Fatalf("%d events, %v, %+v", len(items), errs, counts)
	}
	var p *eventstore.Problem
	if !errors.As(errs[0], &p) || p.Line() != 3 || p.Field() != "text" {
		t.Errorf("got %v", errs[0])
	}
}

func TestOptionsWin(t *testing.T) {
	o := Options{Identity: &eventstore.Identity{Namespace: "web", ID: "v"}, Bot: "mine", Conversation: "mine", Channel: "mine", Language: "fr"}
	items, _, _ := sink(o, func(s *Sink) {
		s.Event(eventstore.Event{Type: eventstore.TypeCustom, Bot: "theirs", Channel: "theirs"}, Position{})
		s.Event(eventstore.Event{Type: eventstore.TypeCustom, Conversation: "theirs", Language: "en"}, Position{})
	})
	a, b := items[0].Event, items[1].Event
	if a.Bot != "mine" || a.Channel != "theirs" || a.Conversation != "mine" || a.Identity.ID != "v" || a.Language != "fr" || b.Conversation != "theirs" || b.Language != "en" {
		t.Error("the options do not complete the events")
	}
}

func TestTime(t *testing.T) {
	for in, want := range map[string]string{
		`1716351529.4241333`:                  "2024-05-22T04:18:49.424133Z",
		`1716351529.9999997`:                  "2024-05-22T04:18:50Z",
		`"1679564404"`:                        "2023-03-23T09:40:04Z",
		`1.7e9`:                               "2023-11-14T22:13:20Z",
		`{"$numberDouble":"1716351529.5"}`:    "2024-05-22T04:18:49.5Z",
		`{"$date":"2024-05-22T04:18:49Z"}`:    "2024-05-22T04:18:49Z",
		`"2026-01-05T12:00:00.1234567+02:00"`: "2026-01-05T10:00:00.123457Z",
		`"2026-01-05T12:00:00"`:               "2026-01-05T12:00:00Z",
		`null`:                                "0001-01-01T00:00:00Z",
	} {
		got, err := Time(json.RawMessage(in))
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s is %s, %v; want %s", in, got.Format(time.RFC3339Nano), err, want)
		}
	}
	for _, in := range []string{`"noon"`, `-1`, `1e999`, `1e30`, `99999999999999`, `[]`, `true`, `1.-5`, `"2300-01-01T00:00:00Z"`, `{"a":1}`} {
		if _, err := Time(json.RawMessage(in)); err != ErrTime {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestScalarKeepsLargeIntegers(t *testing.T) {
	for in, want := range map[string]string{`-8446744073709551615`: "-8446744073709551615", `{"$numberLong":"-1431284465221621498"}`: "-1431284465221621498",
		`{"$oid":"66"}`: "66", `"a"`: "a", `null`: ""} {
		if got, ok := Scalar(json.RawMessage(in)); got != want || !ok {
			t.Errorf("%s is %q, %v", in, got, ok)
		}
	}
	for _, in := range []string{`[]`, `{}`, `{"a":"b"}`, `true`, `{"$a":{"$a":"b"}}`} {
		if got, ok := Scalar(json.RawMessage(in)); ok {
			t.Errorf("%s is %q", in, got)
		}
	}
}

func TestHandle(t *testing.T) {
	for in, want := range map[string]eventstore.Identity{
		"Léa@example.fr":      {Namespace: "email", ID: "léa@example.fr"},
		"a b@example.fr":      {Namespace: "rasa", ID: "a b@example.fr"},
		"user@localhost":      {Namespace: "rasa", ID: "user@localhost"},
		"+33 (1) 99-00-12-34": {Namespace: "phone", ID: "+33199001234"},
		"33199001234":         {Namespace: "phone", ID: "+33199001234"},
		"332345600001":        {Namespace: "rasa", ID: "332345600001"}, // no French number is as long
		"123456789":           {Namespace: "rasa", ID: "123456789"},
		"0199001234":          {Namespace: "rasa", ID: "0199001234"},
		"+1":                  {Namespace: "rasa", ID: "+1"},
	} {
		if got := Handle("rasa", in); *got != want {
			t.Errorf("%s becomes %s:%s", in, got.Namespace, got.ID)
		}
	}
	if Handle("rasa", "") != nil {
		t.Error("nobody has a handle")
	}
}

func TestNamesOfChannelsAndLanguages(t *testing.T) {
	for in, want := range map[string]string{"Emulator": "emulator", "ms teams!": "ms-teams-", "é9": "x", "": "x", "email": "x", "Phone": "x", "conversation": "x",
		"9web": "web", strings.Repeat("a", 40): strings.Repeat("a", 32)} {
		if got := Namespace(in, "x"); got != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
	for in, want := range map[string]string{"en-us": "en-US", "FR": "fr", "zh_hant_tw": "zh-Hant-TW", "": "", "english please": "", "e": "", "en-": ""} {
		if got := Language(in); got != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
}

func TestCountsAdd(t *testing.T) {
	a := Counts{Documents: 1, Events: 2, Problems: 3}
	b := Counts{Documents: 1, Skipped: map[Kind]int{KindEmpty: 2}, Cut: map[Kind]int{KindText: 1}}
	a.Add(b)
	a.Add(b)
	want := Counts{Documents: 3, Events: 2, Problems: 3, Skipped: map[Kind]int{KindEmpty: 4}, Cut: map[Kind]int{KindText: 2}}
	if !reflect.DeepEqual(a, want) || b.Skipped[KindEmpty] != 2 {
		t.Errorf("got %+v", a)
	}
}
