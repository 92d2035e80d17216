package projections

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/release"
)

// The columns that every table has beside its model's.
const (
	columnPeriod  = "period"
	columnPersons = "persons"
	columnStatus  = "status"

	typeString  = "string"
	typeInteger = "integer"

	statusProvisional = "provisional"
	statusReleased    = "released"
)

// Refusals of a query.
var (
	errRange = eventstore.Refuse(eventstore.KindInvalid, "from", "the range ends before it begins")
	errBy    = eventstore.Refuse(eventstore.KindInvalid, "by", "there is no such unit; there are: day, week, month")
)

// Dictionary lists every table, column, type and meaning.
func (p *Projections) Dictionary() []Table {
	out := make([]Table, len(p.models))
	for i, m := range p.models {
		out[i] = Table{Name: m.Name, Meaning: m.Meaning.EN, Columns: columns(m)}
	}
	return out
}

func columns(m *readmodel.Model) []Column {
	out := []Column{{columnPeriod, typeString, "the day (2026-11-22), ISO week (2026-W47) or month (2026-11), in the tenant's time zone"}}
	for _, d := range m.Dimensions {
		out = append(out, Column{d.Name, typeString, d.Meaning.EN + "; (none) if there was none, (other) for what is not told one by one"})
	}
	out = append(out, Column{columnPersons, typeInteger,
		"distinct persons, of the whole period; they do not add up; null where only the days have figures"})
	for _, m := range m.Counters() {
		out = append(out, Column{m.Name, typeInteger,
			m.Meaning.EN + "; for weeks and months the sum of their published days, null if none was published"})
	}
	return append(out, Column{columnStatus, typeString, "provisional until the period is closed, then released"})
}

// Stats answers a query with the figures that may be shown. ErrNotFound for an unknown projection and ErrInvalid for an unknown dimension or unit: the
// message lists what exists.
//
// Weeks and months are answered whole, also where the range cuts them. Their persons are those of the whole period; their other measures are sums of what is
// published of their days. While a period is open its figures are provisional: counts are rounded down to a multiple of k, and stay as they are for a
// minute.
func (p *Projections) Stats(ctx context.Context, id eventstore.TenantID, q Query) (Answer, error) {
	m, err := modelNamed(q.Projection)
	if err != nil {
		return Answer{}, err
	}
	if err := check(m, &q); err != nil {
		return Answer{}, err
	}
	t, err := p.tenant(ctx, id)
	if err != nil {
		return Answer{}, err
	}
	s, err := p.settings(id)
	if err != nil {
		return Answer{}, err
	}
	t.forget(p.c.Now())
	r := rangeOf(q)
	days, err := p.figures(ctx, t, m, r.days[0], r.days[1], s.K)
	if err != nil {
		return Answer{}, err
	}
	periods := days
	if q.By != eventstore.Day {
		if periods, err = p.figures(ctx, t, m, r.periods[0], r.periods[1], s.K); err != nil {
			return Answer{}, err
		}
	}
	a := Answer{
		Projection: m.Name, Columns: columns(m), Rows: [][]any{}, Provisional: slices.ContainsFunc(periods, func(d dated) bool { return !d.released }), K: s.K, Timezone: t.zoneName(),
		Notes: notes(q, r, periods, days, s.K),
	}
	if m.Worded() {
		a.Notes = []string{"what persons wrote is shown when its period is closed, where enough of them wrote the same"}
	}
	rolled := roll(q.By, days)
	for _, f := range periods {
		for _, row := range join(q.By, f.Rows, rolled[f.period]) {
			if keep(m, q.Where, row.values) {
				a.Rows = append(a.Rows, row.columns(f))
			}
		}
	}
	return a, nil
}

// check checks a query and fills in its unit.
func check(m *readmodel.Model, q *Query) error {
	switch q.By {
	case 0:
		q.By = eventstore.Day
	case eventstore.Day, eventstore.Week, eventstore.Month:
	default:
		return errBy
	}
	for name := range q.Where {
		if m.Dimension(name) < 0 {
			return m.UnknownDimension
		}
	}
	if !q.From.IsZero() && !q.To.IsZero() && civil(q.To).Before(civil(q.From)) {
		return errRange
	}
	return nil
}

// civil is the civil day of a time, as it reads in its own zone, at midnight UTC.
func civil(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// span is the range of a query: its days, and the periods that hold them; when the periods are cut by the range it covers them whole.
type span struct {
	days, periods [2]eventstore.Period
	widened       bool
}

func rangeOf(q Query) (s span) {
	s.days = [2]eventstore.Period{{Kind: eventstore.Day, First: math.MinInt32}, {Kind: eventstore.Day, First: math.MaxInt32}}
	s.periods = [2]eventstore.Period{{Kind: q.By, First: math.MinInt32}, {Kind: q.By, First: math.MaxInt32}}
	if !q.From.IsZero() {
		s.periods[0] = eventstore.PeriodOf(q.By, civil(q.From), time.UTC)
		s.days[0].First = s.periods[0].First
		s.widened = s.widened || s.days[0] != eventstore.PeriodOf(eventstore.Day, civil(q.From), time.UTC)
	}
	if !q.To.IsZero() {
		s.periods[1] = eventstore.PeriodOf(q.By, civil(q.To), time.UTC)
		s.days[1].First = s.periods[1].Next().First - 1
		s.widened = s.widened || s.days[1] != eventstore.PeriodOf(eventstore.Day, civil(q.To), time.UTC)
	}
	return s
}

func (t *tenant) zoneName() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.header.Zone
}

// roll adds up the published days of every period.
func roll(by eventstore.PeriodKind, days []dated) map[eventstore.Period][]release.Figure {
	if by == eventstore.Day {
		return nil
	}
	parts := map[eventstore.Period][]release.Figures{}
	for _, d := range days {
		in := eventstore.PeriodOf(by, d.period.Date(), time.UTC)
		parts[in] = append(parts[in], d.Figures)
	}
	out := map[eventstore.Period][]release.Figure{}
	for in, p := range parts {
		out[in] = release.Roll(p...)
	}
	return out
}

// answerRow is one row of an answer; what is not published is nil.
type answerRow struct {
	values  []string
	persons *uint64
	sums    []uint64
	width   int
}

// join puts the distinct persons of a period beside the sums of its days. For days both are in one figure.
func join(by eventstore.PeriodKind, own, rolled []release.Figure) (out []answerRow) {
	for _, f := range own {
		row := answerRow{values: f.Values, persons: &f.Persons, width: len(f.Sums)}
		if by == eventstore.Day {
			row.sums = f.Sums
		}
		out = append(out, row)
	}
	for _, f := range rolled {
		i := slices.IndexFunc(out, func(r answerRow) bool { return slices.Equal(r.values, f.Values) })
		if i < 0 {
			out = append(out, answerRow{values: f.Values, width: len(f.Sums)})
			i = len(out) - 1
		}
		out[i].sums = f.Sums
	}
	slices.SortFunc(out, func(a, b answerRow) int { return slices.Compare(a.values, b.values) })
	return out
}

func (r answerRow) columns(of dated) []any {
	out := make([]any, 0, len(r.values)+r.width+3)
	out = append(out, of.period.String())
	for _, v := range r.values {
		out = append(out, v)
	}
	if r.persons == nil {
		out = append(out, nil)
	} else {
		out = append(out, *r.persons)
	}
	for i := range r.width {
		if r.sums == nil {
			out = append(out, nil)
		} else {
			out = append(out, r.sums[i])
		}
	}
	if of.released {
		return append(out, statusReleased)
	}
	return append(out, statusProvisional)
}

func keep(m *readmodel.Model, where map[string]string, values []string) bool {
	for name, want := range where {
		if values[m.Dimension(name)] != want {
			return false
		}
	}
	return true
}

// notes say what an answer does not show and why. They do not depend on what it was filtered by: whether a value exists at all is told only of values
// that are published.
func notes(q Query, r span, periods, days []dated, k int) []string {
	var out []string
	if len(periods) == 0 || slices.ContainsFunc(periods, func(d dated) bool { return !d.released }) {
		out = append(out, fmt.Sprintf("provisional: counts of periods that are not closed yet are rounded down to a multiple of %d and renewed once a minute", k))
	}
	hidden, folded := false, false
	var first *eventstore.Period
	for _, f := range slices.Concat(periods, days) {
		hidden, folded = hidden || f.Hidden, folded || f.Folded
		if first == nil && len(f.Rows) > 0 {
			first = &f.period
		}
	}
	if hidden {
		out = append(out, fmt.Sprintf("fewer than %d persons: hidden", k))
	}
	if folded {
		out = append(out, fmt.Sprintf("values of fewer than %d persons stand together as %s", k, readmodel.Other))
	}
	if first != nil && !q.From.IsZero() && first.First > r.periods[0].First {
		out = append(out, "nothing is published before "+first.String())
	}
	if len(periods) == 0 && len(days) == 0 {
		out = append(out, "no events in this range")
	}
	if r.widened {
		out = append(out, "weeks and months are answered whole, also where the range cuts them")
	}
	return out
}
