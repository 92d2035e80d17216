package importer

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestFormats(t *testing.T) {
	for _, want := range []string{"botframework", "cdr", "cloudevents", "mail", "openai", "oubli", "rasa"} {
		if f, ok := Open(want); f == nil || !ok || !strings.Contains(strings.Join(Formats(), " "), want) {
			t.Errorf("there is no format %s", want)
		}
	}
	if _, ok := Open("fax"); ok {
		t.Error("there is a format fax")
	}
}

// A consumer that stops early is not called again, and the counts say what it got.
func TestStopping(t *testing.T) {
	in := strings.Repeat(`{"conversation":"c","type":"message","event":"user","sender_id":"s","role":"user","text":"t","content":"t"}`+"\n", 9)
	for _, name := range Formats() {
		read, _ := Open(name)
		var counts Counts
		n := 0
		for range read(strings.NewReader(in), Options{Conversation: "c"}, &counts) {
			n++
			break
		}
		if n > 1 || counts.Events+counts.Problems != n {
			t.Errorf("%s: %d items, %+v", name, n, counts)
		}
		for _, err := range read(strings.NewReader(in), Options{}, nil) { // counts are optional
			_ = err
		}
	}
}

func Example() {
	read, _ := Open("rasa")
	var counts Counts
	input := `{"sender_id": "visitor-1", "event": "user", "timestamp": 1767600000.25, "text": "Bonjour"}
{"sender_id": "visitor-1", "event": "action", "name": "action_listen", "timestamp": 1767600000.5}
{"sender_id": "visitor-1", "event": "bot", "timestamp": "soon", "text": "Bonjour !"}
`
	for item, err := range read(strings.NewReader(input), Options{Bot: "shop-fr"}, &counts) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		e := item.Event
		fmt.Println(e.Time.Format("15:04:05.00"), e.Bot, e.Author, e.Text)
	}
	fmt.Println(counts.Events, counts.Problems, reflect.ValueOf(counts.Skipped).Len())
	// Output:
	// 08:00:00.25 shop-fr user Bonjour
	// line 3: time: this is not a time in the years 1970 to 2199
	// 1 1 1
}
