package cloudevents

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

// one reads one CloudEvent of the usual attributes and those given.
func one(t *testing.T, more string) (eventstore.Event, error) {
	t.Helper()
	in := `{"specversion":"1.0","type":"com.example.said","source":"/shop","id":"7"` + more + `}`
	for item, err := range Read(strings.NewReader(in), record.Options{}, nil) {
		return item.Event, err
	}
	t.Fatal("nothing was read")
	return eventstore.Event{}, nil
}

const data = `,"data":{"id":"own","time":"2026-01-05T08:00:00Z","conversation":"c","type":"message","author":"user","text":"Bonjour"}`

func TestKeyAndTime(t *testing.T) {
	a, err := one(t, data)
	if err != nil || a.Time.Hour() != 8 {
		t.Fatalf("%v, hour %d", err, a.Time.Hour())
	}
	b, err := one(t, data+`,"time":"2026-01-05T10:30:00.25+01:00","traceparent":"00-1","datacontenttype":"application/json; charset=utf-8"`)
	if err != nil || !b.Time.Equal(time.Date(2026, 1, 5, 9, 30, 0, 250e6, time.UTC)) {
		t.Errorf("%v, time %v", err, b.Time)
	}
	if a.Key != b.Key || a.Key == "own" {
		t.Error("source and id are not the key")
	}
	c, err := one(t, data+`,"source":"/shop7","id":""`) // the later member counts, and it is empty
	if err == nil {
		t.Errorf("an empty id is taken as %d bytes of key", len(c.Key))
	}
	d, err := one(t, data+`,"source":"/sho","id":"p7"`)
	if err != nil || d.Key == a.Key {
		t.Error("another source gives the same key")
	}
}

func TestRefused(t *testing.T) {
	for more, want := range map[string]error{
		``:                                     errData,
		`,"data":null`:                         errData,
		`,"data_base64":"e30="`:                errBinary,
		data + `,"specversion":"0.3"`:          errVersion,
		data + `,"specversion":1.0`:            errVersion,
		data + `,"type":null`:                  errAttribute,
		data + `,"id":7`:                       errAttribute,
		data + `,"datacontenttype":"text/xml"`: errContent,
		data + `,"datacontenttype":7`:          errContent,
		data + `,"time":1767600000`:            record.ErrTime,
		data + `,"time":"yesterday"`:           record.ErrTime,
		`,"data":{"conversation":"c","type":"message","text":"t","colour":1}`: eventstore.ErrInvalid,
		`,"data":[]`:          eventstore.ErrInvalid,
		`,"Data":{}`:          errData,
		`,"data":"{\"a\":1}"`: eventstore.ErrInvalid,
	} {
		_, err := one(t, more)
		var p *eventstore.Problem
		if !errors.Is(err, want) || !errors.As(err, &p) || p.Line() != 1 {
			t.Errorf("%s: %v, want %v in line 1", more, err, want)
		}
	}
}
