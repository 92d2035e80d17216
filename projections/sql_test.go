package projections

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/sqltables"
)

func rowsOf(t *testing.T, p *Projections, tenant eventstore.TenantID, query string) [][]any {
	t.Helper()
	got, err := p.SQL(context.Background(), tenant, query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return got.Rows
}

// TestSQL: the tables hold what Stats answers, row by row, and change when it does.
func TestSQL(t *testing.T) {
	w := newWorld()
	p := w.open(t, vfs.NewMem())
	defer closing(t, p)
	shop(w)
	w.catchUp(t, newRunner(t, p))
	const all = "SELECT * FROM intents_provisional ORDER BY period, bot, language, intent"
	for kind, suffix := range suffixes {
		want := stats(t, p, Query{Projection: "intents", By: kind}).Rows
		got := rowsOf(t, p, acme, strings.Replace(all, "intents", "intents"+suffix, 1))
		if len(got) != 1 || len(want) != 1 {
			t.Fatalf("%c: %v, want %v", kind, got, want)
		}
		for i, v := range want[0] {
			if n, ok := v.(uint64); ok {
				want[0][i] = int64(n)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%c: %v, want %v", kind, got, want)
		}
	}
	if got := rowsOf(t, p, acme, "SELECT count(*) FROM intents"); got[0][0] != int64(0) {
		t.Errorf("%v are released", got)
	}
	if got := rowsOf(t, p, acme, "SELECT type FROM dictionary WHERE table_name='intents' AND column_name='persons'"); !reflect.DeepEqual(got, [][]any{{"integer"}}) {
		t.Errorf("%v", got)
	}
	r, err := p.SQL(context.Background(), acme, "SELECT 1")
	if err != nil || r.K != 3 || !strings.HasPrefix(r.Notes[0], "fewer than 3 persons: hidden") || !strings.HasPrefix(r.Notes[1], "no period is closed yet") {
		t.Errorf("%+v, %v", r, err)
	}

	// They stay as they are for a minute.
	for range 3 {
		w.say(w.mint(), message("fr", "bye"))
	}
	w.catchUp(t, newRunner(t, p))
	w.now = w.now.Add(renewal - time.Second)
	if got := rowsOf(t, p, acme, all); len(got) != 1 {
		t.Fatalf("within a minute: %v", got)
	}
	w.now = w.now.Add(time.Second)
	if got := rowsOf(t, p, acme, all); len(got) != 2 {
		t.Fatalf("after a minute: %v", got)
	}
	// A setting counts at once.
	w.k = 6
	if got := rowsOf(t, p, acme, all); len(got) != 1 {
		t.Fatalf("with a larger k: %v", got)
	}
}

// TestSQLOfOthers: no query of one tenant sees anything of another, and images of tenants that come and go do not stay.
func TestSQLOfOthers(t *testing.T) {
	w := newWorld()
	p := w.open(t, vfs.NewMem())
	shop(w)
	w.catchUp(t, newRunner(t, p))
	for i := range 3 {
		if got := rowsOf(t, p, acme, "SELECT count(*) FROM intents_provisional"); got[0][0] != int64(1) {
			t.Fatalf("%d: acme has %v rows", i, got)
		}
		if got := rowsOf(t, p, "other", "SELECT count(*) FROM intents_provisional"); got[0][0] != int64(0) {
			t.Fatalf("%d: other has %v rows", i, got)
		}
	}
	if err := p.Drop("other"); err != nil {
		t.Fatal(err)
	}
	if p.images.tenants["other"] != nil || p.images.tenants[acme] == nil {
		t.Error("images of a tenant that is gone stay")
	}
	_, err := p.SQL(context.Background(), acme, "SELECT * FROM dbstat")
	if !errors.Is(err, sqltables.ErrOnlyRead) && !errors.Is(err, sqltables.ErrNoTable) {
		t.Error(err)
	}
	closing(t, p)
	if len(p.images.tenants) != 0 {
		t.Error("images stay")
	}
}

// TestAnswerAsTable: all that stands beside the rows is a remark of the table.
func TestAnswerAsTable(t *testing.T) {
	w := newWorld()
	p := w.open(t, vfs.NewMem())
	defer closing(t, p)
	shop(w)
	w.catchUp(t, newRunner(t, p))
	day := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	a := stats(t, p, Query{Projection: "intents", By: eventstore.Week, From: day, Where: map[string]string{"language": "xx", "bot": "shop"}})
	var got []string
	for _, r := range a.Table().Remarks {
		got = append(got, r.Name+": "+r.Text)
	}
	for _, want := range []string{"from: 2026-11-16", "by: week", "where: bot=shop", "where: language=xx", "k: 3", "timezone: UTC", "provisional: true",
		"note: fewer than 3 persons: hidden", "note: nothing that is published has these values; upper and lower case differ"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is not among %q", want, got)
		}
	}
}
