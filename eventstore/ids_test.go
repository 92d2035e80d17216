package eventstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTenantIDs(t *testing.T) {
	for _, good := range []string{"a", "default", "acme-2", strings.Repeat("x", 32)} {
		if id, err := ParseTenantID(good); err != nil || string(id) != good {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "A", "1a", "-a", "a_b", "a.b", "a b", "é", strings.Repeat("x", 33), "a\x00"} {
		if _, err := ParseTenantID(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", bad, err)
		}
	}
}

// TestPersonIDs: a person id has no time in it, reads back, and differs from every other.
func TestPersonIDs(t *testing.T) {
	seen := map[PersonID]bool{}
	for range 1000 {
		p, err := NewPersonID(nil)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParsePersonID(p.String())
		if err != nil || back != p || seen[p] || p.IsZero() || !strings.HasPrefix(p.String(), "0000000000") {
			t.Fatalf("%s: %v", p, err)
		}
		seen[p] = true
	}
	for _, bad := range []string{"", "x", "01KANMD3T8V4M1TQ3B3E7XJ0ZC", strings.Repeat("U", 26), strings.Repeat("0", 27)} {
		if _, err := ParsePersonID(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", bad, err)
		}
	}
}

func TestEventIDs(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.UTC)
	e, err := NewEventID(now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Received(); !got.Equal(now.Truncate(time.Millisecond)) {
		t.Errorf("received at %v, want %v", got, now)
	}
	if back, err := ParseEventID(e.String()); err != nil || back != e {
		t.Errorf("%v: %v", back, err)
	}
	if _, err := NewEventID(now, bytes.NewReader(nil)); err == nil {
		t.Error("an id is drawn from nothing")
	}
	if _, err := NewEventID(time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), nil); err == nil {
		t.Error("an id has a receive time before 1970")
	}
}

// TestKeyMonth: the key month is that of the earlier of event and receive time, and months follow each other without a gap.
func TestKeyMonth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		event := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "event"), 0)
		received := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "received"), 0)
		earlier := received
		if event.Before(received) {
			earlier = event
		}
		m := KeyMonthOf(event, received)
		if earlier.Before(m.Start()) || !earlier.Before(m.End()) {
			t.Fatalf("%v is not in %v", earlier.UTC(), m)
		}
		if !m.End().Equal((m + 1).Start()) || m.String() != earlier.UTC().Format("2006-01") {
			t.Fatalf("%v: %v to %v", m, m.Start(), m.End())
		}
	})
	if m := KeyMonthOf(time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), time.Now()); m != 0 {
		t.Errorf("an event time before 1970 has key month %d, want 0", m)
	}
}

// TestPeriodsOfCoverEveryEvent: whatever the zone and the time, the period in which an event counts is among those of its key month.
func TestPeriodsOfCoverEveryEvent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		received := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "received"), 0)
		event := received.Add(time.Duration(rapid.Int64Range(int64(-800*24*time.Hour), int64(MaxAhead)).Draw(t, "ahead")))
		if event.Unix() < 0 {
			return
		}
		zone := time.FixedZone("", rapid.IntRange(-12*3600, 14*3600).Draw(t, "zone"))
		all := map[Period]bool{}
		for _, p := range PeriodsOf([]KeyMonth{KeyMonthOf(event, received)}) {
			if all[p] {
				t.Fatalf("%v is listed twice", p)
			}
			all[p] = true
		}
		if len(all) > 42 {
			t.Fatalf("%d periods of one month", len(all))
		}
		for _, kind := range []PeriodKind{Day, Week, Month} {
			if p := PeriodOf(kind, event, zone); !all[p] {
				t.Fatalf("an event at %v counts in %v, which is not listed", event.In(zone), p)
			}
		}
	})
}

// TestPeriods: a period holds what it says, also across the change to summer time, and periods follow each other.
func TestPeriods(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind     PeriodKind
		at, want string
	}{
		{Day, "2026-03-29T01:30:00+01:00", "2026-03-29"}, {Day, "2026-03-29T23:59:59+02:00", "2026-03-29"}, {Day, "2026-03-29T22:00:00Z", "2026-03-30"},
		{Day, "2026-10-25T02:30:00+02:00", "2026-10-25"}, {Day, "2026-10-25T02:30:00+01:00", "2026-10-25"},
		{Week, "2026-12-31T12:00:00Z", "2026-W53"}, {Week, "2027-01-03T12:00:00Z", "2026-W53"}, {Week, "2027-01-04T00:00:00+01:00", "2027-W01"},
		{Month, "2026-11-30T23:30:00Z", "2026-12"}, {Month, "1969-12-31T12:00:00Z", "1969-12"}, {Week, "1969-12-31T12:00:00Z", "1970-W01"},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		p := PeriodOf(c.kind, at, paris)
		if p.String() != c.want {
			t.Errorf("%s counts in %v, want %s", c.at, p, c.want)
		}
		if next := p.Next(); PeriodOf(c.kind, next.Date().Add(-12*time.Hour), time.UTC) != p || next.First <= p.First {
			t.Errorf("%v is followed by %v", p, next)
		}
	}
}

// TestNothingPrints: an event, a handle, a conversation id and what contains them show nothing of themselves under any verb or in slog.
func TestNothingPrints(t *testing.T) {
	const secret = "alice@example.com"
	e := Event{Key: secret, Identity: &Identity{Namespace: "email", ID: secret}, Also: []Identity{{Namespace: "email", ID: secret}},
		Conversation: secret, Text: secret, Data: json.RawMessage(`"` + secret + `"`)}
	arrival := Arrival{Identity: *e.Identity, Also: e.Also}
	record := PersonRecord{Identities: e.Also, Ambiguous: e.Also}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	text := slog.New(slog.NewTextHandler(&log, nil))
	for _, v := range []any{e, &e, *e.Identity, e.Identity, e.Also, e.Conversation, arrival, record, Recorded{Event: e}, []any{e}, map[string]any{"e": e}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if out := fmt.Sprintf(verb, v); strings.Contains(out, "alice") || strings.Contains(out, fmt.Sprintf("%x", secret)) {
				t.Errorf("%T prints under %s: %s", v, verb, out)
			}
		}
		text.Info("x", "v", v)
	}
	logger.Info("x", "event", e, "identity", *e.Identity, "conversation", e.Conversation)
	if strings.Contains(log.String(), "alice") {
		t.Errorf("it is logged: %s", log.String())
	}
}

// TestProblems: a problem matches its kind's sentinel and, when derived, what it was derived from; it prints no cause.
func TestProblems(t *testing.T) {
	cause := errors.New("secret cause")
	p := Refuse(KindInvalid, "text", "too long").AtLine(7).AtDepth(2).RetryAfter(time.Second).Because(cause)
	if !errors.Is(p, ErrInvalid) || !errors.Is(p, cause) || errors.Is(p, ErrErased) {
		t.Error("a problem does not match what it should")
	}
	if got, want := p.Error(), "line 7: text: too long (at depth 2)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if p.Kind() != KindInvalid || p.Field() != "text" || p.What() != "too long" || p.Line() != 7 || p.Depth() != 2 || p.Wait() != time.Second {
		t.Errorf("%+v", p)
	}
	for _, special := range []*Problem{ErrFenced, ErrUncertain, ErrExpired} {
		for _, derived := range []error{special, special.AtLine(3), special.Because(cause), fmt.Errorf("wrapped: %w", special)} {
			if !errors.Is(derived, special) || !errors.Is(derived, kinds[special.kind]) {
				t.Errorf("%v does not match itself and its kind", derived)
			}
		}
		if errors.Is(kinds[special.kind], special) {
			t.Errorf("the sentinel of a kind matches %v", special)
		}
	}
	if errors.Is(ErrFenced, ErrUncertain) || errors.Is(Refuse(KindUnavailable, "", "x"), ErrFenced) {
		t.Error("two problems of one kind are taken for each other")
	}
}
