package projections

import (
	"context"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/oubli-store/oubli/eventstore"
	"github.com/oubli-store/oubli/projections/readmodel"
	"github.com/oubli-store/oubli/projections/release"
)

// Refusals of a query.
var (
	errRange = eventstore.Refuse(eventstore.KindInvalid, "from", "the range ends before it begins")
	errBy    = eventstore.Refuse(eventstore.KindInvalid, "by", "there is no such unit; there are: day, week, month")
	errRows  = eventstore.Refuse(eventstore.KindInvalid, "", "the answer would have more than 200000 rows; narrow the range, filter with where, or ask by week or month")
)

// Stats answers a query with the figures that may be shown. ErrNotFound for an unknown projection and ErrInvalid for an unknown dimension or unit: the
// message lists what exists. ErrTooLarge for more than [MaxRows] rows.
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
	f, err := p.published(ctx, id, m, q)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Projection: m.Name, Parameters: f.parameters, Asked: asking(q, f.span), Columns: columns(m), Rows: [][]any{}}
	for row := range f.rows(m, q, every) {
		if len(a.Rows) == MaxRows {
			return Answer{}, errRows
		}
		a.Rows = append(a.Rows, row)
	}
	a.Provisional, a.Notes = f.provisional(), notes(q, f, len(a.Rows))
	return a, nil
}

// published is what is published of a model in the range of a query, before its filter.
type published struct {
	span       span
	parameters Parameters
	// days are the days of the range, periods those of the query's unit.
	days, periods []dated
	// worded says that the model tells wordings, which is never done of open periods.
	worded bool
	// noised says that releases have noise, so that nothing is told of open periods.
	noised bool
}

func (p *Projections) published(ctx context.Context, id eventstore.TenantID, m *readmodel.Model, q Query) (f published, err error) {
	t, err := p.tenant(ctx, id)
	if err != nil {
		return f, err
	}
	s, err := p.settings(id)
	if err != nil {
		return f, err
	}
	t.forget(p.c.Now())
	f.span, f.parameters, f.worded = rangeOf(q), parameters(s, t.zoneName()), m.Worded()
	f.noised = s.Epsilon != 0
	if f.days, err = p.figures(ctx, t, m, f.span.days[0], f.span.days[1], s.K); err != nil {
		return f, err
	}
	if f.periods = f.days; q.By != eventstore.Day {
		f.periods, err = p.figures(ctx, t, m, f.span.periods[0], f.span.periods[1], s.K)
	}
	return f, err
}

func every(dated) bool { return true }

// rows are those that a query keeps, of the periods that which wants, as columns; each is the caller's own.
func (f published) rows(m *readmodel.Model, q Query, which func(dated) bool) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		rolled := roll(q.By, f.days)
		for _, period := range f.periods {
			if !which(period) {
				continue
			}
			for _, row := range join(q.By, period.Rows, rolled[period.period]) {
				if keep(m, q.Where, row.values) && !yield(row.columns(m, period)) {
					return
				}
			}
		}
	}
}

// provisional says whether any period is open.
func (f published) provisional() bool {
	return slices.ContainsFunc(f.periods, func(d dated) bool { return !d.released })
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
}

// join puts the distinct persons of a period beside the sums of its days, both in the order of their values. For days both are in one figure.
func join(by eventstore.PeriodKind, own, rolled []release.Figure) []answerRow {
	out := make([]answerRow, 0, max(len(own), len(rolled)))
	for len(own) > 0 || len(rolled) > 0 {
		order := -1
		switch {
		case len(own) == 0:
			order = 1
		case len(rolled) > 0:
			order = slices.Compare(own[0].Values, rolled[0].Values)
		}
		var row answerRow
		if order <= 0 {
			row.values, row.persons = own[0].Values, &own[0].Persons
			if by == eventstore.Day {
				row.sums = own[0].Sums
			}
			own = own[1:]
		}
		if order >= 0 {
			row.values, row.sums = rolled[0].Values, rolled[0].Sums
			rolled = rolled[1:]
		}
		out = append(out, row)
	}
	return out
}

// columns are a row as [columns] says.
func (r answerRow) columns(m *readmodel.Model, in dated) []any {
	out := make([]any, 0, len(r.values)+m.Width()+8)
	out = append(out, in.period.String())
	for _, v := range r.values {
		out = append(out, v)
	}
	if r.persons == nil {
		out = append(out, nil)
	} else {
		out = append(out, *r.persons)
	}
	sums := r.sums
	for i := range m.Measures {
		measure := &m.Measures[i]
		if r.sums == nil {
			out = append(out, make([]any, measure.Width()+len(measure.Percentiles))...)
			continue
		}
		out = measured(out, measure, sums[:measure.Width()])
		sums = sums[measure.Width():]
	}
	status := statusProvisional
	if in.released {
		status = statusReleased
	}
	return append(out, status, in.period.Date().Format(time.DateOnly))
}

// measured appends the counters of a measure and the percentiles that are read from them.
func measured(out []any, m *readmodel.Measure, counters []uint64) []any {
	for _, n := range counters {
		out = append(out, n)
	}
	for _, percent := range m.Percentiles {
		if amount, known := m.Percentile(counters, percent); known {
			out = append(out, amount)
		} else {
			out = append(out, nil)
		}
	}
	return out
}

func keep(m *readmodel.Model, where map[string]string, values []string) bool {
	for name, want := range where {
		if values[m.Dimension(name)] != want {
			return false
		}
	}
	return true
}
