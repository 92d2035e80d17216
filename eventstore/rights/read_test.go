package rights

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oubli-store/oubli/eventstore"
)

func (w *world) state(p eventstore.PersonID, change func(*eventstore.State)) {
	w.t.Helper()
	w.must(w.keys.SetState(context.Background(), tenant, p, func(s eventstore.State) eventstore.State { change(&s); return s }))
}

func TestShowAndLookup(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	p, err := s.Show(ctx, tenant, support, w.b)
	w.must(err)
	want := []eventstore.Identity{identity("email:alice@example.com"), identity("web:visitor-77")}
	if p.Person != w.b || len(p.Persons) != 2 || !slices.Equal(p.Identities, want) || p.State != StateActive || p.Events != 6 || p.Created.IsZero() {
		t.Error("Show is wrong")
	}
	for _, step := range []struct {
		change func(*eventstore.State)
		want   string
	}{
		{func(s *eventstore.State) { s.Objected = true }, StateObjected},
		{func(s *eventstore.State) { s.Hold = true }, StateHeld},
		{func(s *eventstore.State) { s.Restricted = true }, StateRestricted},
	} {
		w.state(w.a, step.change)
		if p, err := s.Show(ctx, tenant, support, w.b); err != nil || p.State != step.want {
			t.Errorf("the state is %s, %v, want %s", p.State, err, step.want)
		}
	}
	w.state(w.a, func(s *eventstore.State) { s.Consents = map[string]bool{"storage": true, "analytics": true} })
	w.state(w.b, func(s *eventstore.State) { s.Consents = map[string]bool{"analytics": false, "training": true} })
	p, err = s.Show(ctx, tenant, support, w.a)
	w.must(err)
	if !maps.Equal(p.Consents, map[string]bool{"storage": true, "analytics": false, "training": true}) {
		t.Errorf("the consents are %v", p.Consents)
	}

	ids := append(want, identity("email:carol@example.com"), identity("email:nobody@example.com"))
	found, err := s.Lookup(ctx, tenant, dpo, ids)
	if err != nil || len(found) != 2 || found[0].Person != w.a || found[1].Person != w.c {
		t.Errorf("Lookup found %d, %v", len(found), err)
	}
	entry := w.ledger.of(eventstore.ActLookup)[0]
	if entry.Count != 4 || len(entry.References) != 3 || entry.Role != eventstore.RoleDPO {
		t.Errorf("the ledger says %+v", entry)
	}
	none, err := s.Lookup(ctx, tenant, dpo, ids[3:])
	if err != nil || none == nil || len(none) != 0 || len(w.ledger.of(eventstore.ActLookup)) != 2 {
		t.Errorf("looking up a stranger: %v, %v", none, err)
	}
	_, err = s.Erase(ctx, tenant, dpo, w.c, asked)
	w.must(err)
	if found, err := s.Lookup(ctx, tenant, dpo, ids); err != nil || len(found) != 1 {
		t.Errorf("after an erasure: %d, %v", len(found), err)
	}
	if _, err := s.Show(ctx, tenant, dpo, w.c); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("showing an erased person: %v", err)
	}
	w.keys.Forget(tenant, w.b)
	if _, err := s.Show(ctx, tenant, dpo, w.b); !errors.Is(err, eventstore.ErrKeyLost) {
		t.Errorf("a person that a restored vault never knew: %v", err)
	}
	w.keys.Fail(eventstore.ErrUnavailable)
	if _, err := s.Lookup(ctx, tenant, dpo, ids); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("an outage: %v", err)
	}
}

func TestPreview(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	w.hold(w.b, true)
	p, err := s.Preview(ctx, tenant, support, w.a, eventstore.ScopeAll)
	w.must(err)
	if p.Events != 6 || !slices.Equal(p.Channels, []string{"web"}) || !slices.Equal(p.Handles, []string{"a…e@example.com", "web:v…7"}) || p.Holds != 1 ||
		len(p.Persons) != 2 || !p.First.Before(p.Last) {
		t.Errorf("%+v", p)
	}
	if len(w.ledger.of(eventstore.ActShown)) != 1 {
		t.Error("the ledger does not know")
	}
	w.log.FailReads(eventstore.ErrUnavailable)
	if _, err := s.Preview(ctx, tenant, support, w.a, eventstore.ScopeAll); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("an outage: %v", err)
	}
	w.log.FailReads(nil)
	w.untouched(w.a, 6)
	if rows, err := w.keys.List(ctx, tenant, eventstore.TableErasures); err != nil || len(rows) != 0 {
		t.Errorf("a preview left %d rows", len(rows))
	}
}

func TestMask(t *testing.T) {
	for handle, want := range map[string]string{
		"email:alice@example.com": "a…e@example.com",
		"email:al@example.com":    "…@example.com",
		"email:nonsense":          "n…e",
		"phone:+33612345678":      "+33…78",
		"phone:+331":              "…",
		"web:visitor-77":          "web:v…7",
		"web:ab":                  "web:…",
		"web:éèêë":                "web:é…ë",
		"web:\xff\xfe\xfd\xfc":    "web:…",
	} {
		if got := Mask(identity(handle)); got != want {
			t.Errorf("Mask(%q) = %q, want %q", handle, got, want)
		}
	}
}

func TestTranscript(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	read := func(a Actor) (int, error) { return transcript(ctx, s, a, w.a) }
	if n, err := read(support); n != 6 || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
	if _, err := s.Transcript(ctx, tenant, support, w.a, eventstore.ReadOptions{}); err != nil {
		t.Error(err)
	}
	if n := len(w.ledger.of(eventstore.ActTranscriptRead)); n != 2 {
		t.Errorf("two requests made %d entries", n)
	}
	w.state(w.b, func(s *eventstore.State) { s.Restricted = true })
	for _, a := range []Actor{support, dpo} {
		if n, err := read(a); n != 0 || !errors.Is(err, eventstore.ErrWithheld) {
			t.Errorf("restricted: %d events, %v", n, err)
		}
	}
	if _, err := s.Export(ctx, tenant, support, w.a); !errors.Is(err, eventstore.ErrWithheld) {
		t.Errorf("support exports a restricted person: %v", err)
	}
	if d, err := s.Export(ctx, tenant, dpo, w.a); err != nil || d.Count != 6 {
		t.Errorf("the DPO exports a restricted person: %v", err)
	}
	_, err := s.Erase(ctx, tenant, dpo, w.a, asked)
	w.must(err)
	before := len(w.ledger.all)
	if n, err := read(dpo); n != 0 || !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("erased: %d events, %v", n, err)
	}
	if len(w.ledger.all) != before {
		t.Error("a read that was refused made an entry")
	}
}

func TestExport(t *testing.T) {
	w := newWorld(t)
	w.state(w.a, func(s *eventstore.State) { s.Consents = map[string]bool{"storage": true} })
	s, ctx := w.service(), t.Context()
	d, err := s.Export(ctx, tenant, dpo, w.b)
	w.must(err)
	if d.Count != 6 || len(d.Events) != 6 || !slices.Equal(d.Recipients, []string{"nlu"}) || !slices.Equal(d.Channels, []string{"web"}) || len(d.Identities) != 2 || !d.Consents["storage"] {
		t.Errorf("the document has %d events, %v, %v", d.Count, d.Recipients, d.Channels)
	}
	var b bytes.Buffer
	w.must(s.ExportTo(ctx, &b, tenant, dpo, w.b))
	var got Document
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatalf("it is no JSON: %v", err)
	}
	got.Generated = d.Generated
	if !reflect.DeepEqual(normal(t, got), normal(t, d)) {
		t.Error("ExportTo writes another document than Export returns")
	}
	if n := len(w.ledger.of(eventstore.ActExported)); n != 2 {
		t.Errorf("two exports made %d entries", n)
	}
	// The schema knows the same members as the document.
	var schema struct {
		Required   []string
		Properties map[string]any
	}
	w.must(json.Unmarshal(ExportSchema, &schema))
	if members, required := slices.Sorted(maps.Keys(normal(t, d))), slices.Sorted(slices.Values(schema.Required)); !slices.Equal(required, members) {
		t.Errorf("the schema requires %v, the document has %v", required, members)
	}
	d.ExpiredBefore = "2024-11-01"
	if members, known := slices.Sorted(maps.Keys(normal(t, d))), slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(known, members) {
		t.Errorf("the schema has %v, the document of somebody of whom something has expired %v", known, members)
	}
}

func normal(t *testing.T, d Document) (m map[string]any) {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// endless yields n events, then an error if there is one.
type endless struct {
	events
	n   int
	err error
}

func (e endless) Read(context.Context, eventstore.TenantID, eventstore.PersonID, eventstore.ReadOptions) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		for i := range e.n {
			if !yield(eventstore.Recorded{Sequence: uint64(i), Event: eventstore.Event{Text: strings.Repeat("x", 1000), Channel: time.Duration(i).String()}}, nil) {
				return
			}
		}
		if e.err != nil {
			yield(eventstore.Recorded{}, e.err)
		}
	}
}

// counter counts bytes, and fails behind limit if there is one.
type counter struct{ n, limit int }

func (c *counter) Write(b []byte) (int, error) {
	c.n += len(b)
	if c.limit > 0 && c.n > c.limit {
		return 0, errInjected
	}
	return len(b), nil
}

func TestExportIsBounded(t *testing.T) {
	w := newWorld(t)
	s, ctx := w.service(), t.Context()
	s.store = endless{n: 20_000}
	var before, after runtime.MemStats
	var out counter
	runtime.GC()
	runtime.ReadMemStats(&before)
	w.must(s.ExportTo(ctx, &out, tenant, dpo, w.a))
	runtime.GC()
	runtime.ReadMemStats(&after)
	if out.n < 20_000_000 || after.HeapSys > before.HeapSys+16<<20 {
		t.Errorf("%d bytes were written with %d MB of heap", out.n, (after.HeapSys-before.HeapSys)>>20)
	}
	// What breaks off is no document.
	s.store = endless{n: 100, err: eventstore.ErrErased}
	var b bytes.Buffer
	if err := s.ExportTo(ctx, &b, tenant, dpo, w.a); !errors.Is(err, eventstore.ErrErased) || json.Valid(b.Bytes()) {
		t.Errorf("a reading that broke off: %v", err)
	}
	s.store = endless{n: 20_000}
	stuck := counter{limit: 100_000}
	if err := s.ExportTo(ctx, &stuck, tenant, dpo, w.a); !errors.Is(err, errInjected) || stuck.n > 200_000 {
		t.Errorf("a writer that fails: %v after %d bytes", err, stuck.n)
	}
}
