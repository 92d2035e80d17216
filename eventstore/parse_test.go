package eventstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

const fullEvent = `{
  "id": "k1", "time": "2026-11-22T10:00:00.123Z",
  "identity": {"namespace": "email", "id": "alice@example.com"},
  "also": [{"namespace": "web", "id": "visitor-77"}, {"namespace": "web", "id": "visitor-78"}],
  "conversation": "c1", "type": "message", "author": "operator", "operator": "staff-3",
  "bot": "shop-fr", "bot_version": "2026.11", "channel": "web", "language": "fr",
  "text": "Bonjour, où est ma commande A17 ?",
  "intent": {"name": "order_status", "confidence": 0.93, "fallback": true},
  "entities": [{"type": "order", "value": "A17", "start": 28, "end": 31, "sensitive": true}, {"type": "x", "start": 0, "end": 33}],
  "slot": {"name": "order", "value": {"a": [1, 2.50, null]}},
  "handoff": {"to": "queue-billing", "reason": "fallback"},
  "conversation_state": {"state": "ended", "outcome": "resolved"},
  "feedback": {"score": 4, "scale": 5},
  "consent": {"purpose": "storage", "granted": true, "method": "button", "source": "widget", "notice": "v3"},
  "notice": {"version": "v3", "language": "fr"},
  "disclosure": {"recipient": "nlu-provider", "categories": ["text", "language"]},
  "status": "sent", "approver": "staff-4",
  "data": {"any": "thing <b>"}, "expected_sequence": 18446744073709551615
}`

func TestParseEvent(t *testing.T) {
	got, err := ParseEvent([]byte(fullEvent))
	if err != nil {
		t.Fatal(err)
	}
	last := uint64(math.MaxUint64)
	want := Event{
		Key: "k1", Time: time.Date(2026, 11, 22, 10, 0, 0, 123e6, time.UTC),
		Identity:     &Identity{"email", "alice@example.com"},
		Also:         []Identity{{"web", "visitor-77"}, {"web", "visitor-78"}},
		Conversation: "c1", Type: TypeMessage, Author: AuthorOperator, Operator: "staff-3",
		Bot: "shop-fr", BotVersion: "2026.11", Channel: "web", Language: "fr",
		Text:              "Bonjour, où est ma commande A17 ?",
		Intent:            &Intent{"order_status", 0.93, true},
		Entities:          []Entity{{"order", "A17", 28, 31, true}, {"x", "", 0, 33, false}},
		Slot:              &Slot{"order", json.RawMessage(`{"a":[1,2.50,null]}`)},
		Handoff:           &Handoff{"queue-billing", "fallback"},
		ConversationState: &ConversationState{"ended", "resolved"},
		Feedback:          &Feedback{4, 5},
		Consent:           &Consent{"storage", true, "button", "widget", "v3"},
		Notice:            &Notice{"v3", "fr"},
		Disclosure:        &Disclosure{"nlu-provider", []string{"text", "language"}},
		Status:            "sent", Approver: "staff-4",
		Data: json.RawMessage(`{"any":"thing <b>"}`), ExpectedSequence: &last,
	}
	if !reflect.DeepEqual(got, want) {
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

// TestParseEventKnowsEveryField fails when a field is added to Event and not to the parser.
func TestParseEventKnowsEveryField(t *testing.T) {
	e, err := ParseEvent([]byte(fullEvent))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(name string, v reflect.Value)
	walk = func(name string, v reflect.Value) {
		if v.IsZero() {
			t.Errorf("%s is not set by the full event", name)
			return
		}
		switch v.Kind() {
		case reflect.Pointer:
			walk(name, v.Elem())
		case reflect.Slice:
			walk(name, v.Index(0))
		case reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.IsExported() && v.Type() != reflect.TypeFor[time.Time]() && f.Name != "Start" && f.Type != reflect.TypeFor[*File]() {
					walk(name+"."+f.Name, v.Field(i))
				}
			}
		}
	}
	walk("Event", reflect.ValueOf(e))
}

const secretValue = "Zanzibar"

func TestParseEventRefuses(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct {
		in    string
		field string
		depth int
		kind  Kind
	}{
		{``, "", 1, KindInvalid},
		{`null`, "", 1, KindInvalid},
		{`[]`, "", 1, KindInvalid},
		{`"Zanzibar"`, "", 1, KindInvalid},
		{`{"type":"custom"`, "", 1, KindInvalid},
		{`{"type":"custom","conversation":"c"} {}`, "", 1, KindInvalid},
		{`{"type":"custom","conversation":"c"}Zanzibar`, "", 1, KindInvalid},
		{`{"type":"custom","conversation":"c","Zanzibar":1}`, "", 1, KindInvalid},
		{`{"type":"custom","conversation":"c","Type":"Zanzibar"}`, "", 1, KindInvalid},
		{`{"type":"custom","type":"custom","conversation":"c"}`, "", 1, KindInvalid},
		{`{"type":"custom","t\u0079pe":"custom","conversation":"c"}`, "", 1, KindInvalid},
		{`{"type":"custom","conversation":"Zanz` + "\xff" + `ibar"}`, "conversation", 1, KindInvalid},
		{`{"type":"custom","conversation":"Zanzibar\ud800"}`, "conversation", 1, KindInvalid},
		{`{"type":"custom","conversation":"Zanzibar\u0000"}`, "conversation", 1, KindInvalid},
		{`{"type":"custom","conversation":"Zanz` + "\x00" + `ibar"}`, "conversation", 1, KindInvalid},
		{`{"type":"custom","conversation":7}`, "conversation", 1, KindInvalid},
		{`{"type":"custom","conversation":null}`, "conversation", 1, KindInvalid},
		{`{"type":"custom","conversation":["Zanzibar"]}`, "conversation", 1, KindInvalid},
		{`{"type":"custom"}`, "conversation", 0, KindInvalid},
		{`{"conversation":"Zanzibar"}`, "type", 0, KindInvalid},
		{`{"conversation":"c","type":"Zanzibar"}`, "type", 0, KindInvalid},
		{`{"type":"custom","conversation":"` + long(257) + `"}`, "conversation", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","id":"` + long(129) + `"}`, "id", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","author":"Zanzibar"}`, "author", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","status":"Zanzibar"}`, "status", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","bot":"a/Zanzibar"}`, "bot", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","channel":"` + long(257) + `"}`, "channel", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","text":"` + long(MaxText+1) + `"}`, "text", 0, KindTooLarge},
		{`{"type":"custom","conversation":"c","data":"` + long(MaxData) + `"}`, "data", 0, KindTooLarge},
		{`{"type":"custom","conversation":"c","data":"` + long(MaxEvent) + `"}`, "", 0, KindTooLarge},
		{`{"type":"custom","conversation":"c","data":{"Zanzibar":1,"Zanzibar":2}}`, "data", 2, KindInvalid},
		{`{"type":"custom","conversation":"c","data":{"a":["Zanzibar\u0000"]}}`, "data", 3, KindInvalid},
		{`{"type":"custom","conversation":"c","data":{"Zanzibar\u0000":1}}`, "data", 2, KindInvalid},
		{`{"type":"custom","conversation":"c","data":[1e999]}`, "data", 2, KindInvalid},
		{`{"type":"custom","conversation":"c","data":` + deep(32) + `}`, "data", 33, KindInvalid},
		{`{"type":"custom","conversation":"c","data":` + deep(20000) + `}`, "data", 33, KindInvalid},
		{`{"type":"custom","conversation":"c","data":[Zanzibar]}`, "data", 2, KindInvalid},
		{`{"type":"slot","conversation":"c","slot":{"name":"a","value":` + deep(31) + `}}`, "slot.value", 33, KindInvalid},
		{`{"type":"custom","conversation":"c","time":"Zanzibar"}`, "time", 1, KindInvalid},
		{`{"type":"custom","conversation":"c","time":""}`, "time", 1, KindInvalid},
		{`{"type":"custom","conversation":"c","time":1763805600}`, "time", 1, KindInvalid},
		{`{"type":"custom","conversation":"c","time":"2026-11-22 10:00:00Z"}`, "time", 1, KindInvalid},
		{`{"type":"custom","conversation":"c","time":"2026-13-22T10:00:00Z"}`, "time", 1, KindInvalid},
		{`{"type":"custom","conversation":"c","time":"0001-01-01T00:00:00Z"}`, "time", 1, KindInvalid},
		{`{"type":"custom","conversation":"c","time":"1969-12-31T23:59:59.999999999Z"}`, "time", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","time":"2200-01-01T00:00:00Z"}`, "time", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","time":"99999-01-01T00:00:00Z"}`, "time", 1, KindInvalid},
		{`{"type":"custom","conversation":"c","identity":"Zanzibar"}`, "identity", 1, KindInvalid},
		{`{"type":"custom","conversation":"c","identity":{"namespace":"Zanzibar","id":"x"}}`, "identity.namespace", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","identity":{"namespace":"conversation","id":"x"}}`, "identity.namespace", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","identity":{"namespace":"w` + long(32) + `","id":"x"}}`, "identity.namespace", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","identity":{"namespace":"web"}}`, "identity.id", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","identity":{"namespace":"web","id":"` + long(513) + `"}}`, "identity.id", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","identity":{"namespace":"web","id":"x","Zanzibar":1}}`, "identity", 2, KindInvalid},
		{`{"type":"custom","conversation":"c","also":{}}`, "also", 1, KindInvalid},
		{`{"type":"custom","conversation":"c","also":[{"namespace":"web","id":3}]}`, "also.id", 3, KindInvalid},
		{`{"type":"custom","conversation":"c","also":[{"namespace":"web","id":"x","Zanzibar":1}]}`, "also", 3, KindInvalid},
		{`{"type":"custom","conversation":"c","also":[` + strings.Repeat(`{"namespace":"web","id":"x"},`, 16) + `{"namespace":"web","id":"x"}]}`, "also", 2, KindInvalid},
		{`{"type":"message","conversation":"c"}`, "text", 0, KindInvalid},
		{`{"type":"intent","conversation":"c"}`, "intent", 0, KindInvalid},
		{`{"type":"slot","conversation":"c"}`, "slot", 0, KindInvalid},
		{`{"type":"handoff","conversation":"c"}`, "handoff", 0, KindInvalid},
		{`{"type":"feedback","conversation":"c"}`, "feedback", 0, KindInvalid},
		{`{"type":"consent","conversation":"c"}`, "consent", 0, KindInvalid},
		{`{"type":"notice","conversation":"c"}`, "notice", 0, KindInvalid},
		{`{"type":"conversation","conversation":"c"}`, "conversation_state", 0, KindInvalid},
		{`{"type":"disclosure","conversation":"c"}`, "disclosure", 0, KindInvalid},
		{`{"type":"intent","conversation":"c","intent":{"confidence":0.5}}`, "intent.name", 0, KindInvalid},
		{`{"type":"intent","conversation":"c","intent":{"name":"x","confidence":1.01}}`, "intent.confidence", 0, KindInvalid},
		{`{"type":"intent","conversation":"c","intent":{"name":"x","confidence":-0.1}}`, "intent.confidence", 0, KindInvalid},
		{`{"type":"intent","conversation":"c","intent":{"name":"x","confidence":1e400}}`, "intent.confidence", 2, KindInvalid},
		{`{"type":"intent","conversation":"c","intent":{"name":"x","fallback":"true"}}`, "intent.fallback", 2, KindInvalid},
		{`{"type":"feedback","conversation":"c","feedback":{"score":6,"scale":5}}`, "feedback.score", 0, KindInvalid},
		{`{"type":"feedback","conversation":"c","feedback":{"score":-1,"scale":5}}`, "feedback.score", 0, KindInvalid},
		{`{"type":"feedback","conversation":"c","feedback":{"score":0,"scale":0}}`, "feedback.scale", 0, KindInvalid},
		{`{"type":"consent","conversation":"c","consent":{"granted":true}}`, "consent.purpose", 0, KindInvalid},
		{`{"type":"consent","conversation":"c","consent":{"purpose":"For Alice","granted":true}}`, "consent.purpose", 0, KindInvalid},
		{`{"type":"consent","conversation":"c","consent":{"purpose":"x","granted":1}}`, "consent.granted", 2, KindInvalid},
		{`{"type":"consent","conversation":"c","consent":{"purpose":"x","granted":true,"method":"Zanzibar"}}`, "consent.method", 0, KindInvalid},
		{`{"type":"conversation","conversation":"c","conversation_state":{"state":"Zanzibar"}}`, "conversation_state.state", 0, KindInvalid},
		{`{"type":"conversation","conversation":"c","conversation_state":{"state":"ended","outcome":"Zanzibar"}}`, "conversation_state.outcome", 0, KindInvalid},
		{`{"type":"message","conversation":"c","text":"été","entities":[{"type":"x","start":0,"end":4}]}`, "entities.end", 0, KindInvalid},
		{`{"type":"message","conversation":"c","text":"été","entities":[{"type":"x","start":2,"end":1}]}`, "entities.end", 0, KindInvalid},
		{`{"type":"message","conversation":"c","text":"été","entities":[{"type":"x","start":-1,"end":1}]}`, "entities.start", 3, KindInvalid},
		{`{"type":"message","conversation":"c","text":"été","entities":[{"type":"x","start":1.5,"end":2}]}`, "entities.start", 3, KindInvalid},
		{`{"type":"message","conversation":"c","text":"été","entities":[{"type":"x","start":0,"end":99999999999}]}`, "entities.end", 3, KindInvalid},
		{`{"type":"message","conversation":"c","text":"été","entities":[{"start":0,"end":1}]}`, "entities.type", 0, KindInvalid},
		{`{"type":"custom","conversation":"c","expected_sequence":-1}`, "expected_sequence", 1, KindInvalid},
		{`{"type":"custom","conversation":"c","expected_sequence":18446744073709551616}`, "expected_sequence", 1, KindInvalid},
		{`{"type":"custom","conversation":"c","disclosure":{"recipient":"x","categories":["a",1]}}`, "disclosure.categories", 3, KindInvalid},
	} {
		_, err := ParseEvent([]byte(c.in))
		shown := c.in[:min(len(c.in), 120)]
		var p *Problem
		if !errors.As(err, &p) {
			t.Errorf("%s: %v is no problem", shown, err)
			continue
		}
		if p.Field() != c.field || p.Depth() != c.depth || p.Kind() != c.kind {
			t.Errorf("%s:\n got field %q, depth %d, %s (%v)\nwant field %q, depth %d, %s", shown, p.Field(), p.Depth(), p.Kind(), err, c.field, c.depth, c.kind)
		}
		for _, s := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, p)} {
			if strings.Contains(s, secretValue) || strings.Contains(s, "xxx") {
				t.Errorf("the problem repeats what was sent: %s", s)
			}
		}
	}
}

func TestParseEventTakes(t *testing.T) {
	for _, in := range []string{
		` {"type":"custom","conversation":"c"} ` + "\n",
		`{"\u0074ype":"custom","conversation":"c"}`,
		`{"type":"message","conversation":"c","data":null}`,
		`{"type":"slot","conversation":"c","slot":{"name":"x","value":null}}`,
		`{"type":"message","conversation":"c","text":"👩‍👩‍👧","entities":[{"type":"x","start":0,"end":5}]}`,
		`{"type":"intent","conversation":"c","intent":{"name":"x"},"entities":[{"type":"x","start":3,"end":5}]}`,
		`{"type":"feedback","conversation":"c","feedback":{"score":0,"scale":1}}`,
		`{"type":"custom","conversation":"c","time":"1970-01-01T00:00:00Z"}`,
		`{"type":"custom","conversation":"c","time":"2026-11-22T10:00:00+14:00"}`,
		`{"type":"custom","conversation":"c","expected_sequence":0}`,
		`{"type":"custom","conversation":"c","data":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`,
	} {
		if _, err := ParseEvent([]byte(in)); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseEvent(b)
		if err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		if !reflect.DeepEqual(got, e) {
			again, _ := json.Marshal(got)
			t.Fatalf("went in  %s\ncame out %s", b, again)
		}
	})
}

func TestReadEvents(t *testing.T) {
	good := `{"type":"custom","conversation":"c"}`
	in := strings.Join([]string{
		good,
		`{"type":"custom","Zanzibar":1}`,
		``,
		`{"text":"` + strings.Repeat("x", 2*MaxEvent) + `"}`,
		good + "\r",
		good + strings.Repeat(" ", MaxEvent-len(good)),
		good,
	}, "\n")
	type result struct {
		line int
		kind Kind
	}
	var got []result
	for l, err := range ReadEvents(iotest.OneByteReader(strings.NewReader(in)), 0) {
		if err != nil {
			t.Fatal(err)
		}
		r := result{line: l.Number}
		if l.Err != nil {
			p := l.Err.(*Problem)
			if r.kind = p.Kind(); p.Line() != l.Number {
				t.Errorf("line %d has a problem of line %d", l.Number, p.Line())
			}
		} else if l.Event.Conversation != "c" {
			t.Errorf("line %d has no event", l.Number)
		}
		got = append(got, r)
	}
	want := []result{{1, ""}, {2, KindInvalid}, {4, KindTooLarge}, {5, ""}, {6, ""}, {7, ""}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReadEventsEnds(t *testing.T) {
	good := `{"type":"custom","conversation":"c"}` + "\n"
	n := 0
	for l, err := range ReadEvents(strings.NewReader(good+good+good), 2) {
		if n++; n == 3 {
			if !errors.Is(err, ErrTooLarge) || l.Number != 3 {
				t.Errorf("behind the last line: %v", err)
			}
		} else if err != nil {
			t.Error(err)
		}
	}
	if n != 3 {
		t.Errorf("%d lines", n)
	}
	for _, err := range ReadEvents(strings.NewReader(good+good), 2) {
		if err != nil {
			t.Error(err)
		}
	}
	broken := errors.New("broken")
	var last error
	for _, err := range ReadEvents(io.MultiReader(strings.NewReader(good), iotest.ErrReader(broken)), 0) {
		last = err
	}
	if !errors.Is(last, broken) {
		t.Errorf("a reader that fails: %v", last)
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(fullEvent))
	f.Add([]byte(`{"type":"custom","conversation":"c","data":[1,{"a":"\u003c"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEvent(b)
		if err != nil {
			if _, ok := err.(*Problem); !ok {
				t.Fatalf("%T is no problem", err)
			}
			return
		}
		if err := e.Check(); err != nil {
			t.Fatalf("it parses and does not hold: %v", err)
		}
		out, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseEvent(out)
		if len(out) > MaxEvent {
			return // escapes made it longer
		}
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("%s does not come back: %v", out, err)
		}
	})
}

// FuzzReadEvents: whatever the bytes, each line that is not empty has one result, in order, and it is what ParseEvent says of that line.
func FuzzReadEvents(f *testing.F) {
	good := `{"type":"custom","conversation":"c"}`
	for _, seed := range []string{good, good + "\n", "\n\n" + good + "\r\n\n{}\n" + good, "\xff\n" + good, "{\n}\n", "\x00", `{"type":"custom"` + "\n" + good} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		lines := bytes.Split(b, []byte("\n"))
		last := 0
		for l, err := range ReadEvents(bytes.NewReader(b), 0) {
			if err != nil {
				t.Fatalf("a reader that does not fail: %v", err)
			}
			if l.Number <= last || l.Number > len(lines) {
				t.Fatalf("line %d of %d follows line %d", l.Number, len(lines), last)
			}
			for _, skipped := range lines[last : l.Number-1] {
				if len(bytes.TrimSpace(skipped)) > 0 {
					t.Fatalf("a line before line %d has no result: %q", l.Number, skipped)
				}
			}
			last = l.Number
			want, wantErr := ParseEvent(lines[l.Number-1])
			if (wantErr == nil) != (l.Err == nil) || l.Err == nil && !reflect.DeepEqual(want, l.Event) {
				t.Fatalf("line %d: %v, alone: %v", l.Number, l.Err, wantErr)
			}
		}
		for _, skipped := range lines[last:] {
			if len(bytes.TrimSpace(skipped)) > 0 {
				t.Fatalf("a line behind line %d has no result: %q", last, skipped)
			}
		}
	})
}
