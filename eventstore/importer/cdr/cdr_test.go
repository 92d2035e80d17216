package cdr

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/eventstore/importer/importertest"
	"github.com/oubli-store/oubli/eventstore/importer/record"
)

func TestGolden(t *testing.T) { importertest.Golden(t, Read) }
func TestRobust(t *testing.T) { importertest.Robust(t, Read) }
func FuzzRead(f *testing.F)   { importertest.Fuzz(f, Read) }

// row is a record of a call from one number to another at a time.
func row(from, to, start, end string) string {
	return `"","` + from + `","` + to + `","bot","","PJSIP/1","","AGI","","` + start + `","","` + end + `",10,5,"ANSWERED","3","1767603600.1",""` + "\n"
}

func read(t *testing.T, in string, o record.Options) (events []eventstore.Event, errs []error) {
	t.Helper()
	for item, err := range Read(strings.NewReader(in), o, nil) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		events = append(events, item.Event)
	}
	return events, errs
}

func TestWho(t *testing.T) {
	france := record.Options{Region: "fr", Own: []string{"01 23 45 67 89", "8000"}}
	for _, c := range []struct {
		o         record.Options
		from, to  string
		namespace string
		id        string
	}{
		{france, "0612345678", "8000", "phone", "+33612345678"},
		{france, "0033612345678", "8000", "phone", "+33612345678"},
		{france, "+447911123456", "8000", "phone", "+447911123456"},
		{france, "0123456789", "0612345678", "phone", "+33612345678"}, // the bot calls
		{france, "8000", "0612345678", "phone", "+33612345678"},
		{france, "9999999", "8000", "sip", "9999999"}, // none of the country's numbers
		{france, "101", "8000", "sip", "101"},
		{record.Options{}, "33612345678", "8000", "phone", "+33612345678"},
		{record.Options{}, "alice@pbx.example", "8000", "sip", "alice@pbx.example"},
		{france, "Anonymous", "8000", "", ""},
	} {
		events, errs := read(t, row(c.from, c.to, "2026-01-05 09:00:00", "2026-01-05 09:00:10"), c.o)
		if len(events) != 2 || len(errs) != 0 {
			t.Fatalf("%s: %d events, %v", c.from, len(events), errs)
		}
		for _, e := range events {
			switch {
			case e.Identity == nil:
				if c.id != "" {
					t.Errorf("%s is nobody", c.from)
				}
			case e.Identity.Namespace != c.namespace || e.Identity.ID != c.id:
				t.Errorf("%s became %s:%s", c.from, e.Identity.Namespace, e.Identity.ID)
			}
		}
	}
	if _, errs := read(t, row("0612345678", "8000", "2026-01-05 09:00:00", ""), record.Options{}); len(errs) != 1 || !errors.Is(errs[0], errRegion) {
		t.Errorf("a national number without a country: %v", errs)
	}
}

func TestZone(t *testing.T) {
	paris, err := record.Zone("Europe/Paris")
	if err != nil {
		t.Skip("no time zone database")
	}
	at := func(start, end string) (time.Time, time.Time) {
		events, errs := read(t, row("101", "8000", start, end), record.Options{Zone: paris})
		if len(events) != 2 {
			t.Fatal(errs)
		}
		return events[0].Time, events[1].Time
	}
	if a, b := at("2026-07-05 09:00:00", "2026-07-05 09:00:10"); a.Hour() != 7 || b.Sub(a) != 10*time.Second {
		t.Errorf("summer: %v to %v", a, b)
	}
	if a, _ := at("2026-01-05 09:00:00", ""); a.Hour() != 8 {
		t.Errorf("winter: %v", a)
	}
	// The clock is put back during the call: the duration counts.
	if a, b := at("2026-10-25 02:59:55", "2026-10-25 02:00:05"); b.Sub(a) != 10*time.Second {
		t.Errorf("the end of summer: %v to %v", a, b)
	}
}

// A quote that is never closed, and a line without end, cost their own record only.
func TestBrokenLines(t *testing.T) {
	good := row("101", "8000", "2026-01-05 09:00:00", "2026-01-05 09:00:10")
	events, errs := read(t, `"never closed,,,`+"\n"+good+strings.Repeat("x", 3*maxLine)+"\n"+good, record.Options{})
	if len(events) != 4 || len(errs) != 2 {
		t.Fatalf("%d events, %v", len(events), errs)
	}
	for i, want := range []int{1, 3} {
		var p *eventstore.Problem
		if !errors.As(errs[i], &p) || p.Line() != want {
			t.Errorf("%v, want line %d", errs[i], want)
		}
	}
	if events[0].Key != events[2].Key || events[0].Key == events[1].Key {
		t.Error("the same record again has other keys, or both events have the same")
	}
}
