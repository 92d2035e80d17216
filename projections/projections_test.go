package projections

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/oubli-store/oubli/eventstore"
)

func message(language, intent string) eventstore.Event {
	e := eventstore.Event{Type: eventstore.TypeMessage, Author: "user", Bot: "shop", Channel: "web", BotVersion: "1",
		Conversation: "c", Language: language}
	if intent != "" {
		e.Intent = &eventstore.Intent{Name: intent, Confidence: 0.95}
	}
	return e
}

// shop has 7 persons who order in French, and one each who does two other things.
func shop(w *world) {
	for range 7 {
		w.say(w.mint(), message("fr", "order"))
	}
	w.say(w.mint(), message("fr", "refund"))
	w.say(w.mint(), message("fr", "hello"))
}

func stats(t *testing.T, p *Projections, q Query) Answer {
	t.Helper()
	a, err := p.Stats(context.Background(), acme, q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// short are the columns of a row up to and with the first measure.
func short(a Answer, dimensions int) (out []string) {
	for _, r := range a.Rows {
		out = append(out, strings.Trim(fmt.Sprint(r[:dimensions+3]), "[]"))
	}
	return out
}

func TestStats(t *testing.T) {
	w := newWorld()
	p := w.open(t, vfs.NewMem())
	defer closing(t, p)
	r := newRunner(t, p)
	first := stats(t, p, Query{Projection: "intents"})
	if len(first.Rows) != 0 || !slices.Contains(first.Notes, "no events in this range") {
		t.Fatalf("an empty tenant: %+v", first)
	}
	shop(w)
	w.catchUp(t, r)
	w.now = w.now.Add(renewal)
	a := stats(t, p, Query{Projection: "intents"})
	if got, want := short(a, 3), []string{"2026-11-22 shop fr order 6 6"}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	if !a.Provisional || a.K != 3 || a.Timezone != "UTC" || !slices.Contains(a.Notes, "fewer than 3 persons: hidden") {
		t.Fatalf("%+v", a)
	}
	if len(a.Rows[0]) != len(a.Columns) {
		t.Fatal("a row is not as wide as the table")
	}

	// A third rare person makes a group of (other); figures stay as they are for a minute.
	w.say(w.mint(), message("fr", "bye"))
	w.catchUp(t, r)
	w.now = w.now.Add(renewal - time.Second)
	if again := stats(t, p, Query{Projection: "intents"}); !reflect.DeepEqual(again, a) {
		t.Fatal("the figures changed within a minute")
	}
	w.now = w.now.Add(time.Second)
	want := []string{"2026-11-22 shop fr (other) 3 3", "2026-11-22 shop fr order 6 6"}
	if got := short(stats(t, p, Query{Projection: "intents"}), 3); !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	got := short(stats(t, p, Query{Projection: "intents", Where: map[string]string{"intent": "order"}}), 3)
	if !slices.Equal(got, want[1:]) {
		t.Fatalf("where: %q", got)
	}
	if got := stats(t, p, Query{Projection: "intents", Where: map[string]string{"intent": "refund"}}); len(got.Rows) != 0 {
		t.Fatal("a hidden value can be asked for")
	}
}

func TestStatsByWeek(t *testing.T) {
	w := newWorld()
	p := w.open(t, vfs.NewMem())
	defer closing(t, p)
	var people []eventstore.PersonID
	for range 6 {
		people = append(people, w.mint())
	}
	day := func(d int, who []eventstore.PersonID, intent string) {
		for _, id := range who {
			e := message("fr", intent)
			e.Time = time.Date(2026, 11, d, 12, 0, 0, 0, time.UTC)
			w.say(id, e)
		}
	}
	day(16, people, "order")
	day(17, people[:3], "order")
	day(18, people[:2], "refund")
	day(19, people[2:4], "refund")
	w.catchUp(t, newRunner(t, p))
	from := time.Date(2026, 11, 17, 0, 0, 0, 0, time.UTC)
	a := stats(t, p, Query{Projection: "intents", By: eventstore.Week, From: from, To: from})
	// Refunds have a group over the week and none on any day: persons, and no sums.
	if got, want := short(a, 3), []string{"2026-W47 shop fr order 6 9", "2026-W47 shop fr refund 3 <nil>"}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	if !slices.Contains(a.Notes, "fewer than 3 persons: hidden") || !slices.Contains(a.Notes, "weeks and months are answered whole, also where the range cuts them") {
		t.Fatalf("%q", a.Notes)
	}
	if got := short(stats(t, p, Query{Projection: "intents", From: from, To: from}), 3); !slices.Equal(got, []string{"2026-11-17 shop fr order 3 3"}) {
		t.Fatalf("one day: %q", got)
	}
}

func TestStatsRefuses(t *testing.T) {
	w := newWorld()
	p := w.open(t, vfs.NewMem())
	defer closing(t, p)
	_, err := p.Stats(context.Background(), acme, Query{Projection: "nothing"})
	if !errors.Is(err, eventstore.ErrNotFound) {
		t.Fatal(err)
	}
	for _, m := range models {
		if !strings.Contains(err.Error(), m.Name) {
			t.Errorf("%q does not name %s", err, m.Name)
		}
		_, err := p.Stats(context.Background(), acme, Query{Projection: m.Name, Where: map[string]string{"secret": "value"}})
		if !errors.Is(err, eventstore.ErrInvalid) || strings.Contains(err.Error(), "secret") {
			t.Fatal(err)
		}
		for _, d := range m.Dimensions {
			if !strings.Contains(err.Error(), d.Name) {
				t.Errorf("%q does not name %s", err, d.Name)
			}
		}
	}
	day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, q := range []Query{{Projection: "intents", From: day, To: day.AddDate(0, 0, -1)}, {Projection: "intents", By: 'y'}} {
		if _, err := p.Stats(context.Background(), acme, q); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// TestDictionaryIsFixed holds every table, column, type, unit and meaning against testdata/dictionary.txt: what stands there is relied upon.
func TestDictionaryIsFixed(t *testing.T) {
	w := newWorld()
	p := w.open(t, vfs.NewMem())
	defer closing(t, p)
	d, err := p.Dictionary(context.Background(), acme)
	if err != nil || d.K != 3 || d.Timezone != "UTC" {
		t.Fatalf("%+v, %v", d.Parameters, err)
	}
	var b strings.Builder
	for _, table := range d.Tables {
		fmt.Fprintf(&b, "%s\n  en: %s\n  fr: %s\n", table.Name, table.Meaning, table.MeaningFR)
		for _, c := range table.Columns {
			if c.Meaning == "" || c.MeaningFR == "" || c.Meaning == c.MeaningFR {
				t.Errorf("%s.%s is not explained in both languages", table.Name, c.Name)
			}
			fmt.Fprintf(&b, "  %s %s %s\n    en: %s\n    fr: %s\n", c.Name, c.Type, c.Unit, c.Meaning, c.MeaningFR)
		}
	}
	golden := filepath.Join("testdata", "dictionary.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != b.String() {
		t.Errorf("the dictionary is not that of %s (%v); if it shall change, run this test with -update\n%s", golden, err, b.String())
	}
}

// TestRun: Run follows what comes, waits while a person is fenced, is alone, and ends with its context.
func TestRun(t *testing.T) {
	w := newWorld()
	p := w.open(t, vfs.NewMem())
	defer closing(t, p)
	shop(w)
	w.commit()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, acme) }()
	for p.Passed(acme) != 9 {
		time.Sleep(time.Millisecond)
	}
	if err := p.Run(ctx, acme); !errors.Is(err, eventstore.ErrConflict) {
		t.Fatalf("a second runner: %v", err)
	}
	if err := p.Drop(acme); !errors.Is(err, eventstore.ErrConflict) {
		t.Fatalf("dropped while running: %v", err)
	}
	s, err := p.Status(ctx, acme)
	if err != nil || s.Position != 9 || s.Lag != 0 || !s.Running || s.Cells != 3*11 || s.Suppressed != 0.5 || s.OpenDays != 1 || s.OpenMonths != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := p.Drop(acme); err != nil {
		t.Fatal(err)
	}
	if p.Passed(acme) != 0 {
		t.Fatal("a dropped tenant has a position")
	}
	if cells := exact(t, p); len(cells["activity"]) != 0 {
		t.Fatal("a dropped tenant has cells")
	}
}

func TestStreamBehindPosition(t *testing.T) {
	w := newWorld()
	p := w.open(t, vfs.NewMem())
	defer closing(t, p)
	r := newRunner(t, p)
	shop(w)
	w.catchUp(t, r)
	w.committed--
	if err := r.round(); !errors.Is(err, eventstore.ErrDamaged) {
		t.Fatal(err)
	}
}

func TestZoneChangeCountsAnew(t *testing.T) {
	w := newWorld()
	p := w.open(t, vfs.NewMem())
	defer closing(t, p)
	r := newRunner(t, p)
	e := message("fr", "order")
	w.now = time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC)
	w.say(w.mint(), e)
	w.catchUp(t, r)
	w.zone, _ = time.LoadLocation("Europe/Paris")
	w.catchUp(t, r)
	if got, want := exact(t, p), w.expected(models); !reflect.DeepEqual(got, want) || got["intents"][1].Period.String() != "2026-11-23" {
		t.Fatalf("%v, want %v", got, want)
	}
}

func TestTooManyCells(t *testing.T) {
	w := newWorld()
	p := w.open(t, vfs.NewMem())
	defer closing(t, p)
	p.maxCells = 3
	who := w.mint()
	for i := range 10 {
		w.say(who, message("fr", fmt.Sprint("intent", i)))
	}
	w.catchUp(t, newRunner(t, p))
	audit(t, p)
	uses := uint64(0)
	for _, c := range exact(t, p)["intents"] {
		uses += c.Sums[0]
	}
	if got := len(exact(t, p)["intents"]); got != 3*4 || uses != 10 {
		t.Fatalf("%d cells, %d uses", got, uses)
	}
}

func TestFormat(t *testing.T) {
	w := newWorld()
	fs := vfs.NewMem()
	p := w.open(t, fs)
	if _, err := open(w.config(), w, fs); !errors.Is(err, eventstore.ErrInUse) {
		t.Fatalf("opened twice: %v", err)
	}
	if err := p.db.Set(formatKey, binary.AppendUvarint(nil, formatVersion+1), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	closing(t, p)
	if _, err := open(w.config(), w, fs); !errors.Is(err, eventstore.ErrNewerVersion) {
		t.Fatalf("a newer version: %v", err)
	}
}

func TestDamage(t *testing.T) {
	for _, gone := range []string{"marker.manifest", "MANIFEST"} {
		w := newWorld()
		fs := vfs.NewMem()
		p := w.open(t, fs)
		shop(w)
		w.catchUp(t, newRunner(t, p))
		closing(t, p)
		names, err := fs.List("projections")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasPrefix(name, gone) {
				if err := fs.Remove(fs.PathJoin("projections", name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := open(w.config(), w, fs); !errors.Is(err, eventstore.ErrDamaged) {
			t.Errorf("without %s: %v", gone, err)
		}
	}
}

// TestBytesOnDisk: nothing that names a person, or that a person or a bot wrote, is in the files.
func TestBytesOnDisk(t *testing.T) {
	w := newWorld()
	c := w.config()
	c.Dir = filepath.Join(t.TempDir(), "projections")
	p, err := open(c, w, vfs.Default)
	if err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, p)
	secrets := map[string][]byte{}
	for i := range 4 {
		id := w.mint()
		secrets[fmt.Sprint("person id ", i)] = []byte(id.String())
		secrets[fmt.Sprint("raw person id ", i)] = id[6:]
		e := message("zulu-language", "intent-of-secret")
		e.Key, e.Conversation, e.Text, e.Channel = "key-of-secret", "conversation-of-secret", "text-of-secret", "channel-of-secret"
		e.Identity = &eventstore.Identity{Namespace: "email", ID: "handle-of-secret@example.com"}
		w.say(id, e)
	}
	for _, s := range []string{"of-secret", "handle-", "zulu-language"} {
		secrets[s] = []byte(s)
	}
	w.catchUp(t, r)
	scanFiles(t, c.Dir, secrets)
	w.tell(eventstore.PersonRestricted, w.order[0])
	w.link(w.order[1], w.order[2])
	w.catchUp(t, r)
	scanFiles(t, c.Dir, secrets)
	w.erase(w.order[3])
	w.catchUp(t, r)
	scanFiles(t, c.Dir, secrets)
	if err := p.db.Flush(); err != nil {
		t.Fatal(err)
	}
	closing(t, p)
	scanFiles(t, c.Dir, secrets)
}

func scanFiles(t *testing.T, dir string, secrets map[string][]byte) {
	t.Helper()
	control := false
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		control = control || bytes.Contains(b, []byte(acme))
		for what, s := range secrets {
			if bytes.Contains(b, s) || strings.Contains(path, string(s)) {
				t.Errorf("%s stands in %s", what, filepath.Base(path))
			}
		}
		return err
	})
	if err != nil || !control {
		t.Fatalf("the scan sees nothing (%v)", err)
	}
}
